from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.accounting.conversion import DEFAULT_DELTA, epsilon_of_rho, rho_of_epsilon
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho

EXAMPLE = GaussianSum(delta_grid=327_289, nodes=10, margin=3)

networks = st.integers(1, 200).flatmap(
    lambda nodes: st.tuples(st.just(nodes), st.integers(0, nodes - 1))
)


def formula(event: GaussianSum) -> Fraction:
    variance = (event.nodes - event.margin) * 4**event.log2_sigma
    return Fraction((event.memberships * event.delta_grid) ** 2, 2 * variance)


@given(networks, st.integers(1, 2**30), st.integers(4, 20), st.integers(1, 5))
def test_the_charge_is_the_next_unit_strictly_above_the_formula(
    network: tuple[int, int], delta_grid: int, log2_sigma: int, memberships: int
) -> None:
    event = GaussianSum(delta_grid, *network, log2_sigma, memberships)
    gap = event.rho.fraction - formula(event)
    assert 0 < gap <= Rho(1).fraction


@given(st.integers(2**25, 2**112), networks, st.integers(1, 4))
def test_a_plan_is_the_largest_that_fits(
    units: int, network: tuple[int, int], memberships: int
) -> None:
    event = plan_mechanism(Rho(units), *network, memberships)
    assert event.rho <= Rho(units) * memberships**2
    larger = GaussianSum(min(event.delta_grid + 1, 2**30), *network, event.log2_sigma)
    assert larger.rho > Rho(units) or larger.delta_grid == 2**30
    if event.log2_sigma < 20:
        finer = GaussianSum(2**30, *network, event.log2_sigma + 1)
        assert finer.rho <= Rho(units), "sigma may shrink only where delta_grid would pass 2^30"


def test_ordinary_questions_use_the_finest_grid() -> None:
    event = plan_mechanism(rho_of_epsilon(Fraction(1), DEFAULT_DELTA), nodes=3, margin=1)
    assert event.log2_sigma == 20
    assert event.delta_grid == 327_289
    assert epsilon_of_rho(event.rho, DEFAULT_DELTA) == pytest.approx(1, abs=1e-5)


def test_an_absurd_allowance_shrinks_sigma_to_its_floor_and_no_further() -> None:
    huge = rho_of_epsilon(Fraction(10**15), DEFAULT_DELTA)
    event = plan_mechanism(huge, nodes=3, margin=1)
    assert event.log2_sigma == 4
    assert 0.9 * 2**30 < event.delta_grid < 2**30
    capped = plan_mechanism(huge, nodes=50, margin=1)
    assert (capped.log2_sigma, capped.delta_grid) == (4, 2**30)
    assert capped.rho < huge


def test_memberships_cost_their_square() -> None:
    rho = rho_of_epsilon(Fraction(3), DEFAULT_DELTA)
    twice = plan_mechanism(rho, nodes=10, margin=3, memberships=2)
    once = plan_mechanism(rho, nodes=10, margin=3)
    assert twice.delta_grid == once.delta_grid
    assert float(twice.rho.fraction) == pytest.approx(4 * float(once.rho.fraction))
    assert epsilon_of_rho(twice.rho, DEFAULT_DELTA) == pytest.approx(6.53, abs=0.01)


def test_too_little_for_one_grid_unit_is_refused_by_code() -> None:
    for rho in (Rho.ZERO, Rho(1)):
        with pytest.raises(Refused) as refusal:
            plan_mechanism(rho, nodes=3, margin=1)
        assert refusal.value.code is Code.BAD_EPSILON


def test_the_released_noise_counts_survivors() -> None:
    assert EXAMPLE.noise_variance(10) == 10 * 4**20
    assert EXAMPLE.noise_variance(7) == 7 * 4**20
    for survivors in (6, 11, -1, math.nan):
        with pytest.raises(BadInput):
            EXAMPLE.noise_variance(survivors)  # type: ignore[arg-type]


def test_json_round_trips_through_canonical_bytes() -> None:
    data = canonical_bytes(EXAMPLE.to_json())
    assert GaussianSum.from_json(parse_canonical(data)) == EXAMPLE


BAD: list[dict[str, Any]] = [
    {"delta_grid": 0},
    {"delta_grid": 2**30 + 1},
    {"delta_grid": math.nan},
    {"delta_grid": 5.0},
    {"delta_grid": True},
    {"nodes": 0},
    {"nodes": math.nan},
    {"margin": 10},
    {"margin": -1},
    {"margin": math.nan},
    {"log2_sigma": 3},
    {"log2_sigma": 21},
    {"log2_sigma": math.nan},
    {"memberships": 0},
    {"memberships": math.inf},
]


@pytest.mark.parametrize("change", BAD, ids=str)
def test_parameters_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        GaussianSum.from_json(EXAMPLE.to_json() | change)


@pytest.mark.parametrize("nodes_margin", [(3, 3), (3, 4), (3, -1), (0, 0), (math.nan, 1)])
def test_no_plan_without_an_honest_share(nodes_margin: tuple[int, int]) -> None:
    with pytest.raises(BadInput):
        plan_mechanism(Rho.round_up(Fraction(1)), *nodes_margin)


def test_missing_and_unknown_fields_are_refused() -> None:
    whole = EXAMPLE.to_json()
    for broken in ({}, whole | {"sigma": 1}, {"nodes": 3}, None, [], 7):
        with pytest.raises(BadInput):
            GaussianSum.from_json(broken)
