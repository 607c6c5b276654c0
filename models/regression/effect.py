"""The effect of a treatment, with members weighted by propensity, as an analysis in rounds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Self

from models.aggregates.expected import Expected
from models.aggregates.request import Labels
from models.aggregates.wording import word
from models.changed import changed
from models.figures.named import column_named
from models.figures.parse import KINDS
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import Way, choose
from models.regression.coding import check_explaining
from models.regression.design import compile_design
from models.regression.effect_fit import (
    Summed,
    first_stage,
    second_stage,
    third_stage,
)
from models.regression.effect_reading import (
    DIFFERENCE,
    EFFECT,
    OTHERS,
    TREATED,
    estimates,
    noted,
)
from models.regression.effect_sum import EffectSum, stage_bytes, stage_of
from models.regression.effect_vectors import (
    INFLUENCE_PARTS,
    SUMS,
    Stage,
    part_lengths,
    stage_length,
)
from models.regression.families import Logistic
from models.regression.fitting import Course
from models.regression.formula import parse_formula
from models.regression.member_sum import UnitVectors
from models.regression.rounds import InRounds
from models.regression.syntax import Formula, Levels, Number, Outcome, formula_text
from models.regression.treated import Propensity, Response
from models.regression.weighting import Estimand, Weighting
from models.result import Z95, Result
from privacy.contract.dictionary import ColumnType, Dictionary
from privacy.errors import BadInput

PARTS = (25, 15, 15, 45)  # of the cost: propensity, arms, slopes, influence
STAGES = 3
_SCALE = 8  # how much more the round of means and variances costs than in a regression
_FIGURE = re.compile(rf"\s*(?:{'|'.join(KINDS)})\s*\(", re.IGNORECASE)
_USUAL_SD = {"overlap": 2.1, "ate": 2.3, "att": 2.6}  # of a member's influence, for an outcome of 1
_REACH = 4.0  # about how many of them a member may count


class Effect(InRounds):
    """The difference in `outcome` between members with the level `treated` of `treatment`, and
    all others, as if `covariates` (terms of a formula) were alike in both.

    `happened` is the level of a yes of an outcome with levels. Members whose chance of being
    treated is beyond `trim` or 1 - `trim` count less, unless `estimand` is "overlap".
    """

    kind: Literal["effect"] = "effect"
    outcome: str
    treatment: str
    covariates: str
    estimand: Estimand = "overlap"
    treated: str = ""
    happened: str = ""
    trim: str = "0.05"

    def normalised(self, dictionary: Dictionary) -> Self:
        self.check()
        asked = _asked(self, dictionary)
        full = changed(
            self,
            outcome=_text(asked.outcome),
            treatment=_text(asked.treatment),
            covariates=formula_text(asked.covariates),
            organisations=self.told_apart(dictionary),
            treated=_level(asked.treatment, self.treated, "treated"),
            happened=_level(asked.outcome, self.happened, "happened"),
        )
        model_of(full, dictionary)
        return full

    def terms(self, dictionary: Dictionary) -> Formula:
        return _asked(self, dictionary).covariates

    def model(self, dictionary: Dictionary) -> Propensity:
        return model_of(self, dictionary)

    def chosen(
        self, dictionary: Dictionary, law: NoiseLaw, members: int, way: Way | None = None
    ) -> tuple[Self, str]:
        """The way of the propensity's rounds, which have their part of the cost."""
        if members < 1:
            raise BadInput("the number of members is at least 1", where="members")
        unit = law.sd_grid / law.mechanism.delta_grid / math.sqrt(PARTS[0] / sum(PARTS))
        choice = choose(self.model(dictionary), unit, members, way)
        return changed(self, way=choice.way, clip=choice.clip), choice.why

    def cells(self, dictionary: Dictionary) -> Labels:
        return ((EFFECT, DIFFERENCE), (EFFECT, TREATED), (EFFECT, OTHERS))

    def words(self) -> str:
        whom = _WHOM[self.estimand]
        level = "" if self.treated == "true" else f" {self.treated}"
        return (
            f"Compares {_named(self.outcome)} between members with {_named(self.treatment)}{level} "
            f"and others, weighted by propensity given {self.covariates} {whom}"
        )

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of the difference, in the outcome's unit."""
        if members is None:
            return None
        response = self.model(dictionary).response
        classes = isinstance(response.column, Levels)
        size = _USUAL_SD[self.estimand] * response.scaling[1] * (1.0 if classes else 1 / 3)
        reach = _REACH * math.sqrt((1 + SUMS**2) / INFLUENCE_PARTS[0])
        noise = Z95 * reach * size * law.sd_grid / law.mechanism.delta_grid / members
        spread = "a share of a half" if classes else "a deviation of a sixth of the range"
        return Expected(
            noise,
            Z95 * size / math.sqrt(members),
            response.column.column.column.unit,
            f"{members:,} members, half of them treated, {spread}",
            DIFFERENCE,
        )

    def method(self) -> str:
        return (
            "The chance of being treated was modelled by logistic regression. "
            + self.way_said
            + f" {_WEIGHTS[self.estimand].format(self.trim)} A last round opened the mean of "
            "members' influence on the difference, which corrects it for the noise of the rounds "
            "before; the mean square of that influence, in which the fitted propensity is "
            "included, gives the sampling error, as a stacked sandwich does."
        )

    def course(self, dictionary: Dictionary) -> Course:
        """Of the propensity. Coefficients may be rough, as one step corrects them, but not the
        covariates' scale, by which that step goes: its round counts more than in a regression."""
        course = super().course(dictionary)
        first, *rest = course.weights
        weights = (1,) * len(course.weights) if self.way == "newton" else (_SCALE * first, *rest)
        return replace(course, weights=weights)

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        weights = self.course(dictionary).weights
        whole = sum(weights)
        return (*(PARTS[0] * each for each in weights), *(whole * part for part in PARTS[1:]))

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        fitted = len(self.course(dictionary).weights)
        if len(opened) < fitted:
            return super().state(dictionary, opened)
        return stage_bytes(self._next(dictionary, opened))

    def _next(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Stage:
        """What the round after `opened` asks, the propensity being fitted."""
        model, full = self.model(dictionary), self.way == "newton"
        fitted = len(self.course(dictionary).weights)
        now, _ = self.standing(dictionary, opened[:fitted])
        stages = self.stages(dictionary, opened)
        if not stages:
            return first_stage(model, now, full=full)
        if len(stages) == 1:
            return second_stage(model, now, stages[0], full=full)
        return third_stage(model, now, stages[0], stages[1], full=full)

    def stages(self, dictionary: Dictionary, opened: Sequence[Opening]) -> tuple[Summed, ...]:
        """The openings after the propensity's, in their own numbers."""
        fitted = len(self.course(dictionary).weights)
        model = self.model(dictionary)
        return tuple(_summed(model, at, each) for at, each in enumerate(opened[fitted:]))

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> UnitVectors:
        stage = number - len(self.course(dictionary).weights)
        if stage < 0:
            return super().contribution_at(dictionary, delta_grid, number, state)
        model = self.model(dictionary)
        asked = stage_of(model, stage, state)
        return EffectSum(model, asked, stage, delta_grid, self.organisations)

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        stage = number - len(self.course(dictionary).weights)
        if stage < 0:
            return super().length_at(dictionary, delta_grid, number)
        return stage_length(self.model(dictionary), stage)

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        model = self.model(dictionary)
        now, noise = self.standing(dictionary, opened[:-STAGES])
        stages = self.stages(dictionary, opened)
        rows = estimates(model, now, stages, noise, full=self.way == "newton")
        notes = (*noted(model, now, stages), _LEFT_OUT, *_trimmed(self))
        return Result(self.kind, ("figure", "term"), rows, unit="", notes=notes)


def _summed(model: Propensity, number: int, opening: Opening) -> Summed:
    stage = stage_of(model, number, opening.state)
    if len(opening.totals) != stage_length(model, number):
        raise BadInput(f"the total has {len(opening.totals)} numbers, not those of its round")
    return Summed.of(stage, opening, part_lengths(model, number))


@dataclass(frozen=True)
class _Asked:
    outcome: Outcome
    treatment: Levels
    covariates: Formula


@lru_cache(maxsize=128)
def model_of(request: Effect, dictionary: Dictionary) -> Propensity:
    """The compiled model. Raises BadInput."""
    asked = _asked(request, dictionary)
    design = compile_design(asked.covariates, intercept=True, sites=request.organisations)
    if design.width < 2 or not design.intercept:
        raise BadInput("there is no term", where="covariates", instead="write age + C(sex)")
    model = Propensity(
        design,
        Logistic(),
        asked.treatment,
        _code(asked.treatment, request.treated, "treated"),
        response=Response(asked.outcome, _code(asked.outcome, request.happened, "happened")),
        weighting=Weighting(request.estimand, _trim(request)),
    )
    many = sorted(ref.name for ref in model.columns if ref.many)
    if many:
        raise BadInput(
            f"{many[0]!r} has many rows per member",
            where="covariates",
            instead="use one-row columns",
        )
    return model


def _asked(request: Effect, dictionary: Dictionary) -> _Asked:
    """Raises BadInput."""
    terms = parse_formula(request.covariates, dictionary)
    if terms.outcome or terms.offset is not None or terms.weight is not None:
        raise BadInput("write terms alone", where="covariates", instead="write age + C(sex)")
    treatment = _column(request.treatment, "treatment", dictionary)
    outcome = _column(request.outcome, "outcome", dictionary)
    if not isinstance(treatment, Levels):
        raise BadInput("a treatment has levels", where="treatment", instead="name such a column")
    if outcome.column == treatment.column:
        raise BadInput("outcome and treatment are one column", where="outcome")
    check_explaining(terms, treatment.column, outcome.column, where="covariates")
    return _Asked(outcome, treatment, terms)


def _column(text: str, where: str, dictionary: Dictionary) -> Outcome:
    """A column, a clipped number, or a figure of a member's rows."""
    if not _FIGURE.match(text):
        found = parse_formula(f"{text} ~ 1", dictionary).outcome
        if found is None:
            raise BadInput("this is no column", where=where)
        return found
    ref = column_named(dictionary, text)
    if ref.column.levels:
        return Levels(ref, ref.column.levels[0])
    if ref.column.type is ColumnType.DATE:
        raise BadInput(f"{ref.name!r} is a date", where=where, instead="name a number or levels")
    if ref.column.bounds is None:
        raise BadInput(f"{ref.name!r} has no bounds", where=where, instead="declare them")
    return Number(ref, *ref.column.bounds)


def _text(column: Outcome) -> str:
    """As `_column` reads it."""
    if _FIGURE.match(column.column.name):
        return column.column.name
    return formula_text(Formula(column, ())).removesuffix(" ~ 1")


def _code(column: Outcome, asked: str, where: str) -> int:
    if not isinstance(column, Levels):
        return 1
    return column.column.column.levels.index(_level(column, asked, where))


def _level(column: Outcome, asked: str, where: str) -> str:
    """The level that is a yes: the second of two unless written; "" for a number."""
    if not isinstance(column, Levels):
        if asked:
            raise BadInput("a number has no levels", where=where, instead="leave it out")
        return ""
    levels = column.column.column.levels
    if asked in levels:
        return asked
    if asked or len(levels) != 2:
        raise BadInput(
            f"which level of {column.column.name!r} is meant?",
            where=where,
            instead="write one of " + ", ".join(levels[:20]),
        )
    return levels[1]


def _trim(request: Effect) -> float:
    try:
        trim = float(request.trim)
    except ValueError:
        raise BadInput("trim is no number", where="trim") from None
    if not 0.001 <= trim <= 0.4:
        raise BadInput("trim is from 0.001 to 0.4", where="trim")
    return trim


def _trimmed(request: Effect) -> tuple[str, ...]:
    if request.estimand == "overlap":
        return ()
    beyond = f"above 1 - {request.trim}"
    if request.estimand == "ate":
        beyond = f"below {request.trim} or {beyond}"
    return (f"Members whose chance of being treated is {beyond} count less, in both arms alike.",)


def _named(column: str) -> str:
    return column if "(" in column and not _FIGURE.match(column) else word(column)


_LEFT_OUT = "Members with a missing value are left out."
_WHOM = {
    "overlap": "(those whom either might have been given to)",
    "ate": "(all members)",
    "att": "(those treated)",
}
_WEIGHTS = {
    "overlap": "Members were weighted by the chance of the other arm (overlap weights).",
    "ate": (
        "Members were weighted by the inverse of the chance of their arm; where the chance of "
        "either is below {0}, by that chance over {0} times it."
    ),
    "att": (
        "Others were weighted by their odds of being treated; where the chance of not being so is "
        "below {0}, members of both arms count less, in proportion to it."
    ),
}
