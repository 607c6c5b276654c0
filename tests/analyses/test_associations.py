"""An association scan: textbook odds ratios without noise, honest tests with it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2_contingency
from statsmodels.stats.contingency_tables import Table2x2

from models.aggregates.associations import (
    BY_CHANCE,
    LIMITS,
    REPLICATED,
    Associations,
    Claim,
    Fours,
    Pair,
    figures,
)
from models.aggregates.catalogue import cells, contribution
from models.aggregates.requests import normalise
from models.contribution import CellCounts, Stack
from models.planner import preview
from models.reference import contribute
from models.result import NO_INFORMATION
from models.rows import from_tables
from models.sentences import sentence
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput, Code, Refused
from tests.support.rows_factory import categorical, clinic, hostile_rows, number, one_row
from tests.support.seeded_answers import answered


def yes_no(name: str) -> Column:
    return Column(name=name, type=ColumnType.BOOLEAN, levels=("false", "true"))


SURVEY = Dictionary(
    tables=(
        one_row(
            "people",
            yes_no("smoker"),
            categorical("diet", "mixed", "vegetarian", "vegan"),
            number("age", ("0", "90"), ("0", "30", "60", "90")),
            yes_no("cough"),
            yes_no("rash"),
        ),
    )
)
SCAN = Associations(exposures=("smoker", "diet", "age"), outcomes=("cough", "rash"))
SMOKER_COUGH = ("smoker", "true", "cough", "true")


def people(seed: int, members: int = 3000) -> dict[str, list[Any]]:
    """Smokers cough three times as often; nothing else goes together. A few gaps."""
    rng = np.random.default_rng(seed)
    smoker = rng.random(members) < 0.3
    told = np.array(["false", "true"], dtype=object)
    columns = {
        "smoker": told[smoker.astype(int)],
        "diet": rng.choice(np.array(["mixed", "vegetarian", "vegan"], dtype=object), members),
        "age": rng.uniform(0, 90, members).astype(object),
        "cough": told[(rng.random(members) < np.where(smoker, 0.3, 0.1)).astype(int)],
        "rash": told[(rng.random(members) < 0.15).astype(int)],
    }
    for values in columns.values():
        values[rng.random(members) < 0.03] = None
    return {"id": list(range(members)), **{name: list(each) for name, each in columns.items()}}


def test_without_noise_the_figures_are_those_of_the_two_by_two_tables() -> None:
    data = people(seed=1)
    found = answered(SCAN, from_tables(SURVEY, {"people": data}))
    frame = pd.DataFrame(data)
    frame["age"] = pd.cut(
        frame["age"].astype(float),
        [0, 30, 60, 90],
        right=False,
        labels=["[0, 30)", "[30, 60)", "[60, 90]"],
    ).astype(object)
    labels = [cell[1:] for cell in found if cell[0] == "odds ratio"]
    assert len(labels) == (1 + 3 + 3) * 2
    for exposure, exposed, outcome, happened in labels:
        known = frame[[exposure, outcome]].dropna()
        with_it, ill = known[exposure] == exposed, known[outcome] == happened
        both, alone = (with_it & ill).sum(), (with_it & ~ill).sum()
        table = np.array([[both, alone], [(~with_it & ill).sum(), (~with_it & ~ill).sum()]])
        exact = Table2x2(table)
        low, high = exact.oddsratio_confint()
        cell = (exposure, exposed, outcome, happened)
        row = found["odds ratio", *cell]
        assert found["members", *cell].estimate == pytest.approx(both, abs=1e-3)
        assert row.estimate == pytest.approx(exact.oddsratio, rel=0.01)
        assert (row.low, row.high) == pytest.approx((low, high), rel=0.02)
        wanted = chi2_contingency(table, correction=False).pvalue
        assert found["p-value", *cell].estimate == pytest.approx(wanted, abs=2e-3)
    noted = [cell[1:] for cell, row in found.items() if row.note == "associated"]
    assert set(noted) == {SMOKER_COUGH}


def test_levels_of_three_stand_each_against_all_others() -> None:
    table = np.array([[10.0, 20.0, 30.0], [1.0, 2.0, 3.0]])
    four = Fours.of([Pair(0, 1, 2, ("", "", "", ""))], [table], noise_sd=3.0)
    assert four.seen.ravel().tolist() == [3.0, 3.0, 30.0, 30.0]
    assert four.noise_sds.ravel() == pytest.approx(3.0 * np.sqrt([1, 2, 1, 2]))


def test_one_member_is_in_one_cell_of_every_table() -> None:
    asked = normalise(Associations(exposures=("sex", "condition"), outcomes=("smoker",)), clinic())
    shape = contribution(asked, clinic(), 2**20)
    assert isinstance(shape, Stack)
    assert [part.max_cells for part in shape.parts if isinstance(part, CellCounts)] == [1, 1]
    matrix = contribute(shape, hostile_rows(clinic(), 200, 5), np.ones(200, dtype=bool))
    assert (matrix.astype(object) ** 2).sum(axis=1).max() <= shape.norm_squared <= 2**40
    assert shape.norm_squared > 0.999 * 2**40


def test_claims_ask_for_no_more_tables_than_they_need() -> None:
    claims = (
        Claim(exposure="smoker", exposed="true", outcome="cough", happened="true"),
        Claim(exposure="smoker", exposed="false", outcome="cough", happened="true"),
        Claim(exposure="diet", exposed="vegan", outcome="rash", happened="true", direction="below"),
    )
    asked = normalise(Associations(claims=claims), SURVEY)
    assert len(contribution(asked, SURVEY, 2**20).parts) == 2  # type: ignore[union-attr]
    found = answered(asked, from_tables(SURVEY, {"people": people(seed=2)}))
    assert found["odds ratio", *SMOKER_COUGH].note == REPLICATED
    assert found["p-value", *SMOKER_COUGH].estimate < 1e-9
    turned = ("smoker", "false", "cough", "true")  # the claim that non-smokers cough more
    assert found["odds ratio", *turned].note == "not replicated"
    assert found["p-value", *turned].estimate > 1 - 1e-9
    whole = found[REPLICATED, "", "", "", ""]
    assert whole.estimate in {1.0, 2.0}
    assert whole.note == "of 3 claims tested at 5%"
    assert found[BY_CHANCE, "", "", "", ""].estimate == pytest.approx(0.15)


def drawn(rng: np.random.Generator, ratio: float, noise_sd: float, pairs: int) -> Fours:
    """Tables of 2,000 members, a tenth exposed, a fifth with the outcome."""
    odds = ratio * 0.2 / 0.8
    risk = odds / (1 + odds)
    shares = [0.1 * risk, 0.1 * (1 - risk), 0.9 * 0.2, 0.9 * 0.8]
    seen = rng.multinomial(2000, shares, pairs).T + rng.normal(0, noise_sd, (4, pairs))
    return Fours(seen, np.full((4, pairs), noise_sd))


@pytest.mark.parametrize("noise_sd", [0.01, 6.0, 15.0])
def test_the_test_keeps_its_level_whatever_the_noise(noise_sd: float) -> None:
    """Binomial at 1 in 10^9; a test that ignores the noise is caught."""
    rng, pairs = np.random.default_rng(6), 4000
    four = drawn(rng, 1.0, noise_sd, pairs)
    z = np.abs(four.score()[four.known])
    assert len(z) > 0.9 * pairs
    for level, at in ((0.05, 1.959964), (0.01, 2.575829)):
        assert (z > at).sum() <= binom.ppf(1 - 1e-9, len(z), level * 1.1)
    assert (z > 1.959964).mean() > 0.03
    naive = Fours(four.seen, np.full_like(four.noise_sds, 1e-9))
    if noise_sd > 1:
        assert (np.abs(naive.score()) > 1.959964).sum() > binom.ppf(1 - 1e-9, pairs, 0.05)


@pytest.mark.parametrize("noise_sd", [6.0, 15.0])
def test_intervals_cover(noise_sd: float) -> None:
    rng, runs = np.random.default_rng(7), 2000
    four = drawn(rng, 2.5, noise_sd, runs)
    _, low, high = four.log_odds_ratios()
    hits = int(((low <= np.log(2.5)) & (np.log(2.5) <= high)).sum())
    least, most = binom.ppf([1e-9, 1 - 1e-9], runs, [0.93, 0.97])
    assert least <= hits <= most


def test_what_noise_hides_is_no_information() -> None:
    four = Fours(np.array([[3.0], [2.0], [400.0], [900.0]]), np.full((4, 1), 5.0))
    labels = tuple((figure, "a", "x", "b", "y") for figure in ("members", "odds ratio", "p-value"))
    members, ratio, p_value = figures(four, labels, [])
    assert (ratio.low, ratio.high, ratio.note) == (*LIMITS, NO_INFORMATION)
    assert (p_value.estimate, p_value.note) == (1.0, NO_INFORMATION)
    assert members.estimate == 3.0
    claimed = figures(four, (*labels, (REPLICATED,), (BY_CHANCE,)), ["above"])
    assert [row.estimate for row in claimed[3:]] == [0.0, 0.0]


GOOD = {"exposure": "smoker", "exposed": "true", "outcome": "cough", "happened": "true"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Associations(), "write exposures"),
        (Associations(exposures=("smoker",)), "write exposures"),
        (Associations(exposures=("smoker",), claims=(Claim(**GOOD),)), "write exposures"),
        (
            Associations(exposures=("smoker",), outcomes=("rash",), claims=(Claim(**GOOD),)),
            "write exposures",
        ),
        (Associations(exposures=("smoker",), outcomes=("smoker",)), "stands twice"),
        (Associations(exposures=("smoker", "smoker"), outcomes=("rash",)), "stands twice"),
        (Associations(claims=(Claim(**GOOD), Claim(**GOOD))), "stands twice"),
        (Associations(exposures=("smoke",), outcomes=("rash",)), "did you mean 'smoker'"),
        (
            Associations(claims=(Claim(**{**GOOD, "exposed": "yes"}),)),
            "write one of false, true",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_write(
    asked: Associations, words: str
) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(asked, SURVEY)
    assert words in str(caught.value) + caught.value.instead


def test_columns_with_many_rows_are_for_disproportionality() -> None:
    with pytest.raises(BadInput) as caught:
        normalise(Associations(exposures=("sex",), outcomes=("symptom",)), clinic())
    assert "disproportionality" in caught.value.instead


def test_too_many_tables_are_refused() -> None:
    names = [f"c{at}" for at in range(70)]
    dictionary = Dictionary(tables=(one_row("people", *map(yes_no, names)),))
    with pytest.raises(Refused) as caught:
        normalise(Associations(exposures=tuple(names[:35]), outcomes=tuple(names[35:])), dictionary)
    assert caught.value.code is Code.TOO_MANY_CELLS


def test_it_is_said_in_words_and_its_error_is_known_before_asking() -> None:
    asked = normalise(SCAN, SURVEY)
    assert sentence(asked, "") == (
        "Tests the association of smoker, diet and age with cough and rash, among all members"
    )
    seen = preview(asked, "", SURVEY, epsilon="1", delta=Fraction(1, 10**6), nodes=3, margin=1)
    assert seen.cells == len(cells(asked, SURVEY)) == 3 * 14
    found = answered(asked, from_tables(SURVEY, {}, members=range(50)), epsilon="1")
    row = found["members", *SMOKER_COUGH]
    assert seen.half_width == pytest.approx((row.high - row.low) / 2)
