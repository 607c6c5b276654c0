"""Quantiles in rounds: numpy's without noise, near with it, and bound whatever a state says."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.bench_quantiles import DICTIONARY, SOURCES, TARGET, histogram, laws, measure, search
from models.aggregates.quantiles import MOST, Quantiles
from models.aggregates.rank_search import (
    Counted,
    Ranks,
    first_cuts,
    law,
    locate,
    next_cuts,
    ranks,
)
from models.aggregates.requests import normalise
from models.aggregates.value_grid import value_grid
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import contribute, total
from models.result import Result
from models.rows import Rows, from_tables
from privacy.contract.canonical import canonical_bytes
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho
from tests.support.rows_factory import clinic, hostile_rows, number, one_row

RUNS = 400
EXACT = NoiseLaw(GaussianSum(delta_grid=2**30, nodes=3, margin=1, log2_sigma=4), survivors=3)
SCORES = Dictionary(
    tables=(
        one_row(
            "t",
            Column(name="points", type=ColumnType.INTEGER, lower="0", upper="27"),
            number("score", ("-5", "20"), unit="mmol/l"),
            number("open"),
            Column(name="level", type=ColumnType.INTEGER, lower="3", upper="4"),
            Column(name="single", type=ColumnType.INTEGER, lower="3.5", upper="4.2"),
        ),
    )
)


def asked(column: str, *q: str) -> Quantiles:
    found = normalise(Quantiles(column=column, q=q or ("0.5",)), SCORES)
    assert isinstance(found, Quantiles)
    return found


def rounds(question: Quantiles, rows: Rows, law: NoiseLaw, seed: int | None = None) -> Result:
    """All rounds on rows in memory, by the contribution's own bins; noise where a seed is."""
    rng = np.random.default_rng(seed)
    opened: list[Opening] = []
    everyone = np.ones(rows.members, dtype=bool)
    for at in range(len(question.shares(rows.dictionary))):
        state = question.state(rows.dictionary, opened)
        shape = question.contribution_at(rows.dictionary, law.mechanism.delta_grid, at, state)
        exact = total(shape, rows, everyone)
        noise = rng.normal(0, law.sd_grid, len(exact)) if seed is not None else np.zeros(len(exact))
        totals = tuple(int(each) for each in exact + np.rint(noise).astype(np.int64))
        opened.append(Opening(totals, law, state))
    return question.conclude(rows.dictionary, opened)


def scores(column: str, values: object) -> Rows:
    count = len(values)  # type: ignore[arg-type]
    return from_tables(SCORES, {"t": {"id": [f"m{i}" for i in range(count)], column: values}})


@pytest.mark.parametrize("q", [("0.5",), ("0.1", "0.5", "0.9"), ("0.75", "0.25")])
def test_without_noise_it_is_the_quantile_of_the_data(q: tuple[str, ...]) -> None:
    values = np.random.default_rng(3).gamma(3, 1.5, 4000) - 4
    found = rounds(asked("score", *q), scores("score", values), EXACT)
    for row, level in zip(found.rows, map(float, q), strict=True):
        clamped = np.clip(values, -5, 20)
        assert np.mean(clamped < row.estimate) == pytest.approx(level, abs=0.003)
        half = 1.96 * math.sqrt(level * (1 - level) / 4000)
        low, high = (np.quantile(clamped, each) for each in (level - half, level + half))
        assert row.low == pytest.approx(low, abs=0.04)
        assert row.high == pytest.approx(high, abs=0.04)
        assert row.low < row.estimate < row.high
    assert found.unit == "mmol/l"
    assert any("4,000 members" in note for note in found.notes)


def test_of_whole_numbers_it_is_one_of_them() -> None:
    values = np.random.default_rng(4).binomial(27, 0.3, 3001)
    found = rounds(asked("points", "0.25", "0.5", "0.75"), scores("points", values), EXACT)
    wanted = [float(np.sort(values)[int(q * 3001)]) for q in (0.25, 0.5, 0.75)]
    assert [row.estimate for row in found.rows] == wanted
    for row in found.rows:
        assert row.low == int(row.low) <= row.estimate <= row.high == int(row.high)
        assert row.high - row.low <= 1


def test_a_column_of_two_values_has_one_cut() -> None:
    question = asked("level", "0.25", "0.5", "0.75")
    shape = question.contribution(SCORES, 1000)
    assert shape.length == question.length_at(SCORES, 1000, 3) == 2
    found = rounds(question, scores("level", [3] * 40 + [4] * 60), EXACT)
    assert [row.estimate for row in found.rows] == [3.0, 4.0, 4.0]


def test_a_value_that_many_have_is_found() -> None:
    values = np.concatenate([np.full(300, 7.25), np.linspace(-5, 20, 200)])
    (row,) = rounds(asked("score"), scores("score", values), EXACT).rows
    assert row.low <= 7.25 <= row.high
    assert row.high - row.low < 0.02


def test_gaps_are_left_out_and_bounds_clamp() -> None:
    values = [float("nan")] * 500 + [-40.0] * 30 + [3.0] * 40 + [99.0] * 30
    found = rounds(asked("score"), scores("score", values), EXACT)
    assert found.rows[0].estimate == pytest.approx(3, abs=0.01)
    assert any("About 100 members" in note for note in found.notes)


@pytest.mark.parametrize("number", [0, 3])
def test_one_member_is_in_one_cell_whatever_the_state(number: int) -> None:
    question = normalise(Quantiles(column="change"), clinic())
    assert isinstance(question, Quantiles)
    rows = hostile_rows(clinic(), members=80, seed=5)
    for cuts in ([1, 2, 3], [65_533, 65_534, 65_535], [7, 30_000, 65_000]):
        state = canonical_bytes(cuts)
        shape = question.contribution_at(clinic(), 999_983, number, state)
        assert shape.norm_squared <= 999_983**2
        assert shape.length == question.length_at(clinic(), 999_983, number)
        matrix = contribute(shape, rows, np.ones(80, dtype=bool))
        assert set(np.unique(matrix)) <= {0, shape.weight}
        assert (matrix > 0).sum(axis=1).max() == 1


def test_a_mutant_that_counts_members_below_every_cut_breaks_the_bound() -> None:
    question = asked("score")
    shape = question.contribution(SCORES, 1000)
    matrix = contribute(shape, scores("score", [-5.0, 3.0]), np.ones(2, dtype=bool))
    assert max(int(line @ line) for line in matrix) <= 1000**2
    below = np.cumsum(matrix, axis=1)
    assert max(int(line @ line) for line in below) > 1000**2


@pytest.mark.parametrize(
    "state",
    [
        b"x",
        b"[1,2]",
        b"[1,2,2]",
        b"[3,2,1]",
        b"[0,1,2]",
        b"[1,2,65536]",
        b"[1, 2, 3]",
        b'["1","2","3"]',
        b"[1,2,true]",
        b"{}",
        b"[1,2,3,4]",
        b"[1.0,2,3]",
        b"[" + b"1," * 5000 + b"2]",
    ],
)
def test_bytes_that_are_no_state_are_refused(state: bytes) -> None:
    with pytest.raises(BadInput):
        asked("score").contribution_at(SCORES, 1000, 1, state)


def test_a_state_is_a_function_of_the_openings_and_the_same_everywhere() -> None:
    question = asked("score", "0.25", "0.5")
    law = NoiseLaw(GaussianSum(delta_grid=2**20, nodes=3, margin=1), survivors=3)
    opened = [Opening((5 * 2**20, -(2**19), 2**22, 2**20, 7, 2**21, 2**20), law)]
    first = question.state(SCORES, opened)
    assert question.state(SCORES, []) == b""
    assert first == question.state(SCORES, list(opened))
    assert first == b"[3266,3267,6533,9362,22625,28086]"
    opened.append(Opening(tuple(2**20 * each for each in (3, 4, 5, 9, 8, 7, 6)), law, first))
    opened += [Opening(opened[1].totals, law, question.state(SCORES, opened))] * 3
    assert opened[2].state == b"[6532,6533,8040,9362,18724,22625]"
    assert len(json.loads(question.state(SCORES, opened))) == 6


def test_least_squares_are_numpys() -> None:
    rng = np.random.default_rng(6)
    seen = [
        Counted((10, 20, 30), rng.normal(50, 5, 4), 2.0),
        Counted((20, 25, 60), rng.normal(50, 5, 4), 1.0),
        Counted((5, 20, 90), rng.normal(50, 5, 4), 3.0),
    ]
    found = ranks(seen, 100)
    nodes = [*found.cuts, 100]
    lines, values, weights = [], [], []
    for each in seen:
        ends = [0, *each.cuts, 100]
        for low, high, members in zip(ends, ends[1:], each.members, strict=False):
            lines.append([(node == high) - (node == low) for node in nodes])
            values.append(members)
            weights.append(1 / each.noise_sd)
    design = np.array(lines, dtype=float) * np.array(weights)[:, None]
    wanted, *_ = np.linalg.lstsq(design, np.array(values) * np.array(weights), rcond=None)
    np.testing.assert_allclose(found.below, wanted, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(design.T @ design), rtol=1e-9)


def test_the_stated_noise_of_an_excess_is_the_noise_it_has() -> None:
    rng = np.random.default_rng(7)
    shapes = (((10, 20, 30), 4.0), ((20, 25, 60), 2.0), ((20, 25, 28), 2.0))

    def once() -> Ranks:
        return ranks([Counted(cuts, rng.normal(0, sd, 4), sd) for cuts, sd in shapes], 100)

    found = np.array([once().excess(0.3)[0] for _ in range(4000)])
    np.testing.assert_allclose(found.var(axis=0), once().excess(0.3)[1], rtol=0.12)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cuts_are_always_different_and_inside(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 12))
    steps = data.draw(st.integers(number + 1, 40) | st.just(2**16))
    quantiles = data.draw(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4, unique=True))
    cuts, seen = first_cuts(number, steps), []
    for at in range(4):
        members = data.draw(
            st.lists(st.floats(-1e5, 1e6), min_size=number + 1, max_size=number + 1)
        )
        seen.append(Counted(cuts, np.array(members), data.draw(st.floats(0.01, 1e3))))
        found = ranks(seen, steps)
        cuts = next_cuts(found, quantiles, number, closing=at > 1)
        assert len(cuts) == number
        assert list(cuts) == sorted(set(cuts))
        assert 0 < cuts[0] <= cuts[-1] < steps
        for q in quantiles:
            place = locate(found, q)
            assert 0 <= place.low <= place.high <= steps
            assert 0 <= place.position <= steps


def test_the_law_is_students() -> None:
    from scipy.stats import t

    scores_ = np.linspace(-30, 30, 201)
    np.testing.assert_allclose(law(scores_), t(2).cdf(scores_), atol=1e-12)


def test_rank_errors_of_the_median_are_small() -> None:
    for source in SOURCES:
        errors = measure(source, 500, "1", ("0.5",), 100).errors
        assert errors.mean() <= TARGET / 2
        assert np.quantile(errors, 0.95) <= TARGET


def test_rounds_are_better_than_a_histogram_of_the_same_cost() -> None:
    for source in SOURCES[:3]:
        found = measure(source, 500, "1", ("0.5",), 60).errors.mean()
        assert histogram(source, 500, "1", 64, 40).mean() > 1.5 * found


@pytest.mark.parametrize(("members", "epsilon"), [(100, "1"), (500, "0.3"), (500, "3")])
def test_intervals_cover(members: int, epsilon: str) -> None:
    for source in SOURCES[:2]:
        seen = measure(source, members, epsilon, ("0.25", "0.5"), RUNS // 4, seed=9)
        assert seen.covered >= 95 - 500 * math.sqrt(0.05 * 0.95 / (RUNS / 2))


def test_a_mutant_that_forgets_the_noise_does_not_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = measure(SOURCES[0], 500, "0.3", ("0.5",), 100, seed=9).covered

    def certain(seen: Sequence[Counted], steps: int) -> Ranks:
        found = ranks(seen, steps)
        return replace(found, covariance=found.covariance * 1e-6)

    monkeypatch.setattr("models.aggregates.quantiles.ranks", certain)
    assert measure(SOURCES[0], 500, "0.3", ("0.5",), 100, seed=9).covered < honest - 20


def test_a_preview_is_near_to_what_comes() -> None:
    question = normalise(Quantiles(column="score"), DICTIONARY)
    assert isinstance(question, Quantiles)
    for members, epsilon in ((500, "1"), (5000, "1"), (1000, "3")):
        noise = laws(epsilon, 6)
        promised = question.expected(DICTIONARY, noise, members)
        seen = measure(SOURCES[0], members, epsilon, ("0.5",), 60)
        assert promised is not None
        assert promised.half_width == pytest.approx(50 * seen.width, rel=0.4)


def test_where_noise_hides_everything_it_says_so() -> None:
    law = NoiseLaw(plan_mechanism(Rho(2**38), 3, 1), survivors=3)
    question = normalise(Quantiles(column="score"), DICTIONARY)
    assert isinstance(question, Quantiles)
    values = np.linspace(0, 100, 40)
    found = search(question, values, law, np.random.default_rng(1))
    assert found.rows[0].note == "no information"
    assert (found.rows[0].low, found.rows[0].high) == (0, 100)
    promised = question.expected(DICTIONARY, law, 40)
    assert promised is not None
    assert math.isinf(promised.half_width)


def test_a_grid_has_no_two_places_alike() -> None:
    tight = Dictionary(tables=(one_row("t", number("x", ("1e15", "1000000000000100"))),))
    grid = value_grid(tight.resolve("x"))
    assert grid.steps < 2**16
    edges = grid.cut(range(1, grid.steps)).column.edges
    assert len(set(edges)) == len(edges)
    wide = Dictionary(
        tables=(one_row("t", Column(name="x", type=ColumnType.INTEGER, lower="0", upper="1e7")),)
    )
    assert value_grid(wide.resolve("x")).steps == 2**16
    exact = struct.unpack("<d", struct.pack("<d", float(grid.cut([1]).column.bins[1])))[0]
    assert exact == grid.value(1)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Quantiles(column="open"), "declare lower and upper"),
        (Quantiles(column="nothing"), "no column"),
        (Quantiles(column="single"), "one whole number"),
        (Quantiles(column="score", q=("0",)), "no share between 0 and 1"),
        (Quantiles(column="score", q=("1",)), "no share between 0 and 1"),
        (Quantiles(column="score", q=("1.5",)), "no share between 0 and 1"),
        (Quantiles(column="score", q=("nan",)), "no share between 0 and 1"),
        (Quantiles(column="score", q=("half",)), "no share between 0 and 1"),
        (Quantiles(column="score", q=("0.5", "0.50")), "stands twice"),
        (Quantiles(column="score", q=()), "1 to 9 shares"),
        (Quantiles(column="score", q=tuple(f"0.{i}1" for i in range(MOST + 1))), "1 to 9 shares"),
    ],
)
def test_what_does_not_fit_is_refused(question: Quantiles, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(question, SCORES)
    assert words in str(caught.value)


def test_many_rows_and_levels_are_refused() -> None:
    for column, words in (("severity", "many rows"), ("condition", "no mean")):
        with pytest.raises(BadInput, match=words):
            normalise(Quantiles(column=column), clinic())
