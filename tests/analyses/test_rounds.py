"""How the cost of a run is divided over its rounds, and what may be asked in each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.aggregates.catalogue import conclude
from models.aggregates.requests import normalise, parse_analysis
from models.cohort_size import noised_members
from models.derivation import MAX_ROUNDS, Derivation, Round, rounds_of
from models.dictionary_file import load_dictionary
from models.in_memory import answer, openings
from models.noise_law import NoiseLaw
from models.opening import Opening
from privacy.contract.canonical import canonical_bytes
from privacy.errors import BadInput, Code, Refused
from privacy.units import Rho
from tests.support import net_data
from tests.support.adaptive import Halving, add_halving, interval

DICTIONARY = load_dictionary(net_data.DICTIONARY, "dictionary.toml")
RHO = Rho(2**55)


@pytest.fixture(autouse=True)
def _halving(monkeypatch: pytest.MonkeyPatch) -> None:
    add_halving(monkeypatch)


def halving(*parts: int) -> Any:
    return normalise(parse_analysis({"kind": "halving", "column": "age", "parts": parts}),
                     DICTIONARY)  # fmt: skip


def rounds(*parts: int, rho: Rho = RHO, memberships: int = 1) -> tuple[Round, ...]:
    return rounds_of(halving(*parts), DICTIONARY, rho, 3, 1, memberships)


def derived(*parts: int) -> Derivation:
    asked = halving(*parts)
    return Derivation(asked, asked.to_json(), DICTIONARY, None, "", rounds(*parts), "", ())  # type: ignore[arg-type]


@given(
    parts=st.lists(st.integers(1, 1000), min_size=1, max_size=40),
    units=st.integers(2**50, 2**58),
    memberships=st.integers(1, 3),
)
def test_the_rounds_together_never_cost_more_than_the_question(
    parts: list[int], units: int, memberships: int
) -> None:
    found = rounds(*parts, rho=Rho(units), memberships=memberships)
    whole = Rho.total(each.rho for each in found)
    assert whole.units <= units * memberships**2
    for part, each in zip(parts, found, strict=True):
        assert each.rho.units <= units * part // sum(parts) * memberships**2


def test_a_round_of_four_shares_has_half_the_noise_of_one() -> None:
    dear, cheap = rounds(4, 1)
    assert dear.mechanism.delta_grid == pytest.approx(2 * cheap.mechanism.delta_grid, rel=1e-5)
    assert dear.rho.units == pytest.approx(4 * cheap.rho.units, rel=1e-5)


@pytest.mark.parametrize("parts", [(), (0, 1), (-1,), (1,) * (MAX_ROUNDS + 1)])
def test_shares_that_are_none_are_refused(parts: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="rounds"):
        rounds(*parts)


def test_a_share_too_small_for_one_grid_unit_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        rounds(1, 10**9, rho=Rho(2**40))
    assert refused.value.code is Code.BAD_EPSILON


def test_a_one_round_analysis_is_asked_with_nothing() -> None:
    asked = normalise(parse_analysis({"kind": "count", "by": ["treatment"]}), DICTIONARY)
    [only] = rounds_of(asked, DICTIONARY, RHO, 3, 1, 1)
    assert only.length == 3
    assert asked.state(DICTIONARY, ()) == b""


@pytest.mark.parametrize("state", [b"", b"x", canonical_bytes([0, 8])])
def test_the_first_round_is_asked_with_the_analysis_own_state_alone(state: bytes) -> None:
    run = derived(1, 1)
    assert run.contribution_at(0, run.first_state).length == run.rounds[0].length
    with pytest.raises(BadInput):
        run.contribution_at(0, state)


def test_a_contribution_beyond_its_bound_or_length_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, state = derived(1, 1), canonical_bytes([0, 8])
    assert run.contribution_at(1, state).norm_squared <= run.rounds[1].mechanism.delta_grid ** 2
    real = Halving.contribution_at

    def larger(self: Halving, dictionary: Any, delta_grid: int, *told: Any) -> Any:
        return real(self, dictionary, delta_grid + 1, *told)

    with monkeypatch.context() as patch:
        patch.setattr(Halving, "contribution_at", larger)
        with pytest.raises(BadInput, match="bound"):
            run.contribution_at(1, state)
    with monkeypatch.context() as patch:
        patch.setattr(Halving, "length_at", lambda *_: 3)
        other = derived(1, 1)
    with pytest.raises(BadInput, match="length"):
        other.contribution_at(1, state)


def without_noise(shape: Any, mechanism: Any) -> list[int]:
    """Everybody is below the cut."""
    return [1000 * mechanism.delta_grid, 0]


def test_a_run_in_memory_follows_its_states() -> None:
    found = openings(halving(1, 2, 3), DICTIONARY, rounds(1, 2, 3), without_noise)
    assert [interval(each.state) for each in found] == [(0, 16), (0, 8), (0, 4)]
    assert answer(halving(1, 2, 3), DICTIONARY, rounds(1, 2, 3), without_noise).rows
    assert noised_members(halving(1, 2, 3), DICTIONARY, found) == 1000


def test_a_conclusion_needs_every_round_and_every_number() -> None:
    found = openings(halving(1, 1), DICTIONARY, rounds(1, 1), without_noise)
    with pytest.raises(BadInput, match="rounds"):
        conclude(halving(1, 1), DICTIONARY, found[:1])
    law: NoiseLaw = found[1].law
    with pytest.raises(BadInput, match="numbers"):
        conclude(halving(1, 1), DICTIONARY, [found[0], Opening((1, 2, 3), law, found[1].state)])
