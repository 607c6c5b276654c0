"""Offsets of any size, members who stay to the last edge, and what is no number."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from models.regression.cox import Cox
from models.regression.effect import Effect
from models.regression.request import Regression
from models.released.evaluate import Evaluate
from models.released.regression import ReleasedRegression
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import HUGE, clinic, coefficients, law, openings, run
from tests.support.rows_factory import many_rows, number, one_row

MEMBERS = one_row(
    "p", number("x", ("0", "10")), number("days", ("1", "3650")), number("n", ("0", "60"))
)
DAYS = Dictionary(tables=(MEMBERS,))


def _followed(members: int) -> tuple[Rows, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, days = rng.uniform(0, 10, members), rng.uniform(300, 3650, members)
    n = np.minimum(rng.poisson(np.exp(-7 + 0.15 * x) * days), 60)
    rows = from_tables(DAYS, {"p": {"id": range(members), "x": x, "days": days, "n": n}})
    return rows, x, days, n


@pytest.mark.parametrize("way", ["gram", "newton"])
def test_an_offset_of_any_size_cuts_no_member(way: str) -> None:
    rows, x, days, n = _followed(3000)
    asked = Regression(formula="n ~ x + offset(log(days))", family="poisson", way=way)
    asked = asked.normalised(DAYS)
    first = openings(asked, [rows], epsilon=HUGE)[0]
    shape = asked.contribution_at(DAYS, first.law.mechanism.delta_grid, 0, b"")
    assert shape.members_in(first.totals) == pytest.approx(3000, rel=1e-3)
    pooled = sm.GLM(n, sm.add_constant(x), sm.families.Poisson(), offset=np.log(days)).fit()
    told = coefficients(run(asked, [rows]))["x"]
    assert abs(told.estimate - pooled.params[1]) < 0.5 * pooled.bse[1]


def test_who_stays_to_the_last_edge_is_judged_without_an_event() -> None:
    rng, members, dictionary = np.random.default_rng(1), 4000, clinic()
    age = rng.uniform(20, 90, members)
    fails = rng.exponential(1 / (0.03 * np.exp(0.05 * (age - 55))))
    better, years = fails <= 10, np.clip(np.minimum(fails, 10), 0.5, 10)
    frame = {"id": range(members), "age": age, "years": years}
    rows = from_tables(
        dictionary, {"people": {**frame, "better": np.where(better, "true", "false")}}
    )
    asked = Cox(time="years", event="better", formula="age", edges=tuple(map(str, range(11))))
    asked = asked.normalised(dictionary)
    level = f"{np.log(0.03) - 0.05 * 55:.9g}"
    baselines = asked.model(dictionary).baselines
    model = ReleasedRegression(
        analysis=asked,
        coefficients=("0.05", *[level] * baselines),
        spread=("0", "1", "1"),
        horizon="10",
    )
    judged, noise = Evaluate(model=model).normalised(dictionary), law(HUGE)
    shape = judged.contribution(dictionary, noise.mechanism.delta_grid)
    totals = shape.fold(rows, np.ones(members, dtype=bool)).tolist()
    told = {row.cell[1]: row for row in judged.estimate(dictionary, totals, noise).rows}
    one, other = rng.integers(0, members, (2, 200_000))
    known = better[one] & (
        (years[one] < years[other]) | ((years[one] == years[other]) & ~better[other])
    )
    harrell = float(np.mean(age[one][known] > age[other][known]))
    assert told["C-index"].estimate == pytest.approx(harrell, abs=0.005)
    expected = 1 - np.exp(-0.3 * np.exp(0.05 * (age - 55)))
    apart = float(np.mean(fails <= 10) - expected.mean())
    assert told["observed - predicted"].estimate == pytest.approx(apart, abs=0.02)


@pytest.mark.parametrize("outcome", ["first(day)", "last(day)", "max(day)"])
def test_a_date_of_the_rows_is_no_outcome(outcome: str) -> None:
    day = Column(name="day", type=ColumnType.DATE, lower="7305", upper="21915")
    visits = many_rows("visits", 4, day)
    dictionary = Dictionary(tables=(*clinic().tables[:1], visits))
    with pytest.raises(BadInput, match="date"):
        Effect(outcome=outcome, treatment="better", covariates="age").normalised(dictionary)


@pytest.mark.parametrize("written", ["sNaN", "NaN", "abc", "1e9999"])
def test_what_is_no_number_is_told_as_such(written: str) -> None:
    with pytest.raises(BadInput):
        Regression(formula="score ~ age", clip=written).normalised(clinic())
