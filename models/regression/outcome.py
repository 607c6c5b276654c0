"""A model: design and outcome together, as rows ready to be scored.

Inside, a bounded outcome of a linear model is scaled by its bounds, counts and classes stay as
they are. `moments` are what the first round learns of the outcome, and `begin` where the fit
starts from them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from models.regression.batch import Batch, Floats
from models.regression.coding import known_rows, number_values
from models.regression.counts import matched
from models.regression.design import Design
from models.regression.families import Family, Linear, NegativeBinomial, Ordinal
from models.regression.syntax import Levels, Number
from models.rows import Codes
from privacy.contract.dictionary import ColumnRef

THRESHOLDS = 16.0  # squared: how much a row tells of thresholds, at most, near the fit
LARGEST_FACTOR = math.e  # by which a dispersion changes in one of Newton's rounds


@dataclass(frozen=True, repr=False, eq=False)
class ModelRows:
    """Rows to be scored: `x` [rows, d], `y`, `offset`, `weight` [rows], and whose each is."""

    x: Floats
    y: Floats
    offset: Floats
    weight: Floats
    member: Codes
    members: int


class Sketch(Protocol):
    """Made-up members: covariates [n, width], as many standard normal numbers for the outcome,
    the mean offset, what was learnt of the outcome, and the mean weight."""

    @property
    def points(self) -> Floats: ...
    @property
    def normal(self) -> Floats: ...
    @property
    def offset(self) -> float: ...
    @property
    def outcome(self) -> Floats: ...
    @property
    def weight(self) -> float: ...


class Model(ABC):
    """What a round sums over. `width` columns of the design, then the family's parameters."""

    family: Family
    weighted: bool
    most_rows: int  # of one member
    largest_weight: float  # inside, weights are divided by it

    @property
    @abstractmethod
    def columns(self) -> frozenset[ColumnRef]:
        """Everything that is read."""

    @property
    @abstractmethod
    def width(self) -> int: ...

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The coefficients' names: of the last columns, in order."""

    @property
    @abstractmethod
    def bound_squared(self) -> float:
        """No row of `x` has a larger squared L2 norm."""

    @abstractmethod
    def row_bounds(self, theta: Floats) -> tuple[float, float]:
        """The norms that a row's score and information, weighted, do not exceed near the fit."""

    @property
    @abstractmethod
    def flat(self) -> tuple[bool, ...]:
        """Per column: is its square a line in it (0 or 1, shifted; or constant)?"""

    @property
    @abstractmethod
    def shifts(self) -> tuple[float, ...]:
        """Per flat column: its lower value; the upper is 1 above."""

    @property
    @abstractmethod
    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        """Groups of flat columns of which a row has at most one at its upper value."""

    @cached_property
    def multiplied(self) -> list[int]:
        """Columns whose products are learnt: those that vary; the constant too where nothing does,
        and in a linear model, of which smaller ones are made."""
        constant = list(map(self.constant, range(self.width)))
        whole = isinstance(self.family, Linear) or None not in constant
        return [at for at, one in enumerate(constant) if one is None or (whole and one)]

    @property
    @abstractmethod
    def offsets(self) -> bool:
        """Is there an offset?"""

    @property
    def largest_offset(self) -> float:
        """The size that an offset can have; 0 without one."""
        return 0.0

    @abstractmethod
    def constant(self, column: int) -> float | None:
        """The value of a column that is known to be the same in every first row; else None."""

    @abstractmethod
    def rows(self, batch: Batch) -> ModelRows: ...

    def first_rows(self, batch: Batch) -> ModelRows:
        """What moments and products are taken of."""
        return self.rows(batch)

    @abstractmethod
    def pretend(self, sketch: Sketch, theta: Floats) -> ModelRows:
        """Rows of made-up members, whose outcomes have the law of `theta`."""

    def weights(self, sketch: Sketch) -> Floats:
        """[n]: of made-up members, as a row's weight varies; of one each where it says nothing."""
        return np.ones(len(sketch.points))

    @abstractmethod
    def moments(self, rows: ModelRows) -> Floats:
        """[rows, m], each within [-1, 1]: what is learnt of the outcome first."""

    @property
    @abstractmethod
    def moment_count(self) -> int: ...

    @property
    def usual_moments(self) -> float:
        """About the squared norm of a row's moments."""
        return 0.25 * self.moment_count

    @abstractmethod
    def begin(self, mean: Floats, offset: float) -> Floats:
        """Where to start, from the mean moments and offset: coefficients, then kappa."""

    def eased(self, step: Floats) -> Floats:
        """A Newton step [size] as it is taken: the same near the fit, and safer far from it."""
        return step

    def held(self) -> Floats:
        """[size, size]: how firmly a noisy fit is held to where it began, as a precision; 0 for
        what the rows alone decide."""
        return np.zeros((self.size, self.size))

    def begin_exactly(self, mean: Floats, offset: float) -> Floats:
        """Where Newton's method starts, for which there is hardly any noise."""
        return self.begin(mean, offset)

    @property
    def sketch_size(self) -> int:
        """At how many points, an even number, a fit looks at made-up members."""
        return 512

    @property
    def counts(self) -> bool:
        """Are outcomes counts, so that rows with a large mean tell most?"""
        return self.family.log_link

    @property
    def independent(self) -> bool:
        """Do a member's rows add to the likelihood as if they were of different members?"""
        return self.most_rows == 1

    @property
    def vanishing(self) -> int:
        """How many of the first columns may be without any row, and are then left out."""
        return 0

    @property
    def precise(self) -> bool:
        """Do weights say how precise a row is, instead of how many members it stands for?"""
        return False

    @property
    def loudness(self) -> Floats:
        """[size]: by what each number of a mapped score is multiplied."""
        loud = np.ones(self.size)
        loud[self.width :] = self.family.quiet
        return loud

    @property
    def tells_apart(self) -> bool:
        """Does a row depend on whose member it is?"""
        return False

    @property
    def lines_per_row(self) -> int:
        """How many rows to be scored one stored row becomes at most."""
        return 1

    @property
    def size(self) -> int:
        """Parameters in all."""
        return self.width + self.family.extras


@dataclass(frozen=True)
class Glm(Model):
    """A generalised linear model. `happened` is the code of a yes."""

    design: Design
    family: Family
    outcome: Number | Levels
    happened: int = 1
    weighted: bool = field(init=False)
    most_rows: int = field(init=False)
    largest_weight: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weighted", self.design.formula.weight is not None)
        most = max((ref.table.max_rows_per_member for ref in self.columns), default=1)
        object.__setattr__(self, "most_rows", most)
        object.__setattr__(self, "largest_weight", self.design.largest_weight)

    @cached_property
    def columns(self) -> frozenset[ColumnRef]:
        return self.design.columns | {self.outcome.column}

    @property
    def width(self) -> int:
        return self.design.width

    @property
    def names(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def tells_apart(self) -> bool:
        return self.design.formula.by_site

    @property
    def bound_squared(self) -> float:
        return self.design.bound_squared

    @property
    def flat(self) -> tuple[bool, ...]:
        return self.design.flat

    @property
    def shifts(self) -> tuple[float, ...]:
        return self.design.shifts

    @property
    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        return self.design.exclusive

    @property
    def offsets(self) -> bool:
        return self.design.formula.offset is not None

    @property
    def largest_offset(self) -> float:
        offset = self.design.formula.offset
        return 0.0 if offset is None else max(map(abs, self.design.range_of(offset)))

    def constant(self, column: int) -> float | None:
        return 1.0 if self.design.intercept and column == 0 else None

    @cached_property
    def scaling(self) -> tuple[float, float]:
        """(middle, half): a linear model's outcome inside is (y - middle) / half."""
        if not isinstance(self.outcome, Number) or not isinstance(self.family, Linear):
            return 0.0, 1.0
        low, high = self.design.range_of(self.outcome)
        if not self.design.absorbs:
            return 0.0, max(abs(low), abs(high))
        return (low + high) / 2, (high - low) / 2

    @property
    def highest(self) -> float:
        """The largest outcome inside."""
        if isinstance(self.outcome, Levels):
            return 1.0
        return 1.0 if isinstance(self.family, Linear) else self.outcome.upper

    def row_bounds(self, theta: Floats) -> tuple[float, float]:
        """With residuals within the outcome's range, and means within twice its upper bound."""
        bound, count = self.bound_squared, 2 * max(self.highest, 1.0)
        match self.family:
            case Linear():
                precision = math.exp(-float(np.clip(theta[-1], -10.0, 10.0)))
                furthest = 2.0 * (1 + self.largest_offset)
                level = max(furthest**2 * precision / 2, 0.5)
                score = math.hypot(furthest * precision * math.sqrt(bound), level)
                return score, math.hypot(precision * bound, 0.5)
            case Ordinal():
                return math.sqrt(bound + THRESHOLDS), 2 * (bound + THRESHOLDS)
            case _ if self.family.log_link:
                whole = bound + self.family.extras / 4
                return count * math.sqrt(whole), count * whole
            case _:
                return math.sqrt(bound), bound / 4

    def rows(self, batch: Batch) -> ModelRows:
        found = self.design.rows(batch)
        known = found.known & known_rows(self.outcome, batch)
        x, y, weight = found.x, self._outcome(batch), found.weight
        if not known.all():
            use = known.astype(np.float64)
            x, y, weight = x * use[:, None], y * use, weight * use
        return ModelRows(x, y, found.offset, weight, batch.member, batch.members)

    def _outcome(self, batch: Batch) -> Floats:
        if isinstance(self.outcome, Levels):
            codes = batch.of(self.outcome.column)
            if isinstance(self.family, Ordinal):
                return np.asarray(codes, dtype=np.float64)
            return np.asarray(codes == self.happened, dtype=np.float64)
        middle, half = self.scaling
        values = (number_values(self.outcome, batch) - middle) / half
        return values if isinstance(self.family, Linear) else np.rint(np.maximum(values, 0.0))

    def pretend(self, sketch: Sketch, theta: Floats) -> ModelRows:
        x = sketch.points
        n = len(x)
        offset = np.full(n, sketch.offset)
        y = self.family.draw(x @ theta[: self.width] + offset, theta[self.width :], sketch.normal)
        return ModelRows(x, y, offset, np.ones(n), np.arange(n), n)

    def begin_exactly(self, mean: Floats, offset: float) -> Floats:
        theta = self.begin(mean, offset)
        if isinstance(self.family, NegativeBinomial) and self.family.extras:
            size = math.log1p(self.highest)
            first = float(np.clip(mean[0], 0, 1)) * size
            level, theta[-1] = matched(first, float(mean[1]) * size**2, self.highest)
            if self.design.intercept:
                theta[0] = level - offset
        return theta

    def eased(self, step: Floats) -> Floats:
        """A dispersion changes by a factor at most: its likelihood is not concave."""
        taken = step.copy()
        if isinstance(self.family, NegativeBinomial):
            limit = math.log(LARGEST_FACTOR)
            taken[self.width :] = np.clip(step[self.width :], -limit, limit)
        return taken

    @property
    def moment_count(self) -> int:
        match self.family:
            case Linear() | NegativeBinomial():
                return 2
            case Ordinal(classes):
                return classes
            case _:
                return 1

    def moments(self, rows: ModelRows) -> Floats:
        y = rows.y
        match self.family:
            case Linear():
                columns = [y, y * y]
            case Ordinal(classes):
                columns = [(y == k) - 1 / classes for k in range(classes)]
            case NegativeBinomial():
                size = np.log1p(y) / math.log1p(self.highest)
                columns = [size, size * size]
            case _ if self.family.log_link:
                columns = [np.log1p(y) / math.log1p(self.highest)]
            case _:
                columns = [y - 0.5]
        return np.stack(columns, axis=1)

    def begin(self, mean: Floats, offset: float) -> Floats:
        theta = np.zeros(self.size)
        match self.family:
            case Linear():
                centre = float(np.clip(mean[0], -1, 1))
                theta[-1] = math.log(min(max(float(mean[1]) - centre**2, 1e-3), 1.0))
                start = centre - offset
            case Ordinal(classes):
                shares = np.clip(mean + 1 / classes, 0.02, 1)
                below = np.cumsum(shares / shares.sum())[:-1]
                theta[self.width :] = np.log(below / (1 - below))
                return theta
            case _ if self.family.log_link:
                level = math.expm1(float(np.clip(mean[0], 0, 1)) * math.log1p(self.highest))
                start = math.log(max(level, 0.02)) - offset
                theta[self.width :] = -1.0
            case _:
                share = float(np.clip(mean[0] + 0.5, 0.02, 0.98))
                start = math.log(share / (1 - share)) - offset
        if self.design.intercept:
            theta[0] = start
        return theta
