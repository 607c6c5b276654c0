"""Progression by covariates, as an analysis in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from models.aggregates.request import Labels
from models.aggregates.wording import word
from models.changed import changed
from models.opening import Opening
from models.regression.design import compile_design
from models.regression.families import Linear
from models.regression.formula import parse_formula
from models.regression.reading import COEFFICIENT, facts, figures, warnings
from models.regression.rounds import InRounds, decimal
from models.regression.slopes import Slopes
from models.regression.syntax import Formula, Number, formula_text
from models.result import Result
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

_LARGEST = 1e12


class Progression(InRounds):
    """How fast `outcome` changes with `time`, by the terms of `formula`.

    Both are columns of one many-row table; `time` is a number, or a date (then slopes are per
    year). `lower` and `upper` bound a member's slope: the tighter the better, from a protocol or
    the natural history. `slope_sd` and `visit_sd` are usual standard deviations, of true slopes
    and of a visit about its line; they set weights, not the estimate's meaning.
    """

    kind: Literal["progression"] = "progression"
    outcome: str
    time: str
    formula: str
    lower: str
    upper: str
    slope_sd: str = ""
    visit_sd: str = ""

    def normalised(self, dictionary: Dictionary) -> Self:
        self.check()
        outcome, time = _columns(self, dictionary)
        tree = parse_formula(self.formula, dictionary)
        low, high = _range(self)
        bounds = outcome.lower, outcome.upper
        full = changed(
            self,
            outcome=outcome.column.name,
            time=time.name,
            formula=formula_text(tree),
            organisations=self.told_apart(dictionary),
            slope_sd=self.slope_sd or f"{(high - low) / 6:.6g}",
            visit_sd=self.visit_sd or f"{(bounds[1] - bounds[0]) / 20:.6g}",
        )
        model_of(full, dictionary)
        return full

    def terms(self, dictionary: Dictionary) -> Formula:
        return parse_formula(self.formula, dictionary)

    def model(self, dictionary: Dictionary) -> Slopes:
        return model_of(self, dictionary)

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((COEFFICIENT, name) for name in self.model(dictionary).design.names)

    def words(self) -> str:
        return f"Fits the change of {word(self.outcome)} with {word(self.time)} by {self.formula}"

    def method(self) -> str:
        return (
            f"Each member's slope was estimated from their visits, clamped to {self.lower} to "
            f"{self.upper} and weighted by its precision (standard deviations {self.slope_sd} of "
            f"slopes and {self.visit_sd} of a visit); a weighted linear model of the slopes was "
            "fitted. " + super().method()
        )

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        model, course = self.model(dictionary), self.course(dictionary)
        now, noise = self.standing(dictionary, opened)
        rows = (*figures(model, now, ()).estimates(), *facts(model, now, noise))
        said = (
            *warnings(model, course, now),
            f"Slopes beyond {self.lower} to {self.upper} count as those bounds.",
            "Members with fewer than two visits or a missing value are left out.",
        )
        found = Result(self.kind, ("figure", "term"), rows, unit="", notes=said)
        return self.told(dictionary, opened, found)


@lru_cache(maxsize=128)
def model_of(request: Progression, dictionary: Dictionary) -> Slopes:
    """The compiled model. Raises BadInput."""
    tree = parse_formula(request.formula, dictionary)
    if tree.outcome is not None or tree.offset is not None or tree.weight is not None:
        raise BadInput("write terms alone", where="formula", instead="write arm + age")
    design = compile_design(tree, intercept=True, sites=request.organisations)
    many = [ref.name for ref in design.columns if ref.many]
    if many:
        raise BadInput(
            f"{many[0]!r} changes between visits", where="formula", instead="use one-row columns"
        )
    outcome, time = _columns(request, dictionary)
    low, high = _range(request)
    between = decimal(request.slope_sd, "slope_sd", _LARGEST) if request.slope_sd else 1.0
    within = decimal(request.visit_sd, "visit_sd", _LARGEST) if request.visit_sd else 1.0
    return Slopes(
        design=design,
        family=Linear(),
        outcome=outcome,
        time=time,
        low=low,
        high=high,
        between=between**2,
        within=within**2,
    )


def _columns(request: Progression, dictionary: Dictionary) -> tuple[Number, ColumnRef]:
    outcome, time = dictionary.resolve(request.outcome), dictionary.resolve(request.time)
    bounds = outcome.column.bounds
    if not outcome.many or time.table.name != outcome.table.name:
        raise BadInput(
            "outcome and time are columns of one many-row table",
            where="time",
            instead=f"choose a column of {outcome.table.name}",
        )
    if bounds is None or not bounds[0] < bounds[1]:
        raise BadInput(f"{outcome.name!r} has no bounds", where="outcome", instead="declare them")
    if time.column.type not in (ColumnType.DATE, ColumnType.NUMBER, ColumnType.INTEGER):
        raise BadInput(f"{time.name!r} is no time", where="time", instead="name a number or date")
    return Number(outcome, *bounds), time


def _range(request: Progression) -> tuple[float, float]:
    try:
        low, high = float(request.lower), float(request.upper)
    except ValueError:
        raise BadInput("a bound is no number", where="lower") from None
    if not -_LARGEST < low < high < _LARGEST:
        raise BadInput("lower lies below upper", where="lower")
    return low, high
