"""Matched comparison of slopes: the lithium study's reach, honest intervals, and the bound."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from bench.bench_compare import (
    ASKED,
    DICTIONARY,
    EPSILONS,
    OTHERS,
    PLANTED,
    POWER,
    REACH,
    TREATED,
    Population,
    measure,
)
from bench.bench_quantiles import laws
from models.aggregates import weighted_difference
from models.aggregates.catalogue import estimate
from models.aggregates.requests import Compare, normalise, parse_analysis
from models.aggregates.weighted_difference import Agreed, Arm, compared, figures
from models.changed import changed
from models.contribution import Products
from models.dictionary_file import load_dictionary
from models.mock import mock_rows
from models.planner import preview
from models.reference import contribute, total
from models.result import Result
from models.rows import Rows, from_tables
from models.sentences import sentence
from privacy.errors import BadInput, Refused
from tests.support.catalogue_factory import answer, by_cell

VISITS = 25  # a month apart, a year before the index and a year after it
BASELINE = np.datetime64("2020-01-01")


def lithium(effect: float = 0.0, seed: int = 1, others: int = OTHERS, leaning: float = 0.0) -> Rows:
    """People with ALS and their monthly scores; some take lithium from the index on."""
    rng = np.random.default_rng(seed)
    size = TREATED + others
    loss = rng.gamma(3.94, 0.89 / 3.94, size)
    arm = np.zeros(size, dtype=bool)
    arm[np.argsort(rng.exponential(size=size) / np.exp(leaning * loss / 0.89))[:TREATED]] = True
    months = np.arange(VISITS) - 12
    start = rng.uniform(24, 40, size)
    score = start[:, None] - loss[:, None] * months + effect * arm[:, None] * np.maximum(months, 0)
    score = np.clip(np.rint(score + rng.normal(0, 1.0, score.shape)), 0, 48)
    days = BASELINE + np.rint(months * 30.4375).astype("timedelta64[D]")
    keys = [f"m{at}" for at in range(size)]
    return from_tables(
        DICTIONARY,
        {
            "members": {"id": keys, "baseline": [str(BASELINE)] * size},
            "visits": {
                "id": np.repeat(keys, VISITS).tolist(),
                "day": np.tile(days.astype(str), size).tolist(),
                "score": score.ravel().tolist(),
            },
            "treatments": {
                "id": keys,
                "drug": ["lithium" if each else "riluzole" for each in arm],
            },
        },
    )


def slopes_of(rows: Rows, first: int, last: int) -> np.ndarray:
    """Least-squares slopes per month of the visits from `first` to `last`, by numpy."""
    score = rows.tables["visits"].values["score"].reshape(-1, VISITS)[:, first:last]
    day = rows.tables["visits"].values["day"].reshape(-1, VISITS)[:, first:last].astype(float)
    return np.array(
        [30.4375 * np.polyfit(x - x[0], y, 1)[0] for x, y in zip(day, score, strict=True)]
    )


def test_without_noise_it_is_the_stratified_difference() -> None:
    rows = lithium(leaning=0.4)
    before, after = slopes_of(rows, 0, 13), np.clip(slopes_of(rows, 13, VISITS), -3, 1)
    score = rows.tables["visits"].values["score"].reshape(-1, VISITS)[:, 12]
    arm = rows.tables["treatments"].values["drug"] == 0
    cell = 3 * np.digitize(before, [-1.5, -1, -0.5]) + np.digitize(score, [24, 36])
    gaps, weights = [], []
    for each in np.unique(cell[arm]):
        mine, theirs = after[arm & (cell == each)], after[~arm & (cell == each)]
        stand_in = theirs if len(theirs) else after[~arm]  # nobody is like them
        gaps.append(mine.mean() - stand_in.mean())
        weights.append(len(mine))
    found = by_cell(answer(ASKED, rows))
    wanted = float(np.average(gaps, weights=weights))
    assert found["difference",].estimate == pytest.approx(wanted, abs=2e-3)
    assert found["treated",].estimate == pytest.approx(after[arm].mean(), abs=1e-3)
    assert found["others",].estimate == pytest.approx(after[~arm].mean(), abs=1e-3)
    crude = after[arm].mean() - after[~arm].mean()
    assert abs(found["difference",].estimate) < 0.5 * abs(crude)


def test_the_published_null_result_and_a_planted_effect() -> None:
    """149 took lithium, 447 others were like them: nothing at twelve months."""
    for effect, seed in ((0.0, 1), (0.0, 2), (PLANTED, 3), (PLANTED, 4)):
        rows = lithium(effect, seed)
        result = answer(ASKED, rows, epsilon="2", seed=seed, nodes=10)
        row = by_cell(result)["difference",]
        assert (row.high - row.low) / 2 < REACH
        assert row.low <= 0 <= row.high if effect == 0 else row.low > 0
        told = [int(each) for each in re.findall(r"\d+", result.notes[0])]
        assert told == pytest.approx([TREATED, OTHERS], abs=60)


def test_reach_over_many_runs() -> None:
    null = measure(Population(), "2", 150)
    assert null.half < REACH
    assert null.covered(0.0) >= 95 - 500 * math.sqrt(0.05 * 0.95 / 150)
    assert measure(Population(effect=PLANTED), "2", 60).detected >= POWER


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("members", [100, 500, 5000])
def test_intervals_cover(members: int, epsilon: str) -> None:
    runs = 2000
    who = Population(members // 4, members - members // 4, PLANTED)
    below = 300 * math.sqrt(0.05 * 0.95 / runs)
    covered = measure(who, epsilon, runs).covered(PLANTED)
    assert covered >= 93 - below
    assert covered <= 97.5 + below or members * float(epsilon) <= 150


def test_a_mutant_without_noise_in_its_interval_does_not_cover(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        weighted_difference, "_noise", lambda arm: 0 * weighted_difference._flat(arm)
    )
    assert measure(Population(), "2", 60).covered(0.0) < 80


def test_what_strata_correct_a_crude_difference_does_not() -> None:
    who = Population(treated=500, others=1500, leaning=0.8)
    fine = changed(ASKED, slope_cuts=("-2", "-1.6", "-1.2", "-0.9", "-0.6", "-0.3"))
    coarse = changed(ASKED, slope_cuts=("0.9",), score_cuts=("1",))
    matched, crude = (measure(who, "3", 40, asked).middle.mean() for asked in (fine, coarse))
    assert abs(matched) < 0.35 * abs(crude)


def hostile(members: int = 60) -> Rows:
    """Impossible scores and gaps."""
    rng = np.random.default_rng(2)
    rows = lithium(others=members)
    values = rows.tables["visits"].values["score"]
    values[:] = rng.choice([np.nan, -1e9, 1e300, 0.0, 48.0], len(values))
    return rows


@pytest.mark.parametrize("delta_grid", [100, 999_983, 2**30])
@pytest.mark.parametrize("rows", [lithium(others=60), hostile()], ids=["plain", "hostile"])
def test_no_member_exceeds_the_bound(rows: Rows, delta_grid: int) -> None:
    shape = normalise(ASKED, DICTIONARY).contribution(DICTIONARY, delta_grid)
    matrix = contribute(shape, rows, np.ones(rows.members, dtype=bool))
    norms = [sum(int(each) ** 2 for each in line) for line in matrix]
    assert 0 < max(norms) <= shape.norm_squared <= delta_grid**2
    assert delta_grid == 100 or shape.norm_squared > 0.9 * delta_grid**2


def test_a_mutant_that_does_not_clamp_breaks_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = normalise(ASKED, DICTIONARY).contribution(DICTIONARY, 10_000)
    rows = hostile()

    def unclamped(variable: object, values: np.ndarray) -> np.ndarray:
        return np.full(len(values), 3 * shape.parts[0].scale, dtype=np.int64)  # type: ignore[union-attr]

    monkeypatch.setattr("models.reference.quantised", unclamped)
    matrix = contribute(shape, rows, np.ones(rows.members, dtype=bool))
    assert max(sum(int(each) ** 2 for each in line) for line in matrix) > 10_000**2


def test_who_is_in_no_stratum_is_in_no_arm() -> None:
    """A member without an earlier slope adds nothing, to no part."""
    rows = lithium(others=40)
    score = rows.tables["visits"].values["score"].reshape(-1, VISITS)
    score[:5, :13] = np.nan
    shape = normalise(ASKED, DICTIONARY).contribution(DICTIONARY, 10_000)
    matrix = contribute(shape, rows, np.ones(rows.members, dtype=bool))
    assert not matrix[:5].any()
    assert (np.count_nonzero(matrix, axis=1)[5:] >= 4).all()


def test_any_split_gives_the_pooled_total() -> None:
    rows = hostile()
    shape = normalise(ASKED, DICTIONARY).contribution(DICTIONARY, 2**20)
    home = np.random.default_rng(1).integers(0, 4, size=rows.members)
    parts = [rows.select(home == node) for node in range(4)]
    split = sum(total(shape, part, np.ones(part.members, dtype=bool)) for part in parts)
    np.testing.assert_array_equal(split, total(shape, rows, np.ones(rows.members, dtype=bool)))


def arm(counts: list[float], sums: list[float], sd: float = 0.0) -> Arm:
    square = float(np.square(np.array(sums) / np.array(counts)) @ counts) + 0.1 * sum(counts)
    return Arm(np.array(counts), np.array(sums), sum(counts), sum(sums), square, sd, sd, sd)


def test_figures_by_hand() -> None:
    others, treated = arm([30, 60], [3, -12]), arm([20, 10], [10, 2])
    found = figures(others, treated)
    np.testing.assert_allclose(found.means, [0.1, -0.2])
    rows = compared(others, treated)
    assert rows.difference.estimate == pytest.approx((12 - (20 * 0.1 - 10 * 0.2)) / 30)
    variance = 0.1 * 30 + 20 * (0.5 - 0.1 - 0.4) ** 2 + 10 * (0.2 + 0.2 - 0.4) ** 2
    variance += 0.1 * (20**2 / 30 + 10**2 / 60)
    assert rows.difference.se_sampling == pytest.approx(math.sqrt(variance) / 30)
    assert rows.difference.se_noise == 0
    assert rows.thin == 0


def test_a_thin_stratum_borrows_from_all_others() -> None:
    others, treated = arm([100, 2], [20, -2], sd=4.0), arm([20, 10], [10, 2], sd=4.0)
    found = figures(others, treated)
    centre = found.others.total / found.others.members
    assert abs(found.means[1] - centre) < 0.2
    assert compared(others, treated).thin == 1
    assert isinstance(found.others, Agreed)


def test_arms_of_many_levels_and_groups() -> None:
    text = """
        [tables.members]
        key = "id"
        rows = "one"
        [tables.members.columns]
        baseline = { type = "date" }
        arm = { levels = ["none", "low", "high"] }
        site = { levels = ["a", "b"] }
        [tables.visits]
        key = "id"
        rows = "many"
        max_rows_per_member = 30
        time = "day"
        [tables.visits.columns]
        day = { type = "date" }
        score = { type = "number", lower = 0, upper = 48, bins = [0, 20, 40, 48] }
        """
    dictionary = load_dictionary(text, "dictionary.toml")
    asked = Compare(outcome="score", treated="arm", exposed="high", index="baseline", by=("site",))
    full = normalise(asked, dictionary)
    assert isinstance(full, Compare)
    assert full.slopes == ("-4", "4")
    assert full.slope_cuts == ("-2", "0", "2")
    assert full.score_cuts == ("20", "40")
    law = laws("1", 1)
    shape = full.contribution(dictionary, law.mechanism.delta_grid)
    cells, whole = shape.parts
    assert isinstance(cells, Products)
    assert isinstance(whole, Products)
    assert (cells.cells, whole.cells) == (4 * 3 * 2 * 3, 2 * 3)
    others, treated = full.design(dictionary).arms(shape, [0] * shape.length, law)
    assert others.sd == pytest.approx(math.sqrt(2) * treated.sd)
    assert treated.sd_total == pytest.approx(math.sqrt(2) * treated.sd)
    found = answer(asked, mock_rows(dictionary, members=300, seed=5))
    assert Result.from_json(found.to_json()) == found


@pytest.mark.parametrize("epsilon", ["0.1", "1e15"])
@pytest.mark.parametrize("cohort", ["", "baseline > '2050-01-01'"])
def test_an_answer_of_anybody_or_nobody_is_finite(epsilon: str, cohort: str) -> None:
    result = answer(ASKED, mock_rows(DICTIONARY, 120, 3), cohort, epsilon)
    for row in result.rows:
        assert np.isfinite(list(row.numbers().values())).all(), row
        assert row.low <= row.high
    if cohort:
        assert result.rows[0].note == "no information"


def test_it_is_read_back_said_in_words_and_priced() -> None:
    asked = normalise(ASKED, DICTIONARY)
    assert parse_analysis(asked.to_json()) == asked
    assert normalise(asked, DICTIONARY) == asked
    assert len(sentence(asked, "")) < 200
    wide, narrow = (
        preview(
            changed(ASKED, slopes=limits, slope_cuts=()),
            "",
            DICTIONARY,
            epsilon="2",
            delta=Fraction(1, 10**6),
            nodes=10,
            margin=2,
            assumed_members=596,
        )
        for limits in (("-4", "4"), ("-3", "1"))
    )
    assert wide.half_width is not None
    assert narrow.half_width is not None
    assert narrow.half_width == pytest.approx(wide.half_width / 2, rel=0.01)
    assert 0.1 < narrow.half_width < 0.5
    with pytest.raises(BadInput, match="the total has"):
        estimate(asked, DICTIONARY, [0], laws("1", 1))


WRONG: list[tuple[Callable[[], Compare], str]] = [
    (lambda: changed(ASKED, outcome="drug"), "no mean"),
    (lambda: changed(ASKED, outcome="baseline"), "one value per member"),
    (lambda: changed(ASKED, outcome="nothing"), "no column"),
    (lambda: changed(ASKED, treated="drug"), "many rows per member"),
    (lambda: changed(ASKED, treated="any(treatments: drug == 'x')"), "x"),
    (lambda: changed(ASKED, treated="baseline"), "no cells"),
    (lambda: changed(ASKED, exposed="yes"), "write one of false, true"),
    (lambda: changed(ASKED, index="day"), "many rows per member"),
    (lambda: changed(ASKED, index="count(visits)"), "no date"),
    (lambda: changed(ASKED, months=0), "ends before it starts"),
    (lambda: changed(ASKED, before=-3), "ends before it starts"),
    (lambda: changed(ASKED, months=1000), "1 to 240"),
    (lambda: changed(ASKED, rows=1), "at least 2 rows"),
    (lambda: changed(ASKED, months=2), "do not fit"),
    (lambda: changed(ASKED, slopes=("1", "-3")), "lower and its upper"),
    (lambda: changed(ASKED, slopes=("-9", "1")), "outside the bounds"),
    (lambda: changed(ASKED, slope_cuts=("-5",)), "outside|ascend"),
    (lambda: changed(ASKED, score_cuts=("36", "24")), "ascend"),
    (lambda: changed(ASKED, score_cuts=("many",)), "no number"),
    (lambda: changed(ASKED, by=("drug",)), "many rows per member"),
    (lambda: changed(ASKED, by=("baseline",)), "no cells"),
]


@pytest.mark.parametrize(("asked", "words"), WRONG)
def test_what_does_not_fit_is_refused(asked: Callable[[], Compare], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(asked(), DICTIONARY)
    assert any(each in str(caught.value) for each in words.split("|")), caught.value


def test_too_many_strata_are_refused() -> None:
    cuts = tuple(str(each / 100) for each in range(-250, 50))
    with pytest.raises(Refused):
        normalise(changed(ASKED, slope_cuts=cuts), DICTIONARY)


def test_an_outcome_without_bounds_has_no_strata() -> None:
    open_ = load_dictionary(
        """
        [tables.m]
        key = "id"
        rows = "one"
        [tables.m.columns]
        start = { type = "date" }
        took = { type = "boolean" }
        [tables.v]
        key = "id"
        rows = "many"
        max_rows_per_member = 9
        time = "day"
        [tables.v.columns]
        day = { type = "date" }
        score = { type = "number" }
        """,
        "dictionary.toml",
    )
    with pytest.raises(BadInput, match="declare lower and upper"):
        normalise(Compare(outcome="score", treated="took", index="start"), open_)
