"""Which earlier answer already holds what is asked, and which only looks so."""

from __future__ import annotations

import pytest

from models.aggregates.requests import (
    Analysis,
    Associations,
    Correlation,
    Count,
    Density,
    Histogram,
    Incidence,
    Map,
    Mean,
    Prevalence,
    Quantiles,
    Sum,
    Survival,
    Table,
    Top,
    TreatmentReport,
    Variance,
    normalise,
)
from models.related import Relation, relation
from tests.support.rows_factory import clinic

EDGES = ("0", "30", "60", "110")


@pytest.mark.parametrize(
    ("asked", "earlier", "what"),
    [
        (Count(), Count(), Relation.SAME),
        (Count(by=("sex",)), Count(by=("members.sex",)), Relation.SAME),
        (Count(by=("sex", "age")), Count(by=("age", "sex")), Relation.REORDERED),
        (Count(by=("sex",)), Table(by=("condition", "sex")), Relation.ADDED),
        (Count(), Table(by=("condition",)), Relation.ADDED),
        (Count(), Histogram(column="age"), Relation.ADDED),
        (Count(by=("age",)), Histogram(column="age"), Relation.WITHIN),
        (Histogram(column="age"), Count(by=("age",)), Relation.WITHIN),
        (Density(x="age", y="sex"), Count(by=("sex", "age")), Relation.REORDERED),
        (Count(by=("condition",)), Map(region="condition"), Relation.WITHIN),
        (Table(by=("sex",)), Table(by=("condition", "sex")), Relation.ADDED),
        (Prevalence(column="sex"), Table(by=("sex",)), Relation.WITHIN),
        (Prevalence(column="sex", by=("age",)), Table(by=("age", "sex")), Relation.WITHIN),
        (Mean(column="age"), Variance(column="age"), Relation.WITHIN),
        (
            Correlation(columns=("age", "change")),
            Correlation(columns=("change", "severity", "age")),
            Relation.WITHIN,
        ),
        (Top(column="drug", k=1), Top(column="drug", k=3), Relation.WITHIN),
        (
            Quantiles(column="age", q=("0.5",)),
            Quantiles(column="age", q=("0.25", "0.5")),
            Relation.WITHIN,
        ),
        (
            TreatmentReport(treatment="symptom", columns=("severity",)),
            TreatmentReport(treatment="symptom", columns=("severity",)),
            Relation.SAME,
        ),
        (
            Associations(exposures=("sex",), outcomes=("smoker",)),
            Associations(exposures=("sex", "condition"), outcomes=("smoker", "age")),
            Relation.WITHIN,
        ),
        (
            Incidence(events="smoker", time="age"),
            Incidence(events="smoker", time="age", by=("sex",)),
            Relation.WITHIN,
        ),
        (
            Survival(time="age", event="smoker", edges=("0", "60", "110")),
            Survival(time="age", event="smoker", edges=EDGES),
            Relation.WITHIN,
        ),
        # what only looks so
        (Table(by=("condition", "sex")), Table(by=("sex",)), None),
        (Count(by=("sex",)), Count(by=("sex", "symptom")), None),  # a member stands in several
        (Count(), Histogram(column="severity"), None),
        (Table(by=("sex",)), Count(by=("sex",)), None),  # no shares in it
        (Map(region="condition"), Count(by=("condition",)), None),
        (Variance(column="age"), Mean(column="age"), None),
        (Mean(column="age"), Variance(column="change"), None),
        (Mean(column="age"), Sum(column="age"), None),
        (Top(column="drug", k=3), Top(column="drug", k=1), None),
        (Top(column="drug", k=1, cap=1), Top(column="drug", k=3, cap=2), None),
        (
            Count(by=("age",)),
            Density(x="age", y="change", x_edges=EDGES, y_edges=("-20", "5")),
            None,
        ),
        (Count(by=("sex",)), Prevalence(column="sex"), None),
        (
            Prevalence(column="sex", by=("age", "condition")),
            Table(by=("sex", "age", "condition")),
            None,
        ),
        (Prevalence(column="symptom"), Table(by=("sex",)), None),
        (
            Survival(time="age", event="smoker", edges=("0", "60")),
            Survival(time="age", event="smoker", edges=EDGES),
            None,
        ),
        (
            Survival(time="age", event="smoker", edges=EDGES),
            Survival(time="age", event="smoker", by=("sex",), edges=EDGES),
            None,
        ),
        (
            Incidence(events="smoker", time="age", per=100),
            Incidence(events="smoker", time="age", by=("sex",)),
            None,
        ),
    ],
)
def test_what_an_earlier_answer_is_to_a_question(
    asked: Analysis, earlier: Analysis, what: Relation | None
) -> None:
    found = relation(normalise(asked, clinic()), normalise(earlier, clinic()), clinic())
    assert found is what
