"""A20, everybody else colludes: what K - 1 nodes and the coordinator can subtract."""

from __future__ import annotations

import numpy as np
import pytest

from privacy.discrete_gaussian import noise_share
from privacy.errors import BadInput
from privacy.secure_sum import masks
from tests.support.secure_sum_network import Network, Vector, plain_total, seeded_entropy
from tests.support.secure_sum_stub import LENGTH, Stub, looks_like, vectors


def test_the_others_subtract_their_own_vectors_without_noise() -> None:
    stub = Stub()
    inputs = vectors(stub.nodes)
    masked = {name: node.mask(inputs[name]) for name, node in stub.nodes.items()}
    total = stub.open(masked, sorted(stub.nodes))
    others = masks.total([inputs[name] for name in ("n0", "n1", "n3")], [])
    assert looks_like(total - others, inputs["n2"]) == 1.0


def noisy(inputs: dict[str, Vector], log2_sigma: int) -> dict[str, Vector]:
    return {
        name: vector + noise_share(seeded_entropy(name), log2_sigma, LENGTH).view(np.uint64)
        for name, vector in inputs.items()
    }


def test_a_coalition_of_all_others_is_left_with_the_noise_share() -> None:
    """K - 1 nodes and the coordinator subtract all they know: a share of sigma = 16 remains.

    Its variance is within 20 % (9 standard errors at n = 4096) of the share's; the same check
    rejects a share of twice the scale.
    """
    network = Network(4, length=LENGTH).prepare()
    inputs = vectors(network.names)

    def left_over(log2_sigma: int, set_index: int) -> float:
        masked = noisy(inputs, log2_sigma)
        total, _ = network.run(masked, attempt=network.attempt(set_index, round=set_index))
        known = plain_total(masked, ["node-00", "node-01", "node-03"])
        rest = (total - known) - inputs["node-02"].view(np.int64)
        return float(np.mean(rest.astype(np.float64) ** 2))

    assert abs(left_over(4, 0) / 256 - 1) < 0.2
    assert abs(left_over(5, 1) / 256 - 1) > 0.2


def test_two_nodes_are_no_sum() -> None:
    stub = Stub(2, threshold=2)
    inputs = vectors(stub.nodes)
    masked = {name: node.mask(inputs[name]) for name, node in stub.nodes.items()}
    assert looks_like(stub.open(masked, ["n0", "n1"]) - inputs["n0"], inputs["n1"]) == 1.0
    with pytest.raises(BadInput):
        Network(2).prepare()
    for names in (Network(4).names[:2], Network(4).names[:1]):
        attempt = (
            Network(4)
            .prepare()
            .attempt(participants=names, sessions=tuple(f"{i:032x}" for i in range(len(names))))
        )
        with pytest.raises(BadInput):
            attempt.validate()
