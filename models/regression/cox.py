"""Survival by covariates: hazard ratios of proportional hazards, as an analysis in rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal, Self

import numpy as np

from models.aggregates.request import Labels
from models.aggregates.wording import word
from models.changed import changed
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import LOUD, Way, gram_noise
from models.regression.coding import check_explaining
from models.regression.design import compile_design
from models.regression.formula import parse_formula
from models.regression.member_sum import fits_memory
from models.regression.newton import Standing
from models.regression.outside import hazards_outside
from models.regression.reading import (
    COEFFICIENT,
    Figures,
    drawn_in,
    members_row,
    told,
    warnings,
    with_errors,
)
from models.regression.rounds import InRounds
from models.regression.survival import PiecewiseHazard
from models.regression.syntax import Formula, Levels, Number, formula_text
from models.regression.unseen import unseen
from models.result import Estimate, Result
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

INTERVALS = 12
ENTERING = 36  # where rows begin late: who is at risk changes within an interval
_INTERVALS = 6, 4  # where noise is usual, and loud
MOST_INTERVALS = 100
OFTENEST = 5.0  # cumulative baseline hazard of one interval, beyond which it ran away
RAN_AWAY = (
    "In an interval of the grid hardly anyone is at risk, and noise decided its hazard: nothing "
    "can be said of the coefficients. Ask again with fewer, wider intervals."
)
NOBODY = (
    "As far as the noise lets one see, hardly anyone is at risk in {}: the hazard there is left "
    "out, and the coefficients rest on the other intervals."
)
BACKWARDS = "Rows whose end is not after their start are left out."
RATIO, BASELINE = "hazard ratio", "baseline hazard"


class Cox(InRounds):
    """Proportional hazards of `event` at `time`, by the terms of `formula`.

    Time is followed on `edges` (decimal text), or on the declared bins of `time`, or on twelve
    equal intervals of its bounds; `chosen` takes fewer where there is noise, and more with `start`
    where there is next to none. `start` names the column where a row's time at risk begins, for
    delayed entry and covariates that change. `strata` gives each of `organisations` a baseline of
    its own.
    """

    kind: Literal["cox"] = "cox"
    time: str
    event: str
    formula: str
    start: str = ""
    happened: str = "true"
    edges: tuple[str, ...] = ()
    strata: bool = False

    def normalised(self, dictionary: Dictionary) -> Self:
        self.check()
        tree = parse_formula(self.formula, dictionary)
        stop = _number(dictionary, self.time, "time")
        start = _number(dictionary, self.start, "start").column.name if self.start else ""
        full = changed(
            self,
            formula=formula_text(tree),
            organisations=self.told_apart(dictionary),
            time=stop.column.name,
            event=dictionary.resolve(self.event).name,
            start=start,
            edges=self.edges or stop.column.column.bins,
        )
        model_of(full, dictionary)
        return full

    def chosen(
        self, dictionary: Dictionary, law: NoiseLaw, members: int, way: Way | None = None
    ) -> tuple[Self, str]:
        """Also the grid, where none is written: the noisier, the coarser."""
        if self.edges:
            return super().chosen(dictionary, law, members, way)
        stop, unit = _number(dictionary, self.time, "time"), law.sd_grid / law.mechanism.delta_grid
        middle, coarse = (changed(self, edges=_equal_edges(stop, k)) for k in _INTERVALS)
        finest = self._finest(dictionary, stop, law, members)
        found = super(Cox, finest).chosen(dictionary, law, members, way)
        if found[0].way == "newton":
            return found
        loud = gram_noise(self.model(dictionary), unit, members) > LOUD
        return super(Cox, coarse if loud else middle).chosen(dictionary, law, members, way)

    def _finest(self, dictionary: Dictionary, stop: Number, law: NoiseLaw, members: int) -> Self:
        """On the grid of a fit without noise to speak of, or nearly."""
        fine = changed(self, edges=_equal_edges(stop, ENTERING))
        if self.start and fits_memory(fine.model(dictionary)):
            found = super(Cox, fine).chosen(dictionary, law, members)
            if found[0].way == "newton":
                return fine
        return changed(self, edges=_equal_edges(stop, INTERVALS))

    def terms(self, dictionary: Dictionary) -> Formula:
        return parse_formula(self.formula, dictionary)

    def model(self, dictionary: Dictionary) -> PiecewiseHazard:
        return model_of(self, dictionary)

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((COEFFICIENT, name) for name in self.model(dictionary).design.names)

    def words(self) -> str:
        right = self.formula
        own = ", from a baseline of each organisation" if self.strata else ""
        time = word(self.time)
        if self.start:
            time += f" (from {word(self.start)} on; rows whose end is not after it are left out)"
        return f"Fits hazards of {word(self.event)} by {time}, proportional in {right}{own}"

    @property
    def stratified(self) -> bool:
        return self.strata

    @property
    def _left_out(self) -> tuple[str, ...]:
        """Of which rows and members nothing is summed: a rule, and not what was found."""
        missing = "Members with a missing value are left out."
        return (missing, BACKWARDS) if self.start else (missing,)

    def by_organisation(self, dictionary: Dictionary) -> bool:
        return self.strata or super().by_organisation(dictionary)

    def method(self) -> str:
        return (
            "Hazards are proportional, with a baseline that is constant within each interval of a "
            "public grid, fitted as a Poisson regression of events with time at risk as exposure. "
            + super().method()
        )

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        model, course = self.model(dictionary), self.course(dictionary)
        now, noise = self.standing(dictionary, opened)
        found, names = hazards(self, model, now), model.design.names
        variances = np.diag(found.sampling), np.diag(found.privacy)
        errors = list(zip(found.values, *variances, strict=True))
        rows = found.coefficients()
        rows += [_exponential((RATIO, row.cell[1]), row) for row in rows]
        rows += found.predictions()
        labels = _baseline_labels(self, model)
        seen = np.tile(model.seen(now.population.outcome, _noise(model, now)), model.sites)
        seen[list(now.absent)] = False
        told_of = [
            (v, s if here else math.nan, p)
            for here, (v, s, p) in zip(seen, errors[len(names) :], strict=True)
        ]
        rows += [
            _exponential((BASELINE, label), with_errors((BASELINE, label), *error))
            for label, error in zip(labels, told_of, strict=True)
        ]
        rows.append(members_row(now, noise))
        lost = [RAN_AWAY] if self.way != "newton" and _ran_away(model, now) else []
        if now.absent:
            lost.append(NOBODY.format(", ".join(labels[at] for at in now.absent)))
        said = (*warnings(model, course, now), *lost, *self._left_out)
        made = Result(self.kind, ("figure", "term"), tuple(rows), unit="", notes=said)
        return self.told(dictionary, opened, made)


def _noise(model: PiecewiseHazard, now: Standing) -> float:
    """The noise on a mean of what the first round learns of the outcome."""
    return now.population.noise * model.most_rows / now.population.rows


def hazards(asked: Cox, model: PiecewiseHazard, now: Standing) -> Figures:
    """Coefficients and then logarithms of baseline hazards, in the researcher's units; the
    covariance of sampling is NaN where noise alone decided a hazard."""
    matrix, names = hazards_outside(model), model.design.names
    sampling, privacy = (matrix @ each @ matrix.T for each in (told(now), now.privacy))
    if asked.way != "newton" and _ran_away(model, now):
        sampling = np.full_like(sampling, np.nan)
    best, shrunk = (matrix @ each for each in drawn_in(model, now))
    hidden = unseen(model, now).hidden
    return Figures(names, matrix @ now.theta, sampling, privacy, best, shrunk, hidden)


def _ran_away(model: PiecewiseHazard, now: Standing) -> bool:
    """Whether noise alone decided a hazard, of a member with mean covariates. So large, it stands
    for information that nobody gave, and standard errors from it are far too small."""
    k = model.baselines
    log_hazards = now.theta[:k] + now.population.mean[k:] @ now.theta[k:]
    widths = np.tile(np.diff(model.edges), model.sites)
    return not bool(np.all(log_hazards + np.log(widths) < math.log(OFTENEST)))


def _baseline_labels(asked: Cox, model: PiecewiseHazard) -> list[str]:
    edges = asked.edges or tuple(f"{edge:.12g}" for edge in model.edges)
    spans = [f"({low}, {high}]" for low, high in pairwise(edges)]
    if model.sites == 1:
        return spans
    return [f"{site} {span}" for site in asked.organisations for span in spans]


def _exponential(cell: tuple[str, str], log: Estimate) -> Estimate:
    """Of a logarithm: the interval's ends are transformed, errors to first order."""
    value, low, high = (math.exp(min(each, 700.0)) for each in (log.estimate, log.low, log.high))
    return Estimate(cell, value, value * log.se_sampling, value * log.se_noise, low, high, log.note)


@lru_cache(maxsize=128)
def model_of(request: Cox, dictionary: Dictionary) -> PiecewiseHazard:
    """The compiled model. Raises BadInput."""
    tree = parse_formula(request.formula, dictionary)
    _check(tree)
    design = compile_design(tree, intercept=False, sites=request.organisations, absorbs=True)
    if not design.width:
        raise BadInput("there is no term", where="formula", instead="write arm + age")
    if request.strata and len(request.organisations) < 2:
        raise BadInput("strata need the organisations' names", where="organisations")
    event = dictionary.resolve(request.event)
    if not event.column.levels:
        raise BadInput(f"{event.name!r} has no levels", where="event", instead="name a boolean")
    if request.happened not in event.column.levels:
        raise BadInput(
            f"{event.name!r} has no level {request.happened!r}",
            where="happened",
            instead="write one of " + ", ".join(event.column.levels[:20]),
        )
    stop = _number(dictionary, request.time, "time")
    start = _number(dictionary, request.start, "start") if request.start else None
    edges = _edges(request.edges or _default_edges(stop), stop)
    check_explaining(tree, stop.column, event)
    _check_rows(design.columns, stop.column, event, *([start.column] if start else []))
    happened = event.column.levels.index(request.happened)
    outcome = Levels(event, event.column.levels[0])
    sites = len(request.organisations) if request.strata else 1
    return PiecewiseHazard(design, stop, outcome, happened, edges, start, sites)


def _check(tree: Formula) -> None:
    if tree.outcome is not None:
        raise BadInput("time and event stand apart", where="formula", instead="write arm + age")
    if tree.offset is not None or tree.weight is not None:
        raise BadInput("hazards take neither offset nor weights", where="formula")
    if not tree.intercept:
        raise BadInput("the baseline stands for the intercept", where="formula", instead="no 0")


def _check_rows(terms: frozenset[ColumnRef], *own: ColumnRef) -> None:
    """Raises BadInput where an event would come with every row that a member has."""
    many = sorted(ref.name for ref in (*terms, *own) if ref.many)
    once = [ref.name for ref in own if not ref.many]
    if many and once:
        raise BadInput(
            f"{once[0]!r} stands once per member, and {many[0]!r} in many rows",
            where="formula",
            instead="take time, event and start from the rows, or one-row columns alone",
        )


def _number(dictionary: Dictionary, name: str, where: str) -> Number:
    ref = dictionary.resolve(name)
    if ref.column.type is ColumnType.DATE:
        raise BadInput(
            f"{ref.name!r} is a date, which says when and not after how long",
            where=where,
            instead="name a number: days, months or years since each member's own beginning",
        )
    bounds = ref.column.bounds
    if bounds is None or not bounds[0] < bounds[1]:
        raise BadInput(f"{ref.name!r} has no bounds", where=where, instead="declare them")
    return Number(ref, *bounds)


def _default_edges(stop: Number) -> tuple[str, ...]:
    return stop.column.column.bins or _equal_edges(stop, INTERVALS)


def _equal_edges(stop: Number, intervals: int) -> tuple[str, ...]:
    low, high = max(stop.lower, 0.0), stop.upper
    return tuple(f"{low + (high - low) * k / intervals:.12g}" for k in range(intervals + 1))


def _edges(written: tuple[str, ...], stop: Number) -> tuple[float, ...]:
    try:
        edges = tuple(map(float, written))
    except ValueError:
        raise BadInput("an edge is no number", where="grid") from None
    if not 2 <= len(edges) <= MOST_INTERVALS + 1:
        raise BadInput(
            f"1 to {MOST_INTERVALS} intervals", where="grid", instead="write grid=[0, 1, 2]"
        )
    if not all(a < b for a, b in pairwise(edges)) or edges[0] < 0 or edges[-1] > stop.upper:
        raise BadInput(
            "edges ascend within the bounds of time, from 0",
            where="grid",
            instead=f"stay within 0 to {stop.upper:g}",
        )
    return edges
