"""The analyses, as methods of whatever names members: a study (all of them) or a cohort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from coordinator.client.errors import BadInput
from coordinator.client.figures import Rows, figure_of, needed
from coordinator.client.fits import Fitting
from coordinator.client.learning import Learning
from coordinator.client.question import Question
from coordinator.client.words import (
    Names,
    Numbers,
    decimals,
    iterable,
    name,
    names,
    optional,
    whole,
)
from models.aggregates.associations import Claim
from models.aggregates.requests import (
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

MOST_PLACES = 10  # of a ranking, unless written


class Asking(Fitting, Learning):
    """Each method checks the question against the dictionary and returns it, not yet asked.

    Columns are named `column`, or `table.column` where two tables have the same. Raises BadInput
    for a column that is none or of another type, and Refused(ANALYSIS_NOT_ALLOWED) where the study
    does not allow the analysis; nothing was sent then.
    """

    def count(self, by: Names | None = None) -> Question:
        """Members in each cell of `by` (levels or bins); without it, members in all.

        Example: `study.count(by=["condition", "treatment"])`
        """
        return self.asked(Count(by=names(by)))

    def histogram(self, column: str) -> Question:
        """Members in each bin (or level) of one column.

        Example: `study.histogram("severity")`
        """
        return self.asked(Histogram(column=name(column)))

    def mean(self, column: str) -> Question:
        """The mean of a bounded numeric column; each member counts once.

        Example: `study.where("age >= 50").mean("severity")`
        """
        return self.asked(Mean(column=name(column)))

    def sum(self, column: str) -> Question:
        """The total of a bounded numeric column over all the members' rows.

        Example: `study.sum("age")`
        """
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

        Example: `study.survival("survival_days", "status", by="sex", happened="died")`
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
        """Members and shares in a table of up to four one-row columns, with every margin.

        Example: `study.table(["condition", "sex"])`
        """
        return self.asked(Table(by=names(by)))

    def prevalence(self, column: str, by: Names | None = None) -> Question:
        """The share of members with each level (or bin) of a column, within groups of `by`.

        Example: `study.prevalence("symptom", by="condition")`
        """
        return self.asked(Prevalence(column=name(column), by=names(by)))

    def quantiles(self, column: str, q: Numbers | float | str = "0.5") -> Question:
        """The values below which shares `q` of the members lie; the median unless written.

        `column` is bounded and has one row per member. Asks in six rounds at one price.

        Example: `study.quantiles("alsfrs_r_loss", [0.25, 0.5, 0.75])`
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

        Example: `study.member_summary("alsfrs_r_visit", "slope", by="sex", clip=[-3, 1])`
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

        Example:
            `study.compare("alsfrs_r_visit", "any(treatments: treatment == 'lithium')",
            "first(outcomes.months: months >= 9)", before=9, slopes=[-3, 1])`
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
        """Mean, variance and standard deviation of a bounded numeric column, at one price.

        Example: `study.variance("alsfrs_r_loss")`
        """
        return self.asked(Variance(column=name(column)))

    def correlation(self, *columns: Names) -> Question:
        """Pearson correlations of every pair of 2 to 8 bounded numeric columns.

        Example: `study.correlation("age", "alsfrs_r_loss")`
        """
        return self.asked(Correlation(columns=_listed(columns)))

    def density(
        self, x: str, y: str, *, x_edges: Numbers | None = None, y_edges: Numbers | None = None
    ) -> Question:
        """Members on a grid of two columns: declared bins or levels, or edges of your own.

        Example: `study.density("age", "alsfrs_r_loss", x_edges=[18, 50, 65, 95])`
        """
        edges = decimals(x_edges, "x_edges"), decimals(y_edges, "y_edges")
        return self.asked(Density(x=name(x), y=name(y), x_edges=edges[0], y_edges=edges[1]))

    def describe(self, *columns: Names) -> Question:
        """A first table: mean, deviation and counts of each of several columns, at one price.

        Example: `study.describe("age", "sex", "condition")`
        """
        return self.asked(Describe(columns=_listed(columns)))

    def map(self, region: str) -> Question:
        """Members by region and country; a region's level begins with its country, DE-BY.

        Example: `study.map("region")`
        """
        return self.asked(Map(region=name(region)))

    def top(self, column: str, k: int | None = None, *, cap: int = 5) -> Question:
        """The `k` most frequent levels; a member counts with their first `cap` rows.

        Unless written, `k` is 10, or all levels where there are fewer.

        Example: `study.top("symptom", 5, cap=3)`
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
        """Members per treatment, and of them the share of each level of `columns`.

        Example: `study.treatment_report("treatment", ["purpose", "stop_reason"])`
        """
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
        """Events per person-time in each group; with `weights`, one per group, standardised.

        Example: `study.incidence("relapses", "years", by="age", weights=[0.3, 0.5, 0.2])`
        """
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

        Example: `study.disproportionality("treatment", "side_effect")`
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

        Example: `study.associations(["sex", "condition"], ["region", "age"])`
        """
        return self.asked(
            Associations(
                exposures=names(exposures, "exposures"),
                outcomes=names(outcomes, "outcomes"),
                claims=tuple(map(_claim, iterable(claims, "claims", "a list of claims"))),
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


def _listed(columns: Sequence[Names]) -> tuple[str, ...]:
    """Columns one by one, or as one list."""
    match columns:
        case (list() | tuple() as one,):
            return names(one, "columns")
        case _:
            return tuple(map(name, columns))
