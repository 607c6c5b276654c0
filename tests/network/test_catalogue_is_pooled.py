"""Every analysis, asked of nodes with their databases, answers what the pooled rows answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from models.aggregates.catalogue import contribution, estimate
from models.aggregates.requests import (
    Analysis,
    Associations,
    Correlation,
    Count,
    Density,
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
    normalise,
)
from models.cohort.parse import parse_cohort
from models.dictionary_file import load_dictionary
from models.noise_law import NoiseLaw
from models.reference import cohort_mask, total
from models.rows import from_tables
from privacy.mechanism import GaussianSum
from tests.support import net_data
from tests.support.network import Network

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
LAW = NoiseLaw(GaussianSum(delta_grid=2**30, nodes=3, margin=1, log2_sigma=4), survivors=3)

ASKED: tuple[Analysis, ...] = (
    Table(by=("condition", "treatment")),
    Prevalence(column="symptom", by=("condition",)),
    Variance(column="score"),
    Variance(column="severity"),
    Correlation(columns=("age", "score", "severity")),
    Density(x="age", y="score", x_edges=("0", "47.5", "110"), y_edges=("-20", "0", "11.1", "60")),
    Map(region="treatment"),
    MemberSummary(figure="max(severity)", by=("condition",)),
    Top(column="symptom", k=2, cap=1),
    TreatmentReport(treatment="symptom", columns=("severity",)),
    Incidence(events="age", time="age", by=("condition",), weights=("1", "2", "1"), per=100),
    Survival(
        time="age", event="condition", by=("treatment",), edges=("0", "35.5", "70"), happened="als"
    ),
    Disproportionality(drug="condition", event="symptom"),
    Disproportionality(drug="symptom", event="severity"),
    Associations(exposures=("treatment", "age"), outcomes=("condition",)),
)


@pytest.mark.parametrize("asked", ASKED, ids=lambda each: str(each.kind))
def test_the_network_answers_what_the_pooled_rows_answer(
    make: Callable[..., Network], asked: Analysis
) -> None:
    _check(make(**HUGE), asked, "age < 90")


def test_a_cohort_of_figures_is_the_pooled_one(make: Callable[..., Network]) -> None:
    pain = "any(symptoms: symptom == 'pain' and severity > 3)"
    cohort = f"last(symptoms.severity) < 8 and ({pain} or mean(symptoms.severity) < 5)"
    _check(make(**HUGE), Count(by=("condition",)), cohort)


def test_quantiles_are_found_in_rounds(make: Callable[..., Network]) -> None:
    network = make(**HUGE)
    asked = Quantiles(column="age", q=("0.25", "0.5", "0.75"))
    run = network.ask(asked.to_json(), "", epsilon="100000000000000")
    ages = network.pooled["age"].dropna()
    for (share,), found in network.estimates(run).items():
        rank = (ages < found).mean(), (ages <= found).mean()
        assert rank[0] - 0.02 <= float(share) <= rank[1] + 0.02


def _check(network: Network, asked: Analysis, cohort: str) -> None:
    run = network.ask(asked.to_json(), cohort, epsilon="100000000000000")
    got = network.estimates(run)
    dictionary = load_dictionary(net_data.DICTIONARY, "dictionary.toml")
    people = network.pooled.drop(columns=["story", "email"], errors="ignore")
    symptoms = network.pooled_symptoms
    rows = from_tables(
        dictionary, {"members": _lists(people), "symptoms": _lists(symptoms)}, people["member"]
    )
    analysis = normalise(asked, dictionary)
    shape = contribution(analysis, dictionary, LAW.mechanism.delta_grid)
    mask = cohort_mask(parse_cohort(cohort, dictionary), rows)
    wanted = estimate(analysis, dictionary, total(shape, rows, mask).tolist(), LAW)
    assert len(got) == len(wanted.rows) == len(network.result(run)["rows"])
    assert np.any(list(got.values()))
    for row in wanted.rows:
        assert got[row.cell] == pytest.approx(row.estimate, rel=1e-4, abs=0.02), row.cell


def _lists(frame: pd.DataFrame) -> dict[str, list[object]]:
    return {str(name): list(frame[name]) for name in frame}
