"""An auditor's notebook goes on across a change of key that was signed, and across no other."""

from __future__ import annotations

from typing import Any, cast

import pytest

from coordinator.client.followed_keys import LogKeys, NodeKeys
from coordinator.client.known_coordinator import KnownCoordinator
from coordinator.client.transport import Transport
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.signing import PublicKey, SigningKey
from privacy.errors import VerificationFailed
from privacy.ledger.entry import Entry, Genesis
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.log import LogEntry, Logged
from tests.support.ledger_factory import signing_key

NETWORK, NODE, AT = "test", "als-union", "2026-03-10T12:00:00Z"
FIRST, SECOND, THIRD, THIEF = (signing_key(n) for n in ("first", "second", "third", "thief"))


def line(seq: int, body: Genesis | NodeKeyChanged) -> bytes:
    return Entry(seq=seq, prev="0" * 64, at=AT, body=body).data


def genesis() -> bytes:
    key = FIRST.public.text
    return line(0, Genesis(node=NODE, key=key, steward=key, network=NETWORK, delta="1/1000000"))


def changed(old: SigningKey, new: SigningKey, seq: int, node: str = NODE) -> NodeKeyChanged:
    return NodeKeyChanged.of(old, new, (NETWORK, node, seq), by="Ina", reason="")


def test_a_nodes_key_is_followed_from_its_first_entry() -> None:
    keys = NodeKeys(NETWORK, NODE)
    keys.read(genesis(), 0)
    keys.read(b'{"kind":"paused"}', 1)
    keys.read(line(7, changed(FIRST, SECOND, 7)), 7)
    keys.read(line(9, changed(SECOND, THIRD, 9)), 9)
    assert keys.keys == [FIRST.public, SECOND.public, THIRD.public]
    for pinned in (None, FIRST.public, SECOND.public, THIRD.public):
        keys.check(THIRD.public, pinned)
    for stated, pinned in ((SECOND, None), (THIEF, None), (THIRD, THIEF)):
        with pytest.raises(VerificationFailed, match="another key"):
            keys.check(stated.public, pinned.public if pinned else None)


@pytest.mark.parametrize(
    "body",
    [
        changed(THIEF, SECOND, 7),
        changed(THIEF, SECOND, 7).model_copy(update={"old": FIRST.public.text}),
        changed(FIRST, SECOND, 7).model_copy(update={"new": THIEF.public.text}),
        changed(FIRST, SECOND, 6),
        changed(FIRST, SECOND, 7, "mood-circle"),
    ],
    ids=["of another", "by another", "to another", "elsewhere", "at another node"],
)
def test_a_change_that_the_old_key_did_not_sign_here_is_not_followed(body: NodeKeyChanged) -> None:
    keys = NodeKeys(NETWORK, NODE, [FIRST.public])
    with pytest.raises(VerificationFailed):
        keys.read(line(7, body), 7)


def change(old: SigningKey, new: SigningKey, number: int, until: int) -> CoordinatorKey:
    return CoordinatorKey.of(old, new, (NETWORK, number, until), at=AT, reason="")


def logged(keys: LogKeys, *changes: CoordinatorKey) -> LogKeys:
    for each in changes:
        said = LogEntry(seq=each.until, kind=Logged.KEY, statement=each.digest, subject="")
        keys.read(said.data, each.until)
    return keys


def test_the_coordinators_key_is_followed_where_its_log_names_the_change() -> None:
    changes = (change(FIRST, SECOND, 1, 5), change(SECOND, THIRD, 2, 9))
    keys = logged(LogKeys(NETWORK, changes, [FIRST.public]), *changes)
    keys.check(THIRD.public, FIRST.public)
    assert keys.keys == [FIRST.public, SECOND.public, THIRD.public]
    pinned = logged(LogKeys(NETWORK, changes), *changes)
    pinned.check(THIRD.public, FIRST.public)
    first = LogKeys(NETWORK, changes)
    first.check(THIRD.public, None)
    assert first.keys == [THIRD.public]


def test_no_other_key_of_the_coordinator_is_followed() -> None:
    signed = change(FIRST, SECOND, 1, 5)
    lost = CoordinatorKey.of(FIRST.public, SECOND, (NETWORK, 1, 5), at=AT, reason="lost")
    forged = signed.model_copy(update={"by_old": signed.by_new})
    other = change(FIRST, SECOND, 1, 6)
    for keys in (
        LogKeys(NETWORK, (signed,), [FIRST.public]),  # the log does not name it
        logged(LogKeys(NETWORK, (signed,), [FIRST.public]), other),
        logged(LogKeys(NETWORK, (lost,), [FIRST.public]), lost),
        logged(LogKeys(NETWORK, (forged,), [FIRST.public]), forged),
        logged(LogKeys(NETWORK, (), [FIRST.public])),
        logged(LogKeys(NETWORK, (signed,), [THIEF.public]), signed),
        logged(LogKeys(NETWORK, (signed,)), signed),
    ):
        pinned = None if keys.keys else THIEF.public
        with pytest.raises(VerificationFailed):
            keys.check(SECOND.public, pinned)


class Said:
    """A coordinator that says which key it has."""

    def __init__(self, key: SigningKey, *changes: CoordinatorKey) -> None:
        self.key, self.changes = key, changes

    def get(self, _path: str) -> dict[str, Any]:
        said = [each.to_json() for each in self.changes]
        return {"id": NETWORK, "coordinator_key": self.key.public.text, "key_changes": said}


def test_a_program_that_knows_the_old_key_goes_on_with_the_new_one() -> None:
    said = Said(FIRST)
    known = KnownCoordinator(cast(Transport, said))
    message = b"said"

    def held(key: PublicKey) -> PublicKey:
        key.verify("release", message, said.key.sign("release", message))
        return key

    assert known.check(held) == FIRST.public
    first = change(FIRST, SECOND, 1, 5)
    said.key, said.changes = SECOND, (first,)
    assert known.check(held) == SECOND.public
    assert known.key.at(4) == FIRST.public
    lost = CoordinatorKey.of(SECOND.public, THIRD, (NETWORK, 2, 9), at=AT, reason="lost")
    for key, changes in ((THIRD, (first, lost)), (THIEF, (first,)), (THIEF, ())):
        said.key, said.changes = key, changes
        with pytest.raises(VerificationFailed):
            known.check(held)
        assert known.key == SECOND.public
