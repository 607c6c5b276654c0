"""Releases of one analysis combine into one of less noise: exactly that of inverse variance."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from models.aggregates.catalogue import contribution
from models.aggregates.requests import Analysis, Count, Mean, Quantiles, normalise
from models.combining import (
    MOST_RELEASES,
    check_survivors,
    check_topping_up,
    combine,
    combined_result,
)
from models.mock import mock_rows, shares
from models.noise_law import CombinedLaw, NoiseLaw
from models.opening import Opening
from models.reference import total
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum, plan_mechanism
from tests.support.catalogue_factory import CATALOGUE
from tests.support.rows_factory import ANALYSES, clinic
from tests.support.seeded import seeded_entropy

DELTA = Fraction(1, 10**6)
ROWS = mock_rows(clinic(), members=400, seed=3)
EVERYONE = np.ones(400, dtype=bool)


def mechanism(epsilon: str, margin: int = 1) -> GaussianSum:
    return plan_mechanism(rho_of_epsilon(parse_epsilon(epsilon), DELTA), 3, margin)


def exact(analysis: Analysis, epsilon: str) -> Opening:
    """What would be opened without noise, with the law of the noise there would be."""
    law = NoiseLaw(mechanism(epsilon), survivors=3)
    shape = contribution(analysis, clinic(), law.mechanism.delta_grid)
    return Opening(tuple(map(int, total(shape, ROWS, EVERYONE))), law)


def noisy(opening: Opening, seed: int) -> Opening:
    noise = shares(opening.law.mechanism, len(opening.totals), seeded_entropy(seed))
    totals = [total + int(each) for total, each in zip(opening.totals, noise, strict=True)]
    return Opening(tuple(totals), opening.law)


ONE_ROUND = [each for each in (*ANALYSES, *CATALOGUE) if each.kind != "quantiles"]


@pytest.mark.parametrize("asked", ONE_ROUND, ids=lambda each: str(each.kind))
def test_without_noise_every_analysis_combines_to_the_finest_total(asked: Analysis) -> None:
    analysis = normalise(asked, clinic())
    coarse, middle, fine = (exact(analysis, epsilon) for epsilon in ("0.1", "0.25", "1"))
    made = combine(analysis, clinic(), [coarse, fine, middle])
    steps = 400 * 3 * math.ceil(fine.law.mechanism.delta_grid / coarse.law.mechanism.delta_grid)
    gaps = [abs(a - b) for a, b in zip(made.totals, fine.totals, strict=True)]
    assert max(gaps) <= steps  # half a grid step a member, brought to the finest scale
    assert steps < fine.law.sd_grid / 50
    assert combine(analysis, clinic(), [fine, middle, coarse]) == made


@pytest.mark.parametrize(("one", "other"), [("0.1", "0.2"), ("0.5", "0.5"), ("2", "0.3")])
def test_the_variance_is_that_of_inverse_variance_weighting(one: str, other: str) -> None:
    first, second = exact(Count(), one), exact(Count(), other)
    made = combine(Count(), clinic(), [first, second])
    in_members = [
        each.law.variance_grid
        / contribution(Count(), clinic(), each.law.mechanism.delta_grid).weight ** 2  # type: ignore[union-attr]
        for each in (first, second, made)
    ]
    assert in_members[2] == pytest.approx(1 / (1 / in_members[0] + 1 / in_members[1]), rel=1e-9)
    assert isinstance(made.law, CombinedLaw)
    row = combined_result(Count(), clinic(), [first, second]).rows[0]
    assert row.se_noise == pytest.approx(math.sqrt(in_members[2]), rel=1e-9)
    assert row.estimate == pytest.approx(400, abs=0.01)


def test_two_of_a_kind_have_half_the_variance_and_three_a_third() -> None:
    one = exact(Count(), "0.5")
    for many in (2, 3):
        law = combine(Count(), clinic(), [one] * many).law
        assert law.variance_grid == math.ceil(Fraction(one.law.variance_grid, many))


@pytest.mark.statistical
def test_what_comes_out_has_the_noise_that_is_stated() -> None:
    """Chi-square bounds of error 1e-9; the noise of either release alone is rejected."""
    first, second = exact(Count(by=("condition",)), "0.1"), exact(Count(by=("condition",)), "0.15")
    truth = np.array(combine(Count(by=("condition",)), clinic(), [first, second]).totals)
    errors = []
    for seed in range(700):
        opened = [noisy(first, 2 * seed), noisy(second, 2 * seed + 1)]
        made = combine(Count(by=("condition",)), clinic(), opened)
        errors.append(np.array(made.totals) - truth)
    ratio = np.mean(np.square(errors)) / made.law.variance_grid
    slack = 6.2 * math.sqrt(2 / np.size(errors))
    assert abs(ratio - 1) < slack
    scale = contribution(Count(by=("condition",)), clinic(), second.law.mechanism.delta_grid)
    assert scale.norm_squared <= second.law.mechanism.delta_grid**2
    for mutant in (ratio * made.law.variance_grid / second.law.variance_grid, ratio * 1.4):
        assert abs(mutant - 1) > slack


@pytest.mark.statistical
@pytest.mark.parametrize("asked", [Count(), Mean(column="age")])
def test_the_combined_interval_covers(asked: Analysis) -> None:
    """95 % of 1,500 intervals, within 5 Monte-Carlo errors; the first release's interval moved
    to the combined estimate covers too often, and half of the combined one too rarely."""
    analysis = normalise(asked, clinic())
    rng = np.random.default_rng(5)
    opened = [exact(analysis, "0.3"), exact(analysis, "0.6")]
    ages = ROWS.tables["members"].values["age"].astype(float)
    truth = 400.0 if analysis.kind == "count" else float(np.nanmean(ages))
    spread = 0.0 if analysis.kind == "count" else float(np.nanstd(ages) / math.sqrt(388))
    inside = narrow = 0
    for _ in range(1500):
        drawn = [
            Opening(
                tuple(
                    total + round(float(rng.normal(0, each.law.sd_grid))) for total in each.totals
                ),
                each.law,
            )
            for each in opened
        ]
        (row,) = combined_result(analysis, clinic(), drawn).rows
        target = truth + spread * float(rng.normal())  # the population's, where it speaks of it
        inside += row.low <= target <= row.high
        half = (row.high - row.low) / 4
        narrow += abs(row.estimate - target) <= half
    slack = 5 * math.sqrt(0.95 * 0.05 / 1500)
    assert abs(inside / 1500 - 0.95) < slack
    assert narrow / 1500 < 0.95 - slack


def test_an_analysis_that_asks_in_the_light_of_what_it_heard_is_refused() -> None:
    analysis = normalise(Quantiles(column="age"), clinic())
    check_topping_up(analysis, clinic(), ())
    for refused in (
        lambda: check_topping_up(analysis, clinic(), ("a" * 64,)),
        lambda: combine(analysis, clinic(), [exact(Count(), "1")]),
    ):
        with pytest.raises(Refused) as error:
            refused()
        assert error.value.code is Code.NOT_COMBINABLE


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing"):
        combine(Count(), clinic(), [])
    with pytest.raises(BadInput, match="numbers where"):
        combine(Count(by=("sex",)), clinic(), [exact(Count(), "1")])
    with pytest.raises(Refused) as refused:
        check_survivors(("a", "b", "c"), ("a", "b"))
    assert refused.value.code is Code.NOT_COMBINABLE


def test_a_question_names_different_releases() -> None:
    check_topping_up(Count(), clinic(), ())
    check_topping_up(Count(), clinic(), ("a" * 64, "b" * 64))
    for bad in (("a" * 63,), ("A" * 64,), ("a" * 64, "a" * 64), ("",)):
        with pytest.raises(BadInput):
            check_topping_up(Count(), clinic(), bad)
    many = tuple(f"{at:064x}" for at in range(MOST_RELEASES))
    with pytest.raises(Refused):
        check_topping_up(Count(), clinic(), many)
