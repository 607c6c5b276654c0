"""RFC 6962 trees against a naive reading of the definition, and proofs that must not pass."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import BadInput, VerificationFailed
from privacy.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that implementations of RFC 6962 share as test vectors.
VECTOR_LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    bytes(range(0x60, 0x70)),
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MOST = 40


def naive_root(leaves: list[bytes]) -> bytes:
    """The definition, word for word: MTH of a list of entries."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    parts = naive_root(leaves[:split]) + naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + parts).digest()


def entries(count: int) -> list[bytes]:
    return [f"entry {i}".encode() for i in range(count)]


def tree_of(count: int) -> Tree:
    return Tree(map(leaf_hash, entries(count)))


def test_the_shared_vectors() -> None:
    for size, root in enumerate(VECTOR_ROOTS, 1):
        leaves = list(map(leaf_hash, VECTOR_LEAVES[:size]))
        assert root_of(leaves).hex() == Tree(leaves).root().hex() == root


def test_every_size_agrees_with_the_definition() -> None:
    tree = tree_of(MOST)
    frontier = Frontier()
    for size in range(MOST + 1):
        expected = naive_root(entries(size))
        assert tree.root(size) == frontier.root == expected
        assert tree.frontier(size) == frontier
        assert Frontier.from_bytes(frontier.to_bytes()) == frontier
        frontier = frontier.append(leaf_hash(f"entry {size}".encode()))
    assert tree.root(0) == EMPTY_ROOT


def test_every_inclusion_proof_holds_at_its_place_only() -> None:
    tree = tree_of(MOST)
    for size in range(1, MOST + 1):
        root = tree.root(size)
        for index in range(size):
            proof, leaf = tree.inclusion_proof(index, size), tree.leaf(index)
            verify_inclusion(leaf, index, size, proof, root)
            for wrong in {(index + 1) % size, index ^ 1} - {index}:
                with pytest.raises(VerificationFailed):
                    verify_inclusion(leaf, wrong, size, proof, root)


def test_every_consistency_proof_holds_for_its_sizes_only() -> None:
    tree = tree_of(MOST)
    for size in range(MOST + 1):
        for old in range(size + 1):
            proof = tree.consistency_proof(old, size)
            verify_consistency(old, tree.root(old), size, tree.root(size), proof)
            if 0 < old < size:
                with pytest.raises(VerificationFailed):
                    verify_consistency(old, tree.root(old - 1), size, tree.root(size), proof)
                with pytest.raises(VerificationFailed):
                    verify_consistency(old, tree.root(old), size, tree.root(size - 1), proof)


@given(st.integers(2, MOST), st.data())
def test_a_changed_proof_does_not_pass(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    tree = tree_of(size)
    proof = list(tree.consistency_proof(old, size))
    match data.draw(st.sampled_from(["flip", "drop", "add", "swap roots"])):
        case "flip" if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            bit = data.draw(st.integers(0, 255))
            value = int.from_bytes(proof[at], "big") ^ (1 << bit)
            proof[at] = value.to_bytes(32, "big")
        case "drop" if proof:
            proof.pop(data.draw(st.integers(0, len(proof) - 1)))
        case "add":
            proof.append(bytes(32))
        case _:
            with pytest.raises(VerificationFailed):
                verify_consistency(old, tree.root(size), size, tree.root(old), proof)
            return
    with pytest.raises(VerificationFailed):
        verify_consistency(old, tree.root(old), size, tree.root(size), proof)


@given(st.integers(2, MOST), st.data())
def test_another_history_is_not_consistent(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    leaves = list(map(leaf_hash, entries(size)))
    honest = Tree(leaves)
    leaves[changed] = leaf_hash(b"rewritten")
    forked = Tree(leaves)
    with pytest.raises(VerificationFailed):
        verify_consistency(
            old, honest.root(old), size, forked.root(), forked.consistency_proof(old, size)
        )


def test_sizes_that_never_were_are_refused() -> None:
    tree = tree_of(5)
    for call in (
        lambda: tree.root(6),
        lambda: tree.leaf(5),
        lambda: tree.inclusion_proof(5, 5),
        lambda: tree.consistency_proof(4, 3),
        lambda: tree.append(b"short"),
        lambda: Frontier.from_bytes(tree.frontier().to_bytes()[:-1]),
    ):
        with pytest.raises(BadInput):
            call()
    with pytest.raises(VerificationFailed):
        verify_inclusion(tree.leaf(0), 5, 5, (), tree.root())
    with pytest.raises(VerificationFailed):
        verify_consistency(6, tree.root(), 5, tree.root(), ())


def test_a_second_preimage_across_levels_is_not_a_leaf() -> None:
    """Without the leaf and node prefixes, an inner node would pass for an entry."""
    tree = tree_of(2)
    inner = tree.leaf(0) + tree.leaf(1)
    assert leaf_hash(inner) != tree.root()
    assert hashlib.sha256(inner).digest() != tree.root()
