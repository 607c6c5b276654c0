"""Two stewards are two keys: joined by invitation, changed and ended by signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from privacy.contract.policy import Rules
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused
from privacy.ledger.desk_entry import Endorsement
from privacy.ledger.entry import Approval, Body
from privacy.ledger.steward_entry import (
    Signed,
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
    decision_word,
    end_word,
)
from privacy.ledger.stewards import RECOVERY, word_of
from tests.support.ledger_factory import (
    COST,
    MemoryLedger,
    approval,
    digest_of,
    fresh_ledger,
    policy,
    signing_key,
)
from tests.support.network import Network

INA, TOM, EVE = (signing_key(name) for name in ("ina", "tom", "eve"))
STUDY = digest_of("v2")


def sign(book: MemoryLedger, key: SigningKey, word: Any, **changes: Any) -> Signed:
    genesis = book.state.genesis
    assert genesis is not None
    where = {"node": genesis.node, "network": genesis.network, "at": instant_text(book.now)}
    return Signed.of(key, **{**where, **changes}, word=word)


def invite(
    book: MemoryLedger, name: str, key: SigningKey | None = None, **changes: Any
) -> StewardInvited:
    body = StewardInvited(
        name=name,
        invitation=signing_key(f"to {name}").public.text,
        expires=instant_text(book.now + timedelta(days=7)),
        by="Ina",
        reason="",
    ).model_copy(update=changes)
    return body if key is None else body.model_copy(update={"signed": sign(book, key, body.word)})


def join(name: str, key: SigningKey) -> StewardJoined:
    return StewardJoined.of(signing_key(f"to {name}"), key)


def endorse(book: MemoryLedger, key: SigningKey, by: str, **changes: Any) -> Endorsement:
    signed = sign(book, key, decision_word(STUDY, "approved", ""), **changes)
    return Endorsement(study="als", study_digest=STUDY, by=by, reason="", signed=signed)


def approve(book: MemoryLedger, key: SigningKey, by: str, decision: str = "approved") -> Approval:
    signed = sign(book, key, decision_word(STUDY, decision, ""))
    body = approval("als", COST * 10)
    changes = {
        "study_digest": STUDY,
        "by": by,
        "reason": "",
        "signed": signed,
        "decision": decision,
    }
    return body.model_copy(update=changes)


def code_of(book: MemoryLedger, body: Body) -> Code:
    with pytest.raises(Refused) as caught:
        book.append(body)
    return caught.value.code


@pytest.fixture
def book() -> MemoryLedger:
    """Ina and Tom have joined; two stewards have to approve."""
    made = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    made.append(policy(COST * 10).model_copy(update={"rules": Rules(approvers=2)}))
    made.append(invite(made, "Ina"))
    made.append(join("Ina", INA))
    made.append(invite(made, "Tom", INA))
    made.append(join("Tom", TOM))
    return made


def test_two_keys_approve_and_one_under_two_names_does_not(book: MemoryLedger) -> None:
    assert code_of(book, approve(book, INA, "Ina")) is Code.NOT_APPROVED, "nobody before"
    unsigned = Endorsement(study="als", study_digest=STUDY, by="Ina", reason="")
    assert code_of(book, unsigned) is Code.NOT_APPROVED
    assert code_of(book, endorse(book, INA, "Tom")) is Code.NOT_PERMITTED, "another name"
    assert code_of(book, endorse(book, EVE, "Ina")) is Code.NOT_PERMITTED, "a stranger's key"
    book.append(endorse(book, INA, "Ina"))
    assert code_of(book, approve(book, INA, "Ina")) in (Code.REPLAYED, Code.NOT_APPROVED)
    by_name = approve(book, TOM, "Tom").model_copy(update={"signed": None})
    assert code_of(book, by_name) is Code.NOT_APPROVED
    book.append(approve(book, TOM, "Tom"))
    assert STUDY in book.state.approvals


def test_the_same_steward_cannot_be_both_a_minute_later(book: MemoryLedger) -> None:
    book.append(endorse(book, INA, "Ina"))
    book.now += timedelta(minutes=1)
    assert code_of(book, approve(book, INA, "Ina")) is Code.NOT_APPROVED


@pytest.mark.parametrize("changes", [{"node": "beta"}, {"network": "other"}])
def test_a_signature_of_elsewhere_does_not_count(book: MemoryLedger, changes: Any) -> None:
    assert code_of(book, endorse(book, INA, "Ina", **changes)) is Code.NOT_PERMITTED


def test_a_signature_counts_once_and_not_for_another_word(book: MemoryLedger) -> None:
    first, second = endorse(book, INA, "Ina"), approve(book, TOM, "Tom")
    book.append(first)
    book.append(second)
    book.append(approve(book, TOM, "Tom", "withdrawn"))
    assert code_of(book, first) is Code.REPLAYED
    moved = endorse(book, INA, "Ina").model_copy(update={"study_digest": digest_of("v3")})
    assert code_of(book, moved) is Code.REPLAYED
    book.now += timedelta(days=2)
    old = endorse(book, INA, "Ina", at=instant_text(book.now - timedelta(days=2)))
    assert code_of(book, old) in (Code.EXPIRED, Code.REPLAYED)


def test_a_policy_of_two_is_not_changed_without_a_key(book: MemoryLedger) -> None:
    """Else whoever holds the folder would first let one be enough."""
    one = policy(COST * 10).model_copy(update={"by": "Tom", "reason": ""})
    assert code_of(book, one) is Code.NOT_PERMITTED
    other = one.model_copy(update={"signed": sign(book, TOM, word_of(policy(COST * 9)))})
    assert code_of(book, other) is Code.NOT_PERMITTED, "signed for another policy"
    book.append(one.model_copy(update={"signed": sign(book, TOM, word_of(one))}))


def test_stewards_join_by_invitation_alone(book: MemoryLedger) -> None:
    assert code_of(book, invite(book, "Eve")) is Code.NOT_PERMITTED, "nobody signed it"
    assert code_of(book, invite(book, "Eve", EVE)) is Code.NOT_PERMITTED
    assert code_of(book, join("Eve", EVE)) is Code.NOT_PERMITTED, "not invited"
    book.append(invite(book, "Eve", TOM, by="Tom"))
    stolen = StewardJoined.of(signing_key("to Eve"), EVE).model_copy(
        update={"key": signing_key("thief").public.text}
    )
    assert code_of(book, stolen) is Code.NOT_PERMITTED, "a key put in the other's place"
    assert code_of(book, StewardJoined.of(signing_key("to Eve"), INA)) is Code.CONFLICT
    book.append(join("Eve", EVE))
    assert code_of(book, join("Eve", signing_key("again"))) is Code.NOT_PERMITTED, "used"
    book.append(invite(book, "Kim", TOM, by="Tom"))
    book.now += timedelta(days=8)
    assert code_of(book, join("Kim", signing_key("kim"))) is Code.NOT_PERMITTED, "over"


def end(book: MemoryLedger, key: SigningKey, by: SigningKey, name: str) -> StewardEnded:
    word = end_word(key.public.text, "lost")
    signed = sign(book, by, word)
    return StewardEnded(key=key.public.text, by=name, reason="lost", signed=signed)


def test_a_steward_who_is_ended_counts_no_more(book: MemoryLedger) -> None:
    book.append(endorse(book, INA, "Ina"))
    book.append(end(book, INA, TOM, "Tom"))
    assert STUDY not in book.state.endorsed, "what she alone had approved is open again"
    assert code_of(book, endorse(book, INA, "Ina")) is Code.NOT_PERMITTED
    book.append(invite(book, "Ina", TOM, by="Tom"))
    assert code_of(book, join("Ina", INA)) is Code.CONFLICT, "a key that ended stays ended"
    book.append(join("Ina", signing_key("ina's new key")))


def test_a_key_changes_by_the_old_ones_signature(book: MemoryLedger) -> None:
    book.append(endorse(book, INA, "Ina"))
    new = signing_key("ina's new key")
    forged = StewardKeyChanged.of(EVE, new, "alpha", "net").model_copy(
        update={"old": INA.public.text}
    )
    assert code_of(book, forged) is Code.NOT_PERMITTED
    genesis = book.state.genesis
    assert genesis is not None
    book.append(StewardKeyChanged.of(INA, new, genesis.node, genesis.network))
    book.now += timedelta(minutes=1)
    assert code_of(book, approve(book, new, "Ina")) is Code.NOT_APPROVED, "still the same steward"
    assert code_of(book, endorse(book, INA, "Ina")) is Code.NOT_PERMITTED
    book.append(approve(book, TOM, "Tom"))


def test_lost_keys_are_replaced_openly_and_a_week_later(book: MemoryLedger) -> None:
    book.append(invite(book, "Eve", recovery=True, reason="both keys burnt"))
    book.append(join("Eve", EVE))
    assert code_of(book, endorse(book, EVE, "Eve")) is Code.NOT_PERMITTED
    book.append(end(book, EVE, TOM, "Tom"))  # somebody who still has a key stops it
    book.append(invite(book, "Eva", recovery=True, reason="both keys burnt"))
    eva = signing_key("eva")
    book.append(join("Eva", eva))
    book.now += RECOVERY
    book.append(endorse(book, eva, "Eva"))


# the commands


@pytest.fixture
def folder(make: Callable[..., Network]) -> Path:
    network = make()
    for node in network.nodes.values():
        node.stop()
    return network.nodes["als-union"].home.root


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--dir", str(folder)], catch_exceptions=False)


def test_the_commands(folder: Path, tmp_path: Path) -> None:
    ina, tom, code = (tmp_path / name for name in ("ina.key", "tom.key", "code"))
    assert run(folder, "steward", "invite", "Ina", "--out", str(code)).exit_code == 0
    assert run(folder, "steward", "join", str(code), "--key", str(ina)).exit_code == 0
    assert not code.exists()
    assert ina.stat().st_mode & 0o077 == 0
    assert run(folder, "steward", "invite", "Tom", "--out", str(code)).exit_code == 3
    code.unlink()
    invited = run(folder, "steward", "invite", "Tom", "--out", str(code), "--key", str(ina))
    assert invited.exit_code == 0, invited.stderr
    assert run(folder, "steward", "join", str(code), "--key", str(tom)).exit_code == 0
    policy_file = tmp_path / "policy.toml"
    policy_file.write_text("yearly_epsilon = 10\napprovers = 2\n")
    assert run(folder, "policy", "set", str(policy_file)).exit_code == 0
    (study,) = json.loads(run(folder, "studies").stdout)
    decide = ("decide", study["digest"], "approved")
    assert "told apart" in run(folder, *decide).stderr
    assert run(folder, *decide, "--key", str(ina)).stdout == "endorsed\n"
    assert run(folder, "policy", "set", str(policy_file)).exit_code == 3
    assert run(folder, "policy", "set", str(policy_file), "--key", str(tom)).exit_code == 0
    new = tmp_path / "new.key"
    assert run(folder, "steward", "rotate", "--key", str(tom), "--new", str(new)).exit_code == 0
    assert "no steward's key here" in run(folder, *decide, "--key", str(tom)).stderr
    assert run(folder, *decide, "--key", str(new)).stdout == "approved\n"
    listed = json.loads(run(folder, "steward", "list").stdout)
    assert [each["name"] for each in listed] == ["Ina", "Tom"]
    ended = ("steward", "end", listed[0]["fingerprint"][:9], "--reason", "left")
    assert run(folder, *ended, "--key", str(new)).stdout == "ended\n"
