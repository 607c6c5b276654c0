"""What the store keeps of people, on SQLite and on PostgreSQL: accounts, sessions, events."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier

import pytest

from coordinator.people import list_revoked, revoke
from coordinator.store.accounts import Factor, ResetKind
from coordinator.store.events import Action
from coordinator.store.facts import Principal, RunState
from coordinator.store.people import Credential
from coordinator.store.sessions import NewToken, SessionKind, TokenUse
from coordinator.store.store import Store
from privacy.contract.revocation import Revocation
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused
from tests.coordinator_services.test_store_contract import _new
from tests.support.fake_executor import NOW

AT = instant_text(NOW)
KEY = SigningKey(b"c" * 32)
WRITERS = 10


def _credential(letter: bytes) -> Credential:
    return Credential.of(Token(Role.RESEARCHER, letter * 32))


def _later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _enrol(store: Store, login: str = "ida") -> Principal:
    store.people.invite(f"code of {login}", Role.RESEARCHER, login, NOW, timedelta(days=1))
    recovery = tuple(f"{login[0]}{number}".ljust(64, "0") for number in range(3))
    factor = Factor(b"sealed", recovery, 100)
    return store.accounts.enrol(f"code of {login}", f"p-{login}", login, "hash", factor, NOW)


def _token(name: str, use: TokenUse, seconds: float = 600) -> NewToken:
    return NewToken(name.ljust(64, "0"), use, instant_text(_later(seconds)))


def _open(store: Store, person: str, name: str = "s") -> None:
    tokens = (_token(f"{name}a", TokenUse.ACCESS), _token(f"{name}r", TokenUse.REFRESH, 3600))
    until = instant_text(_later(3600))
    store.sessions.open(name, person, SessionKind.COMMAND, until, tokens, AT)


def _access(name: str) -> str:
    return f"{name}a".ljust(64, "0")


def test_an_account_is_entered_whole_or_not_at_all(store: Store) -> None:
    person = _enrol(store)
    account = store.accounts.by_login("ida")
    assert account is not None
    assert (account.principal, account.revoked) == (person.id, False)
    assert store.accounts.by_login("nobody") is None
    assert store.accounts.logins() == {person.id: "ida"}
    store.people.invite("again", Role.ADMIN, "Other", NOW, timedelta(days=1))
    with pytest.raises(Refused) as refused:
        store.accounts.enrol("again", "p-o", "ida", "hash", Factor(b"", (), 1), NOW)
    assert refused.value.code is Code.CONFLICT
    assert store.people.invitation("again", NOW).name == "Other"
    with pytest.raises(Refused):
        store.people.get("p-o")
    store.people.revoke(person.id, AT)
    revoked = store.accounts.by_login("ida")
    assert revoked is not None
    assert revoked.revoked


def test_codes_are_used_in_order_and_once_whoever_is_at_it(store: Store) -> None:
    person = _enrol(store)
    assert not store.accounts.accept_step(person.id, 100)
    won = _together(lambda _: store.accounts.accept_step(person.id, 101))
    assert won.count(True) == 1
    assert not store.accounts.accept_step(person.id, 99)
    spare = "i0".ljust(64, "0")
    assert store.accounts.knows_recovery(spare)
    won = _together(lambda _: store.accounts.use_recovery(person.id, spare, AT))
    assert won.count(True) == 1
    assert not store.accounts.knows_recovery(spare)


def test_a_reset_is_good_for_one_person_one_kind_one_time(store: Store) -> None:
    person, other = _enrol(store), _enrol(store, "olav")
    day = timedelta(days=1)
    store.accounts.allow_reset("r", person.id, ResetKind.FACTOR, "operator", NOW, day)
    assert store.accounts.reset_of("r", person.id, NOW) is ResetKind.FACTOR
    assert store.accounts.reset_of("r", other.id, NOW) is None
    assert store.accounts.reset_of("r", person.id, _later(90_000)) is None
    with pytest.raises(Refused):
        store.accounts.replace_password("r", person.id, "hash", NOW)
    _open(store, person.id)
    fresh = Factor(b"new", ("f".ljust(64, "0"),), 200)

    def replace(_number: int) -> bool:
        try:
            store.accounts.replace_factor("r", person.id, fresh, NOW)
        except Refused:
            return False
        return True

    assert _together(replace).count(True) == 1
    assert store.sessions.find(_access("s"), TokenUse.ACCESS, AT) is None
    assert not store.accounts.knows_recovery("i0".ljust(64, "0"))
    assert store.accounts.knows_recovery("f".ljust(64, "0"))
    account = store.accounts.by_login("ida")
    assert account is not None
    assert account.factor == b"new"


def test_a_session_is_found_while_it_is_open(store: Store) -> None:
    person = _enrol(store)
    _open(store, person.id)
    found = store.sessions.find(_access("s"), TokenUse.ACCESS, AT)
    assert found is not None
    assert found.principal == person
    assert store.sessions.find(_access("s"), TokenUse.REFRESH, AT) is None
    assert store.sessions.find(_access("s"), TokenUse.ACCESS, instant_text(_later(600))) is None
    store.sessions.extend(_access("s"), instant_text(_later(1200)))
    assert store.sessions.find(_access("s"), TokenUse.ACCESS, instant_text(_later(600)))
    store.sessions.end("s", AT)
    assert store.sessions.find(_access("s"), TokenUse.ACCESS, AT) is None


def test_of_many_who_bring_one_refresh_token_one_is_served_and_the_session_ends(
    store: Store,
) -> None:
    person = _enrol(store)
    _open(store, person.id)
    used = "sr".ljust(64, "0")

    def refresh(number: int) -> bool:
        tokens = (_token(f"x{number}", TokenUse.ACCESS), _token(f"y{number}", TokenUse.REFRESH))
        try:
            store.sessions.refresh(used, tokens, AT)
        except Refused:
            return False
        return True

    assert _together(refresh).count(True) == 1
    for number in range(WRITERS):
        name = f"x{number}".ljust(64, "0")
        assert store.sessions.find(name, TokenUse.ACCESS, AT) is None
    stolen = [e for e in store.people_events.all() if e.action is Action.SESSION_STOLEN]
    assert len(stolen) == 1


def test_what_expired_is_forgotten_at_the_next_sign_in(store: Store) -> None:
    person = _enrol(store)
    _open(store, person.id, "old")
    late = instant_text(_later(7200))
    store.sessions.open("new", person.id, SessionKind.WEB, instant_text(_later(9000)), (), late)
    assert store.sessions.end_all(person.id, late) == 1


def test_a_person_of_the_provider_is_known_by_issuer_and_subject(store: Store) -> None:
    for number in range(3):
        store.people.invite(f"i{number}", Role.AUDITOR, "A", NOW, timedelta(days=1))
    made = store.accounts.link("i0", "p-1", "https://a", "subject", NOW)
    assert store.accounts.linked("https://a", "subject") == made
    assert store.accounts.linked("https://b", "subject") is None
    with pytest.raises(Refused) as refused:
        store.accounts.link("i1", "p-2", "https://a", "subject", NOW)
    assert refused.value.code is Code.CONFLICT
    assert store.accounts.link("i1", "p-2", "https://b", "subject", NOW).id == "p-2"
    store.people.revoke("p-1", AT)
    assert store.accounts.linked("https://a", "subject") is None


def test_a_key_is_one_persons_and_once(store: Store) -> None:
    ida, olav = _enrol(store), _enrol(store, "olav")
    key = SigningKey(b"k" * 32).public

    def register(number: int) -> bool:
        try:
            store.people.register_key((ida, olav)[number % 2].id, key, AT)
        except Refused:
            return False
        return True

    assert _together(register).count(True) == 1


def test_lists_of_revoked_keys_lose_none_however_many_revoke_at_once(store: Store) -> None:
    store.network.put("id", "n")
    people = [
        store.people.add(
            "P", Role.RESEARCHER, Credential.of(Token(Role.RESEARCHER, b"%d" % n * 32)), AT
        )
        for n in range(WRITERS)
    ]
    assert list_revoked(store, KEY) is None
    _together(lambda number: revoke(store, KEY, people[number].id, AT))
    newest = store.network.revocation_envelope
    assert newest is not None
    listed = Revocation.from_json(newest.open("revocation", KEY.public))
    assert listed.keys == tuple(sorted(person.public_key for person in people))
    lists = [
        Revocation.from_json(each.open("revocation", KEY.public))
        for each in store.network.revocations()
    ]
    assert [each.number for each in lists] == list(range(1, listed.number + 1))
    for before, after in pairwise(lists):
        assert set(before.keys) < set(after.keys)


def test_events_are_told_in_order_and_in_parts(store: Store) -> None:
    person = _enrol(store)
    store.people.revoke(person.id, AT, "p-admin")
    store.people.revoke(person.id, AT, "p-admin")
    told = store.people_events.all()
    assert [event.action for event in told] == [Action.INVITED, Action.ENROLLED, Action.REVOKED]
    assert [event.actor for event in told] == ["operator", person.id, "p-admin"]
    assert store.people_events.all(after=told[0].number) == told[1:]
    assert store.people_events.all(limit=1) == told[:1]


def test_a_run_is_started_and_ended_by_one_of_many(store: Store) -> None:
    person = store.people.add(
        "P", Role.RESEARCHER, Credential.of(Token(Role.RESEARCHER, b"p" * 32)), AT
    )
    store.runs.create(_new("r", person.id, "", nonce="1"))
    assert _together(lambda _: store.runs.start("r")).count(True) == 1
    ended = _together(lambda _: store.runs.fail("r", RunState.LOST, Code.ATTEMPT_LOST, {}, AT))
    assert ended.count(True) == 1


def _together(act: Callable[[int], object]) -> list[object]:
    """Call `act` from many threads at the same time."""
    barrier = Barrier(WRITERS)

    def run(number: int) -> object:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))
