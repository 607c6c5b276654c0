"""Leave that a page asks for. The coordinator may ask for what it likes: signed is what was shown,
and whoever is asked is the person whose page it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from coordinator.client.delegating import Leave
from coordinator.client.errors import Refused
from coordinator.client.network import Network, connect
from coordinator.leave_desk import MOST_OPEN, VALID, LeaveDesk, LeaveState, LeaveTerms
from coordinator.page_key import page_key
from privacy import errors
from privacy.contract.delegation import KIND, Delegation
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role
from privacy.errors import Code
from tests.support.fake_executor import NOW, Clock, World, serve
from tests.support.seeded import seeded_entropy

STUDY = "als-progression"
THIEF = SigningKey(b"t" * 32)


@pytest.fixture
def mine(live_world: World) -> Iterator[Network]:
    with serve(live_world.app) as url:
        made = connect(url, live_world.tokens[Role.RESEARCHER].text)
        assert isinstance(made, Network)
        yield made


def _said(world: World, **changes: Any) -> dict[str, Any]:
    """A request as the coordinator would tell it."""
    person = world.store.people.all()[0].id
    asked = {
        "id": "a" * 32,
        "study": STUDY,
        "study_digest": world.study.digest,
        "epsilon": "1",
        "hours": 8,
        "delegate": page_key(world.key, person).public.text,
    }
    return {**asked, **changes}


def test_asked_given_and_used(mine: Network, live_world: World) -> None:
    asked = mine.transport.post(
        "/v1/delegations/asked", {"study": STUDY, "epsilon": "0.5", "hours": 2}
    )
    (leave,) = mine.leave_asked()
    assert leave.asked == asked["id"]
    mine.give_leave(leave)
    assert mine.leave_asked() == []
    path = f"/v1/delegations/asked/{asked['id']}"
    assert mine.transport.get(path)["state"] == "given"
    me = next(p for p in live_world.store.people.all() if p.public_key == mine.me()["public_key"])
    envelope = live_world.store.delegations.newest(me.id, live_world.study.digest)
    assert envelope is not None
    assert Delegation.from_json(envelope.open(KIND, envelope.key)) == leave.terms
    with pytest.raises(Refused, match="conflict"):
        mine.give_leave(leave)
    with pytest.raises(Refused, match="conflict"):
        mine.refuse_leave(leave)


def test_what_is_signed_is_what_the_words_say(world: World) -> None:
    for epsilon, hours in (("0.5", 1), ("3", 168)):
        said = _said(world, epsilon=epsilon, hours=hours, words="epsilon 0.001", title="harmless")
        leave = Leave.of(said, world.study, NOW)
        said.update(epsilon="99", study="another", delegate=THIEF.public.text)  # after it was shown
        signed = leave.signed(world.tokens[Role.RESEARCHER].signing_key)
        terms = Delegation.from_json(signed.open(KIND, signed.key))
        for shown in (terms.study, f"epsilon {terms.epsilon} at most", terms.expires):
            assert shown in leave.words
        assert terms.study_digest == world.study.digest
        assert leave.code in leave.words
        assert terms.lifetime == timedelta(hours=hours)
        assert "harmless" not in leave.words


def test_another_key_is_another_code(world: World) -> None:
    usual = Leave.of(_said(world), world.study, NOW)
    other = Leave.of(_said(world, delegate=THIEF.public.text), world.study, NOW)
    assert usual.code != other.code
    assert other.words != usual.words


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "another"},
        {"study_digest": "0" * 64},
        {"epsilon": "0"},
        {"epsilon": "1\n\n  epsilon 0.1"},
        {"hours": 169},
        {"hours": 0},
        {"hours": float("nan")},
        {"delegate": "x"},
    ],
)
def test_terms_that_cannot_be_are_not_even_shown(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput):
        Leave.of(_said(world, **changes), world.study, NOW)


def test_signs_that_move_the_cursor_are_not_printed(world: World) -> None:
    study = world.study.model_copy(update={"title": "Harmless\x1b[2K\r epsilon"})
    said = _said(world, study_digest=study.digest)
    assert Leave.of(said, study, NOW).words.isprintable()


def test_nobody_answers_for_somebody_else(mine: Network, live_world: World) -> None:
    asked = mine.transport.post(
        "/v1/delegations/asked", {"study": STUDY, "epsilon": "0.5", "hours": 2}
    )
    other = connect(mine.transport.url, live_world.outsider.text)
    assert isinstance(other, Network)
    assert other.leave_asked() == []
    for call in (
        lambda: other.transport.get(f"/v1/delegations/asked/{asked['id']}"),
        lambda: other.transport.post(f"/v1/delegations/asked/{asked['id']}/refuse", {}),
        lambda: other.transport.post(
            "/v1/delegations/asked", {"study": STUDY, "epsilon": "0.5", "hours": 2}
        ),
    ):
        with pytest.raises(Refused):
            call()
    assert len(mine.leave_asked()) == 1


@pytest.mark.parametrize("wrong", ["signer", "delegate", "version"])
def test_a_delegation_that_does_not_fit_is_not_taken(
    mine: Network, live_world: World, wrong: str
) -> None:
    mine.transport.post("/v1/delegations/asked", {"study": STUDY, "epsilon": "0.5", "hours": 2})
    (leave,) = mine.leave_asked()
    signer = live_world.tokens[Role.RESEARCHER].signing_key
    terms = leave.terms
    if wrong == "signer":
        signer = THIEF
    elif wrong == "delegate":
        terms = terms.model_copy(update={"delegate": THIEF.public.text})
    else:
        terms = terms.model_copy(update={"study_digest": "0" * 64})
    signed = Leave(leave.asked, leave.study, terms).signed(signer)
    with pytest.raises(Refused):
        mine.transport.post(
            "/v1/delegations", {"delegation": signed.to_json(), "asked": leave.asked}
        )
    assert len(mine.leave_asked()) == 1


def _terms(epsilon: str) -> LeaveTerms:
    return LeaveTerms(STUDY, "d", epsilon, 1, "k")


def test_few_requests_wait_and_none_for_long() -> None:
    clock = Clock()
    desk = LeaveDesk(seeded_entropy("leave"), clock)
    first = desk.ask("p", _terms("1"))
    assert desk.ask("p", _terms("1")) == first
    for number in range(1, MOST_OPEN):
        desk.ask("p", _terms(f"{number + 1}"))
    with pytest.raises(errors.Refused) as refused:
        desk.ask("p", _terms("9"))
    assert refused.value.code is Code.RATE_LIMITED
    desk.settle("p", first.id, LeaveState.REFUSED)
    assert desk.get("p", first.id).state is LeaveState.REFUSED
    assert len(desk.waiting("p")) == MOST_OPEN - 1
    clock.forward(VALID.total_seconds())
    assert desk.waiting("p") == ()
    with pytest.raises(errors.Refused):
        desk.get("p", first.id)
