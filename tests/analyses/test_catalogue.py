"""What holds of every analysis: the bound, any split, JSON, words, shapes, and a preview."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from models.aggregates.catalogue import cells, contribution, estimate
from models.aggregates.requests import Analysis, normalise, parse_analysis
from models.cohort_size import noised_members, size_told
from models.contribution import CellCounts, Stack
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.planner import preview
from models.reference import contribute, total
from models.result import Result, display, table
from models.sentences import sentence
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from tests.support.catalogue_factory import CATALOGUE, answer
from tests.support.rows_factory import clinic, hostile_rows

EVERY = pytest.mark.parametrize("analysis", CATALOGUE, ids=lambda each: str(each.to_json()))
LAW = NoiseLaw(GaussianSum(delta_grid=2**20, nodes=3, margin=1), survivors=3)


@EVERY
def test_it_is_read_back_named_in_full_and_said_in_words(analysis: Analysis) -> None:
    asked = normalise(analysis, clinic())
    assert parse_analysis(asked.to_json()) == asked
    assert normalise(asked, clinic()) == asked
    said = sentence(asked, "")
    assert said[0].isupper()
    assert said.endswith(", among all members")
    assert len(said) < 200


@EVERY
@pytest.mark.parametrize("delta_grid", [100, 999_983, 2**30])
def test_one_member_moves_the_total_by_no_more_than_the_bound(
    analysis: Analysis, delta_grid: int
) -> None:
    rows = hostile_rows(clinic(), members=60, seed=7)
    shape = contribution(normalise(analysis, clinic()), clinic(), delta_grid)
    assert shape.norm_squared <= delta_grid**2
    matrix = contribute(shape, rows, np.ones(60, dtype=bool))
    assert max(sum(int(each) ** 2 for each in line) for line in matrix) <= shape.norm_squared
    assert delta_grid == 100 or shape.norm_squared > 0.9 * delta_grid**2


@EVERY
def test_any_split_gives_the_pooled_total(analysis: Analysis) -> None:
    rows = hostile_rows(clinic(), members=50, seed=8)
    shape = contribution(normalise(analysis, clinic()), clinic(), 2**20)
    home = np.random.default_rng(1).integers(0, 4, size=50)
    parts = [rows.select(home == node) for node in range(4)]
    split = sum(total(shape, part, np.ones(part.members, dtype=bool)) for part in parts)
    np.testing.assert_array_equal(split, total(shape, rows, np.ones(50, dtype=bool)))


@EVERY
@pytest.mark.parametrize("epsilon", ["0.1", "1e15"])
def test_an_answer_of_anybody_or_nobody_is_finite_and_serialises(
    analysis: Analysis, epsilon: str
) -> None:
    rows = mock_rows(clinic(), members=120, seed=3)
    for cohort in ("", "age > 200"):
        result = answer(analysis, rows, cohort, epsilon)
        assert Result.from_json(result.to_json()) == result
        assert len(table(result)) == len(display(result)) == len(result.rows)
        for row in result.rows:
            assert len(row.cell) == len(result.by)
            assert np.isfinite(list(row.numbers().values())).all(), row
            assert row.low <= row.high
    assert len(cells(normalise(analysis, clinic()), clinic())) >= 1


@EVERY
def test_a_total_of_another_length_is_refused(analysis: Analysis) -> None:
    asked = normalise(analysis, clinic())
    length = contribution(asked, clinic(), 2**20).length
    with pytest.raises(BadInput, match="the total has"):
        estimate(asked, clinic(), [0] * (length + 1), LAW)


@EVERY
def test_an_epsilon_that_carries_nothing_is_refused(analysis: Analysis) -> None:
    with pytest.raises(BadInput, match="too small"):
        contribution(normalise(analysis, clinic()), clinic(), 0)


@EVERY
def test_the_noised_size_is_the_cohorts(analysis: Analysis) -> None:
    rows = mock_rows(clinic(), members=200, seed=4)
    asked = normalise(analysis, clinic())
    shape = contribution(asked, clinic(), 2**20)
    totals = total(shape, rows, np.ones(200, dtype=bool)).tolist()
    found = noised_members(asked, clinic(), (Opening(tuple(totals), LAW),))
    if found is None:
        parts = shape.parts if isinstance(shape, Stack) else (shape,)
        assert all(isinstance(part, CellCounts) and part.max_cells > 1 for part in parts)
    else:
        assert 120 <= found <= 200


@EVERY
def test_a_size_tells_its_own_noise(analysis: Analysis) -> None:
    """Held to the length of the coefficients, number by number of the total."""
    asked = normalise(analysis, clinic())
    length = contribution(asked, clinic(), LAW.mechanism.delta_grid).length
    empty = size_told(asked, clinic(), Opening((0,) * length, LAW))
    if empty is None:
        return
    parts = (
        noised_members(asked, clinic(), (Opening(tuple(each), LAW),))
        for each in np.eye(length, dtype=int).tolist()
    )
    wanted = 1.959964 * LAW.sd_grid * math.sqrt(sum(each**2 for each in parts if each))
    assert empty == (0, pytest.approx(-wanted, rel=1e-5))


@EVERY
@pytest.mark.parametrize("members", [None, 60, 5000])
def test_a_preview_knows_the_price_and_the_error(analysis: Analysis, members: int | None) -> None:
    promised = preview(
        analysis,
        "",
        clinic(),
        epsilon="1",
        delta=Fraction(1, 10**6),
        nodes=10,
        margin=1,
        assumed_members=members,
    )
    assert 0 < promised.epsilon_charged <= 1
    assert promised.cells == len(cells(normalise(analysis, clinic()), clinic()))
    if members != 60:
        assert promised.half_width is not None
        assert 0 < promised.half_width < float("inf")
    assert str(promised).startswith(promised.sentence)
