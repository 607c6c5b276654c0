"""One or more of every analysis over the clinic of `rows_factory`, and what they answer."""

from __future__ import annotations

from fractions import Fraction

from models.aggregates.requests import Analysis, Correlation, Prevalence, Table, Variance
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
)


def answer(
    analysis: Analysis, rows: Rows, cohort: str = "", epsilon: str = "1e15", seed: object = 1
) -> Result:
    """The answer of three nodes; at the default epsilon its noise is negligible."""
    return mock_run(
        analysis,
        cohort,
        rows.dictionary,
        epsilon=epsilon,
        delta=Fraction(1, 10**6),
        nodes=3,
        margin=1,
        entropy=seeded_entropy(f"catalogue {seed}"),
        rows=rows,
    )


def by_cell(result: Result) -> dict[tuple[str, ...], Estimate]:
    return {row.cell: row for row in result.rows}
