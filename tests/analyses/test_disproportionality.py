"""Screening pairs: against textbook formulas without noise, and honest with it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, gamma, norm, poisson
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.multitest import multipletests

from models.aggregates.catalogue import cells, contribution
from models.aggregates.disproportionality import (
    FIGURES,
    LIMITS,
    P_VALUE,
    SIGNAL,
    Screen,
    _tail,
    figures,
)
from models.aggregates.noisy_rates import Rates, discoveries, log_ratio, shrunk_log_rate
from models.aggregates.requests import Disproportionality, normalise
from models.contribution import CellCounts, Stack
from models.planner import preview
from models.reference import contribute
from models.result import NO_INFORMATION, Estimate
from models.rows import from_tables
from models.sentences import sentence
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from tests.support.rows_factory import categorical, clinic, hostile_rows, many_rows, one_row
from tests.support.seeded_answers import answered

DRUGS, EVENTS = ("lithium", "riluzole", "modafinil"), ("tremor", "nausea", "dry mouth", "rash")
REPORTS = Dictionary(
    tables=(
        one_row("members", categorical("sex", "f", "m")),
        many_rows("reports", 3, categorical("drug", *DRUGS), categorical("event", *EVENTS)),
        many_rows("taken", 2, categorical("medicine", *DRUGS)),
        many_rows("felt", 3, categorical("symptom", *EVENTS)),
    )
)


def reports(seed: int, members: int = 4000) -> dict[str, list[Any]]:
    """Up to three reports each; lithium goes with tremor three times as often."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {"id": [], "drug": [], "event": []}
    for member in range(members):
        for _ in range(int(rng.integers(0, 4))):
            drug = DRUGS[int(rng.integers(0, 3))]
            odds = np.array([3.0 if drug == "lithium" else 1.0, 2.0, 1.0, 0.5])
            event = EVENTS[int(rng.choice(4, p=odds / odds.sum()))]
            for name, value in zip(rows, (member, drug, event), strict=True):
                rows[name].append(value)
    return rows


def table_of(found: dict[tuple[str, ...], Estimate]) -> dict[str, dict[tuple[str, str], Estimate]]:
    return {
        figure: {pair: found[figure, *pair] for pair in itertools.product(DRUGS, EVENTS)}
        for figure in (*FIGURES, P_VALUE)
    }


def test_without_noise_the_figures_are_those_of_the_two_by_two_tables() -> None:
    members = 4000
    data = reports(seed=1, members=members)
    rows = from_tables(REPORTS, {"reports": data}, members=range(members))
    found = table_of(answered(Disproportionality(drug="drug", event="event"), rows))
    frame = pd.DataFrame(data).drop_duplicates()
    with_drug = frame.groupby("drug")["id"].nunique()
    with_event = frame.groupby("event")["id"].nunique()
    both = frame.groupby(["drug", "event"])["id"].nunique()
    for pair in itertools.product(DRUGS, EVENTS):
        a, n_drug, n_event = int(both[pair]), int(with_drug[pair[0]]), int(with_event[pair[1]])
        b, c = n_drug - a, n_event - a
        exact = Table2x2(np.array([[a, b], [c, members - a - b - c]]))
        low, high = exact.oddsratio_confint()
        assert found["members"][pair].estimate == pytest.approx(a, abs=1e-3)
        row = found["reporting odds ratio"][pair]
        assert row.estimate == pytest.approx(exact.oddsratio, rel=0.01)
        assert (row.low, row.high) == pytest.approx((low, high), rel=0.02)
        ratio = found["proportional ratio"][pair]
        exact_ratio = (a / n_drug) / (c / (members - n_drug))
        assert ratio.estimate == pytest.approx(exact_ratio, rel=0.01)
        expected = n_drug * n_event / members
        component = found["information component"][pair]
        levels = np.log2(gamma.ppf([0.5, 0.025, 0.975], a + 0.5) / (expected + 0.5))
        assert [component.estimate, component.low, component.high] == pytest.approx(
            levels, abs=0.01
        )
        tails = poisson.sf([a, a - 1], expected)  # next to no noise breaks the tie either way
        assert tails[0] - 0.01 <= found[P_VALUE][pair].estimate <= tails[1] + 0.01
    assert found["reporting odds ratio"]["lithium", "tremor"].note == SIGNAL
    assert found["reporting odds ratio"]["riluzole", "rash"].note == ""


def test_tables_of_their_own_combine_by_member() -> None:
    data = {
        "taken": {"id": [1, 1, 2, 3], "medicine": ["lithium", "riluzole", "lithium", "riluzole"]},
        "felt": {"id": [1, 1, 2, 4], "symptom": ["tremor", "tremor", "rash", "tremor"]},
    }
    rows = from_tables(REPORTS, data)
    asked = Disproportionality(drug="medicine", event="symptom")
    found = table_of(answered(asked, rows))["members"]
    whole = {pair: round(row.estimate) for pair, row in found.items() if round(row.estimate)}
    assert whole == {("lithium", "tremor"): 1, ("riluzole", "tremor"): 1, ("lithium", "rash"): 1}


@pytest.mark.parametrize(
    ("drug", "event", "most"),
    [
        ("drug", "symptom", (2, 2, 4)),
        ("symptom", "severity", (2, 3, 3)),
        ("sex", "drug", (1, 2, 2)),
    ],
)
def test_a_member_moves_the_vector_by_no_more_than_the_bound(
    drug: str, event: str, most: tuple[int, ...]
) -> None:
    asked = normalise(Disproportionality(drug=drug, event=event), clinic())
    shape = contribution(asked, clinic(), 2**20)
    assert isinstance(shape, Stack)
    parts = [part for part in shape.parts if isinstance(part, CellCounts)]
    assert [part.max_cells for part in parts] == [1, *most]
    assert [part.weight // parts[0].weight for part in parts] == [1, 1, 1, 4]
    rows = hostile_rows(clinic(), members=200, seed=3)
    matrix = contribute(shape, rows, np.ones(200, dtype=bool)).astype(object)
    assert 0.99 * 2**40 < shape.norm_squared <= 2**40
    assert max((matrix**2).sum(axis=1)) <= shape.norm_squared


def test_log_rates_are_the_gamma_posterior_without_noise() -> None:
    seen = np.array([1.0, 7.0, 60.0, 5000.0])
    found = log_ratio([Rates(seen, 0.0)], [], np.zeros(4))
    wanted = np.log(gamma.ppf([[0.5], [0.025], [0.975]], seen + 0.5))
    np.testing.assert_allclose([found.middle, found.low, found.high], wanted, atol=0.03)
    np.testing.assert_allclose(
        [found.middle[1:3], found.low[1:3], found.high[1:3]], wanted[:, 1:3], atol=0.003
    )
    expected = np.array([0.5, 2.0, 80.0, 2.0])
    shrunk = shrunk_log_rate(Rates(seen, 0.0), expected, np.zeros(4))
    wanted = np.log(gamma.ppf([[0.5], [0.025], [0.975]], seen + 0.5) / (expected + 0.5))
    np.testing.assert_allclose([shrunk.middle, shrunk.low, shrunk.high], wanted, atol=0.02)


def test_a_ratio_is_the_convolution_of_its_rates() -> None:
    rng = np.random.default_rng(4)
    seen = (np.array([9.0]), np.array([30.0]), np.array([4.0]), np.array([900.0]))
    a, b, c, d = (Rates(each, 0.0) for each in seen)
    found = log_ratio([a, d], [b, c], np.array([0.04]))
    draws = [np.log(rng.gamma(each[0] + 0.5, size=400_000)) for each in seen]
    total = draws[0] + draws[3] - draws[1] - draws[2] + rng.normal(0, 0.2, 400_000)
    wanted = np.quantile(total, [0.5, 0.025, 0.975])
    assert [found.middle[0], found.low[0], found.high[0]] == pytest.approx(wanted, abs=0.02)
    mirrored = log_ratio([b, c], [a, d], np.array([0.04]))
    assert mirrored.low[0] == pytest.approx(-found.high[0], abs=0.01)
    many = Rates(np.full(600, 9.0), 0.0)  # more than a block
    assert np.ptp(log_ratio([many], [many], np.zeros(600)).high) == 0


@pytest.mark.parametrize("noise_sd", [0.0, 3.0, 8.0])
def test_intervals_of_an_odds_ratio_cover(noise_sd: float) -> None:
    """1,500 runs; binomial at 1 in 10^9 from 93 % (97 % above: few members cover more)."""
    rng, runs = np.random.default_rng(5), 1500
    shares = np.array([0.03, 0.07, 0.09, 0.81])
    seen = rng.multinomial(1500, shares, runs) + rng.normal(0, noise_sd, (runs, 4))
    a, b, c, d = (Rates(seen[:, at].copy(), noise_sd) for at in range(4))
    found = log_ratio([a, d], [b, c], np.zeros(runs))
    truth = math.log(shares[0] * shares[3] / shares[1] / shares[2])
    hits = int(((found.low <= truth) & (truth <= found.high)).sum())
    low, high = binom.ppf([1e-9, 1 - 1e-9], runs, [0.93, 0.97])
    assert low <= hits <= high
    if noise_sd == 8.0:
        bare = [Rates(np.maximum(seen[:, at], 0.0), 0.0) for at in range(4)]
        naive = log_ratio([bare[0], bare[3]], bare[1:3], np.zeros(runs))
        assert int(((naive.low <= truth) & (truth <= naive.high)).sum()) < low


def screened(rng: np.random.Generator, pair_sd: float, *, planted: bool) -> Screen:
    """20 drugs and 30 events among 4,000 members; in five pairs four times as many."""
    n, drugs, events = 4000, 20, 30
    with_drug = rng.uniform(0.03, 0.2, drugs) * n
    with_event = rng.uniform(0.03, 0.2, events) * n
    rate = np.outer(with_drug, with_event) / n
    if planted:
        rate[range(5), range(5)] *= 4
    margin_sd = 4 * pair_sd
    seen = rng.poisson(rate) + rng.normal(0, pair_sd, rate.shape)
    drug_seen = np.rint(with_drug) + rng.normal(0, margin_sd, drugs)
    event_seen = np.rint(with_event) + rng.normal(0, margin_sd, events)
    every = np.full(drugs * events, n + rng.normal(0, margin_sd))
    return Screen(
        both=seen.ravel(),
        drug=np.repeat(drug_seen, events),
        event=np.tile(event_seen, drugs),
        every=every,
        pair_sd=pair_sd,
        margin_sd=margin_sd,
    )


def test_noise_alone_is_no_signal() -> None:
    """p-values below 5 % and 1 % no more often than that, at 1 in 10^9."""
    rng = np.random.default_rng(6)
    p_values = np.concatenate([screened(rng, 4.0, planted=False).p_values() for _ in range(10)])
    p_values = p_values[~np.isnan(p_values)]
    for level in (0.05, 0.01):
        assert (p_values < level).sum() <= binom.ppf(1 - 1e-9, len(p_values), level)
    assert (p_values < 0.05).mean() > 0.03  # nor far less often
    seen = [screened(rng, 4.0, planted=False) for _ in range(10)]
    naive = np.concatenate([replace(each, pair_sd=0.0, margin_sd=0.0).p_values() for each in seen])
    assert (naive < 0.01).sum() > binom.ppf(1 - 1e-9, len(naive), 0.01)


def test_planted_pairs_are_found_and_few_others() -> None:
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(5):
        screen = screened(rng, 4.0, planted=True)
        signals = discoveries(screen.p_values()).reshape(20, 30)
        planted = signals[range(5), range(5)]
        found += planted.sum()
        assert signals.sum() - planted.sum() <= 5
    assert found >= 15


def test_the_procedure_is_benjamini_and_hochbergs() -> None:
    rng = np.random.default_rng(8)
    p_values = np.where(rng.random(300) < 0.2, rng.beta(0.1, 8, 300), rng.random(300))
    wanted = multipletests(p_values, 0.05, "fdr_bh")[0]
    assert (discoveries(p_values) == wanted).all()
    assert wanted.any()
    gaps = np.append(p_values, [math.nan] * 200)
    assert (discoveries(gaps)[:300] == wanted).all()
    assert not discoveries(gaps)[300:].any()
    assert not discoveries(np.array([math.nan])).any()


def test_tails_of_a_noisy_count() -> None:
    assert _tail(3.0, 1.5, 0.0) == pytest.approx(poisson.sf(2, 1.5))
    assert _tail(0.0, 1.5, 0.0) == pytest.approx(1.0)
    counts = np.arange(200)
    exact = (poisson.pmf(counts, 20.0) * norm.sf((33.3 - counts) / 4.0)).sum()
    assert _tail(33.3, 20.0, 4.0) == pytest.approx(exact, rel=1e-9)
    assert _tail(900.0, 800.0, 10.0) == pytest.approx(norm.sf(100 / 30), rel=1e-9)


def test_what_noise_hides_is_no_information() -> None:
    pairs = np.array([3.0, 40.0])
    screen = Screen(pairs, np.array([5.0, 300.0]), np.full(2, 200.0), np.full(2, 900.0), 3.0, 12.0)
    labels = tuple((figure, str(at), "") for figure in (*FIGURES, P_VALUE) for at in range(2))
    rows = {row.cell: row for row in figures(screen, labels)}
    assert rows["reporting odds ratio", "0", ""].note == NO_INFORMATION
    assert rows["reporting odds ratio", "0", ""].low == LIMITS[0]
    assert rows["members", "0", ""].estimate == 3.0
    assert rows[P_VALUE, "0", ""].estimate == 1.0
    assert rows["reporting odds ratio", "1", ""].note != NO_INFORMATION


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Disproportionality(drug="drug", event="drug"), "stands twice"),
        (Disproportionality(drug="drug", event="dose"), "declare bins"),
        (Disproportionality(drug="story", event="drug"), "text column"),
        (Disproportionality(drug="drugs", event="symptom"), "did you mean 'drug'"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_write(
    asked: Disproportionality, words: str
) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(asked, clinic())
    assert words in str(caught.value) + caught.value.instead


def test_it_is_said_in_words_and_its_error_is_known_before_asking() -> None:
    asked = normalise(Disproportionality(drug="medicine", event="symptom"), REPORTS)
    assert sentence(asked, "") == "Screens every medicine with every symptom, among all members"
    seen = preview(asked, "", REPORTS, epsilon="1", delta=Fraction(1, 10**6), nodes=3, margin=1)
    assert seen.cells == len(cells(asked, REPORTS)) == 5 * 12
    rows = from_tables(REPORTS, {}, members=range(50))
    found = answered(asked, rows, epsilon="1")
    row = found["members", "lithium", "tremor"]
    assert seen.half_width == pytest.approx((row.high - row.low) / 2)
