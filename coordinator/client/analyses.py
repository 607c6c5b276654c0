"""The analyses, as methods of whatever names members: a study (all of them) or a cohort."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, SupportsIndex

from coordinator.client.errors import BadInput
from coordinator.client.figures import Rows, figure_of, needed
from coordinator.client.fits import Fitting
from coordinator.client.question import Question
from models.aggregates.associations import Claim
from models.aggregates.requests import (
    Analysis,
    Associations,
    Compare,
    Correlation,
    Count,
    Density,
    Describe,
    Disproportionality,
    Histogram,
    Incidence,
    Map,
    Mean,
    MemberSummary,
    Prevalence,
    Quantiles,
    Sum,
    Survival,
    Table,
    Top,
    TreatmentReport,
    Variance,
)
from privacy import errors

Names = str | Sequence[str]
Numbers = Iterable[float | int | str | Decimal]

MOST_PLACES = 10  # of a ranking, unless written
_MOST_SIGNS = 60  # of one number


class Asking(Fitting):
    """Each method checks the question against the dictionary and returns it, not yet asked."""

    @abstractmethod
    def asked(self, analysis: Analysis) -> Question:
        """The analysis of these members."""

    def count(self, by: Names | None = None) -> Question:
        """Members in each cell of `by` (levels or bins); without it, members in all."""
        return self.asked(Count(by=names(by)))

    def histogram(self, column: str) -> Question:
        """Members in each bin (or level) of one column."""
        return self.asked(Histogram(column=name(column)))

    def mean(self, column: str) -> Question:
        """The mean of a bounded numeric column; each member counts once."""
        return self.asked(Mean(column=name(column)))

    def sum(self, column: str) -> Question:
        """The total of a bounded numeric column over all the members' rows."""
        return self.asked(Sum(column=name(column)))

    def survival(
        self,
        time: str,
        event: str,
        by: Names | None = None,
        *,
        grid: Numbers | None = None,
        happened: str = "true",
    ) -> Question:
        """Kaplan-Meier curves by group, medians, restricted means, log-rank and hazard ratios.

        `grid` lists the times at which the curve is told, from the lower bound of `time` on;
        its declared bins unless written. `happened` is the level of `event` that means it did.
        """
        edges = decimals(grid, "grid")
        if not isinstance(happened, str):
            raise BadInput("happened is a level of the event", where="happened")
        return self.asked(
            Survival(
                time=name(time), event=name(event), by=names(by), edges=edges, happened=happened
            )
        )

    def table(self, by: Names) -> Question:
        """Members and shares in a table of up to four one-row columns, with every margin."""
        return self.asked(Table(by=names(by)))

    def prevalence(self, column: str, by: Names | None = None) -> Question:
        """The share of members with each level (or bin) of a column, within groups of `by`."""
        return self.asked(Prevalence(column=name(column), by=names(by)))

    def quantiles(self, column: str, q: Numbers | float | str = "0.5") -> Question:
        """The values below which shares `q` of the members lie; the median unless written.

        `column` is bounded and has one row per member. Asks in six rounds at one price.
        """
        shares = (q,) if isinstance(q, str) or not isinstance(q, Iterable) else q
        return self.asked(Quantiles(column=name(column), q=decimals(shares, "q")))

    def member_summary(
        self,
        column: str,
        summary: str = "mean",
        by: Names | None = None,
        *,
        low: float | str | Decimal | None = None,
        high: float | str | Decimal | None = None,
        where: str = "",
        window: str = "",
        needing: int | Sequence[int] | None = None,
        clip: Numbers | None = None,
    ) -> Question:
        """Each member's rows in one figure, then its mean and spread over members, by group.

        `summary` is mean, min, max, first, last, sum, slope, count or share; a share is that of
        the rows from `low` to `high`. `where` is a condition on a row, `window` days around a
        date ("within 90 days after members.baseline"), `needing` the fewest rows that will do
        (of a slope rows and days), and `clip` a range that figures are clamped to. Or write the
        whole figure as `column`.
        """
        if summary == "count":
            column = self._counted(column)
        rows = Rows(where=where, window=window, needing=needed(needing))
        figure = figure_of(column, summary, rows, optional(low, "low"), optional(high, "high"))
        limits = decimals(clip, "clip")
        return self.asked(MemberSummary(figure=figure, by=names(by), range=limits))

    def compare(
        self,
        outcome: str,
        treated: str,
        index: str,
        *,
        exposed: str = "true",
        months: int = 12,
        before: int = 12,
        slopes: Numbers | None = None,
        slope_cuts: Numbers | None = None,
        score_cuts: Numbers | None = None,
        by: Names | None = None,
        needing: Sequence[int] = (3, 90),
    ) -> Question:
        """The slope of an outcome after `index`, of treated members against others alike before.

        `treated` is a one-row column or a figure, "any(treatments: drug == 'lithium')", and
        `exposed` the level that means so. `slopes` is the range that slopes can have, per month:
        slopes beyond it are clamped. `slope_cuts` and `score_cuts` part the slope and the last
        score of the `before` months; `by` names further columns to match on; `needing` rows and
        days of both windows.
        """
        if not isinstance(exposed, str):
            raise BadInput("exposed is a level of the treatment", where="exposed")
        rows, days = (*needed(needing), 90)[:2]
        return self.asked(
            Compare(
                outcome=name(outcome),
                treated=name(treated),
                index=name(index),
                exposed=exposed,
                months=whole(months, "months"),
                before=whole(before, "before"),
                slopes=decimals(slopes, "slopes"),
                slope_cuts=decimals(slope_cuts, "slope_cuts"),
                score_cuts=decimals(score_cuts, "score_cuts"),
                by=names(by),
                rows=rows,
                days=days,
            )
        )

    def variance(self, column: str) -> Question:
        """Mean, variance and standard deviation of a bounded numeric column, at one price."""
        return self.asked(Variance(column=name(column)))

    def correlation(self, *columns: Names) -> Question:
        """Pearson correlations of every pair of 2 to 8 bounded numeric columns."""
        return self.asked(Correlation(columns=_listed(columns)))

    def density(
        self, x: str, y: str, *, x_edges: Numbers | None = None, y_edges: Numbers | None = None
    ) -> Question:
        """Members on a grid of two columns: declared bins or levels, or edges of your own."""
        edges = decimals(x_edges, "x_edges"), decimals(y_edges, "y_edges")
        return self.asked(Density(x=name(x), y=name(y), x_edges=edges[0], y_edges=edges[1]))

    def describe(self, *columns: Names) -> Question:
        """A first table: mean, deviation and counts of each of several columns, at one price."""
        return self.asked(Describe(columns=_listed(columns)))

    def map(self, region: str) -> Question:
        """Members by region and country; a region's level begins with its country, DE-BY."""
        return self.asked(Map(region=name(region)))

    def top(self, column: str, k: int | None = None, *, cap: int = 5) -> Question:
        """The `k` most frequent levels; a member counts with their first `cap` rows.

        Unless written, `k` is 10, or all levels where there are fewer.
        """
        places = self._places(name(column)) if k is None else whole(k, "k")
        return self.asked(Top(column=column, k=places, cap=whole(cap, "cap")))

    def _counted(self, column: str) -> str:
        """A column in full, whose known values are counted; a table as it is."""
        if any(table.name == column for table in self.declared().tables):
            return column
        try:
            return self.declared().resolve(column).name
        except errors.BadInput:
            return column  # what is wrong with it is said when it is asked

    def _places(self, column: str) -> int:
        try:
            levels = len(self.declared().resolve(column).column.cell_labels)
        except errors.BadInput:
            return MOST_PLACES  # what is wrong with the column is said when it is asked
        return min(levels, MOST_PLACES) or MOST_PLACES

    def treatment_report(self, treatment: str, columns: Names) -> Question:
        """Members per treatment, and of them the share of each level of `columns`."""
        return self.asked(
            TreatmentReport(treatment=name(treatment), columns=names(columns, "columns"))
        )

    def incidence(
        self,
        events: str,
        time: str,
        by: Names | None = None,
        *,
        weights: Numbers | None = None,
        per: int = 1,
    ) -> Question:
        """Events per person-time in each group; with `weights`, one per group, standardised."""
        return self.asked(
            Incidence(
                events=name(events),
                time=name(time),
                by=names(by),
                weights=decimals(weights, "weights"),
                per=whole(per, "per"),
            )
        )

    def disproportionality(self, drug: str, event: str) -> Question:
        """Reporting odds ratios, proportional ratios and information components of all pairs.

        `drug` and `event` are two columns of one table of reports, or of a table each.
        """
        return self.asked(Disproportionality(drug=name(drug), event=name(event)))

    def associations(
        self,
        exposures: Names | None = None,
        outcomes: Names | None = None,
        *,
        claims: Iterable[Sequence[str]] = (),
    ) -> Question:
        """Odds ratios of all exposures with all outcomes, or of a list of claims alone.

        A claim is (exposure, its level, outcome, its level, "above" or "below"): what was
        found elsewhere and is to be replicated.
        """
        return self.asked(
            Associations(
                exposures=names(exposures, "exposures"),
                outcomes=names(outcomes, "outcomes"),
                claims=tuple(map(_claim, _iterable(claims, "claims", "a list of claims"))),
            )
        )


def _claim(parts: Sequence[str]) -> Claim:
    fields = ("exposure", "exposed", "outcome", "happened", "direction")
    listed = list(parts) if isinstance(parts, list | tuple) else []
    if len(listed) < 4 or listed[4:] not in ([], ["above"], ["below"]):
        raise BadInput(
            "a claim is (exposure, level, outcome, level, 'above' or 'below')", where="claims"
        )
    return Claim.from_json(dict(zip(fields, map(name, listed), strict=False)))


def names(by: Names | None, where: str = "by") -> tuple[str, ...]:
    """None, a name or a list of names, as a tuple; raises BadInput."""
    match by:
        case None:
            return ()
        case str():
            return (by,)
        case list() | tuple():
            return tuple(map(name, by))
        case _:
            raise BadInput("neither a column's name nor a list of names", where=where)


def name(column: Any) -> str:
    if not isinstance(column, str):
        what = type(column).__name__
        raise BadInput(f"{what} where a name is expected", where="column", instead="write a text")
    return column


def _listed(columns: Sequence[Names]) -> tuple[str, ...]:
    """Columns one by one, or as one list."""
    match columns:
        case (list() | tuple() as one,):
            return names(one, "columns")
        case _:
            return tuple(map(name, columns))


def whole(number: Any, where: str) -> int:
    """An integer, numpy's own too; raises BadInput."""
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise BadInput("not a whole number", where=where)
    return operator.index(number)


def decimals(numbers: Numbers | None, where: str) -> tuple[str, ...]:
    """Numbers as plain decimal text, as they are signed; raises BadInput."""
    match numbers:
        case None:
            return ()
        case _:
            listed = _iterable(numbers, where, "a list of numbers")
            return tuple(decimal(number, where) for number in listed)


def _iterable(values: Any, where: str, what: str) -> Iterable[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise BadInput(f"not {what}", where=where)
    return values


def optional(number: Any, where: str) -> str | None:
    return None if number is None else decimal(number, where)


def decimal(number: Any, where: str) -> str:
    """One number as plain decimal text; raises BadInput."""
    if isinstance(number, bool) or not isinstance(number, int | float | str | Decimal):
        number = str(number) if hasattr(number, "dtype") else "nan"  # numpy's own scalars
    try:
        value = Decimal(str(number))
    except ArithmeticError:
        value = Decimal("nan")
    if not value.is_finite():
        raise BadInput("not a finite number", where=where)
    plain = format(value, "f") if abs(value.adjusted()) < _MOST_SIGNS else ""
    if not 0 < len(plain) <= _MOST_SIGNS:
        raise BadInput(f"a number of more than {_MOST_SIGNS} signs", where=where)
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
