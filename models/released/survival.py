"""Judging a released model of hazards: does who has a higher hazard have the event earlier, and
do as many have it by a time as was predicted?

A member is in one cell: bin of the linear predictor, interval of time in which it ended, and
whether with the event.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.neural.scoring import group_name
from models.noise_law import NoiseLaw
from models.regression.batch import Floats
from models.regression.survival import PiecewiseHazard
from models.released.bins import ScoreBins
from models.released.concordance import concordance
from models.released.judge import Integers, Judge, normal, unknown
from models.released.levels import FEWEST, MOST_JOINED
from models.released.members import JudgedCells
from models.result import Estimate, normal_estimate
from privacy.contract.dictionary import ColumnRef

BINS, STEP = 12, 0.5  # and how wide they are
_NUDGE = 1e-3


@dataclass(frozen=True, eq=False)
class SurvivalJudge(Judge):
    """`model` follows time on the grid of the judging; `hazard` is the cumulative baseline hazard
    at the end of each of its intervals, of a linear predictor of 0; `horizon` one of these."""

    model: PiecewiseHazard
    theta: Floats
    hazard: Floats
    horizon: int
    bins: ScoreBins
    by: tuple[ColumnRef, ...]

    def shape(self, delta_grid: int) -> JudgedCells:
        answers = 2 * self.model.intervals
        return JudgedCells(
            self.model, self.theta, self.by, delta_grid, self.bins.edges, answers=answers
        )

    def figures(self, totals: Integers, law: NoiseLaw) -> tuple[Estimate, ...]:
        shape = self.shape(law.mechanism.delta_grid)
        size = (len(self.groups), self.bins.count, self.model.intervals, 2)
        blocks, sd = (totals / shape.weight).reshape(size), law.sd_grid / shape.weight
        found: list[Estimate] = []
        for group, block in zip(self.groups, blocks, strict=True):
            name = group_name(*group)
            noise = sd * math.sqrt(block.size)
            found.append(normal_estimate((name, "members"), float(block.sum()), noise))
            found.append(self._concordance(block, sd, name))
            found.append(self._in_the_large(block, sd, name))
            found += self._calibration(block, sd, name) if group == self.groups[0] else []
        return tuple(found)

    @property
    def risks(self) -> Floats:
        """[bins]: predicted chance of the event by the horizon."""
        return self._risk(self.bins.middles)

    def _risk(self, eta: Floats) -> Floats:
        return np.asarray(-np.expm1(-self.hazard[self.horizon] * np.exp(np.clip(eta, -30, 30))))

    def _concordance(self, block: Floats, sd: float, group: str) -> Estimate:
        found = concordance(block, sd, self.bins.middles)
        cell = (group, "C-index")
        return unknown(cell, 0.5, 0.0, 1.0) if found is None else normal(cell, *found)

    def _in_the_large(self, block: Floats, sd: float, group: str) -> Estimate:
        """Who had the event by the horizon, less the mean of what was predicted."""
        cell = (group, "observed - predicted")

        def difference(cells: Floats) -> float:
            weights = cells.sum(axis=(1, 2))
            return self._observed(cells) - float(weights @ self.risks / weights.sum())

        return _estimated(cell, difference, block, sd, -1.0)

    def _calibration(self, block: Floats, sd: float, group: str) -> list[Estimate]:
        """Who had the event by the horizon in neighbouring bins, joined until they hold enough."""
        per_bin, noise = block.sum(axis=(1, 2)), sd * math.sqrt(block[0].size)
        edges = [f"{each:.3f}" for each in self._risk(np.array(self.bins.edges))]
        names, found, start = ["0", *edges, "1"], [], 0
        least = max(MOST_JOINED * float(block.sum()), FEWEST)
        for end in range(1, self.bins.count + 1):
            held, rest = per_bin[start:end].sum(), per_bin[end:].sum()
            needed = max(5 * noise * math.sqrt(end - start), least)
            if end < self.bins.count and (held < needed or rest < needed):
                continue
            cell = (group, f"observed at risk {names[start]} to {names[end]}")
            found.append(_estimated(cell, self._observed, block[start:end], sd, 0.0))
            start = end
        return found

    def _observed(self, cells: Floats) -> float:
        """The life table's chance of the event by the horizon."""
        counts = cells.sum(axis=0)[:, :]
        ended = counts.sum(axis=1)
        there = np.cumsum(ended[::-1])[::-1] - counts[:, 0] / 2
        upto = slice(0, self.horizon + 1)
        hazard = counts[upto, 1] / np.maximum(there[upto], 1e-9)
        return 1 - float(np.prod(1 - np.clip(hazard, 0.0, 1.0)))

    @property
    def notes(self) -> tuple[str, ...]:
        end = self.model.edges[self.horizon + 1]
        return (
            f"Risks are of the event by {end:.6g}; observed ones by the life table.",
            "The C-index has no weights for censoring (Harrell); the order of members in one "
            "interval is taken as the model says.",
        )


def _estimated(
    cell: tuple[str, ...],
    function: Callable[[Floats], float],
    cells: Floats,
    sd: float,
    least: float,
) -> Estimate:
    """A function of ratios of counts, with its errors by the delta method."""
    total = float(cells.sum())
    if not total > max(3 * sd * math.sqrt(cells.size), 1.0):
        return unknown(cell, 0.0, least, 1.0)
    slopes, step = np.zeros(cells.shape), _NUDGE * max(total, 1.0)
    for place in np.ndindex(*cells.shape):
        moved = cells.copy()
        moved[place] += step
        up = function(moved)
        moved[place] -= 2 * step
        slopes[place] = (up - function(moved)) / (2 * step)
    sampling = math.sqrt(max(float((cells * slopes**2).sum()), 0.0))
    return normal(cell, function(cells), sampling, sd * float(np.linalg.norm(slopes)))
