"""What taking part can mean for one member, in odds that people can read.

Name anything that may come of the releases: somebody comes to believe something about a member,
or decides something. Without this member it happens with some chance, the `baseline`. With them
it happens at most with the chance `most`.

Guarantee: for every event that depends on the releases alone, and whatever anybody else knows,
    most = min(e^ε · baseline + δ, 1 − e^−ε · (1 − baseline − δ)), rounded up.
Assumes: ε and δ are those of everything that was released, and of all of a person's memberships.
Source: Wasserman and Zhou 2010, Kairouz, Oh and Viswanath 2015 (arXiv 1311.0776): the region
within which tests between neighbouring data sets lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from privacy.accounting.conversion import epsilon_of_rho
from privacy.errors import BadInput
from privacy.units import Rho

MAX_MEMBERSHIPS = 100
_SLACK = 1e-12  # far above what exp and the sums can be off by


@dataclass(frozen=True)
class Odds:
    """A chance without taking part, and the most that it can be with it."""

    epsilon: float
    delta: float
    baseline: float
    most: float
    memberships: int = 1

    @property
    def sentence(self) -> str:
        """For instance `if you take part, at most 28 in 100 instead of 10 in 100`."""
        base, most, of = _out_of(self.baseline, self.most)
        return f"if you take part, at most {most:,} in {of:,} instead of {base:,} in {of:,}"


def odds(epsilon: float, delta: float, baseline: float, memberships: int = 1) -> Odds:
    """The most that a chance of `baseline` can become at a loss of (`epsilon`, `delta`).

    `epsilon` is that of all memberships, which are only noted (see `odds_of_rho`). Raises
    BadInput for an epsilon below 0, a delta not in [0, 1), or a baseline not between 0 and 1.
    """
    if not epsilon >= 0 or not 0 <= delta < 1:
        raise BadInput("epsilon is at least 0, and delta at least 0 and below 1")
    if not 0 < baseline < 1:
        raise BadInput("a baseline is between 0 and 1", instead="write 0.1 for 10 in 100")
    return Odds(epsilon, delta, baseline, _most(epsilon, delta, baseline), memberships)


def _most(epsilon: float, delta: float, baseline: float) -> float:
    below = math.exp(min(epsilon, 700.0)) * baseline + delta
    above = 1 - math.exp(-epsilon) * (1 - baseline - delta)
    if epsilon == 0 and delta == 0:
        return baseline
    return min(1.0, min(below, above) * (1 + _SLACK))


def odds_of_rho(rho: Rho, delta: Fraction, baseline: float, memberships: int = 1) -> Odds:
    """The same for a loss of `rho` (zCDP) by one membership, with ε stated at `delta`.

    A member of m organisations that all answer loses ρ·m², and ε is that of the whole.
    """
    if not 1 <= memberships <= MAX_MEMBERSHIPS:
        raise BadInput(f"memberships are 1 to {MAX_MEMBERSHIPS}")
    if rho == Rho.ZERO:
        return odds(0.0, 0.0, baseline, memberships)
    whole = Rho(rho.units * memberships**2)
    return odds(epsilon_of_rho(whole, delta), float(delta), baseline, memberships)


def _out_of(baseline: float, most: float) -> tuple[int, int, int]:
    """Both as whole numbers out of 100, or of more where they would look alike.

    The baseline is rounded down and the most up: the difference never looks smaller than it is.
    """
    for of in (100, 1_000, 10_000, 100_000, 1_000_000):
        base, raised = math.floor(baseline * of + _SLACK), math.ceil(most * of - of * _SLACK)
        if base > 0 and (raised > base or most <= baseline):
            break
    return base, raised, of
