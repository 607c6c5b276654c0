"""Regression as an analysis in rounds: `outcome ~ terms` under a closed set of laws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from models.aggregates.request import Labels
from models.changed import changed
from models.opening import Opening
from models.regression.design import compile_design
from models.regression.families import (
    Family,
    Linear,
    Logistic,
    NegativeBinomial,
    Ordinal,
    Poisson,
)
from models.regression.formula import parse_formula
from models.regression.outcome import Glm
from models.regression.reading import COEFFICIENT, facts, figures, warnings
from models.regression.rounds import InRounds, decimal
from models.regression.syntax import Formula, Levels, Number, Outcome, formula_text
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

FamilyName = Literal["linear", "binomial", "poisson", "negative_binomial", "ordinal"]
MAX_DISPERSION = 1000.0


class Regression(InRounds):
    """`formula` is `outcome ~ terms`; `happened` the level of a yes where there are two.

    `dispersion` declares a negative binomial's; it is estimated with the coefficients where it
    is empty. `organisations` are listed where `organisation` is a term.
    """

    kind: Literal["glm"] = "glm"
    formula: str
    family: FamilyName = "linear"
    happened: str = ""
    dispersion: str = ""

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
        return full

    def terms(self, dictionary: Dictionary) -> Formula:
        return parse_formula(self.formula, dictionary)

    def model(self, dictionary: Dictionary) -> Glm:
        return model_of(self, dictionary)

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
        missing = "Members with a missing value are left out."
        found = Result(self.kind, ("figure", "term"), rows, unit="", notes=(*said, missing))
        return self.told(dictionary, opened, found)


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
