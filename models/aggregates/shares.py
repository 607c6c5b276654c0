"""The interval of a share from two noisy counts, one within the other.

With X members of N and independent noise, D(p) = X - p N has mean zero at the true share and
variance N p (1 - p) + a - 2 b p + c p^2, where a and c are the noise variances of X and N and b
their covariance. p is kept if D(p)^2 <= z^2 Var D(p): a quadratic in p, in closed form.

Guarantee: coverage within 93-97 % where 10 or more members are expected on either side of the
share, and not below 92.5 % elsewhere (measured by `tests/analyses/test_shares.py`).
Source: Wilson (1927) for the score interval without noise; the noise terms are added above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.result import NO_INFORMATION, Z95, Estimate


@dataclass(frozen=True)
class Counted:
    """Noisy counts `part` of `whole` in members; variances and covariance of their noise."""

    part: float
    whole: float
    part_noise: float
    whole_noise: float
    shared_noise: float

    def noise(self, p: float) -> float:
        """The noise variance of part - p * whole."""
        spread = self.part_noise - 2 * p * self.shared_noise + p * p * self.whole_noise
        return max(spread, 0.0)


def share(cell: tuple[str, ...], counted: Counted) -> Estimate:
    """The population's share with its 95 % interval, which lies within 0 and 1."""
    members = max(counted.whole, 1.0)
    value = counted.part / members
    near = min(max(value, 0.0), 1.0)
    ends = _interval(counted)
    low, high = ends or (0.0, 1.0)
    return Estimate(
        cell=cell,
        estimate=value,
        se_sampling=math.sqrt(near * (1 - near) / members),
        se_noise=math.sqrt(counted.noise(near)) / members,
        low=low,
        high=high,
        note="" if ends else NO_INFORMATION,
    )


def _interval(counted: Counted) -> tuple[float, float] | None:
    """None where nothing is known: the whole is not clearly positive."""
    z2 = Z95**2
    whole = counted.whole
    square = whole * whole + z2 * (whole - counted.whole_noise)
    if whole <= Z95 * math.sqrt(counted.whole_noise) or whole <= 0 or square <= 0:
        return None
    # a part below 0 or above the whole by more than its noise says 0 or 1, not nothing
    least = -Z95 * math.sqrt(counted.part_noise)
    most = whole + Z95 * math.sqrt(counted.noise(1.0))
    part = min(max(counted.part, least), most)
    linear = 2 * part * whole + z2 * (whole - 2 * counted.shared_noise)
    constant = part * part - z2 * counted.part_noise
    root = math.sqrt(max(linear * linear - 4 * square * constant, 0.0))
    low, high = (linear - root) / (2 * square), (linear + root) / (2 * square)
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def expected_share(members: float, noise: float) -> tuple[float, float]:
    """Half-widths by noise and by sampling of a share of one half of `members`.

    `noise` is the standard deviation of part - whole / 2. Infinite where nothing will be known.
    """
    if members <= Z95 * noise:
        return math.inf, math.inf
    return Z95 * noise / members, Z95 * 0.5 / math.sqrt(members)
