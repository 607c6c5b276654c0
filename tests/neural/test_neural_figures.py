"""Figures of performance: right without noise, honest with it, and by group."""

from __future__ import annotations

import numpy as np
import pytest

from models.neural.calibration import Straightening, straightened
from models.neural.metrics import Table, auc, brier, calibration, in_the_large, metrics
from models.neural.outcome import outcome_of
from models.neural.scoring import Bins, counted, risk_bins, tables_of
from models.result import NO_INFORMATION
from models.rows import Rows
from privacy.contract.dictionary import Dictionary
from tests.support.training import patients, registry, rounds_of, training

DICTIONARY: Dictionary = registry()


def members(count: int, seed: int, bent: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Risks that are right (for `bent` 1), and who had the event."""
    draw = np.random.default_rng(seed)
    z = draw.normal(-1, 1, count)
    event = draw.random(count) < 1 / (1 + np.exp(-z * bent))
    return 1 / (1 + np.exp(-z)), event.astype(float)


def table(risk: np.ndarray, event: np.ndarray, sd: float = 0.0, seed: int = 0) -> Table:
    bins = risk_bins(0.3)
    place = np.searchsorted(bins.edges, risk, side="right")
    cells = np.zeros((bins.count, 2))
    np.add.at(cells, (place, event.astype(int)), 1)
    noise = np.random.default_rng([seed, 9]).normal(0, 1, cells.shape) * sd
    return Table(bins, cells + noise, sd)


def area(risk: np.ndarray, event: np.ndarray) -> float:
    having, without = risk[event > 0], risk[event == 0]
    above = (having[:, None] > without).mean() + (having[:, None] == without).mean() / 2
    return float(above)


def test_figures_are_those_of_the_members_but_for_the_bins() -> None:
    risk, event = members(3_000, 1)
    found = table(risk, event)
    assert auc(found, ()).estimate == pytest.approx(area(risk, event), abs=0.003)
    assert brier(found, ()).estimate == pytest.approx(((risk - event) ** 2).mean(), abs=0.002)
    assert in_the_large(found, ()).estimate == pytest.approx((event - risk).mean(), abs=0.005)
    for row in calibration(found, "all", ""):
        low, high = (float(each) for each in row.cell[1].split("risk ")[1].split(" to "))
        inside = (risk >= low) & (risk < high)
        assert row.estimate == pytest.approx(event[inside].mean(), abs=0.02)


@pytest.mark.parametrize("sd", [0.0, 6.0])
def test_intervals_cover_as_often_as_they_say(sd: float) -> None:
    """400 runs at 95 %: outside 90-98.5 % with probability below 1e-4. A mutant that leaves out
    the noise covers too rarely."""
    big_risk, big_event = members(20_000, 10_000)
    whole = table(big_risk, big_event)
    truths = [figure(whole, ()).estimate for figure in (auc, brier, in_the_large)]
    hits, naive = np.zeros(3), np.zeros(3)
    for seed in range(400):
        found = table(*members(1_000, seed), sd=sd, seed=seed)
        for place, figure in enumerate((auc, brier, in_the_large)):
            row = figure(found, ())
            hits[place] += row.low <= truths[place] <= row.high
            naive[place] += abs(row.estimate - truths[place]) <= 1.96 * row.se_sampling
    assert (hits >= 0.90 * 400).all()
    assert (hits <= 0.985 * 400).all()
    if sd:
        assert naive.min() < 0.9 * 400


def test_a_group_too_small_for_its_noise_says_nothing() -> None:
    found = table(*members(40, 1), sd=30.0)
    assert auc(found, ()).note == NO_INFORMATION
    assert brier(found, ()).note == NO_INFORMATION
    empty = Table(risk_bins(0.5), np.zeros((24, 2)), 1.0)
    assert auc(empty, ()).note == NO_INFORMATION


def test_straightening_finds_slope_and_shift() -> None:
    risk, event = members(20_000, 3, bent=0.5)
    found = straightened(risk_bins(0.3), table(risk, event).cells)
    assert found.slope == pytest.approx(0.5, abs=0.06)
    assert found.shift == pytest.approx(0.0, abs=0.08)
    noisy = [straightened(risk_bins(0.3), table(risk, event, 20.0, seed).cells)
             for seed in range(50)]  # fmt: skip
    assert np.mean([each.slope for each in noisy]) == pytest.approx(found.slope, abs=0.03)


def test_a_table_that_says_nothing_straightens_nothing() -> None:
    bins = risk_bins(0.3)
    assert straightened(bins, np.zeros((24, 2))) == Straightening()
    backwards = table(*members(5_000, 3, bent=-2.0)).cells
    assert straightened(bins, backwards) == Straightening()


def test_straightening_is_the_same_in_bins_and_in_weights() -> None:
    straight = Straightening(0.6, -0.4)
    weights = np.arange(1, 8, dtype=np.float32)
    moved = straight.weights(weights, 3)
    x = np.array([0.2, -0.5, 0.9])
    before, after = x @ weights[-4:-1] + weights[-1], x @ moved[-4:-1] + moved[-1]
    assert after == pytest.approx(0.6 * before - 0.4, rel=1e-5)
    assert np.array_equal(moved[:3], weights[:3])
    bins = Bins((0.5, 0.7))
    expected = 1 / (1 + np.exp(-(0.6 * np.log(0.7 / 0.3) - 0.4)))
    assert straight.bins(bins).edges[1] == pytest.approx(expected)


def test_groups_are_counted_apart() -> None:
    request = training(by=("sex", "stage"), rounds=1)
    made = request.compiled(DICTIONARY)
    rows = patients(500, 5)
    batch_shape = request.tables(made, DICTIONARY, np.array([0.5], np.float32))
    assert batch_shape.groups == (
        ("all", ""), ("sex", "f"), ("sex", "m"), ("stage", "i"), ("stage", "ii"), ("stage", "iii")
    )  # fmt: skip
    assert batch_shape.most_cells == 3
    found = _counts(request, rows)
    whole, women, men = found[0].sum(), found[1].sum(), found[2].sum()
    assert whole == women + men == (rows.tables["patients"].values["improved"] >= 0).sum()
    assert found[3:].sum() < whole  # some members' stage is missing


def _counts(request: object, rows: Rows) -> np.ndarray:
    from models.neural.features import encode
    from models.neural.scoring import group_codes

    made = request.compiled(DICTIONARY)
    tables = request.tables(made, DICTIONARY, np.array([0.5], np.float32))
    everybody = np.ones(rows.members, dtype=np.bool_)
    batch = encode(made.encoding, made.outcome, rows, everybody)
    score = np.linspace(0, 1, rows.members)
    groups = group_codes(tables.by, rows)
    counts = counted(tables, made.outcome, score, batch, groups)
    return tables.cut(counts.astype(float))


def test_members_are_counted_even_when_their_score_is_no_number() -> None:
    request = training(rounds=1)
    made = request.compiled(DICTIONARY)
    from models.neural.features import encode

    batch = encode(made.encoding, made.outcome, patients(50, 1), np.ones(50, dtype=np.bool_))
    tables = tables_of(made.outcome, np.array([0.5]), ())
    found = counted(tables, made.outcome, np.full(50, np.nan), batch, [])
    assert found.sum() == batch.known.sum()
    assert found[:2].sum() == found.sum()


def test_levels_and_amounts_have_their_own_figures() -> None:
    levels = training(outcome="stage", features=("age",), rounds=1)
    rows = [patients(400, seed) for seed in (1, 2, 3)]
    figures = levels.conclude(DICTIONARY, rounds_of(levels, rows, "100"))
    assert {row.cell[1] for row in figures.rows} >= {"AUC of i", "AUC of ii", "AUC of iii"}
    amounts = training(outcome="score", features=("age", "walk"), rounds=15)
    found = amounts.conclude(DICTIONARY, rounds_of(amounts, rows, "100"))
    rmse = next(row for row in found.rows if row.cell[1] == "RMSE")
    spread = np.nanstd(np.concatenate([each.tables["patients"].values["score"] for each in rows]))
    assert 4.5 < rmse.estimate < spread
    assert rmse.low < rmse.estimate < rmse.high


def test_metrics_of_hostile_totals_are_finite_or_say_nothing() -> None:
    outcome = outcome_of(DICTIONARY, "improved")
    tables = tables_of(outcome, np.array([0.5]), ())
    draw = np.random.default_rng(1)
    for totals in (
        np.zeros(tables.length),
        -np.ones(tables.length) * 1e6,
        draw.normal(0, 1e7, tables.length),
    ):
        for row in metrics(tables, outcome, totals.astype(np.int64), 1000, 500.0):
            assert row.note == NO_INFORMATION or np.isfinite(list(row.numbers().values())).all()
