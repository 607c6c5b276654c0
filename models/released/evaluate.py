"""Judging a released model among other members, at their own organisations.

Coefficients or weights stand in the question, which the researcher signs and every node reads:
nothing has to be fetched or believed. Each node scores its own members and counts them, in all and
by group; the noised sum of those counts is all that is opened.

Guarantee: what a member adds is within the bound whatever the model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.changed import changed
from models.neural.groups import groups_of
from models.neural.scoring import group_name
from models.noise_law import NoiseLaw
from models.released.judge import Judge
from models.released.network import ReleasedNetwork
from models.released.regression import ReleasedRegression
from models.result import Result
from models.streamed import Streamed
from privacy.contract.dictionary import Dictionary


class Evaluate(Request):
    """How well `model` predicts; `by` names groups to report on apart."""

    kind: Literal["evaluate"] = "evaluate"
    by_size: ClassVar[bool] = True
    model: Annotated[ReleasedNetwork | ReleasedRegression, Field(discriminator="form")]
    by: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        """Columns by their full names. Raises BadInput for what is no such model or what the
        dictionary does not allow."""
        return changed(
            self,
            model=self.model.normalised(dictionary),
            by=tuple(ref.name for ref in groups_of(dictionary, self.by)),
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        """The groups that figures are given of."""
        return tuple((group_name(*group),) for group in self._judge(dictionary).groups)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Streamed:
        return self._judge(dictionary).shape(delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        """How well the model predicts these members; `cell` is (group, figure)."""
        judge = self._judge(dictionary)
        rows = judge.figures(np.array(totals, dtype=np.int64), law)
        notes = (f"Scored with {self.model.form} {self.model.name}, as it is.", *judge.notes)
        return Result(self.kind, ("group", "figure"), rows, unit="", notes=notes)

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        return None if members is None else self._judge(dictionary).expected(law, members)

    def words(self) -> str:
        """What is computed, as the start of a sentence."""
        return f"Scores members with a released {self.model.words()}"

    def method(self) -> str:
        """How it was done, in sentences for a paper."""
        return (
            "Every organisation scored its own members with the released model; members were "
            "counted by bin of their score, outcome and group (numbers: by moments of their "
            "errors), and the sums opened with discrete Gaussian noise. Intervals are by the "
            "delta method with sampling error and noise."
        )

    def _judge(self, dictionary: Dictionary) -> Judge:
        return self.model.judge(dictionary, groups_of(dictionary, self.by))
