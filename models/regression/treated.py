"""Who is treated, by covariates, and the outcome beside it: the rows of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.regression.batch import Batch, Floats
from models.regression.coding import known_rows, number_values
from models.regression.formula import transformed
from models.regression.outcome import Glm, ModelRows
from models.regression.syntax import Levels, Number
from models.regression.weighting import Weighting
from privacy.contract.dictionary import ColumnRef


@dataclass(frozen=True)
class Response:
    """What is compared: a number, or whether a level came. Inside it lies within [-1, 1]."""

    column: Number | Levels
    happened: int = 1

    @cached_property
    def scaling(self) -> tuple[float, float]:
        """(middle, half): inside it is (value - middle) / half; a yes is 1, a no 0."""
        if isinstance(self.column, Levels):
            return 0.5, 0.5
        low, high = transformed(self.column)
        return (low + high) / 2, (high - low) / 2

    def values(self, batch: Batch) -> Floats:
        if isinstance(self.column, Levels):
            codes = batch.of(self.column.column)
            return np.where(codes == self.happened, 1.0, -1.0)
        middle, half = self.scaling
        return np.clip((number_values(self.column, batch) - middle) / half, -1.0, 1.0)


@dataclass(frozen=True)
class Propensity(Glm):
    """The treatment's logistic model, among members whose outcome is known too.

    A row's `y` is 1 for the treated. One row per member.
    """

    response: Response = field(kw_only=True)
    weighting: Weighting = field(kw_only=True)

    @cached_property
    def columns(self) -> frozenset[ColumnRef]:
        own = {self.outcome.column, self.response.column.column}
        return self.design.columns | own

    def rows(self, batch: Batch) -> ModelRows:
        found = super().rows(batch)
        use = known_rows(self.response.column, batch).astype(np.float64)
        return ModelRows(
            found.x * use[:, None],
            found.y * use,
            found.offset,
            found.weight * use,
            found.member,
            found.members,
        )
