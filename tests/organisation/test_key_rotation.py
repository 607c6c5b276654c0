"""A node takes new keys: the old one signs, peers and auditors follow, nobody else can do it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator import operate
from coordinator.audit.verify import Pinned, verify_bundle
from node import rotation
from node.ledger_store import LedgerStore
from node.ledger_wish import note_restored
from node.rotation import rotate_keys
from privacy.checkpoint import Checkpoint, node_origin, open_checkpoint, sign_checkpoint
from privacy.contract.roster import RosterNode
from privacy.contract.signing import FormerKey, PublicKey, SigningKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.upkeep_entry import NodeKeyChanged, Restored
from tests.support import net_data
from tests.support.ledger_factory import COST, fresh_ledger, signing_key
from tests.support.net_bundle import bundle
from tests.support.network import Network, Node
from tests.support.seeded import seeded_entropy

NODE = "als-union"
COUNT = {"kind": "count"}
FIVE: dict[str, Any] = {"nodes": net_data.MORE_NODES, "t_drop": 1}
OLD, NEW, THIEF = (signing_key(name) for name in ("old", "new", "thief"))
ROOT = bytes(32)


def test_a_former_key_signs_up_to_its_last_entry_and_nothing_else() -> None:
    origin = node_origin("net", "alpha")
    key = PublicKey(NEW.public.raw, (FormerKey(OLD.public, 5),))

    def signed(size: int, signer: SigningKey) -> str:
        return sign_checkpoint(Checkpoint(origin, size, ROOT), signer)

    for size, signer in ((5, OLD), (1, OLD), (6, NEW), (1, NEW)):
        assert open_checkpoint(signed(size, signer), key).size == size
    for size, signer in ((6, OLD), (5, THIEF)):
        with pytest.raises(VerificationFailed):
            open_checkpoint(signed(size, signer), key)
    with pytest.raises(VerificationFailed):
        key.verify("reply", b"said", OLD.sign("reply", b"said"))


def test_a_ledger_takes_a_key_that_both_keys_signed_for_its_place() -> None:
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    genesis = book.state.genesis
    assert genesis is not None
    own = signing_key("alpha")
    assert genesis.key == own.public.text

    def change(old: SigningKey, **place: Any) -> NodeKeyChanged:
        where = {"network": genesis.network, "node": genesis.node, "size": book.state.size}
        said = tuple({**where, **place}.values())
        body = NodeKeyChanged.of(old, NEW, said, by="Ina", reason="")  # type: ignore[arg-type]
        return body.model_copy(update={"old": own.public.text})

    wrong = [change(THIEF), change(own, network="other"), change(own, node="beta")]
    wrong += [change(own, size=1), change(own).model_copy(update={"by_new": change(THIEF).by_old})]
    for body in wrong:
        with pytest.raises(Refused):
            book.append(body)
    book.append(change(own))
    assert (book.state.key, book.state.former_keys) == (
        NEW.public.text,
        ((own.public.text, book.state.size - 1),),
    )
    with pytest.raises(Refused):
        book.append(change(own))


def rotate(network: Network, monkeypatch: pytest.MonkeyPatch) -> str:
    """With an ordinary invitation, redeemed at the coordinator's store."""
    node = network.nodes[NODE]
    node.stop()

    def redeem(invite: dict[str, str], said: dict[str, Any], change: dict[str, Any]) -> None:
        new = NodeKeyChanged.from_json(change)
        joining = RosterNode.from_json(said)
        people = network.store.people
        people.join_node(invite["code"], joining, now=network.clock(), change=new)

    monkeypatch.setattr(rotation, "redeem", redeem)
    return _rotate(network, node, invitation(network))


def invitation(network: Network) -> dict[str, str]:
    code = network.entropy(12).hex()
    network.store.people.invite(code, None, NODE, network.clock(), operate.INVITATION_LIFETIME)
    return {"network": "test", "coordinator_key": network.key.public.text, "code": code}


def _rotate(network: Network, node: Node, invite: dict[str, str]) -> str:
    entropy = seeded_entropy("rotation")
    return rotate_keys(
        node.home, invite, by="Ina", reason="yearly", entropy=entropy, clock=network.clock
    )


def confirm_everywhere(network: Network) -> None:
    """The operator signs a roster, and every steward compares and confirms."""
    roster = operate.admit_joined(network.store, network.key)
    network.settle()
    prints = [key.fingerprint for key in roster.keys.values()]
    for node in network.nodes.values():
        node.steward.confirm(roster.digest, prints)
    network.settle()


def test_peers_and_auditors_go_on_across_a_change(
    make: Callable[..., Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make(**FIVE)
    assert network.ask(COUNT).release
    node = network.nodes[NODE]
    old, before, size = node.service.key.public, network.spent(NODE), node.service.ledger.size
    fingerprint = rotate(network, monkeypatch)
    node.start()
    network.settle()
    assert NODE not in network.store.nodes.online(), "the roster still names the old key"
    confirm_everywhere(network)
    assert node.service.key.public.fingerprint == fingerprint
    assert node.service.witnessing.done
    assert (network.spent(NODE), node.service.ledger.size > size) == (before, True)
    assert network.ask(COUNT, "age > 40").release
    node.restart()  # peers hold checkpoints of both keys' times
    network.settle()
    assert node.service.witnessing.done
    folder = bundle(network, tmp_path / "bundle")
    pins = Pinned(nodes={NODE: old, "mood-circle": network.nodes["mood-circle"].service.key.public})
    report = verify_bundle(folder, pinned=pins)
    (mine,) = [each for each in report.nodes if each.node == NODE]
    assert "node-key" in [change.kind for change in mine.changes]
    with pytest.raises(VerificationFailed, match="not the pinned one"):
        verify_bundle(folder, pinned=Pinned(nodes={NODE: THIEF.public}))


def test_a_change_goes_on_where_it_was_cut_off(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[NODE]
    for step in ("redeem", "change_key", "swap"):
        with monkeypatch.context() as cut:
            _cut_off(cut, step)
            with pytest.raises(KeyboardInterrupt):
                rotate(network, monkeypatch if step != "redeem" else cut)
    fingerprint = _rotate(network, node, invitation(network))
    node.start()
    assert node.service.key.public.fingerprint == fingerprint
    assert node.kinds("node-key") == ["node-key"]
    assert len(network.store.nodes.former(NODE)) == 1


def test_a_restored_ledger_takes_back_what_it_lost_before_a_new_key(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its next entry would be a second history, signed by both keys."""
    node = network.nodes[NODE]
    size, old = node.service.ledger.size, node.service.key.public
    node.stop()
    with sqlite3.connect(node.home.ledger_file) as db:
        note_restored(db, Restored(backup="", made_at="", size=size, by="Ina"))
    db.close()
    with pytest.raises(Refused) as caught:
        rotate(network, monkeypatch)
    assert caught.value.code is Code.LEDGER_STOPPED
    assert network.store.nodes.former(NODE) == ()
    node.start()
    assert (node.service.key.public, node.service.ledger.size) == (old, size)


def _cut_off(patch: pytest.MonkeyPatch, step: str) -> None:
    def stop(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    match step:
        case "redeem":
            patch.setattr(rotation, "public_text", stop)
        case "change_key":
            patch.setattr(LedgerStore, "change_key", stop)
        case _:
            patch.setattr(Path, "replace", stop)


def test_an_invitation_alone_takes_nobodys_key(network: Network) -> None:
    node = network.nodes[NODE]
    place = ("test", NODE, node.service.ledger.size)
    stolen = NodeKeyChanged.of(THIEF, NEW, place, by="Ina", reason="").model_copy(
        update={"old": node.service.key.public.text}
    )
    said = RosterNode(id=NODE, name=NODE, key=NEW.public.text, transport_key="-")
    people = network.store.people
    for change, code in ((stolen, Code.NOT_PERMITTED), (None, Code.CONFLICT)):
        invite = invitation(network)
        with pytest.raises(Refused) as caught:
            people.join_node(invite["code"], said, now=network.clock(), change=change)
        assert caught.value.code is code
    node.stop()
    other = {**invitation(network), "network": "another"}
    with pytest.raises(BadInput, match="another network"):
        _rotate(network, node, other)
