"""A released regression as a question holds it, and how it is judged."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Literal, Self, assert_never

import numpy as np
from pydantic import Field

from models.changed import changed
from models.regression.batch import Floats
from models.regression.cox import Cox
from models.regression.cox import model_of as hazards_of
from models.regression.families import Linear
from models.regression.fit import Spread, inside
from models.regression.outcome import Glm
from models.regression.progression import Progression
from models.regression.request import Regression
from models.regression.survival import PiecewiseHazard
from models.released import levels, survival
from models.released.bins import ScoreBins
from models.released.judge import Judge
from models.released.levels import LevelJudge
from models.released.numbers import NumberJudge
from models.released.survival import SurvivalJudge
from privacy.contract.canonical import sha256_hex
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput

MOST_COEFFICIENTS = 2000
LARGEST = 1e12
INTERVALS = 12  # at least, in which a survival model is judged
Judged = Regression | Cox | Progression


class ReleasedRegression(Fact):
    """`analysis`: the fit's own question. `coefficients`, as decimal text: those that predict, in
    the researcher's units, in the order of `models.regression.fit.Fit`. `spread`: the centre and
    scale of predictions and the scale of errors, by which bins lie.

    Of a survival model: `grid` are the edges of time it is judged on, `horizon` the one by which
    risks are; without, the model's own grid, made finer, and the edge in its middle.
    """

    form: Literal["regression"] = "regression"
    analysis: Annotated[Judged, Field(discriminator="kind")]
    coefficients: tuple[str, ...]
    spread: tuple[str, str, str]
    grid: tuple[str, ...] = ()
    horizon: str = ""

    def normalised(self, dictionary: Dictionary) -> Self:
        """Columns by their full names. Raises BadInput for coefficients that are none of the
        model, a model that has several rows per member, and what the dictionary does not allow."""
        asked = self.analysis.normalised(dictionary)
        full = changed(self, analysis=asked)
        full.judge(dictionary, ())
        return full

    def judge(self, dictionary: Dictionary, by: tuple[ColumnRef, ...]) -> Judge:
        model = self.analysis.model(dictionary)
        _check(self.analysis, model)
        values = _numbers(self.coefficients, _count(model), "coefficients")
        centre, scale, error = _numbers(self.spread, 3, "spread")
        if not (scale > 0 and error > 0):
            raise BadInput("scale and error are above 0", where="spread")
        spread = Spread(float(centre), float(scale), float(error))
        theta = inside(model, values)
        match model:
            case PiecewiseHazard():
                return self._survival(model, dictionary, theta, spread, by)
            case Glm():
                return _of_glm(model, theta, spread, by)
            case _:
                assert_never(model)

    def _survival(
        self,
        model: PiecewiseHazard,
        dictionary: Dictionary,
        theta: Floats,
        spread: Spread,
        by: tuple[ColumnRef, ...],
    ) -> SurvivalJudge:
        if not isinstance(self.analysis, Cox):
            raise BadInput("hazards are those of a survival model", where="analysis")
        edges = self.grid or finer(model.edges)
        finely = hazards_of(changed(self.analysis, edges=edges), dictionary)
        hazard = cumulative(model, theta[: model.baselines], finely.edges)
        slopes = np.concatenate([np.zeros(finely.baselines), theta[model.baselines :]])
        bins = ScoreBins(spread.centre, spread.scale, survival.BINS, survival.STEP)
        return SurvivalJudge(finely, slopes, hazard, self._horizon(finely.edges), bins, by)

    def _horizon(self, edges: tuple[float, ...]) -> int:
        """The interval that ends at the horizon."""
        if not self.horizon:
            return (len(edges) - 1) // 2
        ends = [at for at, edge in enumerate(edges[1:]) if f"{edge:.12g}" == self._asked()]
        if not ends:
            said = ", ".join(f"{edge:.6g}" for edge in edges[1:])
            raise BadInput("no edge of the grid", where="horizon", instead=f"write one of {said}")
        return ends[0]

    def _asked(self) -> str:
        return f"{float(_numbers((self.horizon,), 1, 'horizon')[0]):.12g}"

    @property
    def name(self) -> str:
        """The first digits of the coefficients' SHA-256."""
        return sha256_hex(" ".join(self.coefficients).encode("ascii"))[:12]

    def words(self) -> str:
        """The model, of what."""
        asked = self.analysis.words()
        return f"regression ({asked[0].lower()}{asked[1:]}) and compares with what was"


def finer(edges: tuple[float, ...]) -> tuple[str, ...]:
    """The same edges with others evenly between, INTERVALS or more in all."""
    parts = math.ceil(INTERVALS / (len(edges) - 1))
    inner = [np.linspace(low, high, parts, endpoint=False) for low, high in pairwise(edges)]
    return tuple(f"{edge:.12g}" for edge in [*np.concatenate(inner), edges[-1]])


def cumulative(model: PiecewiseHazard, log_hazards: Floats, times: tuple[float, ...]) -> Floats:
    """[len(times) - 1]: baseline hazard from the beginning to each time but the first."""
    low, high = np.array(model.edges[:-1]), np.array(model.edges[1:])
    ends = np.array(times[1:])[:, None]
    spent = np.clip(np.minimum(ends, high) - low, 0.0, None)
    return np.asarray(spent @ np.exp(np.clip(log_hazards, -30, 30)))


def _of_glm(
    model: Glm, theta: Floats, spread: Spread, by: tuple[ColumnRef, ...]
) -> LevelJudge | NumberJudge:
    if isinstance(model.family, Linear) or model.family.log_link:
        return NumberJudge(model, theta, spread, by)
    bins = ScoreBins(spread.centre, spread.scale, levels.BINS, levels.STEP)
    return LevelJudge(model, theta, bins, by)


def _check(asked: Judged, model: Glm | PiecewiseHazard) -> None:
    if asked.organisations:
        raise BadInput(
            "a model with terms or strata by organisation speaks of those organisations alone",
            where="analysis",
            instead="fit it without organisation, and judge that",
        )
    if isinstance(asked, Cox) and asked.start:
        raise BadInput(
            "a model with delayed entry cannot be judged: members enter at their own times",
            where="analysis",
            instead="fit it without start, on members followed from the beginning, and judge that",
        )
    if model.most_rows > 1:
        raise BadInput(
            "this model has several rows per member, and a member is judged once",
            where="analysis",
            instead="fit it on columns of one row per member",
        )


def _count(model: Glm | PiecewiseHazard) -> int:
    """How many coefficients predict: thresholds and baselines too, but no spread."""
    if isinstance(model, Glm) and (isinstance(model.family, Linear) or model.family.log_link):
        return model.width
    return model.size


def _numbers(texts: tuple[str, ...], count: int, where: str) -> Floats:
    if len(texts) != count or count > MOST_COEFFICIENTS:
        raise BadInput(f"{count} numbers belong here", where=where)
    try:
        found = np.array([float(Decimal(text)) for text in texts])
    except (InvalidOperation, OverflowError, ValueError):
        raise BadInput("not a number", where=where) from None
    if not (np.abs(found) <= LARGEST).all():
        raise BadInput(f"numbers lie within {LARGEST:g}", where=where)
    return found
