"""Rates, person-time and standardised rates: the plain figures, and intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.aggregates.requests import Incidence, normalise
from models.contribution import Products
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.rows import Rows
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import categorical, clinic, number, one_row

RUNS = 2000
BELOW = 3 * math.sqrt(0.05 * 0.95 / RUNS)  # three Monte-Carlo errors
REGISTRY = Dictionary(
    tables=(
        one_row(
            "t",
            categorical("band", "young", "old"),
            number("events", ("0", "4")),
            number("years", ("0", "10")),
        ),
    )
)
ASKED = Incidence(events="t.events", time="t.years", by=("t.band",), weights=("3", "1"), per=1000)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=900, seed=51)


def test_rates_by_group_and_standardised(rows: Rows) -> None:
    analysis = Incidence(events="smoker", time="age", by=("sex",), weights=("3", "1"), per=1000)
    found = by_cell(answer(analysis, rows))
    values = rows.tables["members"].values
    known = (values["smoker"] >= 0) & ~np.isnan(values["age"]) & (values["sex"] >= 0)
    rates = []
    for code, name in enumerate(("f", "m")):
        mine = known & (values["sex"] == code)
        events, years = values["smoker"][mine].sum(), values["age"][mine].sum()
        assert found["events", name].estimate == pytest.approx(events, abs=1e-4)
        assert found["person-time", name].estimate == pytest.approx(years, rel=1e-6)
        assert found["rate", name].estimate == pytest.approx(1000 * events / years, rel=1e-6)
        assert found["rate", name].se == pytest.approx(1000 * math.sqrt(events) / years, rel=1e-4)
        rates.append(1000 * events / years)
    standard = found["standardised rate", "all"]
    assert standard.estimate == pytest.approx((3 * rates[0] + rates[1]) / 4, rel=1e-6)
    assert standard.low < standard.estimate < standard.high


@pytest.mark.parametrize("rho", [1e6, 0.05])
@pytest.mark.parametrize(("members", "rate"), [(300, 0.05), (300, 0.01), (3000, 0.002)])
def test_intervals_cover(rho: float, members: int, rate: float) -> None:
    rng = np.random.default_rng(members)
    law = NoiseLaw(plan_mechanism(Rho(int(rho * 2**60)), 10, 1), survivors=10)
    shape = ASKED.contribution(REGISTRY, law.mechanism.delta_grid)
    assert isinstance(shape, Products)
    rates = (rate, 3 * rate)
    hits = dict.fromkeys([("rate", "young"), ("rate", "old"), ("standardised rate", "all")], 0)
    for _ in range(RUNS):
        totals = []
        for each in rates:
            years = rng.uniform(1, 10, members)
            events = rng.poisson(each * years).clip(0, 4)
            totals += [members * shape.count_weight]
            totals += [int(events.sum() / 4 * shape.scale), int(years.sum() / 10 * shape.scale)]
        noisy = np.array(totals) + np.rint(rng.normal(0, law.sd_grid, shape.length))
        found = by_cell(ASKED.estimate(REGISTRY, noisy.astype(np.int64).tolist(), law))
        truth = [1000 * rates[0], 1000 * rates[1], 1000 * (3 * rates[0] + rates[1]) / 4]
        for cell, true in zip(hits, truth, strict=True):
            hits[cell] += found[cell].low <= true <= found[cell].high
    for cell, hit in hits.items():
        assert 0.93 - BELOW <= hit / RUNS <= 0.985 + BELOW, (cell, hit / RUNS)


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Incidence(events="condition", time="age"), "no mean"),
        (Incidence(events="smoker", time="change"), "no person-time"),
        (Incidence(events="change", time="age"), "counts no events"),
        (Incidence(events="severity", time="age"), "many rows"),
        (Incidence(events="smoker", time="age", by=("drug",)), "many rows"),
        (Incidence(events="smoker", time="age", per=0), "per is at least 1"),
        (Incidence(events="smoker", time="age", weights=("1", "2")), "2 weights for 1"),
        (Incidence(events="smoker", time="age", by=("sex",), weights=("1", "x")), "no number"),
        (Incidence(events="smoker", time="age", by=("sex",), weights=("0", "0")), "at least 0"),
        (Incidence(events="smoker", time="age", by=("sex",), weights=("-1", "2")), "at least 0"),
    ],
)
def test_what_does_not_fit_is_refused(analysis: Incidence, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(analysis, clinic())
    assert words in str(caught.value)
