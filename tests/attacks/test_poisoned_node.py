"""A32: a node that is not honest, in what it adds or in what its records say."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from coordinator import execution
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reach import most_members, within_reach
from models.regression.request import Regression
from node import program
from privacy.errors import Code
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.network import Network
from tests.support.regression_world import as_rows, clinic, people, run
from tests.support.training import patients, registry, rounds_of, small_mlp, training

POISONED = "ms-league"
HUGE = {"epsilon_allowance": "1000000", "yearly_epsilon": "1000000"}
COUNT: dict[str, Any] = {"kind": "count", "by": ["condition"]}
TRAIN = small_mlp(2)
FIT: dict[str, Any] = {"kind": "glm", "formula": "score ~ age", "way": "newton"}
Adds = Callable[[np.ndarray, int], np.ndarray]


def anything(honest: np.ndarray, call: int) -> np.ndarray:
    """Any number that the sum can carry."""
    draw = np.random.default_rng(call)
    return honest + draw.integers(-(2**60), 2**60, len(honest))


def thousands(honest: np.ndarray, call: int) -> np.ndarray:
    """As if a few thousand members had all said the same; the first round is honest."""
    return honest + 5_000 * 2**20 * (call > 0)


def poison(patch: pytest.MonkeyPatch, adds: Adds) -> None:
    """What one node puts under its mask, instead of its members' sum."""
    honest, calls = program.total, []

    def total(*args: Any, **kwargs: Any) -> np.ndarray:
        found = honest(*args, **kwargs)
        if kwargs["site"] != POISONED:
            return found
        calls.append(1)
        return adds(found, len(calls) - 1)

    patch.setattr(program, "total", total)


@pytest.mark.parametrize(
    ("asked", "adds"),
    [(COUNT, anything), (TRAIN, anything), (FIT, anything), (TRAIN, thousands), (FIT, thousands)],
)
def test_a_total_that_members_cannot_have_added_up_to_ends_the_run(
    asked: dict[str, Any], adds: Adds, make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, adds)
    run_ = make(**HUGE).ask(asked, epsilon="8")
    assert run_.code == Code.TOTAL_OUT_OF_RANGE
    assert run_.release is None


def test_unchecked_one_node_decides_every_count(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub: a coordinator that takes any total."""
    monkeypatch.setattr(execution, "within_reach", lambda *_: True)
    poison(monkeypatch, lambda honest, _: honest + 2**60)
    assert make(**HUGE).ask(COUNT, epsilon="8").release


def test_honest_totals_are_within_reach_and_the_first_beyond_is_not() -> None:
    law = NoiseLaw(plan_mechanism(Rho(2**55), 3, 1), 3)
    grid, sd = law.mechanism.delta_grid, law.sd_grid
    most = most_members(Fraction(1, 10**6))
    assert most == 10**6

    def reach(total: int, members: float | None) -> bool:
        return within_reach(Opening((0, -total), law), most, members)

    assert reach(most * grid, None)
    assert not reach(most * grid + int(101 * sd), None)
    assert reach(300 * grid, 300.0)
    assert not reach(2000 * grid, 300.0)
    assert reach(int(50 * sd), -20.0), "noise alone is never out of reach"


def test_a_member_who_says_anything_moves_a_fit_no_further_than_any_other() -> None:
    """Values beyond the bounds count as the bound, what is no number is missing: one clipped
    vector, whatever stands in the records."""
    rows = as_rows(people(200))
    asked = Regression(formula="score ~ age + bmi", way="newton").normalised(clinic())
    everyone = np.ones(200, dtype=bool)
    for number, state in ((0, b""), (1, np.zeros(4).tobytes())):
        shape = asked.contribution_at(clinic(), 2**20, number, state)
        before = shape.fold(rows, everyone)
        for wild in (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324):
            odd = as_rows(people(200))
            for name in ("age", "bmi", "score"):
                odd.tables["people"].values[name][7] = wild
            after = shape.fold(odd, everyone)
            moved = [int(each) for each in after - before]
            assert sum(each * each for each in moved) <= (2 * 2**20) ** 2


def test_flipped_labels_are_bounded_by_how_many_flip() -> None:
    """A tenth of the labels flipped: the unprotected mean of one huge outcome is ruined, a fit is
    not. Nothing tells flipped labels from true ones: they are in range."""
    frame = people(2000)
    lying = frame.copy()
    lying.loc[lying.index[:200], "score"] *= -1e6
    assert abs(lying.score.mean()) > 1e3, "the stub"
    asked = Regression(formula="score ~ age", way="newton").normalised(clinic())
    honest, bent = (
        {row.cell[1]: row.estimate for row in run(asked, [as_rows(each)]).rows
         if row.cell[0] == "coefficient"}
        for each in (frame, lying)
    )  # fmt: skip
    assert abs(honest["age"] - bent["age"]) < 0.05
    assert abs(honest["Intercept"] - bent["Intercept"]) < 4


def test_training_stays_finite_with_a_node_of_nonsense() -> None:
    nonsense = patients(200, 4)
    values = nonsense.tables["patients"].values
    values["age"][:] = np.inf
    values["weight"][::2] = np.nan
    values["improved"][:] = np.where(values["improved"] >= 0, 1 - values["improved"], -1)
    request = training(rounds=5)
    opened = rounds_of(request, [patients(400, 1), patients(400, 2), nonsense], "3")
    assert np.isfinite(request.weights(registry(), opened)).all()
    rows = request.conclude(registry(), opened).rows
    assert all(np.isfinite([row.estimate, row.low, row.high]).all() for row in rows)
