"""Regression as an analysis in rounds: `outcome ~ terms` under a closed set of laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.changed import changed
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import Way, choose, course_of
from models.regression.design import compile_design
from models.regression.families import (
    Family,
    Linear,
    Logistic,
    NegativeBinomial,
    Ordinal,
    Poisson,
)
from models.regression.fitting import Course, Opened, next_round, standing
from models.regression.formula import parse_formula
from models.regression.member_sum import MemberSum
from models.regression.member_vectors import Gram, Moments, Newton, Round, Scores, length
from models.regression.outcome import Glm
from models.regression.reading import COEFFICIENT, facts, figures, warnings
from models.regression.states import close, round_of, state_bytes
from models.regression.syntax import Formula, Levels, Number, Outcome, formula_text
from models.result import Z95, Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

FamilyName = Literal["linear", "binomial", "poisson", "negative_binomial", "ordinal"]
MAX_CLIP, MAX_DISPERSION = 1000.0, 1000.0


class Regression(Request):
    """`formula` is `outcome ~ terms`; `happened` the level of a yes where there are two.

    `way` and `clip` (decimal text) come from `Regression.chosen`, and are stated so that
    everybody derives the same rounds. `dispersion` declares a negative binomial's; it is
    estimated with the coefficients where it is empty. `organisations` are listed, in order,
    where `organisation` is a term.
    """

    by_size: ClassVar[bool] = True
    kind: Literal["glm"] = "glm"
    formula: str
    family: FamilyName = "linear"
    happened: str = ""
    dispersion: str = ""
    organisations: tuple[str, ...] = ()
    way: Way = "gram"
    clip: str = "2"

    def chosen(self, dictionary: Dictionary, law: NoiseLaw, members: int) -> tuple[Self, str]:
        """The same regression with the best way for about `members`, and why.

        `law` is that of a single opening for the whole cost. Raises BadInput.
        """
        if members < 1:
            raise BadInput("the number of members is at least 1", where="members")
        unit = law.sd_grid / law.mechanism.delta_grid
        choice = choose(model_of(self, dictionary), unit, members)
        return changed(self, way=choice.way, clip=choice.clip), choice.why

    def normalised(self, dictionary: Dictionary) -> Self:
        _decimal(self.clip, "clip", MAX_CLIP)
        if self.dispersion:
            _decimal(self.dispersion, "dispersion", MAX_DISPERSION)
        if len(set(self.organisations)) < len(self.organisations):
            raise BadInput("an organisation stands twice", where="organisations")
        tree = parse_formula(self.formula, dictionary)
        full = changed(self, formula=formula_text(tree), happened=_happened(self, tree))
        model_of(full, dictionary)
        return full

    def cells(self, dictionary: Dictionary) -> Labels:
        model = model_of(self, dictionary)
        return tuple((COEFFICIENT, name) for name in model.design.names)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> MemberSum:
        return self.contribution_at(dictionary, delta_grid, 0, b"")

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        raise BadInput("a regression is concluded from all its rounds")

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of a coefficient per standard deviation, in units of a row's information."""
        if members is None:
            return None
        model, course = model_of(self, dictionary), self.course(dictionary)
        unit = law.sd_grid / law.mechanism.delta_grid
        rounds = sum(kind == course.kinds[-1] for kind in course.kinds)
        bound = course.score_clip / math.sqrt(rounds)
        if self.way == "newton":
            bound = math.sqrt(3 * model.bound_squared) / 0.3
        noise, sampling = Z95 * bound * unit / members, Z95 / math.sqrt(members)
        said = f"{members:,} members, uncorrelated covariates, per standard deviation"
        return Expected(noise, sampling, "roots of one member's information", said)

    def words(self) -> str:
        return f"Fits the {self.family.replace('_', ' ')} regression {self.formula}"

    def method(self) -> str:
        return _METHODS[self.way]

    # Rounds

    def course(self, dictionary: Dictionary) -> Course:
        return course_of(model_of(self, dictionary), self.way, float(self.clip))

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        return self.course(dictionary).weights

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        model, course = model_of(self, dictionary), self.course(dictionary)
        return state_bytes(next_round(model, course, self.read(dictionary, opened)))

    def same_state(self, stated: bytes, recomputed: bytes) -> bool:
        return close(stated, recomputed)

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> MemberSum:
        model = model_of(self, dictionary)
        asked = round_of(model, self.course(dictionary), number, state)
        return MemberSum(model, asked, delta_grid, self.organisations)

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        model = model_of(self, dictionary)
        kind = self.course(dictionary).kinds[number]
        return length(model, empty_round(model, kind))

    def read(self, dictionary: Dictionary, opened: Sequence[Opening]) -> list[Opened]:
        """Openings in the rounds' own numbers."""
        model, course = model_of(self, dictionary), self.course(dictionary)
        return [read_opening(model, course, at, each) for at, each in enumerate(opened)]

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        model, course = model_of(self, dictionary), self.course(dictionary)
        read = self.read(dictionary, opened)
        now = standing(model, course, read)
        levels = model.outcome.column.column.levels
        rows = (
            *figures(model, now, levels).estimates(),
            *facts(model, now, read[0].noise),
        )
        return Result(
            self.kind,
            ("figure", "term"),
            rows,
            unit="",
            notes=(*warnings(model, course, now), "Members with a missing value are left out."),
        )


_METHODS = {
    "newton": (
        "Coefficients are maximum likelihood estimates by Newton's method; every round opened the "
        "noisy sum of members' scores and information at the last coefficients. Standard errors "
        "add the inverse information and the noise carried through it."
    ),
    "gram": (
        "Noisy means, variances and products of covariates, scaled by public bounds, were opened "
        "first; then, in rounds, noisy sums of members' scores, mapped to have about the identity "
        "for covariance and clipped member by member. Coefficients are the mean of the Newton "
        "targets of all rounds, corrected for clipping under a normal law of the covariates; "
        "standard errors hold sampling and noise."
    ),
    "gradient": (
        "Noisy means and variances of covariates, scaled by public bounds, were opened first; "
        "then, in rounds, noisy sums of members' scores, clipped member by member. Coefficients "
        "are the mean of damped Newton targets of all rounds, which draws them towards no effect; "
        "standard errors hold sampling and noise and take covariates for uncorrelated."
    ),
}


def empty_round(model: Glm, kind: str) -> Round:
    """A round of a kind, for its length alone."""
    theta = np.zeros(model.size)
    match kind:
        case "moments":
            return Moments(1.0)
        case "gram":
            return Gram(np.eye(model.width), 1.0)
        case "scores":
            return Scores(theta, np.eye(model.size), 1.0)
        case _:
            return Newton(theta)


def read_opening(model: Glm, course: Course, number: int, opening: Opening) -> Opened:
    """One opening in the round's own numbers. Raises BadInput for one of another length."""
    asked = round_of(model, course, number, opening.state)
    if len(opening.totals) != length(model, asked):
        raise BadInput(f"the total has {len(opening.totals)} numbers, not {length(model, asked)}")
    clip = 1.0 if isinstance(asked, Newton) else asked.clip
    unit = clip / opening.law.mechanism.delta_grid
    sums = np.array(opening.totals, dtype=np.float64) * unit
    return Opened(asked, sums, opening.law.sd_grid * unit)


@lru_cache(maxsize=128)
def model_of(request: Regression, dictionary: Dictionary) -> Glm:
    """The compiled model. Raises BadInput for an outcome that does not fit the family."""
    tree = parse_formula(request.formula, dictionary)
    if tree.outcome is None:
        raise BadInput("there is no outcome", where="formula", instead="write outcome ~ terms")
    ordinal = request.family == "ordinal"
    if ordinal and not tree.intercept:
        raise BadInput("thresholds stand for the intercept", where="formula", instead="leave 0 out")
    design = compile_design(
        tree, intercept=not ordinal, sites=request.organisations, absorbs=ordinal
    )
    if not design.width:
        raise BadInput("there is no term", where="formula", instead="write outcome ~ term")
    happened = 1
    if isinstance(tree.outcome, Levels) and not ordinal:
        happened = tree.outcome.column.column.levels.index(_happened(request, tree))
    return Glm(design, _family(request, tree.outcome), tree.outcome, happened)


def _family(request: Regression, outcome: Outcome) -> Family:
    levels = isinstance(outcome, Levels)
    classes = len(outcome.column.column.levels)
    match request.family:
        case "linear" if not levels:
            return Linear()
        case "binomial" if levels:
            return Logistic()
        case "ordinal" if levels and classes > 2:
            return Ordinal(classes)
        case "poisson" | "negative_binomial" if isinstance(outcome, Number) and outcome.lower >= 0:
            if request.family == "poisson":
                return Poisson()
            given = float(request.dispersion) if request.dispersion else None
            return NegativeBinomial(given)
    raise BadInput(
        f"{outcome.column.name!r} is no outcome of a {request.family} regression",
        where="family",
        instead=_INSTEAD[request.family],
    )


_INSTEAD = {
    "linear": "name a number; for a column with levels ask binomial or ordinal",
    "binomial": "name a boolean or a column with levels",
    "ordinal": "name a column with three levels or more, in their order",
    "poisson": "name a count: a number that is declared to be 0 or more",
    "negative_binomial": "name a count: a number that is declared to be 0 or more",
}


def _happened(request: Regression, tree: Formula) -> str:
    """The level that is a yes: the second of two unless written; none for other families."""
    if request.family != "binomial" or not isinstance(tree.outcome, Levels):
        return ""
    levels = tree.outcome.column.column.levels
    if request.happened in levels:
        return request.happened
    if request.happened or len(levels) != 2:
        raise BadInput(
            f"which level of {tree.outcome.column.name!r} is a yes?",
            where="happened",
            instead="write one of " + ", ".join(levels[:20]),
        )
    return levels[1]


def _decimal(text: str, where: str, most: float) -> float:
    try:
        number = float(Decimal(text))
    except InvalidOperation:
        raise BadInput("not a number", where=where) from None
    if not 0 < number <= most:
        raise BadInput(f"above 0 and at most {most:g}", where=where)
    return number
