"""One or more of every analysis over the clinic of `rows_factory`, and what they answer."""

from __future__ import annotations

from fractions import Fraction

from models.aggregates.associations import Claim
from models.aggregates.requests import (
    Analysis,
    Associations,
    Correlation,
    Density,
    Describe,
    Disproportionality,
    Incidence,
    Map,
    MemberSummary,
    Prevalence,
    Quantiles,
    Survival,
    Table,
    Top,
    TreatmentReport,
    Variance,
)
from models.mock import mock_run
from models.result import Estimate, Result
from models.rows import Rows
from tests.support.seeded import seeded_entropy

CATALOGUE: tuple[Analysis, ...] = (
    Table(by=("condition",)),
    Table(by=("condition", "sex")),
    Table(by=("condition", "sex", "age", "smoker")),
    Prevalence(column="condition"),
    Prevalence(column="condition", by=("sex",)),
    Prevalence(column="symptom"),
    Prevalence(column="severity", by=("condition", "sex")),
    Variance(column="age"),
    Variance(column="severity"),
    Correlation(columns=("age", "change")),
    Correlation(columns=("age", "change", "severity")),
    Density(x="age", y="change", x_edges=("0", "55", "110"), y_edges=("-20", "-5", "0", "5")),
    Density(x="severity", y="symptom"),
    Density(x="severity", y="age", x_edges=("1", "2.5", "9")),
    Describe(columns=("age",)),
    Describe(columns=("change", "condition", "severity", "symptom")),
    Map(region="condition"),
    Top(column="symptom", k=2, cap=1),
    Top(column="drug", k=3),
    Top(column="condition", k=1),
    TreatmentReport(treatment="symptom", columns=("severity",)),
    Incidence(events="smoker", time="age"),
    Incidence(events="smoker", time="age", by=("sex", "condition"), per=1000),
    Incidence(events="age", time="age", by=("sex",), weights=("1", "2.5")),
    Survival(time="age", event="smoker", by=("sex",), edges=("0", "30", "60")),
    Survival(time="age", event="condition", happened="als"),
    Quantiles(column="age"),
    MemberSummary(figure="mean(severity)"),
    MemberSummary(figure="share(severity >= 4)", by=("sex", "any(treatments: drug == 'a')")),
    MemberSummary(figure="count(symptoms: severity > 3)", range=("0", "2")),
    Quantiles(column="change", q=("0.1", "0.5", "0.75")),
    Disproportionality(drug="drug", event="symptom"),
    Disproportionality(drug="symptom", event="severity"),
    Disproportionality(drug="sex", event="smoker"),
    Associations(exposures=("sex", "condition"), outcomes=("smoker", "age")),
    Associations(
        claims=(
            Claim(exposure="sex", exposed="m", outcome="smoker", happened="true"),
            Claim(
                exposure="condition",
                exposed="als",
                outcome="smoker",
                happened="true",
                direction="below",
            ),
        )
    ),
)


def answer(
    analysis: Analysis,
    rows: Rows,
    cohort: str = "",
    epsilon: str = "1e15",
    seed: object = 1,
    nodes: int = 3,
) -> Result:
    """The answer of `nodes` nodes; at the default epsilon its noise is negligible."""
    return mock_run(
        analysis,
        cohort,
        rows.dictionary,
        epsilon=epsilon,
        delta=Fraction(1, 10**6),
        nodes=nodes,
        margin=1,
        entropy=seeded_entropy(f"catalogue {seed}"),
        rows=rows,
    )


def by_cell(result: Result) -> dict[tuple[str, ...], Estimate]:
    return {row.cell: row for row in result.rows}
