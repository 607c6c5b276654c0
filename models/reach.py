"""Whether an opened total is one that members could have added up to.

A node that is not honest can add anything to a secure sum, and nobody sees what it added. What
it cannot do unseen is to leave the range of honest sums: no member moves a number by more than the
bound on one member's vector.
"""

from __future__ import annotations

from fractions import Fraction

from models.opening import Opening

SLACK = 4  # a noised number of members, and one taken from clipped vectors, may be too small
NOISES = 100  # standard deviations of noise that no total reaches


def most_members(delta: Fraction) -> int:
    """Nobody declares more: delta is at most a tenth of one over the declared number."""
    return int(1 / delta)


def within_reach(opening: Opening, most: int, members: float | None) -> bool:
    """Whether every number is one that `most` members, or about `members` (noised) where that is
    known, can have added up to with the noise of the round.

    Guarantee: an honest opening of so many members is within reach but for a probability of noise
    beyond NOISES standard deviations.
    """
    law = opening.law
    if members is not None:
        most = min(most, int(SLACK * max(members, 0.0)) + 1)
    furthest = most * law.mechanism.delta_grid + NOISES * law.sd_grid
    return all(abs(total) <= furthest for total in opening.totals)
