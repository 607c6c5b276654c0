"""Survival: the figures of one released table, against lifelines and known distributions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from scipy.stats import binom, chi2

from models.aggregates.catalogue import cells, contribution, estimate, expected_error
from models.aggregates.group_tests import LIMITS, chi_square_tail, hazard_ratio, log_rank
from models.aggregates.life_table import LifeTable, crossing, decreasing, restricted_mean
from models.aggregates.requests import Survival, normalise, parse_analysis
from models.aggregates.survival import figures
from models.contribution import CellCounts
from models.mock import mock_run
from models.noise_law import NoiseLaw
from models.planner import preview
from models.reference import contribute, total
from models.result import NO_INFORMATION, Estimate
from models.rows import Rows, from_tables
from models.sentences import sentence
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho
from tests.support.rows_factory import categorical, hostile_rows, many_rows, number, one_row

EDGES = tuple(str(month) for month in range(0, 61, 5))
CLINIC = Dictionary(
    tables=(
        one_row(
            "members",
            number("months", ("0", "120"), ("0", "6", "12", "24", "120"), "months"),
            Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
            categorical("ending", "alive", "moved away", "dead"),
            categorical("arm", "control", "drug", "both"),
            number("height"),
        ),
        many_rows("visits", 3, categorical("site", "a", "b"), number("day", ("0", "90"))),
    )
)
NEGLIGIBLE = GaussianSum(delta_grid=2**30, nodes=3, margin=1, log2_sigma=4)
RATES = {"control": 1 / 40, "drug": 1 / 80, "both": 1 / 40}


ONE_GROUP = Survival(time="months", event="died", edges=("0", "5", "10")).shape(CLINIC)


def population(seed: int, members: int = 3000) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    arm = rng.choice(list(RATES), size=members)
    died = rng.exponential([1 / RATES[each] for each in arm])
    left = rng.uniform(0, 110, members)
    ending = np.where(died <= left, "dead", rng.choice(["alive", "moved away"], members))
    return {
        "id": list(range(members)),
        "months": np.minimum(died, left).tolist(),
        "died": ["true" if happened else "false" for happened in died <= left],
        "ending": ending.tolist(),
        "arm": arm.tolist(),
        "height": [None] * members,
    }


def answer(asked: Survival, data: dict[str, Any], law: NoiseLaw | None = None) -> list[Estimate]:
    law = law or NoiseLaw(NEGLIGIBLE, survivors=3)
    full = normalise(asked, CLINIC)
    shape = contribution(full, CLINIC, law.mechanism.delta_grid)
    rows = from_tables(CLINIC, {"members": data})
    totals = total(shape, rows, np.ones(rows.members, dtype=bool))
    result = estimate(full, CLINIC, totals.tolist(), law)
    assert tuple(row.cell for row in result.rows) == cells(full, CLINIC)
    return list(result.rows)


def by_cell(rows: list[Estimate]) -> dict[tuple[str, ...], Estimate]:
    return {row.cell: row for row in rows}


def test_without_noise_the_figures_are_those_of_lifelines() -> None:
    """To within what bins of one twelfth of the follow-up cost."""
    data = population(seed=1)
    asked = Survival(time="months", event="died", by=("arm",), edges=EDGES)
    found = by_cell(answer(asked, data))
    months, died = np.array(data["months"]), np.array(data["died"]) == "true"
    arms = np.array(data["arm"])
    for arm in RATES:
        fitted = KaplanMeierFitter().fit(months[arms == arm], died[arms == arm])
        for edge in EDGES[1:]:
            row = found["survival", arm, edge]
            assert row.estimate == pytest.approx(float(fitted.predict(float(edge))), abs=0.006)
            assert row.low < row.estimate < row.high
            assert row.noise_share < 1e-3
        if fitted.median_survival_time_ < 60:
            median = found["median survival (months)", arm, ""].estimate
            assert median == pytest.approx(fitted.median_survival_time_, abs=1.0)
    ended = np.minimum(months, 60), died & (months < 60)
    tested = multivariate_logrank_test(ended[0], arms, ended[1])
    assert found["log-rank chi-square", "", ""].estimate == pytest.approx(
        tested.test_statistic, rel=0.05
    )
    assert found["log-rank p-value", "", ""].estimate < 1e-9


def test_without_noise_the_hazard_ratio_is_that_of_a_cox_model() -> None:
    import pandas as pd

    data = population(seed=2)
    found = by_cell(answer(Survival(time="months", event="died", by=("arm",), edges=EDGES), data))
    frame = pd.DataFrame({name: data[name] for name in ("months", "arm")})
    frame["event"] = (np.array(data["died"]) == "true") & (frame.months < 60)
    frame["months"] = frame.months.clip(upper=60)
    for arm in ("drug", "both"):
        pair = frame[frame.arm.isin(["control", arm])].copy()
        pair["arm"] = (pair.arm == arm).astype(int)
        fit = CoxPHFitter().fit(pair, "months", "event").summary.loc["arm"]
        row = found["hazard ratio", arm, ""]
        assert row.estimate == pytest.approx(fit["exp(coef)"], rel=0.02)
        assert row.low == pytest.approx(fit["exp(coef) lower 95%"], rel=0.03)
        assert row.high == pytest.approx(fit["exp(coef) upper 95%"], rel=0.03)


def test_greenwoods_variance_and_the_restricted_mean() -> None:
    data = population(seed=3)
    asked = Survival(time="months", event="died", edges=EDGES)
    found = by_cell(answer(asked, data))
    died = np.array(data["died"]) == "true"
    fitted = KaplanMeierFitter().fit(np.array(data["months"]), died)
    spread = fitted.confidence_interval_.iloc[:, 1] - fitted.confidence_interval_.iloc[:, 0]
    at = spread[spread.index <= 30].iloc[-1]
    row = found["survival", "30"]
    assert row.high - row.low == pytest.approx(at, rel=0.05)
    curve = fitted.survival_function_.iloc[:, 0]
    times = np.append(curve.index[curve.index < 60], 60.0)
    area = float((np.diff(times) * curve[curve.index < 60]).sum())
    mean = found["restricted mean (months)", "60"]
    assert mean.estimate == pytest.approx(area, abs=0.2)
    assert mean.se_sampling == pytest.approx(0.42, abs=0.05)


def test_other_levels_are_censorings() -> None:
    data = population(seed=4)
    boolean = answer(Survival(time="months", event="died", edges=EDGES), data)
    named = answer(Survival(time="months", event="ending", edges=EDGES, happened="dead"), data)
    assert [row.estimate for row in named] == [row.estimate for row in boolean]
    three = LifeTable(np.ones(2), np.ones(2), 50.0, noise_sd=3.0, other_levels=2)
    assert three.count_sds == pytest.approx(3 * np.sqrt([1, 1, 2, 2, 3]))


def test_each_member_is_in_one_cell_whatever_the_rows_hold() -> None:
    asked = normalise(Survival(time="months", event="ending", by=("arm",), happened="dead"), CLINIC)
    shape = contribution(asked, CLINIC, 1000)
    assert isinstance(shape, CellCounts)
    assert (shape.weight, shape.max_cells, shape.norm_squared) == (1000, 1, 1000**2)
    rows: Rows = hostile_rows(CLINIC, members=300, seed=1)
    matrix = contribute(shape, rows, np.ones(300, dtype=bool))
    assert set(matrix.sum(axis=1).tolist()) <= {0, 1000}


def test_times_beyond_the_last_edge_count_as_followed_to_it() -> None:
    data = {
        "id": [1, 2, 3, 4],
        "months": [3.0, 8.0, 100.0, 120.0],
        "died": ["true", "true", "true", "false"],
    }
    rows = answer(Survival(time="months", event="died", edges=("0", "5", "10")), data)
    assert [row.estimate for row in rows[:2]] == pytest.approx([0.75, 0.5])
    whole = answer(Survival(time="months", event="died"), data)
    assert [row.cell[1] for row in whole[:4]] == ["6", "12", "24", "120"]


def noisy(truth: LifeTable, sd: float, rng: np.random.Generator) -> LifeTable:
    events = truth.events + rng.normal(0, sd, truth.bins)
    censored = truth.censored + rng.normal(0, sd, truth.bins)
    after = truth.after + rng.normal(0, sd * np.sqrt(2))
    return LifeTable(events, censored, after, sd)


TRUTH = LifeTable(np.full(8, 40.0), np.full(8, 20.0), 120.0, 0.0)


def test_the_noise_variance_is_what_noise_does() -> None:
    """The Jacobian against 4,000 draws; a chi-square at 1 in 10^9 either way."""
    rng = np.random.default_rng(5)
    sd, runs = 4.0, 4000
    raw = np.array([noisy(TRUTH, sd, rng).raw for _ in range(runs)])
    claimed = LifeTable(TRUTH.events, TRUTH.censored, TRUTH.after, sd).noise_variance
    ratio = raw.var(axis=0, ddof=1) / claimed
    low, high = chi2.ppf([1e-9 / 2, 1 - 1e-9 / 2], runs - 1) / (runs - 1)
    assert (low * 0.97 < ratio).all()
    assert (ratio < high * 1.03).all()
    assert not (ratio * 1.44 < high * 1.03).any()  # noise understated by a sixth is caught
    assert not (ratio * 0.69 > low * 0.97).any()


def test_the_noise_of_the_ratio_and_of_the_restricted_mean_is_what_noise_does() -> None:
    rng = np.random.default_rng(6)
    other = LifeTable(np.full(8, 25.0), np.full(8, 20.0), 240.0, 0.0)
    pairs = [(noisy(TRUTH, 3.0, rng), noisy(other, 3.0, rng)) for _ in range(1500)]
    ratios = [hazard_ratio(*pair) for pair in pairs]
    logs = np.log([ratio.value for ratio in ratios])
    claimed = np.median([ratio.se_noise / ratio.value for ratio in ratios])
    assert logs.std() == pytest.approx(float(claimed), rel=0.15)
    widths = np.full(8, 5.0)
    means = [restricted_mean(pair[0], widths) for pair in pairs]
    spread = float(np.std([mean[0] for mean in means]))
    assert spread == pytest.approx(float(np.median([mean[2] for mean in means])) ** 0.5, rel=0.15)


def test_the_test_keeps_its_level_under_noise() -> None:
    """Binomial at 1 in 10^9 around 5 %; without the noise's share it is far above."""
    rng = np.random.default_rng(7)
    runs, hits, naive = 1000, 0, 0
    for _ in range(runs):
        tables = []
        for size in (400, 300, 500):
            time = rng.exponential(40, size)
            events = np.histogram(time, bins=np.arange(0, 41, 5))[0].astype(float)
            exact = LifeTable(events, np.zeros(8), float((time >= 40).sum()), 0.0)
            tables.append(noisy(exact, 5.0, rng))
        p_value = (log_rank(tables) or (0.0, 1.0))[1]
        bare = [LifeTable(each.events, each.censored, each.after, 0.0) for each in tables]
        hits += p_value < 0.05
        naive += (log_rank(bare) or (0.0, 1.0))[1] < 0.05
    allowed = binom.ppf([1e-9, 1 - 1e-9], runs, [0.03, 0.07])
    assert allowed[0] <= hits <= allowed[1]
    assert naive > allowed[1]


def test_chi_square_tails() -> None:
    for degrees in (1, 2, 3, 6, 9):
        for value in (0.0, 0.1, 3.84, 30.0):
            assert chi_square_tail(value, degrees) == pytest.approx(chi2.sf(value, degrees))


def test_the_curve_never_rises_and_is_nearest() -> None:
    rng = np.random.default_rng(8)
    from scipy.optimize import isotonic_regression

    for _ in range(20):
        values, weights = rng.normal(size=12), rng.uniform(0.1, 3, 12)
        expected = isotonic_regression(values, weights=weights, increasing=False).x
        np.testing.assert_allclose(decreasing(values, weights), expected)
        table = noisy(TRUTH, 30.0, rng)
        assert (np.diff(table.survival) <= 0).all()
        low, high = table.interval()
        assert (np.diff(low) <= 0).all()
        assert (np.diff(high) <= 0).all()
        assert ((low >= 0) & (low <= high) & (high <= 1)).all()


def test_what_noise_hides_is_called_no_information() -> None:
    law = NoiseLaw(plan_mechanism(Rho.round_down(Fraction(1, 10**5)), 3, 1), survivors=3)
    asked = Survival(time="months", event="died", by=("arm",), edges=EDGES)
    rows = answer(asked, population(seed=9, members=60), law)
    figures = {row.cell[0] for row in rows if row.note == NO_INFORMATION}
    assert {"survival", "restricted mean (months)", "log-rank p-value", "hazard ratio"} <= figures
    for row in rows:
        if row.cell[0] == "survival":
            assert (row.low, row.high) == (0.0, 1.0)
        if row.cell[0] == "hazard ratio":
            assert (row.low, row.high) == LIMITS
        if row.cell[0] == "median survival (months)":
            assert (row.low, row.high, row.note) == (0.0, 60.0, NO_INFORMATION)
        if row.cell[0] == "restricted mean (months)":
            assert (row.low, row.high) == (0.0, 60.0)
    empty = LifeTable(np.zeros(3), np.zeros(3), 0.0, 0.0)
    assert not empty.known.any()
    assert log_rank([empty, empty]) is None


def test_of_hidden_bins_nothing_is_said() -> None:
    """One bin is seen: the median may be anywhere after it, the mean is its own area at least."""
    table = LifeTable(np.array([10.0, 5.0]), np.array([85.0, 5.0]), 5.0, noise_sd=6.0)
    assert table.known.tolist() == [True, False]
    rows = {row.cell[0]: row for row in figures(ONE_GROUP, [table])}
    low, high = table.interval()
    median, mean = rows["median survival (months)"], rows["restricted mean (months)"]
    assert (median.low, median.high) == (5.0, 10.0)
    assert mean.low == pytest.approx((1 + low[0]) / 2 * 5)
    assert mean.high == pytest.approx((1 + high[0]) / 2 * 5 + high[0] * 5)
    assert mean.note == "a part is hidden by noise"


def test_medians_that_are_not_reached_say_so() -> None:
    edges = np.array([0.0, 10.0, 20.0])
    assert crossing(np.array([0.8, 0.4]), edges) == pytest.approx(17.5)
    assert crossing(np.array([0.5, 0.4]), edges) == 10.0
    assert crossing(np.array([0.9, 0.8]), edges) is None
    asked = Survival(time="months", event="died", edges=("0", "2", "4"))
    median = by_cell(answer(asked, population(seed=10)))["median survival (months)", ""]
    assert (median.estimate, median.low, median.high) == (4.0, 4.0, 4.0)
    assert median.note == "not reached"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Survival(time="day", event="died", edges=("0", "9")), "many rows per member"),
        (Survival(time="months", event="site", happened="a"), "many rows per member"),
        (Survival(time="months", event="died", by=("site",)), "many rows per member"),
        (Survival(time="months", event="ending"), "alive, moved away, dead"),
        (Survival(time="height", event="months"), "boolean or categorical"),
        (Survival(time="months", event="died", happened="dead"), "false, true"),
        (Survival(time="height", event="died"), "write the edges"),
        (Survival(time="height", event="died", edges=("0", "9")), "declare lower and upper"),
        (Survival(time="arm", event="died", edges=("0", "9")), "no number"),
        (Survival(time="months", event="died", edges=("0", "200")), "stay within 0 to 120"),
        (Survival(time="months", event="died", edges=("5", "20")), "start with 0"),
        (Survival(time="months", event="died", edges=("0", "9", "9")), "do not ascend"),
        (Survival(time="months", event="died", by=("died",)), "stands twice"),
        (Survival(time="months", event="age"), "no column 'age'"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_write(asked: Survival, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(asked, CLINIC)
    assert words in str(caught.value) + caught.value.instead


def test_too_many_cells_are_refused() -> None:
    dictionary = Dictionary(
        tables=(
            one_row(
                "members",
                number("months", ("0", "1000")),
                Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
                categorical("place", *(f"p{at}" for at in range(60))),
            ),
        )
    )
    edges = tuple(map(str, range(1001)))
    with pytest.raises(Refused) as caught:
        normalise(Survival(time="months", event="died", by=("place",), edges=edges), dictionary)
    assert caught.value.code is Code.TOO_MANY_CELLS


def test_the_request_reads_back_and_says_what_it_is() -> None:
    asked = normalise(Survival(time="months", event="died", by=("arm",)), CLINIC)
    assert parse_analysis(asked.to_json()) == asked
    assert normalise(asked, CLINIC) == asked
    assert sentence(asked, "") == (
        "Estimates survival until died by months up to 120, by arm, among all members"
    )


def test_the_preview_tells_the_error_before_asking() -> None:
    asked = Survival(time="months", event="died", edges=EDGES)
    terms: dict[str, Any] = {"delta": Fraction(1, 10**6), "nodes": 10, "margin": 2}
    near = preview(asked, "", CLINIC, epsilon="1", **terms, assumed_members=2000)
    assert near.half_width is not None
    rows = answer(
        asked,
        population(seed=11, members=2000),
        NoiseLaw(plan_mechanism(Rho.parse(near.rho), 10, 2), survivors=10),
    )
    last = by_cell(rows)["survival", "60"]
    assert near.half_noise == pytest.approx(1.96 * last.se_noise, rel=0.5)
    assert "half of whom come to 60" in near.assumption
    few = preview(asked, "", CLINIC, epsilon="0.01", **terms, assumed_members=50)
    assert few.half_width is None
    law = NoiseLaw(NEGLIGIBLE, survivors=3)
    assert expected_error(normalise(asked, CLINIC), CLINIC, law, None) is None


def test_made_up_members_answer_it() -> None:
    drawn = np.random.default_rng(12)
    result = mock_run(
        Survival(time="months", event="died", by=("arm",), edges=EDGES),
        "",
        CLINIC,
        epsilon="1",
        delta=Fraction(1, 10**6),
        nodes=3,
        margin=1,
        entropy=drawn.bytes,
    )
    assert result.by == ("figure", "arm", "months")
    assert len(result.rows) == 3 * 12 + 3 + 3 + 2 + 2
    assert "Hazard ratios are against control" in result.notes[-1]
