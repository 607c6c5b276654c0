"""The one mechanism: a distributed discrete Gaussian sum, as a frozen event.

Each of K nodes adds an independent discrete Gaussian with sigma = 2^m grid units to every
coordinate of its integer total. At most t = t_drop + t_collude shares may be missing or known to
the attacker, so at least K - t independent shares protect a member. One membership moves the
total by at most `delta_grid` in L2 norm, hence

    rho = delta_grid^2 / (2 * (K - t) * 4^m)        and memberships^2 times that for several.

A sum of discrete Gaussians is not quite a discrete Gaussian. With sigma >= 16 the difference
costs less than 10^-1000 per coordinate, and the charge is rounded up *strictly*: it exceeds the
formula by at least 2^-61 / ((K - t) * 4^m), which pays for that.

Source: Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), the discrete Gaussian's zCDP;
Kairouz, Liu and Steinke 2021 (arXiv 2102.06387), sums of discrete Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Self

from privacy.errors import BadInput, Code, Refused
from privacy.units import UNITS_PER_RHO, Rho

MIN_LOG2_SIGMA = 4
MAX_LOG2_SIGMA = 20
MAX_DELTA_GRID = 2**30
MAX_NODES = 2**16
MAX_MEMBERSHIPS = 2**10


def _check(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise BadInput(f"{name} is not a whole number from {low} to {high}", where="mechanism")


@dataclass(frozen=True)
class GaussianSum:
    """One opening of a noisy sum, described so that its cost can be recomputed by anybody.

    `delta_grid`: L2 norm bound of one member's vector at one node, in grid units.
    `nodes`: K. `margin`: t, shares that may be missing or known. `log2_sigma`: m.
    `memberships`: nodes at which one person may be a member.

    Guarantee: releasing a sum to which at least K - t honest nodes added their share is
    `rho`-zCDP for adding or removing one person with all records at up to `memberships` nodes.
    Assumes: shares come from `privacy.discrete_gaussian.noise_share`, members' vectors
    from `privacy.grid` or a contribution whose bound is proven.
    Raises BadInput for parameters out of range. A margin of 0 is for benchmarks; plans demand 1.
    """

    delta_grid: int
    nodes: int
    margin: int
    log2_sigma: int = MAX_LOG2_SIGMA
    memberships: int = 1

    def __post_init__(self) -> None:
        _check("delta_grid", self.delta_grid, 1, MAX_DELTA_GRID)
        _check("nodes", self.nodes, 1, MAX_NODES)
        _check("margin", self.margin, 0, self.nodes - 1)
        _check("log2_sigma", self.log2_sigma, MIN_LOG2_SIGMA, MAX_LOG2_SIGMA)
        _check("memberships", self.memberships, 1, MAX_MEMBERSHIPS)

    @cached_property
    def rho(self) -> Rho:
        """What one opening costs: the smallest whole number of units above the formula."""
        moved = self.memberships * self.delta_grid
        variance = (self.nodes - self.margin) * 4**self.log2_sigma
        return Rho(moved**2 * UNITS_PER_RHO // (2 * variance) + 1)

    def noise_variance(self, survivors: int) -> int:
        """Variance of each coordinate's noise, grid units squared, with `survivors` shares in it.

        The discrete Gaussian's variance is below sigma^2 by less than 10^-1000.
        Raises BadInput unless K - t <= survivors <= K: with fewer the guarantee does not hold.
        """
        _check("survivors", survivors, self.nodes - self.margin, self.nodes)
        return survivors * int(4**self.log2_sigma)

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read `to_json`'s form; raises BadInput for missing, unknown or invalid fields."""
        names = {field.name for field in fields(cls)}
        if not isinstance(value, Mapping) or set(value) != names:
            raise BadInput(f"mechanism needs exactly the fields {', '.join(sorted(names))}")
        return cls(**value)


def plan_mechanism(rho: Rho, nodes: int, margin: int, memberships: int = 1) -> GaussianSum:
    """The finest mechanism one opening of which costs at most `rho` for one membership.

    sigma is 2^20 grid units and the data are scaled to it; only where the allowance is so
    large that delta_grid would pass 2^30 does sigma shrink, never below 16. An allowance beyond
    even that is not used up.
    Guarantee: result.rho <= rho * memberships^2.
    Raises BadInput for nodes, margin or memberships out of range, Refused(BAD_EPSILON) when
    `rho` is too small for one grid unit.
    """
    _check("nodes", nodes, 1, MAX_NODES)
    _check("margin", margin, 0, nodes - 1)
    for log2_sigma in range(MAX_LOG2_SIGMA, MIN_LOG2_SIGMA - 1, -1):
        delta_grid = _largest_delta_grid(rho, (nodes - margin) * 4**log2_sigma)
        if delta_grid <= MAX_DELTA_GRID:
            break
    if delta_grid < 1:
        raise Refused(Code.BAD_EPSILON)
    return GaussianSum(min(delta_grid, MAX_DELTA_GRID), nodes, margin, log2_sigma, memberships)


def _largest_delta_grid(rho: Rho, variance: int) -> int:
    """Largest d with d^2 * 2^60 < units * 2 * variance, so that the strict charge still fits."""
    return math.isqrt(max(0, rho.units * 2 * variance - 1) // UNITS_PER_RHO)
