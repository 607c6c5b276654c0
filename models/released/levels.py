"""Judging a released regression of an event or of ordered levels.

A member is in one cell: bin of the linear predictor by level. For each threshold of the levels
the table is joined to two answers, of which the figures are made as of a network's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.aggregates.expected import Expected
from models.neural.metrics import Table, auc, brier, calibration, in_the_large
from models.neural.scoring import Bins, group_name
from models.noise_law import NoiseLaw
from models.regression.batch import Floats
from models.regression.families import Ordinal
from models.regression.outcome import Glm
from models.regression.special import logistic
from models.released.bins import ScoreBins
from models.released.judge import Integers, Judge, normal, unknown
from models.released.members import JudgedCells
from models.result import Z95, Estimate, normal_estimate
from privacy.contract.dictionary import ColumnRef

BINS, STEP = 24, 0.25  # and how wide they are, in deviations of the linear predictor
MOST_JOINED, FEWEST = 0.1, 50.0  # part of the members, and members, that calibration looks at
_STEPS = 30
_STEEPEST = 30.0
_SPREAD = 0.06  # variance of a member's rank among the others, about, at an area of 0.75


@dataclass(frozen=True, eq=False)
class LevelJudge(Judge):
    """`theta`: the coefficients of a row, then the thresholds of an ordinal model."""

    model: Glm
    theta: Floats
    bins: ScoreBins
    by: tuple[ColumnRef, ...]

    @property
    def answers(self) -> int:
        return self.model.family.classes if isinstance(self.model.family, Ordinal) else 2

    def shape(self, delta_grid: int) -> JudgedCells:
        slopes = self.theta[: self.model.width]
        return JudgedCells(
            self.model, slopes, self.by, delta_grid, self.bins.edges, answers=self.answers
        )

    def figures(self, totals: Integers, law: NoiseLaw) -> tuple[Estimate, ...]:
        shape = self.shape(law.mechanism.delta_grid)
        blocks = (totals / shape.weight).reshape(len(self.groups), -1, self.answers)
        found: list[Estimate] = []
        for group, block in zip(self.groups, blocks, strict=True):
            name = group_name(*group)
            sd = law.sd_grid / shape.weight
            found.append(
                normal_estimate((name, "members"), float(block.sum()), sd * math.sqrt(block.size))
            )
            for least in range(1, self.answers):
                found += self._threshold(block, least, sd, name, whole=group == self.groups[0])
        return tuple(found)

    def _threshold(
        self, block: Floats, least: int, sd: float, group: str, *, whole: bool
    ) -> list[Estimate]:
        """Of the event that the level is `least` or a later one."""
        cells = np.stack([block[:, :least].sum(axis=1), block[:, least:].sum(axis=1)], axis=1)
        joined = max(least, self.answers - least)  # the noise of the wider half, for both
        table = Table(self._risks(least), cells, sd * math.sqrt(joined))
        of = self._of(least)
        found = [
            auc(table, (group, f"AUC{of}")),
            brier(table, (group, f"Brier score{of}")),
            in_the_large(table, (group, f"observed - predicted{of}")),
            *recalibration(table, group, of),
        ]
        if not whole:
            return found
        return found + calibration(table, group, of, max(MOST_JOINED * table.total, FEWEST))

    def _of(self, least: int) -> str:
        if self.answers == 2:
            return ""
        return f" of {self.model.outcome.column.column.levels[least]} or above"

    def _risks(self, least: int) -> Bins:
        edges, shift = np.array(self.bins.edges), 0.0
        if isinstance(self.model.family, Ordinal):
            shift = float(self.theta[self.model.width + least - 1])
        return Bins(tuple(float(each) for each in _spread(logistic(edges - shift))))

    def expected(self, law: NoiseLaw, members: int) -> Expected:
        """Of an area under the curve of 0.75, where half of the members have the event."""
        sd = law.sd_grid / self.shape(law.mechanism.delta_grid).weight
        noise = Z95 * sd * math.sqrt(self.answers * self.bins.count * _SPREAD) * 2 / members
        sampling = Z95 * math.sqrt(4 * _SPREAD / members)
        said = f"{members:,} members, half with the event, area 0.75"
        return Expected(noise, sampling, "", said)


def _spread(risks: Floats) -> Floats:
    """Ascending, where a steep model's risks could not be told apart."""
    return np.asarray(risks + 1e-12 * np.arange(len(risks)))


def recalibration(table: Table, group: str, of: str) -> list[Estimate]:
    """Slope and intercept of the event's log odds on those predicted: 1 and 0 where risks are
    right. Solves the logistic score equations of the table's cells, in which noise is linear."""
    named = ((group, f"calibration slope{of}"), (group, f"calibration intercept{of}"))
    if not table.readable:
        return [unknown(named[0], 1.0), unknown(named[1], 0.0)]
    risk = np.clip(table.bins.middles(), 1e-6, 1 - 1e-6)
    design = np.stack([np.log(risk) - np.log1p(-risk), np.ones_like(risk)], axis=1)
    found, inverse = _logistic(design, table.cells)
    fitted = logistic(design @ found)
    noise = (design * ((1 - fitted) ** 2 + fitted**2)[:, None]).T @ design * table.sd**2
    privacy = np.sqrt(np.diag(inverse @ noise @ inverse))
    sampling = np.sqrt(np.diag(inverse))
    if not (np.isfinite(found).all() and np.isfinite(privacy + sampling).all()):
        return [unknown(named[0], 1.0), unknown(named[1], 0.0)]
    return [
        normal(cell, *three)
        for cell, *three in zip(named, found.tolist(), sampling, privacy, strict=True)
    ]


def _logistic(design: Floats, cells: Floats) -> tuple[Floats, Floats]:
    """(coefficients, inverse information) of a table of members without and with the event."""
    total, having = cells.sum(axis=1), cells[:, 1]
    found = np.array([1.0, 0.0])
    inverse = np.full((2, 2), np.nan)
    for _ in range(_STEPS):
        risk = logistic(np.clip(design @ found, -_STEEPEST, _STEEPEST))
        curve = np.maximum(total, 0.0) * risk * (1 - risk)
        information = (design * curve[:, None]).T @ design
        if not np.linalg.cond(information) < 1e12:
            return found, np.full((2, 2), np.nan)
        inverse = np.linalg.inv(information)
        found = found + np.clip(inverse @ (design.T @ (having - total * risk)), -0.5, 0.5)
    return found, inverse
