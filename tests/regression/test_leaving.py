"""One member leaves: nothing else in the total changes, and what changes is within the bound."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from models.regression import member_vectors
from models.regression.batch import batch_of, slices
from models.regression.cox import Cox
from models.regression.design import compile_design
from models.regression.formula import parse_formula
from models.regression.member_sum import MemberSum
from models.regression.outcome import ModelRows
from models.regression.progression import Progression
from models.regression.request import Regression, model_of
from models.regression.rounds import InRounds
from models.rows import Rows, from_tables
from models.rowwise import product, squared_norms
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput, Refused
from tests.support.regression_world import as_rows, clinic, people
from tests.support.rows_factory import categorical, hostile_rows, many_rows, number, one_row

DELTA_GRID = 2**28

TWICE = "better ~ age + clip(age, 0, 109) + bmi + C(sex)*C(arm) + years + relapses + score*bmi"


def leaving(shape: MemberSum, rows: Rows, who: Iterable[int]) -> float:
    """The largest norm by which one member's leaving moves the total, in units of the bound."""
    everyone = np.ones(rows.members, dtype=bool)
    site = next(iter(shape.sites), "")
    total, worst = shape.fold(rows, everyone, site), 0
    for member in who:
        others = everyone.copy()
        others[member] = False
        moved = total - shape.fold(rows, others, site)
        worst = max(worst, sum(int(each) ** 2 for each in moved))
    return math.sqrt(worst) / DELTA_GRID


def cancelling(asked: Regression, rows: Rows, kind: str) -> bytes:
    """A state at which two columns of one number cancel but for how sums are rounded."""
    model = model_of(asked, clinic())
    x = model.rows(batch_of(rows, model.columns, np.ones(rows.members, dtype=bool))).x
    alone = np.zeros(model.size)
    alone[:3] = np.linalg.svd(x[:, :3])[2][-1] * 1e19
    spread = np.outer(alone, np.ones(model.size))
    told = {"newton": alone, "gram": spread, "scores": np.append(np.zeros(model.size), spread)}
    return told[kind].astype("<f8").tobytes()


@pytest.mark.parametrize("kind", ["gram", "scores", "newton"])
@pytest.mark.parametrize("mutant", [False, True])
def test_nobodys_leaving_changes_what_the_others_add(
    kind: str, mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant adds, as libraries for matrices may, in an order that the number of rows says."""
    if mutant:

        def by_size(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
            order = -1 if len(rows) % 2 else 1
            return product(rows[:, ::order], matrix[::order])

        monkeypatch.setattr(member_vectors, "product", by_size)
    way = "newton" if kind == "newton" else "gram"
    asked = Regression(formula=TWICE, family="binomial", way=way).normalised(clinic())
    rows = as_rows(people(300, 3))
    number = asked.course(clinic()).kinds.index(kind)
    state = cancelling(asked, rows, kind)
    shape = asked.contribution_at(clinic(), DELTA_GRID, number, state)
    every = shape.each(rows, np.ones(rows.members, dtype=bool))
    alone = [shape.each(rows, np.arange(rows.members) == member)[0] for member in range(40)]
    same = np.array_equal(every[:40], np.stack(alone))
    assert same is not mutant
    if not mutant:
        assert leaving(shape, rows, (0, 1, 150, 298, 299)) <= 1


HOSTILE: list[InRounds] = [
    Regression(formula=TWICE, family="binomial", way="gram"),
    Cox(time="years", event="better", formula="age + sex*arm", way="newton"),
    Cox(time="years", event="better", formula="age", start="bmi", way="gram"),
    Cox(time="years", event="better", formula="age", strata=True, organisations=("x", "y")),
    Progression(outcome="pain", time="dose", formula="arm + age", lower="-1", upper="2"),
]


@pytest.mark.parametrize("asked", HOSTILE, ids=lambda asked: asked.kind)
def test_hostile_rows_and_states_move_no_total_further(asked: InRounds) -> None:
    asked = asked.normalised(clinic())
    model, kinds = asked.model(clinic()), asked.course(clinic()).kinds
    lengths = {
        "moments": 0,
        "gram": model.width**2,
        "newton": model.size,
        "scores": model.size + model.size**2,
    }
    rng, rows = np.random.default_rng(1), hostile_rows(clinic(), members=25, seed=1)
    for kind in dict.fromkeys(kinds):
        for scale in (1.0, 1e16, 1e300, 1e-300):
            state = (rng.normal(size=lengths[kind]) * scale).astype("<f8").tobytes()
            shape = asked.contribution_at(clinic(), DELTA_GRID, kinds.index(kind), state)
            assert leaving(shape, rows, (0, 7, 24)) <= 1


@pytest.mark.parametrize("way", ["newton", "gram", "gradient"])
@pytest.mark.parametrize("mutant", [False, True])
def test_as_many_rows_as_members_are_not_one_of_each(
    way: str, mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One member at risk in four intervals beside three whose time is not known."""
    if mutant:
        right = member_vectors.summed

        def taken_for_members(matrix: np.ndarray, rows: ModelRows) -> np.ndarray:
            return matrix if len(rows.member) == rows.members else right(matrix, rows)

        monkeypatch.setattr(member_vectors, "summed", taken_for_members)
    edges = ("0", "2.5", "5", "7.5", "10")
    asked = Cox(time="years", event="better", formula="age", way=way, edges=edges)
    asked = asked.normalised(clinic())
    members = {"id": range(4), "age": [50] * 4, "years": [10, None, None, None]}
    rows = from_tables(clinic(), {"people": {**members, "better": ["true"] * 4}})
    size, moved = asked.model(clinic()).size, 0.0
    told = {
        "moments": [],
        "gram": np.eye(size) * 1e3,
        "newton": np.full(size, 20.0),
        "scores": np.append(np.zeros(size), np.eye(size) * 1e3),
    }
    for at, kind in enumerate(asked.course(clinic()).kinds):
        state = np.asarray(told[kind], dtype="<f8").tobytes()
        shape = asked.contribution_at(clinic(), DELTA_GRID, at, state)
        moved = max(moved, leaving(shape, rows, [0]))
    assert (moved <= 1) is not mutant


def test_what_one_member_may_bring_has_to_fit_into_memory() -> None:
    wide = many_rows("visits", 100_000, number("pain", ("0", "10")), number("dose", ("0", "5")))
    dictionary = Dictionary(tables=(clinic().tables[0], wide))
    asked = Regression(formula="pain ~ bs(dose, df=20) + bs(age, df=20)").normalised(dictionary)
    with pytest.raises(BadInput, match="rows per member"):
        asked.length_at(dictionary, DELTA_GRID, 0)


@pytest.mark.parametrize("most", [1, 7, 50, 1000])
def test_slices_are_whole_members_and_no_more_rows_than_asked(most: int) -> None:
    model = model_of(Regression(formula="pain ~ dose").normalised(clinic()), clinic())
    visits = {"id": np.arange(50).repeat(3), "pain": np.ones(150), "dose": np.ones(150)}
    batch = batch_of(as_rows(people(50, 1), visits=visits), model.columns, np.ones(50, dtype=bool))
    parts = list(slices(batch, 8192, most))
    assert sum(part.members for part in parts) == batch.members
    assert sum(part.rows for part in parts) == batch.rows
    for part in parts:
        assert part.member[0] == 0
        assert part.rows <= most or part.members == 1
        assert set(part.member.tolist()) == set(range(part.members))


@pytest.mark.parametrize("width", [1, 5, 23, 300])
def test_a_row_of_a_product_is_of_that_row_alone(width: int) -> None:
    rng = np.random.default_rng(width)
    rows, matrix = rng.normal(size=(700, width)), rng.normal(size=(width, 9))
    whole, norms = product(rows, matrix), squared_norms(rows)
    np.testing.assert_allclose(whole, rows @ matrix, atol=1e-12)
    np.testing.assert_allclose(norms, (rows**2).sum(axis=1))
    for part in (slice(0, 1), slice(3, 4), slice(1, 700), slice(0, 699), slice(64, 131)):
        np.testing.assert_array_equal(product(rows[part], matrix), whole[part])
        np.testing.assert_array_equal(product(rows[part], matrix[:, 0]), whole[part, 0])
        np.testing.assert_array_equal(squared_norms(np.asfortranarray(rows[part])), norms[part])


def test_a_formula_is_counted_before_it_is_multiplied_out() -> None:
    levels = [str(at) for at in range(3000)]
    names = [f"c{at}" for at in range(150)]
    dictionary = Dictionary(
        tables=(
            one_row(
                "t",
                *(categorical(name, "x", "y") for name in names),
                categorical("drug", *levels),
                categorical("place", *levels),
                number("y", ("0", "1")),
            ),
        )
    )
    with pytest.raises(BadInput, match="4 factors"):
        parse_formula("y ~ " + "*".join(names), dictionary)
    with pytest.raises(Refused):
        compile_design(parse_formula("y ~ drug:place", dictionary), intercept=True)
