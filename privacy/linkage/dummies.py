"""Dummies that several lists share, so that how many persons they share cannot be seen.

Who matches pseudonyms sees, for every set of organisations, how many pseudonyms they have in
common. To every such set belong dummies known to all nodes, SHIFT and discrete Gaussian noise
many, which nobody but the nodes can tell from persons.

Guarantee: against a coordinator that works with no node, the numbers of pseudonyms in common are
zCDP with rho = 2 / (2 sigma²) = 1/256 in one person with all their memberships, or in one of
them: a person adds one to one of the numbers, and a membership more or less moves them from that
number to another. The noise is never cut: the sampler raises beyond 16 sigma, which has
probability below 10^-55, so that the number of dummies is never negative.
Assumes: the seed is known to nodes alone. A node that tells the coordinator the seed tells it
the exact numbers, of this one session.
Source: Bun and Steinke 2016 for the cost; privacy.discrete_gaussian for the draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from privacy.discrete_gaussian import sample
from privacy.errors import BadInput
from privacy.randomness import KEY_BYTES, Keystream
from privacy.secure_sum.masks import derive
from privacy.units import Rho

LOG2_SIGMA = 4
SHIFT = 16 * 2**LOG2_SIGMA
MOST: int = 2 * SHIFT  # dummies of one set of nodes
_NAME_WORDS = 4  # 256 random bits, so that no two are equal
MAX_NODES = 8  # sets of nodes double with each
MOVED = 2  # squared L2 norm of what one membership moves: two numbers by one each
COST = Rho.round_up(Fraction(MOVED, 2 * 4**LOG2_SIGMA))


@dataclass(frozen=True)
class Dummy:
    """A name that is no person's, on the lists of all `nodes`."""

    nodes: tuple[str, ...]
    name: bytes


def sets_of(nodes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """All sets of two or more nodes, in one order."""
    if not 2 <= len(nodes) <= MAX_NODES:
        raise BadInput(f"2 to {MAX_NODES} nodes can be linked")
    for size in range(2, len(nodes) + 1):
        yield from combinations(sorted(nodes), size)


def most_dummies(nodes: Sequence[str]) -> int:
    """More than this many dummies are on nobody's list."""
    return MOST * sum(1 for each in sets_of(nodes) if each[0] == min(nodes))


def shared_dummies(seed: bytes, nodes: Sequence[str]) -> tuple[Dummy, ...]:
    """All dummies that `seed` gives; the same at every node."""
    if len(seed) != KEY_BYTES:
        raise BadInput(f"a seed has {KEY_BYTES} bytes")
    sets = tuple(sets_of(nodes))
    noise = sample(
        Keystream(derive(seed, b"cairn/v1/linkage/noise")), LOG2_SIGMA, len(sets)
    ).tolist()
    owners = [each for each, extra in zip(sets, noise, strict=True) for _ in range(SHIFT + extra)]
    words = Keystream(derive(seed, b"cairn/v1/linkage/names")).u64(_NAME_WORDS * len(owners))
    names = words.astype("<u8").reshape(len(owners), _NAME_WORDS)
    return tuple(Dummy(nodes, row.tobytes()) for nodes, row in zip(owners, names, strict=True))
