"""How many members a fit counts: every one of them, however long the rest of their vector is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from models.regression import member_vectors
from models.regression.batch import Floats
from models.regression.member_vectors import in_ball
from models.regression.request import Regression
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.support.regression_world import HUGE, coefficients, run
from tests.support.rows_factory import hostile_rows, number, one_row

TERMS = "a + b + c"
SKEWED = Dictionary(
    tables=(
        one_row(
            "people",
            *(number(name, ("0", "1000")) for name in "abc"),
            number("score", ("0", "10")),
            Column(name="better", type=ColumnType.BOOLEAN, levels=("false", "true")),
        ),
    )
)
ASKED = Regression(formula=f"score ~ {TERMS}").normalised(SKEWED)


def crowded(members: int) -> Rows:
    """Nearly all values next to their lower bound: vectors longer than is usual."""
    rng = np.random.default_rng(2)
    values = {name: rng.exponential(20, members).clip(0, 1000) for name in "abc"}
    frame = pd.DataFrame(
        {
            "id": np.arange(members),
            **values,
            "score": rng.normal(0.5, 0.3, members).clip(0, 10),
            "better": rng.choice(["false", "true"], members),
        }
    )
    return from_tables(SKEWED, {"people": frame})


def counted(epsilon: str, seed: int = 0, **asked: object) -> tuple[float, float, float]:
    request = ASKED.model_copy(update=asked).normalised(SKEWED)
    row = coefficients(run(request, [crowded(2000)], epsilon=epsilon, seed=seed), "fact")["members"]
    return row.estimate, row.low, row.high


@pytest.mark.parametrize("way", ["gram", "gradient", "newton"])
def test_every_member_is_counted(way: str) -> None:
    """A third of them were missing where columns are skewed within their bounds."""
    assert counted(HUGE, way=way)[0] == pytest.approx(2000, abs=0.01)


def test_so_the_interval_holds_them() -> None:
    """40 runs: of 95 % intervals more than 27 hold the truth, save by a chance below 1e-6."""
    assert sum(low <= 2000 <= high for _, low, high in (counted("2", k) for k in range(40))) > 30


def loudest(rows: Rows, dictionary: Dictionary, asked: Regression, delta_grid: int) -> float:
    """The norm of the member who adds most in the first round, over the bound."""
    shape = asked.contribution(dictionary, delta_grid)
    with np.errstate(all="ignore"):
        found = shape._unit(shape._batch(rows, np.ones(rows.members, dtype=bool), ""))
    return float(np.linalg.norm(found, axis=1).max())


def whole(matrix: Floats, clip: float) -> Floats:
    """The mutant: the rest keeps all of the room, and the member's one comes on top."""
    found = in_ball(matrix, clip)
    found[:, 0] = np.where(matrix[:, 0] > 0, min(1 / clip, 1.0), 0.0)
    return found


def test_the_one_and_the_rest_share_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (crowded(500), hostile_rows(SKEWED, members=200, seed=4)):
        assert loudest(rows, SKEWED, ASKED, 2**20) <= 1 + 1e-12
    monkeypatch.setattr(member_vectors, "_counted", whole)
    assert loudest(crowded(500), SKEWED, ASKED, 2**20) > 1 + 1e-3


def test_the_bound_is_reached() -> None:
    """No room is given away: a member beyond it adds exactly as much as one may."""
    assert math.isclose(loudest(crowded(500), SKEWED, ASKED, 2**20), 1.0, rel_tol=1e-9)
