"""Products of numbers, rolled-up counts and stacks: every bound exact, every shape as stated."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.aggregates.columns import capped, gridded
from models.aggregates.moments import largest, sums, variable
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Monomial,
    Products,
    Rollup,
    Stack,
)
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.reference import contribute, monomial_value, total
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from tests.support.rows_factory import clinic, hostile_rows

AGE, CHANGE = clinic().resolve("age"), clinic().resolve("change")
SEVERITY, CONDITION = clinic().resolve("severity"), clinic().resolve("condition")
SYMPTOM = clinic().resolve("symptom")


@pytest.mark.parametrize("scale", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("divisor", [1, 2, 4, 9])
@pytest.mark.parametrize("factors", [(0,), (0, 0), (0, 1), (0, 0, 0), (0, 0, 1, 1), (0, 1, 1, 1)])
def test_no_member_exceeds_a_monomials_bound_and_one_reaches_it(
    factors: tuple[int, ...], divisor: int, scale: int
) -> None:
    monomial = Monomial(factors, divisor)
    steps = range(-scale, scale + 1)
    found = [
        abs(int(monomial_value(monomial, [np.array([x]), np.array([y])], scale)[0]))
        for x, y in itertools.product(steps, steps)
    ]
    assert max(found) == monomial.bound(scale)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 2**30), st.data())
def test_monomials_are_products_to_the_nearest_step(scale: int, data: st.DataObject) -> None:
    q = [data.draw(st.integers(-scale, scale)) for _ in range(2)]
    monomial = Monomial((0, 0, 1, 1), data.draw(st.integers(1, 8)))
    found = int(monomial_value(monomial, [np.array([each]) for each in q], scale)[0])
    exact = Fraction(q[0] ** 2 * q[1] ** 2, scale**3 * monomial.divisor) - monomial.centre(scale)
    assert abs(found - exact) <= 2
    assert abs(found) <= monomial.bound(scale)


def shapes() -> list[Contribution]:
    variables = (variable(AGE, 1000), variable(SEVERITY, 1000), variable(CHANGE, 1000))
    products = Products(
        (CONDITION,), variables, 1000, (Monomial((0,)), Monomial((0, 1), 2), Monomial((1, 1, 2)))
    )
    cells = CellCounts((CONDITION,), 500, 1)
    rollup = Rollup(cells, ((0, 0, 1), (1, 0, 0)))
    own = gridded(AGE, ("0", "33.5", "70", "110"))
    return [
        products,
        replace(products, dims=()),
        rollup,
        Stack((cells, products, CellCounts((own, SYMPTOM), 7, 2))),
        CellCounts((capped(SYMPTOM, 1), own), 11, 1),
    ]


@pytest.mark.parametrize("place", range(5))
def test_hostile_members_stay_within_the_norm(place: int) -> None:
    shape = shapes()[place]
    rows = hostile_rows(clinic(), members=300, seed=place)
    matrix = contribute(shape, rows, np.ones(300, dtype=bool))
    assert matrix.shape == (300, shape.length)
    norms = [sum(int(each) ** 2 for each in line) for line in matrix]
    assert 0 < max(norms) <= shape.norm_squared
    np.testing.assert_array_equal(matrix.sum(axis=0), total(shape, rows, np.ones(300, dtype=bool)))


def test_a_rollup_is_the_sum_of_its_cells() -> None:
    rollup = shapes()[2]
    assert isinstance(rollup, Rollup)
    found = total(rollup, mock_rows(clinic(), 200, 3), np.ones(200, dtype=bool)).tolist()
    als, ms, mood, first, second, third, fourth = found
    assert (first, second) == (als + ms, mood)
    assert (third, fourth) == (ms + mood, als)


def test_the_largest_scale_is_the_largest() -> None:
    def build(scale: int) -> Products:
        return Products((), (variable(AGE, scale),), scale, (Monomial((0,)), Monomial((0, 0), 4)))

    for delta_grid in (3, 100, 4_321, 2**30):
        shape = largest(build, delta_grid)
        assert shape.norm_squared <= delta_grid**2 < build(shape.scale + 1).norm_squared
    with pytest.raises(BadInput, match="too small"):
        largest(build, 1)


def test_the_stated_noise_of_a_statistic_is_the_noise_it_has() -> None:
    law = NoiseLaw(GaussianSum(delta_grid=2**20, nodes=3, margin=1), survivors=3)
    shape = Products((), (variable(AGE, 2**19),), 2**19, (Monomial((0,)), Monomial((0, 0), 2)))
    exact = total(shape, mock_rows(clinic(), 3000, 5), np.ones(3000, dtype=bool))
    rng = np.random.default_rng(1)

    def spread(values: np.ndarray) -> float:
        return float(values[2] / values[0] - (values[1] / values[0]) ** 2)

    (first,) = sums(shape, exact.tolist(), law)
    noise = np.rint(rng.normal(0, law.sd_grid, (2000, shape.length))).astype(int)
    found = [spread(sums(shape, (exact + each).tolist(), law)[0].values) for each in noise]
    assert first.noise(spread) == pytest.approx(np.std(found), rel=0.06)
    ages = mock_rows(clinic(), 3000, 5).tables["members"].values["age"]
    scaled = (ages[~np.isnan(ages)] - 55) / 55
    assert spread(first.values) == pytest.approx(scaled.var(), abs=1e-5)


def test_bins_of_a_question_are_not_those_of_the_dictionary() -> None:
    own = gridded(AGE, ("0", "33.5", "110"))
    assert own.column.cell_labels == ("[0, 33.5)", "[33.5, 110]")
    assert own.column.edges == (0.0, 33.5, 110.0)
    assert own.name == AGE.name
    assert AGE.column.cell_labels[0] == "[0, 18)"
    assert capped(SEVERITY, 2).table.max_rows_per_member == 2
    assert capped(SEVERITY, 9).table.max_rows_per_member == 3


@pytest.mark.parametrize("mutant", ["no clamp", "no centring"])
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Products((), (variable(AGE, 50),), 50, (Monomial((0,)), Monomial((0, 0))))
    rows = hostile_rows(clinic(), members=200, seed=4)

    def worst() -> int:
        matrix = contribute(shape, rows, np.ones(200, dtype=bool))
        return max(sum(int(each) ** 2 for each in line) for line in matrix)

    assert worst() <= shape.norm_squared
    bound = shape.norm_squared
    if mutant == "no clamp":

        def unclamped(each: BoundedValue, values: np.ndarray) -> np.ndarray:
            steps = (values - each.centre) / each.half_width * each.scale
            return np.nan_to_num(steps, posinf=1e6, neginf=-1e6).clip(-1e6, 1e6).astype(np.int64)

        monkeypatch.setattr("models.reference.quantised", unclamped)
    else:
        monkeypatch.setattr(Monomial, "centre", lambda *_: 0)
    assert worst() > bound
