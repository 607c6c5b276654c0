"""The mean's interval covers as often as it says, and an interval without the noise does not.

A correct 95 % interval with true coverage of at least 93.5 % falls below `FLOOR` of 2,000 runs
with probability under 1e-9 (binomial); likewise above `CEILING` at 97 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bench.bench_coverage import SHAPES, Setting, Shape, cases, mean_coverage
from models.aggregates.mean_interval import Moments, excess, interval

RUNS = 2000
FLOOR = 100 * binom.ppf(1e-9, RUNS, 0.935) / RUNS
CEILING = 100 * binom.isf(1e-9, RUNS, 0.97) / RUNS


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize(("members", "epsilon"), [(300, "0.3"), (60, "3")])
def test_coverage(shape: Shape, members: int, epsilon: str) -> None:
    rng = np.random.default_rng([members, len(shape.name)])
    seen = mean_coverage(rng, Setting(epsilon, members, RUNS), shape)
    assert seen.covered >= FLOOR
    assert seen.informed <= CEILING
    if members == 300:
        assert seen.naive < FLOOR  # an interval that ignores the noise is found out


@pytest.mark.statistical
def test_coverage_everywhere() -> None:
    missed = [
        (name, setting.members, setting.epsilon, seen)
        for name, setting, seen in cases(quick=False)
        if not seen.ok(setting.runs)
    ]
    assert not missed


def moments(values: np.ndarray, tau: float) -> Moments:
    """Noise-free totals of one run, declared to carry noise of standard deviation tau."""
    square = (values**2).sum() - len(values) / 2
    totals = (float(len(values)), values.sum(), square)
    return Moments(*(np.array([each]) for each in totals), tau=tau)


def test_ends_are_where_the_excess_changes_sign() -> None:
    seen = moments(np.random.default_rng(3).uniform(-0.9, 0.2, 400), tau=5.0)
    low, high = interval(seen)
    assert -1 < low[0] < seen.ratio()[0] < high[0] < 1
    for end, inward in ((low, 1e-9), (high, -1e-9)):
        assert excess(seen, end + inward)[0] < 0 < excess(seen, end - inward)[0]


def test_it_narrows_with_less_noise_and_mirrors() -> None:
    values = np.random.default_rng(4).uniform(-0.9, 0.2, 400)
    widths = []
    for tau in (30.0, 10.0, 3.0, 1e-6):
        low, high = interval(moments(values, tau))
        left, right = interval(moments(-values, tau))
        assert (left[0], right[0]) == pytest.approx((-high[0], -low[0]), abs=1e-9)
        widths.append(high[0] - low[0])
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    "seen",
    [
        moments(np.zeros(0), tau=5.0),
        moments(np.full(9, 0.5), tau=5.0),
        Moments(np.array([-80.0]), np.array([3.0]), np.array([2.0]), tau=5.0),
        Moments(np.array([500.0]), np.array([900.0]), np.array([10.0]), tau=5.0),
    ],
    ids=["nobody", "too few for the noise", "negative count", "no legal mean fits"],
)
def test_no_information_is_the_whole_range(seen: Moments) -> None:
    low, high = interval(seen)
    assert (low[0], high[0]) == (-1.0, 1.0)


def test_a_constant_at_the_bound_is_found_there() -> None:
    low, high = interval(moments(np.ones(1000), tau=1e-6))
    assert high[0] == 1.0
    assert low[0] == pytest.approx(1.0, abs=1e-3)
