"""Judging a released regression of a number or a count, from six noised moments per group."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.aggregates.expected import Expected
from models.neural.scoring import group_name
from models.noise_law import NoiseLaw
from models.regression.batch import Floats
from models.regression.fit import Spread
from models.regression.outcome import Glm
from models.released.judge import Integers, Judge, normal, unknown
from models.released.members import MOMENTS, JudgedNumbers
from models.result import Z95, Estimate, normal_estimate
from privacy.contract.dictionary import ColumnRef

ERRORS, OF_COUNTS, SCALES = 4.0, 8.0, 3.0  # how many standard deviations are not cut off
_FEWEST = 3.0  # of members, in standard deviations of their noise
_STEP = 1e-4
Function = Callable[[Floats], float]


@dataclass(frozen=True, eq=False)
class NumberJudge(Judge):
    """`spread` says by what errors and predictions are divided."""

    model: Glm
    theta: Floats
    spread: Spread
    by: tuple[ColumnRef, ...]

    @property
    def furthest(self) -> float:
        """The largest error that counts in full."""
        return (OF_COUNTS if self.model.family.log_link else ERRORS) * self.spread.error

    def shape(self, delta_grid: int) -> JudgedNumbers:
        return JudgedNumbers(
            self.model,
            self.theta[: self.model.width],
            self.by,
            delta_grid,
            centre=self.spread.centre,
            scale=SCALES * self.spread.scale,
            error=self.furthest,
        )

    def figures(self, totals: Integers, law: NoiseLaw) -> tuple[Estimate, ...]:
        shape = self.shape(law.mechanism.delta_grid)
        blocks = (totals / shape.weight).reshape(len(self.groups), MOMENTS)
        sd = law.sd_grid / shape.weight
        return tuple(
            each
            for group, block in zip(self.groups, blocks, strict=True)
            for each in self._figures(block, sd, group_name(*group))
        )

    def _figures(self, block: Floats, sd: float, group: str) -> list[Estimate]:
        found = [normal_estimate((group, "members"), float(block[0]), sd)]
        cells = [(group, name) for name in ("RMSE", "predicted - observed", "calibration slope",
                                            "R squared")]  # fmt: skip
        ratio = self.furthest / (SCALES * self.spread.scale)
        if not block[0] > max(_FEWEST * sd, 2.0) or not _plain(block):
            return [*found, *(unknown(cell, 0.0) for cell in cells)]
        unit, n = self.furthest, float(block[0])
        e, ee, q, _, qq = (block[1:] / n).tolist()
        within, across, share = ee - e * e, qq - q * q, _explained(ratio)(block)
        rms, spread = math.sqrt(ee), math.sqrt(max(within, 0.0))
        functions: tuple[Function, ...] = (
            lambda m: unit * math.sqrt(max(m[2] / m[0], 0.0)),
            lambda m: -unit * float(m[1] / m[0]),
            lambda m: 1 + ratio * _covariance(m) / _variance(m),
            _explained(ratio),
        )
        sampling = (
            unit * within / (math.sqrt(2 * n) * rms) if rms else 0.0,
            unit * spread / math.sqrt(n),
            ratio * spread / math.sqrt(n * across),
            2 * math.sqrt(max(share, 0.0) / n) * (1 - share),
        )
        return found + [
            normal(cell, function(block), error, sd * _steepness(function, block))
            for cell, function, error in zip(cells, functions, sampling, strict=True)
        ]

    def expected(self, law: NoiseLaw, members: int) -> Expected:
        """Of the mean error, in standard deviations of it."""
        shape = self.shape(law.mechanism.delta_grid)
        noise = Z95 * self.furthest / self.spread.error * law.sd_grid / shape.weight / members
        said = f"{members:,} members, errors as where the model was fitted"
        sampling = Z95 / math.sqrt(members)
        return Expected(noise, sampling, "standard deviations of an error", said)

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            f"Errors beyond {self.furthest:.4g} count as that.",
            "Sampling errors are as for normal errors.",
        )


def _covariance(m: Floats) -> float:
    return float(m[4] / m[0] - m[1] * m[3] / m[0] ** 2)


def _variance(m: Floats) -> float:
    return float(m[5] / m[0] - (m[3] / m[0]) ** 2)


def _plain(m: Floats) -> bool:
    """Whether both variances are above 0, so that the noise lets anything be said."""
    return _variance(m) > 1e-6 and float(m[2] / m[0] - (m[1] / m[0]) ** 2) > 0


def _explained(ratio: float) -> Function:
    """1 less the mean squared error over the variance of what was observed."""

    def share(m: Floats) -> float:
        within = m[2] / m[0] - (m[1] / m[0]) ** 2
        seen = ratio**2 * within + 2 * ratio * _covariance(m) + _variance(m)
        return 1 - float(ratio**2 * m[2] / m[0] / max(seen, 1e-12))

    return share


def _steepness(function: Function, at: Floats) -> float:
    """The norm of the gradient, by central differences: what noise in the moments does."""
    step = _STEP * max(float(at[0]), 1.0)
    slopes = [
        (function(at + step * line) - function(at - step * line)) / (2 * step)
        for line in np.eye(len(at))
    ]
    return float(np.linalg.norm(slopes))
