"""A secure sum without protection, for attacks to win against, and ways to tell that they won.

The stub masks doubly, as the product does, but trusts the coordinator: unsigned keys, masks
without context, keys kept over rounds, shares for whoever asks and for any list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from privacy.secure_sum import masks, shamir
from privacy.secure_sum.masks import Mask
from tests.support.secure_sum_network import Vector, seeded_entropy

LENGTH = 4096


class StubNode:
    """A node without protection. Its keys live as long as it does."""

    def __init__(self, name: str) -> None:
        draw = seeded_entropy(f"stub/{name}")
        self.name, self.seed = name, draw(32)
        self.key = masks.private_key(masks.new_private_key(draw(32)))
        self.held: dict[str, tuple[int, int]] = {}  # dealer -> shares of its seed and key
        self.publics: dict[str, bytes] = {}

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def mask(self, vector: Vector) -> Vector:
        pairs = [
            stub_pair(self.key, self.publics[peer], self.name, peer)
            for peer in self.publics
            if peer != self.name
        ]
        return masks.mask(vector, [Mask(self.seed), *pairs])[0]

    def reveal(self, survivors: Iterable[str]) -> dict[str, int]:
        alive = set(survivors)
        return {dealer: pair[dealer not in alive] for dealer, pair in self.held.items()}


def stub_pair(key: X25519PrivateKey, public: bytes, node: str, peer: str) -> Mask:
    return Mask(masks.shared_secret(key, public), subtract=node > peer)


class Stub:
    """The unprotected network: `threshold` of the nodes open any secret."""

    def __init__(self, nodes: int = 4, threshold: int = 2) -> None:
        self.nodes = {f"n{i}": StubNode(f"n{i}") for i in range(nodes)}
        self.threshold = threshold
        for node in self.nodes.values():
            node.publics = {name: each.public for name, each in self.nodes.items()}
            raw = node.key.private_bytes_raw()
            draw = seeded_entropy(f"deal/{node.name}")
            shares = [shamir.split(secret, threshold, nodes, draw) for secret in (node.seed, raw)]
            for holder, pair in zip(self.nodes.values(), zip(*shares, strict=True), strict=True):
                holder.held[node.name] = pair

    def secrets(self, reveals: Mapping[str, dict[str, int]]) -> dict[str, bytes]:
        points = {name: i + 1 for i, name in enumerate(self.nodes)}
        return {
            dealer: shamir.combine(
                {points[h]: shares[dealer] for h, shares in reveals.items()}, self.threshold
            )
            for dealer in self.nodes
        }

    def open(self, masked: Mapping[str, Vector], survivors: list[str]) -> Vector:
        reveals = {name: self.nodes[name].reveal(survivors) for name in survivors}
        secrets = self.secrets(reveals)
        streams = [Mask(secrets[name], subtract=True) for name in survivors]
        for lost in set(self.nodes) - set(survivors):
            key = X25519PrivateKey.from_private_bytes(secrets[lost])
            streams += [self.pair(key, name, lost).negated() for name in survivors]
        return masks.total([masked[name] for name in survivors], streams)

    def unmask(self, masked: Vector, node: str, seed: bytes, key: bytes) -> Vector:
        """What a node's masked vector hides, from both of its secrets."""
        private = X25519PrivateKey.from_private_bytes(key)
        pairs = [
            stub_pair(private, each.public, node, peer).negated()
            for peer, each in self.nodes.items()
            if peer != node
        ]
        return masks.total([masked], [Mask(seed, subtract=True), *pairs])

    def pair(self, key: X25519PrivateKey, node: str, lost: str) -> Mask:
        return stub_pair(key, self.nodes[node].public, node, lost)


def vectors(names: Iterable[str], length: int = LENGTH, seed: int = 0) -> dict[str, Vector]:
    draw = np.random.default_rng(seed)
    return {n: draw.integers(0, 1000, length, dtype=np.int64).view(np.uint64) for n in names}


def looks_like(words: Vector, truth: Vector) -> float:
    """The fraction of positions that an attacker got right."""
    return float(np.mean(words == truth))


def looks_uniform(words: Vector) -> bool:
    """The mean of the top byte lies within 7 standard errors of a uniform byte's."""
    error = 73.9 / np.sqrt(len(words))
    return bool(abs(float(np.mean(words >> np.uint64(56))) - 127.5) < 7 * error)
