"""Regression as an analysis in rounds: `outcome ~ terms` under a closed set of laws."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from models.aggregates.request import Labels
from models.changed import changed
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import Way, reusing
from models.regression.coding import check_explaining
from models.regression.design import compile_design
from models.regression.families import (
    Family,
    Linear,
    Logistic,
    NegativeBinomial,
    Ordinal,
    Poisson,
)
from models.regression.fitting import Course, learnt
from models.regression.formula import parse_formula
from models.regression.outcome import Glm
from models.regression.population import Covariates, Population
from models.regression.reading import COEFFICIENT, facts, figures, warnings
from models.regression.reuse import ReusedRound, check_columns, covariates_of
from models.regression.rounds import InRounds, decimal
from models.regression.syntax import Formula, Levels, Number, Outcome, formula_text
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput

FamilyName = Literal["linear", "binomial", "poisson", "negative_binomial", "ordinal"]
MAX_DISPERSION = 1000.0
REUSED_ROUNDS = 2  # moments and products
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHORT = 12


class Regression(InRounds):
    """`formula` is `outcome ~ terms`; `happened` the level of a yes where there are two.

    `dispersion` declares a negative binomial's; it is estimated with the coefficients where it
    is empty. `organisations` are listed where `organisation` is a term. `reuse` holds what an
    earlier release opened of the covariates, which is then not asked and paid for again.
    """

    kind: Literal["glm"] = "glm"
    formula: str
    family: FamilyName = "linear"
    happened: str = ""
    dispersion: str = ""
    reuse: Reused | None = None

    def normalised(self, dictionary: Dictionary) -> Self:
        self.check()
        if self.dispersion:
            decimal(self.dispersion, "dispersion", MAX_DISPERSION)
        tree = parse_formula(self.formula, dictionary)
        full = changed(
            self,
            formula=formula_text(tree),
            happened=_happened(self, tree),
            organisations=self.told_apart(dictionary),
        )
        model_of(full, dictionary)
        if full.reuse is not None:
            known_to(full, dictionary)
        return full

    def terms(self, dictionary: Dictionary) -> Formula:
        return parse_formula(self.formula, dictionary)

    def model(self, dictionary: Dictionary) -> Glm:
        return model_of(self, dictionary)

    def course(self, dictionary: Dictionary) -> Course:
        plain = super().course(dictionary)
        if self.reuse is None:
            return plain
        return reusing(self.model(dictionary), plain, known_to(self, dictionary))

    def chosen(
        self, dictionary: Dictionary, law: NoiseLaw, members: int, way: Way | None = None
    ) -> tuple[Self, str]:
        found, why = super().chosen(dictionary, law, members, way)
        if self.reuse is not None:
            why += f"; {self.reuse.words}"
        return found, why

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((COEFFICIENT, name) for name in self.model(dictionary).design.names)

    def words(self) -> str:
        return f"Fits the {self.family.replace('_', ' ')} regression {self.formula}"

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        model, course = self.model(dictionary), self.course(dictionary)
        now, noise = self.standing(dictionary, opened)
        levels = model.outcome.column.column.levels
        rows = (*figures(model, now, levels).estimates(), *facts(model, now, noise))
        said = warnings(model, course, now)
        notes = (*said, "Members with a missing value are left out.", *self._origin)
        found = Result(self.kind, ("figure", "term"), rows, unit="", notes=notes)
        return self.told(dictionary, opened, found)

    @property
    def _origin(self) -> tuple[str, ...]:
        """Where the products of covariates come from."""
        if self.reuse is None:
            return ()
        return (
            f"Covariates are as release {self.reuse.release[:_SHORT]} opened them for "
            f"{self.reuse.analysis.formula}, of the members who have a value for all of it.",
        )


class Reused(Fact):
    """Moments and products of covariates: the rounds that `release` opened of `analysis`."""

    release: str
    analysis: Regression
    rounds: tuple[ReusedRound, ReusedRound]

    @property
    def words(self) -> str:
        return f"covariates by release {self.release[:_SHORT]}"

    @classmethod
    def of(cls, release: str, analysis: Regression, opened: Sequence[Opening]) -> Self:
        """The first two of the rounds that were opened."""
        moments, products = map(ReusedRound.of, opened[:REUSED_ROUNDS])
        return cls(release=release, analysis=analysis, rounds=(moments, products))


Regression.model_rebuild()


@lru_cache(maxsize=128)
def known_to(asked: Regression, dictionary: Dictionary) -> Covariates:
    """The covariates' law that `asked` reuses. Raises BadInput where it has none that fits."""
    reused = asked.reuse
    if reused is None or asked.way == "gradient" or not _DIGEST.fullmatch(reused.release):
        raise BadInput("a release is reused in the ways gram and newton", where="reuse")
    earlier = reused.analysis
    if earlier != earlier.normalised(dictionary):
        raise BadInput("the earlier analysis is not written in full", where="reuse.analysis")
    check_reusable(asked, earlier, dictionary)
    population = _learnt(earlier, dictionary, reused)
    return covariates_of(model_of(asked, dictionary), model_of(earlier, dictionary), population)


def check_reusable(asked: Regression, earlier: Regression, dictionary: Dictionary) -> None:
    """Raises BadInput unless `earlier`, as it was asked, opened products of all the covariates of
    `asked`, of the same members."""
    if earlier.way != "gram" or earlier.reuse is not None:
        raise BadInput(
            "that fit opened no products of covariates",
            where="reuse",
            instead="name a glm that was fitted in the way gram, without reuse",
        )
    if asked.organisations not in ((), earlier.organisations):
        raise BadInput("the earlier model tells others apart", where="organisations")
    check_columns(model_of(asked, dictionary), model_of(earlier, dictionary))


def _learnt(earlier: Regression, dictionary: Dictionary, reused: Reused) -> Population:
    """Raises BadInput where the products were asked otherwise than the moments say."""
    opened = [each.opening for each in reused.rounds]
    own = earlier.state(dictionary, opened[:1])
    if opened[0].state or not earlier.same_state(opened[1].state, own):
        raise BadInput("not what that run was asked with", where="reuse.state")
    read = earlier.read(dictionary, opened)
    try:
        return learnt(earlier.model(dictionary), earlier.course(dictionary), read)
    except (ArithmeticError, ValueError):
        raise BadInput("the totals of that release describe no covariates", where="reuse") from None


@lru_cache(maxsize=128)
def model_of(request: Regression, dictionary: Dictionary) -> Glm:
    """The compiled model. Raises BadInput for an outcome that does not fit the family."""
    tree = parse_formula(request.formula, dictionary)
    if tree.outcome is None:
        raise BadInput("there is no outcome", where="formula", instead="write outcome ~ terms")
    ordinal = request.family == "ordinal"
    if ordinal and not tree.intercept:
        raise BadInput("thresholds stand for the intercept", where="formula", instead="leave 0 out")
    check_explaining(tree, tree.outcome.column)
    design = compile_design(
        tree, intercept=not ordinal, sites=request.organisations, absorbs=ordinal
    )
    if not design.width:
        raise BadInput("there is no term", where="formula", instead="write outcome ~ term")
    family, happened = _family(request, tree.outcome), 1
    if isinstance(family, Logistic):
        happened = tree.outcome.column.column.levels.index(_happened(request, tree))
    return Glm(design, family, tree.outcome, happened)


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
    if request.happened and request.family != "binomial":
        raise BadInput(
            f"a {request.family.replace('_', ' ')} regression has no yes",
            where="happened",
            instead="leave happened out, or ask the family binomial",
        )
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
