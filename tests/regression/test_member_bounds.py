"""One member moves no round's total by more than delta_grid: any rows, any state."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.regression import member_sum, member_vectors
from models.regression.fitting import CLUSTERED
from models.regression.member_sum import MemberSum
from models.regression.request import Regression, model_of
from models.rows import Rows
from privacy.errors import BadInput
from tests.support.regression_world import as_rows, clinic, people
from tests.support.rows_factory import hostile_rows

ASKED = [
    Regression(formula="better ~ age + C(sex)*arm", family="binomial"),
    Regression(formula="better ~ age + missing(bmi) + bmi", family="binomial", way="newton"),
    Regression(formula="score ~ bs(age) + log(years)", way="newton"),
    Regression(formula="score ~ age - 1", way="gradient"),
    Regression(formula="relapses ~ age + offset(log(years))", family="poisson", way="newton"),
    Regression(formula="relapses ~ bmi + weights(years)", family="negative_binomial"),
    Regression(formula="grade ~ age + organisation", family="ordinal", organisations=("x", "y")),
    Regression(formula="pain ~ dose + age", family="linear", way="newton"),
    Regression(formula="score ~ pain + sex", way="gram"),
]
DELTA_GRID = 2**28


def states(asked: Regression, number: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Honest sizes, huge and tiny numbers."""
    course = asked.course(clinic())
    size = len(asked.state(clinic(), ())) if number == 0 else None
    for scale in (1.0, 1e3, 1e30, 1e300, 1e-300):
        length = size if size is not None else state_length(asked, course.kinds[number])
        yield (rng.normal(size=length // 8) * scale).astype("<f8").tobytes()


def state_length(asked: Regression, kind: str) -> int:
    model = model_of(asked, clinic())
    size, width = model.size, model.width
    lengths = {"moments": 0, "gram": width**2, "scores": size + size**2, "newton": size}
    return 8 * {**lengths, CLUSTERED: size}[kind]


def shapes(asked: Regression, seed: int) -> Iterator[MemberSum]:
    rng = np.random.default_rng(seed)
    kinds = asked.course(clinic()).kinds
    for number in {kinds.index(kind): kind for kind in kinds}:
        for state in states(asked, number, rng):
            yield asked.contribution_at(clinic(), DELTA_GRID, number, state)


def largest(shape: MemberSum, rows: Rows) -> int:
    """The exact squared norm of the member who adds most."""
    every = shape.each(rows, np.ones(rows.members, dtype=bool), "x")
    return max((sum(int(n) ** 2 for n in line) for line in every), default=0)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(ASKED))
def test_no_member_is_beyond_the_bound(seed: int, asked: Regression) -> None:
    rows = hostile_rows(clinic(), members=30, seed=seed)
    asked = asked.normalised(clinic())
    for shape in shapes(asked, seed):
        assert shape.norm_squared == DELTA_GRID**2
        assert largest(shape, rows) <= DELTA_GRID**2
        everyone = np.ones(rows.members, dtype=bool)
        folded = shape.fold(rows, everyone, "x")
        assert np.array_equal(folded, shape.each(rows, everyone, "x").sum(axis=0))


@pytest.mark.parametrize("mutant", ["no clip", "float bound only"])
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hostile_rows(clinic(), members=200, seed=3)

    def unclipped(
        matrix: np.ndarray, clip: float, radius: float = 1.0, out: np.ndarray | None = None
    ) -> np.ndarray:
        found = np.nan_to_num(radius * matrix / clip, posinf=1e3, neginf=-1e3)
        return np.clip(found, -1e3, 1e3, out=out)

    def rounded(matrix: np.ndarray, delta_grid: int) -> np.ndarray:
        return np.ceil(matrix * delta_grid).astype(np.int64)

    if mutant == "no clip":
        monkeypatch.setattr(member_vectors, "in_ball", unclipped)
        monkeypatch.setattr(member_sum, "to_grid", lambda m, d: np.rint(m * d).astype(np.int64))
    else:
        monkeypatch.setattr(member_sum, "to_grid", rounded)
    found = [
        largest(shape, rows) > shape.delta_grid**2
        for asked in ASKED
        for shape in shapes(asked.normalised(clinic()), 5)
    ]
    assert any(found)


@pytest.mark.parametrize("asked", ASKED)
def test_bytes_that_are_no_state_are_refused(asked: Regression) -> None:
    asked = asked.normalised(clinic())
    kinds = asked.course(clinic()).kinds
    number = len(kinds) - 1
    length = state_length(asked, kinds[number])
    for wrong in (b"", b"\0" * (length - 8), b"\0" * (length + 8), b"\0" * (length - 1)):
        with pytest.raises(BadInput):
            asked.contribution_at(clinic(), 2**20, number, wrong)
    for value in (math.nan, math.inf, -math.inf):
        hostile = np.zeros(length // 8)
        hostile[-1] = value
        with pytest.raises(BadInput):
            asked.contribution_at(clinic(), 2**20, number, hostile.astype("<f8").tobytes())


@pytest.mark.parametrize("asked", ASKED[:7])
def test_parts_add_up_and_the_slices_do_not_matter(
    asked: Regression, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = as_rows(people(300))
    asked = asked.normalised(clinic())
    everyone = np.ones(300, dtype=bool)
    for shape in shapes(asked, 1):
        whole = shape.fold(rows, everyone, "y")
        np.testing.assert_array_equal(whole, shape.each(rows, everyone, "y").sum(axis=0))
        half = np.arange(300) % 3 == 0
        parts = shape.fold(rows.select(half), everyone[half], "y")
        parts = parts + shape.fold(rows, ~half, "y")
        np.testing.assert_array_equal(parts, whole)
        monkeypatch.setattr(member_sum, "SLICE", 7)
        np.testing.assert_array_equal(shape.fold(rows, everyone, "y"), whole)
        monkeypatch.undo()
