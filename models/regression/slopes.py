"""Progression: each member's slope over their visits, regressed on covariates.

A member's slope is the least squares line through their visits, clamped to a public range, with
weight w = between / (between + within / spread), where `spread` is the sum of squares of the
member's times about their mean, and `between` and `within` are public guesses of the variance of
true slopes and of one visit about its line. With the true variances this is the mixed model's own
weighting; with others it is as unbiased and less precise.

Source: Laird and Ware (1982), Biometrics 38, 963-974; Feldman (1988), J. Applied Physiology 64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.regression.batch import Batch, Floats, Mask
from models.regression.coding import number_values
from models.regression.outcome import Glm, ModelRows, Sketch
from models.rows import Values, is_known
from privacy.contract.dictionary import ColumnRef

DAYS_PER_YEAR = 365.25
STEP = 0.5698402909980532  # unlike those of covariates and outcomes


@dataclass(frozen=True)
class Slopes(Glm):
    """`outcome` is the number measured at each visit; a slope's range is `low` to `high`.

    Rows are members: covariates and slope, both times the root of the weight, so that a linear
    model of them is the weighted one. Moments and products are weighted means.
    """

    time: ColumnRef | None = None
    low: float = -1.0
    high: float = 1.0
    between: float = 1.0
    within: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "most_rows", 1)
        object.__setattr__(self, "weighted", True)

    @property
    def columns(self) -> frozenset[ColumnRef]:
        times = set() if self.time is None else {self.time}
        return self.design.columns | {self.outcome.column} | times

    @property
    def scaling(self) -> tuple[float, float]:
        return (self.low + self.high) / 2, (self.high - self.low) / 2

    @property
    def precise(self) -> bool:
        return True

    def rows(self, batch: Batch) -> ModelRows:
        found = self.first_rows(batch)
        root = np.sqrt(found.weight)
        known = (root > 0).astype(np.float64)
        return replace(found, x=found.x * root[:, None], y=found.y * root, weight=known)

    def pretend(self, sketch: Sketch, theta: Floats) -> ModelRows:
        made = super().pretend(sketch, theta)
        root = np.sqrt(self.weights(sketch))
        eta = made.x @ theta[: self.width]
        return replace(made, x=made.x * root[:, None], y=made.y - eta * (1 - root))

    def weights(self, sketch: Sketch) -> Floats:
        """Spread evenly about their mean."""
        even = np.modf(np.arange(1, len(sketch.points) + 1) * STEP)[0]
        reach = min(sketch.weight, max(1 - sketch.weight, 0.0))
        return np.asarray(np.clip(sketch.weight + reach * (2 * even - 1), 1e-3, 1.0))

    def first_rows(self, batch: Batch) -> ModelRows:
        slope, weight, known = self.slopes(batch)
        first = np.flatnonzero(np.diff(batch.member, prepend=-1))
        lines = {name: values[first] for name, values in batch.values.items()}
        alone = replace(batch, member=batch.member[first], values=lines)
        found = self.design.rows(alone)
        use = (known & found.known).astype(np.float64)
        middle, half = self.scaling
        return ModelRows(
            x=found.x * use[:, None],
            y=(slope - middle) / half * use,
            offset=np.zeros(len(first)),
            weight=weight * use,
            member=alone.member,
            members=batch.members,
        )

    def slopes(self, batch: Batch) -> tuple[Floats, Floats, Mask]:
        """Per member: the clamped slope, its weight, and whether there is one."""
        time = years(batch.of(self.time)) if self.time is not None else np.zeros(batch.rows)
        value = number_values(self.outcome, batch)  # type: ignore[arg-type]
        seen = np.isfinite(time) & is_known(batch.of(self.outcome.column))
        member, n = batch.member[seen], batch.members
        time, value = time[seen], value[seen]
        count = np.bincount(member, minlength=n)
        usable = np.maximum(count, 1)
        about = time - (np.bincount(member, time, n) / usable)[member]
        level = value - (np.bincount(member, value, n) / usable)[member]
        spread = np.bincount(member, about * about, n)
        known = (count >= 2) & (spread > 1e-9)
        safe = np.where(known, spread, 1.0)
        slope = np.clip(np.bincount(member, about * level, n) / safe, self.low, self.high)
        weight = self.between / (self.between + self.within / safe)
        return slope, weight, known


def years(times: Values) -> Floats:
    """A date in years; a number as it is, in its own unit. NaN where missing."""
    if times.dtype.kind != "M":
        return np.asarray(times, dtype=np.float64)
    days = times.astype("datetime64[D]").astype(np.float64)
    return np.where(np.isnat(times), np.nan, days / DAYS_PER_YEAR)
