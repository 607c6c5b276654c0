"""Released regressions judged among other members, against independent figures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from scipy.stats import rankdata
from statsmodels.api import Logit, add_constant

from models.regression.cox import Cox
from models.regression.fit import fit_of
from models.regression.request import Regression
from models.released.concordance import concordance
from models.released.evaluate import Evaluate
from models.released.fitted import FittedRegression
from models.released.regression import ReleasedRegression
from models.result import NO_INFORMATION, Estimate
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import HUGE, as_rows, clinic, openings, people, run
from tests.support.rows_factory import categorical, number, one_row

FRAME, OTHERS = people(2500), people(4000, 9)
ASKED: dict[str, Any] = {
    "binomial": Regression(formula="better ~ age + bmi + sex*arm", family="binomial"),
    "linear": Regression(formula="score ~ age + bmi + sex"),
    "counts": Regression(
        formula="relapses ~ age + bmi + sex + offset(log(years))", family="negative_binomial"
    ),
    "ordinal": Regression(formula="grade ~ age + bmi + sex + arm", family="ordinal"),
}
FOLLOWED = Dictionary(
    tables=(
        one_row(
            "people",
            number("x", ("-4", "4")),
            categorical("sex", "f", "m"),
            number("time", ("0", "2700")),
            Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
        ),
    )
)


def fitted(asked: Any, rows: Rows, epsilon: str = HUGE) -> FittedRegression:
    request = asked.model_copy(update={"way": "newton"}).normalised(rows.dictionary)
    opened = openings(request, [rows], epsilon=epsilon)
    return FittedRegression(request, rows.dictionary, fit_of(request, rows.dictionary, opened), {})


@cache
def model(name: str) -> FittedRegression:
    return fitted(ASKED[name], as_rows(FRAME))


def figures(
    of: FittedRegression, rows: Rows, epsilon: str = HUGE, seed: int = 0, **how: Any
) -> dict[tuple[str, ...], Estimate]:
    by = how.pop("by", ())
    asked = Evaluate(model=of.released(**how), by=by).normalised(rows.dictionary)
    found = run(asked, [rows], epsilon=epsilon, seed=seed)
    return {row.cell: row for row in found.rows}


def area(so: np.ndarray, score: np.ndarray) -> float:
    ranks, having = rankdata(score), int(so.sum())
    return float((ranks[so].sum() - having * (having + 1) / 2) / (having * (len(so) - having)))


def followed(members: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, sex = rng.normal(size=members).clip(-4, 4), rng.integers(0, 2, members)
    dies = rng.weibull(1.3, members) * 900 * np.exp(-(0.6 * x + 0.4 * sex) / 1.3)
    leaves = rng.uniform(100, 2700, members)
    return pd.DataFrame(
        {
            "id": range(members),
            "x": x,
            "sex": np.where(sex, "m", "f"),
            "time": np.minimum(dies, leaves),
            "died": np.where(dies <= leaves, "true", "false"),
        }
    )


@cache
def hazards() -> FittedRegression:
    rows = from_tables(FOLLOWED, {"people": followed(3000, 1)})
    return fitted(Cox(time="time", event="died", formula="x + sex"), rows)


@pytest.mark.parametrize("name", ["binomial", "ordinal"])
def test_ranking_and_calibration_are_those_of_the_members_pooled(name: str) -> None:
    said = model(name).predict(as_rows(OTHERS))
    found = figures(model(name), as_rows(OTHERS), by=("sex",))
    levels = ("false", "true") if name == "binomial" else ("low", "mid", "high", "top")
    column = OTHERS.better if name == "binomial" else OTHERS.grade
    place = column.map(levels.index).to_numpy()
    for least in range(1, len(levels)):
        of = "" if name == "binomial" else f" of {levels[least]} or above"
        so = place >= least
        risk = said if name == "binomial" else said[:, least:].sum(axis=1)
        for group, chosen in (("all", np.full(4000, True)), ("sex = m", OTHERS.sex == "m")):
            y, p = so[chosen], risk[chosen]
            logit = Logit(y * 1.0, add_constant(np.log(p / (1 - p)))).fit(disp=0)
            wanted = {
                "AUC": (area(y, p), 0.003),
                "Brier score": (np.mean((y - p) ** 2), 0.001),
                "observed - predicted": (np.mean(y - p), 0.001),
                "calibration slope": (logit.params[1], 0.03),
                "calibration intercept": (logit.params[0], 0.03),
            }
            for figure, (value, near) in wanted.items():
                assert found[group, figure + of].estimate == pytest.approx(value, abs=near)
            slope = found[group, f"calibration slope{of}"]
            assert slope.se_sampling == pytest.approx(logit.bse[1], rel=0.05)


@pytest.mark.parametrize("name", ["linear", "counts"])
def test_errors_of_numbers_are_those_of_the_members_pooled(name: str) -> None:
    said = model(name).predict(as_rows(OTHERS))
    seen = (OTHERS.score if name == "linear" else OTHERS.relapses).to_numpy()
    found = figures(model(name), as_rows(OTHERS))
    near = 0.01 if name == "linear" else 0.12  # far counts are cut off
    error = said - seen
    slope = np.polyfit(said, seen, 1)[0]
    assert found["all", "members"].estimate == pytest.approx(4000, abs=1)
    assert found["all", "RMSE"].estimate == pytest.approx(np.sqrt(np.mean(error**2)), rel=near)
    assert abs(found["all", "predicted - observed"].estimate - error.mean()) < near
    assert found["all", "calibration slope"].estimate == pytest.approx(slope, abs=near)
    explained = 1 - np.mean(error**2) / np.var(seen)
    assert found["all", "R squared"].estimate == pytest.approx(explained, abs=near)


@pytest.mark.parametrize("intervals", [6, 12, 24])
def test_concordance_is_that_of_lifelines_to_a_200th(intervals: int) -> None:
    frame = followed(6000, 2)
    values = hazards().fit.shrunk
    eta = (values[0] * frame.x + values[1] * (frame.sex == "m")).to_numpy()
    grid = tuple(f"{edge:.6g}" for edge in np.linspace(0, 2700, intervals + 1))
    found = figures(hazards(), from_tables(FOLLOWED, {"people": frame}), by=("sex",), grid=grid)
    for group, chosen in (("all", frame.x > -9), ("sex = f", frame.sex == "f")):
        some = frame[chosen]
        theirs = concordance_index(some.time, -eta[chosen], some.died == "true")
        assert found[group, "C-index"].estimate == pytest.approx(theirs, abs=0.005)


def test_risks_by_a_horizon_are_compared_with_the_life_table() -> None:
    frame = followed(6000, 3)
    rows = from_tables(FOLLOWED, {"people": frame})
    found = figures(hazards(), rows, horizon="900")
    curve = KaplanMeierFitter().fit(frame.time, frame.died == "true")
    said = hazards().predict(rows, 900.0)
    truth = 1 - float(curve.predict(900.0)) - said.mean()
    assert found["all", "observed - predicted"].estimate == pytest.approx(truth, abs=0.006)
    bins = [row for cell, row in found.items() if cell[1].startswith("observed at risk")]
    assert len(bins) >= 5
    for row in bins:
        low, high = (float(word) for word in row.cell[1].split()[3::2])
        inside = (said >= low - 0.001) & (said <= high + 0.001)
        one = frame[inside]
        seen = 1 - float(KaplanMeierFitter().fit(one.time, one.died == "true").predict(900.0))
        assert abs(row.estimate - seen) < 0.03
        assert row.se_sampling > 0
    with pytest.raises(BadInput, match="no edge of the grid"):
        figures(hazards(), rows, horizon="901")


def pairwise_concordance(cells: np.ndarray) -> float:
    """Pair by pair, those in one interval or one bin left out."""
    right = pairs = 0.0
    for b, t in np.ndindex(*cells.shape[:2]):
        for other, later in np.ndindex(*cells.shape[:2]):
            if later > t and other != b:
                weight = cells[b, t, 1] * cells[other, later].sum()
                pairs += weight
                right += weight * (b > other)
    return right / pairs


def test_concordance_counts_pairs_once() -> None:
    """Without ties by bin or interval, it is the count of pairs."""
    rng = np.random.default_rng(4)
    cells = np.zeros((6, 6, 2))
    for bin_, interval in enumerate(rng.permutation(6)):
        cells[bin_, interval, 1] = rng.integers(1, 9)
    found = concordance(cells, 0.0, np.arange(6.0))
    assert found is not None
    assert found[0] == pytest.approx(pairwise_concordance(cells))


def test_errors_of_concordance_are_those_of_drawing_again() -> None:
    values = []
    for seed in range(60):
        rows = from_tables(FOLLOWED, {"people": followed(600, 100 + seed)})
        values.append(figures(hazards(), rows)["all", "C-index"])
    spread = np.std([row.estimate for row in values], ddof=1)
    said = np.mean([row.se_sampling for row in values])
    assert 0.7 < said / spread < 1.4  # 60 draws: beyond it with probability below 1e-4


NAMED = {"binomial": "AUC", "linear": "RMSE", "counts": "calibration slope", "ordinal":
         "calibration slope of high or above", "hazards": "C-index"}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_noise_is_as_large_as_is_said(name: str) -> None:
    """The variance of 80 standardised errors lies outside 0.45 to 1.9 with probability 1e-5."""
    of = hazards() if name == "hazards" else model(name)
    frame = followed(6000, 2)
    rows = from_tables(FOLLOWED, {"people": frame}) if name == "hazards" else as_rows(OTHERS)
    cell = ("all", NAMED[name])
    truth = figures(of, rows)[cell].estimate
    found = [figures(of, rows, "3", seed)[cell] for seed in range(80)]
    errors = np.array([(row.estimate - truth) / row.se_noise for row in found])
    assert abs(errors.mean()) < 0.6
    assert 0.45 < errors.var() < 1.9


def test_a_small_group_says_nothing_and_is_not_guessed_at() -> None:
    found = figures(model("binomial"), as_rows(OTHERS[:60]), "1", by=("arm",))
    assert found["arm = c", "AUC"].note == NO_INFORMATION
    assert (found["arm = c", "AUC"].low, found["arm = c", "AUC"].high) == (0.0, 1.0)
    assert found["arm = c", "calibration slope"].note == NO_INFORMATION


@pytest.mark.parametrize("name", [*ASKED, "hazards"])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e6, 1e12])
def test_a_member_is_bounded_for_every_coefficient(name: str, size: float) -> None:
    of = hazards() if name == "hazards" else model(name)
    rows = from_tables(FOLLOWED, {"people": followed(40, 6)})
    rows = rows if name == "hazards" else as_rows(OTHERS[:40])
    draw = np.random.default_rng(8)
    plain = of.released()
    wild = draw.normal(0, size, len(plain.coefficients)).clip(-1e12, 1e12)
    asked = ReleasedRegression(
        analysis=plain.analysis,
        coefficients=tuple(f"{each:.12g}" for each in wild),
        spread=("1e12", "1e-9", "1e-9"),
    )
    dictionary, everyone = rows.dictionary, np.ones(40, dtype=bool)
    shape = Evaluate(model=asked, by=("sex",)).normalised(dictionary).contribution(dictionary, 999)
    assert shape.norm_squared <= 999**2
    alone = []
    for member in range(40):
        vector = shape.fold(rows, everyone & (np.arange(40) == member))
        assert 0 < sum(int(each) ** 2 for each in vector) <= shape.norm_squared
        alone.append(vector)
    assert np.array_equal(np.sum(alone, axis=0), shape.fold(rows, everyone))


def test_who_lacks_a_value_is_left_out_and_who_lacks_a_group_counts_in_all() -> None:
    frame = OTHERS[:400].copy()
    frame.loc[frame.index[:50], "age"] = np.nan
    frame.loc[frame.index[50:90], "better"] = None
    frame.loc[frame.index[90:100], "grade"] = None
    found = figures(model("binomial"), as_rows(frame), by=("grade",))
    assert found["all", "members"].estimate == pytest.approx(310, abs=1e-3)
    groups = [found[f"grade = {level}", "members"].estimate for level in
              ("low", "mid", "high", "top")]  # fmt: skip
    assert sum(groups) == pytest.approx(300, abs=1e-3)
    said = model("binomial").predict(as_rows(frame))
    assert np.isnan(said[:50]).all()
    assert np.isfinite(said[50:]).all()


def test_what_cannot_be_judged_is_said() -> None:
    plain = model("binomial").released()
    dictionary = clinic()
    for changes, says in (
        ({"coefficients": plain.coefficients[:-1]}, "numbers belong here"),
        ({"coefficients": (*plain.coefficients[:-1], "nan")}, "numbers lie within"),
        ({"coefficients": (*plain.coefficients[:-1], "1e99")}, "numbers lie within"),
        ({"coefficients": (*plain.coefficients[:-1], "__import__('os')")}, "not a number"),
        ({"spread": ("0", "0", "1")}, "above 0"),
        ({"spread": ("0", "inf", "1")}, "numbers lie within"),
    ):
        with pytest.raises(BadInput, match=says):
            Evaluate(model=plain.model_copy(update=changes)).normalised(dictionary)
    many = Regression(formula="better ~ visits.pain", family="binomial")
    with pytest.raises(BadInput, match="several rows per member"):
        ReleasedRegression(
            analysis=many, coefficients=("0", "0"), spread=("0", "1", "1")
        ).normalised(dictionary)
    with pytest.raises(BadInput, match="survival"):
        model("binomial").released(grid=("0", "1"))
    late = Cox(time="time", event="died", formula="x", start="x")
    with pytest.raises(BadInput, match="delayed entry"):
        ReleasedRegression(
            analysis=late, coefficients=("0",) * 13, spread=("0", "1", "1")
        ).normalised(FOLLOWED)
    strata = Cox(time="time", event="died", formula="x", strata=True, organisations=("a", "b"))
    with pytest.raises(BadInput, match="fit it without organisation"):
        ReleasedRegression(
            analysis=strata, coefficients=("0",) * 25, spread=("0", "1", "1")
        ).normalised(FOLLOWED)
