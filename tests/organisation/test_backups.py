"""Backup and restore: a restored node has spent what it had spent, or answers nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.contact import Contact
from node import backup, restore
from node.backup import about_backup
from node.consent_history import history
from node.home import Home
from node.program import build
from node.records import Records
from node.restore import Outcome, check_no_restore, finish_restore
from node.snapshot import KEPT
from node.witnessing import Copy
from privacy import sealed_file
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from tests.support.network import Network, Node
from tests.support.seeded import seeded_entropy

NODE = "ms-league"
SECRET = "correct horse battery"
COUNT = {"kind": "count"}
ONE = {"epsilon": "1"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation of the key at a thousandth of its cost."""
    monkeypatch.setattr(sealed_file, "_MEMORY_KIB", 64)
    monkeypatch.setattr(sealed_file, "_PASSES", 1)


def put_back(node: Node, file: Path) -> Outcome:
    node.stop()
    return restore.restore(node.home, file, SECRET, by="Ina", clock=node.clock)


def import_again(network: Network, name: str = NODE) -> None:
    node = network.nodes[name]
    node.steward.import_data(node.home.root.parents[1] / "files" / name)


def forget(home: Home) -> None:
    """The machine is gone, with everything on it."""
    shutil.rmtree(home.root)


@pytest.fixture
def spent(make: Callable[..., Network], tmp_path: Path) -> Network:
    """The year's budget is three questions: one before the backup `b1`, two after it."""
    network = make(yearly_epsilon="2")
    assert network.ask(COUNT, **ONE).release
    network.nodes[NODE].steward.backup(tmp_path / "b1", SECRET)
    for cohort in ("age > 40", "age > 50"):
        assert network.ask(COUNT, cohort, **ONE).release
    assert network.ask(COUNT, "age > 60", **ONE).code == Code.BUDGET_EXCEEDED.value
    return network


@pytest.mark.parametrize("new_machine", [False, True])
def test_a_restored_node_takes_back_what_it_spent(
    spent: Network, tmp_path: Path, *, new_machine: bool
) -> None:
    node, before = spent.nodes[NODE], spent.spent(NODE)
    size = node.service.ledger.size
    node.stop()
    if new_machine:
        forget(node.home)
    done = put_back(node, tmp_path / "b1")
    assert done.newer_ledger is not new_machine
    assert (done.entries == size) is not new_machine
    node.start()
    assert node.steward.status()["state"] == "restored: waits for what its ledger said since"
    with pytest.raises(Refused, match="restored"):
        node.steward.pause()
    spent.wire.repeats = 2
    spent.settle()
    spent.wire.heal()
    assert spent.spent(NODE) == before
    assert node.kinds("restored", "witnessed")[-2:] == ["restored", "witnessed"]
    assert node.steward.status()["state"] == "records set back: import again"
    import_again(spent)
    assert spent.ask(COUNT, "age > 60", **ONE).code == Code.BUDGET_EXCEEDED.value
    assert spent.spent(NODE) == before
    node.service.ledger.verify()


def test_without_the_coordinators_copy_its_peers_stop_it(
    spent: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = spent.nodes[NODE]
    node.stop()
    forget(node.home)
    put_back(node, tmp_path / "b1")
    node.start()
    with monkeypatch.context() as hidden:
        hidden.setattr(Contact, "_lost_entries", lambda *_: ({}, b""))
        spent.settle()
    assert not node.service.witnessing.done
    assert spent.spent(NODE) != spent.spent("als-union")
    assert node.kinds("restored", "expired") == []
    with pytest.raises(Refused):
        spent.rounds.reserve(*_plan(spent))
    spent.settle()  # what was held back arrives, and the node goes on
    assert node.service.witnessing.done
    assert spent.spent(NODE) == spent.spent("als-union")


def _plan(network: Network) -> Any:
    compiled = network.plan(network.question(COUNT, "age > 60", **ONE))
    return compiled.envelope, compiled.plan


def test_where_nobody_kept_it_all_counts_as_spent(
    spent: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = spent.nodes[NODE]
    node.stop()
    forget(node.home)
    put_back(node, tmp_path / "b1")
    node.start()
    monkeypatch.setattr(Contact, "_lost_entries", lambda *_: ({}, b""))
    spent.settle()
    node.steward.assume_spent("the coordinator lost its copy too")
    assert node.service.ledger.restored is None
    assert node.service.ledger.state.left.units == 0


def test_a_node_that_begins_at_once_makes_a_second_history(spent: Network, tmp_path: Path) -> None:
    """What closing the ledger is for: the same backup without it is never whole again."""
    node = spent.nodes[NODE]
    node.stop()
    forget(node.home)
    put_back(node, tmp_path / "b1")
    with sqlite3.connect(node.home.ledger_file) as db:
        db.execute("DELETE FROM beside WHERE what = 'restored'")
    node.start()
    node.steward.pause()
    spent.settle()
    assert not node.service.witnessing.done
    with pytest.raises((BadInput, VerificationFailed)):
        node.steward.recover("put it back")
    assert spent.spent(NODE) != spent.spent("als-union")


def test_a_ledger_put_back_by_hand_takes_back_what_it_lost(spent: Network, tmp_path: Path) -> None:
    node, before = spent.nodes[NODE], spent.spent(NODE)
    node.stop()
    backup.unpack_backup(tmp_path / "b1", SECRET, _new(tmp_path / "by hand"))
    shutil.copy(tmp_path / "by hand" / "ledger.sqlite", node.home.ledger_file)
    node.start()
    spent.settle()
    assert not node.service.witnessing.done
    node.steward.recover("an old copy was put back")
    spent.settle()
    assert (node.service.witnessing.done, spent.spent(NODE)) == (True, before)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_only_what_the_node_signed_is_taken_back(spent: Network, tmp_path: Path) -> None:
    node, other = spent.nodes[NODE], spent.nodes["als-union"]
    size = node.service.ledger.size
    lines, note = node.service.ledger.entries(), node.service.ledger.checkpoint()
    foreign = other.service.ledger.checkpoint()
    node.stop()
    forget(node.home)
    put_back(node, tmp_path / "b1")
    node.start()
    ledger, witnessing = node.service.ledger, node.service.witnessing
    had = ledger.size
    for given, head in (
        (lines[had:], foreign),
        (lines[had:-1], note),
        (lines[had + 1 :], note),
        (other.service.ledger.entries()[had:], foreign),
    ):
        witnessing.copy = Copy(tuple(given), head)
        witnessing.accept({}, {}, 2)
        assert ledger.size == had
    witnessing.copy = Copy(tuple(lines[had:]), note)
    witnessing.accept({}, {}, 2)
    assert (ledger.size, ledger.checkpoint()) == (size, note)
    ledger.verify()


def test_a_second_restore_takes_the_first_ones_entries_back(spent: Network, tmp_path: Path) -> None:
    """The entry of an earlier restore, taken back, does not open a closed ledger."""
    node = spent.nodes[NODE]
    for _ in range(2):
        node.stop()
        forget(node.home)
        put_back(node, tmp_path / "b1")
        node.start()
        spent.settle()
        assert node.service.witnessing.done
    assert node.kinds("restored") == ["restored", "restored"]
    assert spent.spent(NODE) == spent.spent("als-union")


def test_nothing_that_is_used_once_is_in_a_backup(network: Network, tmp_path: Path) -> None:
    node = network.nodes[NODE]
    assert network.ask(COUNT, **ONE).release
    links = node.home.links_file
    links.write_bytes(b"links")
    node.steward.backup(tmp_path / "b1", SECRET)
    folder = _new(tmp_path / "out")
    backup.unpack_backup(tmp_path / "b1", SECRET, folder)
    assert {path.name for path in folder.iterdir()} <= {*KEPT, "records.duckdb.wal"}
    with sqlite3.connect(folder / "ledger.sqlite") as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_a_backup_of_a_running_node_is_whole(network: Network, tmp_path: Path) -> None:
    node = network.nodes[NODE]
    made = node.steward.backup(tmp_path / "b1", SECRET)
    assert node.steward.backups() == [{"backup": made["backup"], "at": made["made_at"]}]
    assert about_backup(tmp_path / "b1").id == made["backup"]
    assert (tmp_path / "b1").stat().st_mode & 0o077 == 0
    members = node.parts.records.members
    other = Home(tmp_path / "other")
    restore.restore(other, tmp_path / "b1", SECRET, by="Ina", clock=node.clock)
    parts = build(other, entropy=seeded_entropy("other"), clock=node.clock)
    try:
        assert parts.records.members == members
        assert parts.service.ledger.size == node.service.ledger.size
        assert other.steward_token() == node.home.steward_token()
        assert other.identity().public == node.home.identity().public
    finally:
        parts.close()
    with pytest.raises(BadInput, match="there already"):
        node.steward.backup(tmp_path / "b1", SECRET)


def test_an_erased_member_is_named_the_backups_that_hold_them(
    network: Network, tmp_path: Path
) -> None:
    node = network.nodes[NODE]
    made = node.steward.backup(tmp_path / "b1", SECRET)
    member = str(network.shape.people(NODE)["member"].iloc[0])
    assert [each["backup"] for each in node.steward.erase(member)] == [made["backup"]]


def _whole(home: Home) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(home.root.rglob("*")) if p.is_file()}


def _spoil(file: Path, change: str) -> None:
    data = file.read_bytes()
    match change:
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "changed":
            file.write_bytes(data[:-50] + bytes(50))
        case "newer":
            file.write_bytes(data.replace(b"cairn-node-backup/1", b"cairn-node-backup/2", 1))
        case _:
            file.write_bytes(b"an archive of another program")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("cut", "changed or cut off"),
        ("changed", "changed or cut off"),
        ("newer", "passphrase|newer"),
        ("other", "not a sealed file"),
    ],
)
def test_a_backup_that_is_not_whole_changes_nothing(
    network: Network, tmp_path: Path, change: str, says: str
) -> None:
    node = network.nodes[NODE]
    node.steward.backup(tmp_path / "b1", SECRET)
    node.stop()
    before = _whole(node.home)
    _spoil(tmp_path / "b1", change)
    with pytest.raises(BadInput, match=says):
        put_back(node, tmp_path / "b1")
    assert _whole(node.home) == before


def test_a_wrong_passphrase_and_a_newer_store_change_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[NODE]
    node.steward.backup(tmp_path / "b1", SECRET)
    node.stop()
    before = _whole(node.home)
    with pytest.raises(BadInput, match="the passphrase is not the one"):
        restore.restore(node.home, tmp_path / "b1", SECRET * 2, by="Ina", clock=node.clock)
    monkeypatch.setitem(restore.CURRENT, "ledger", 1)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="install the newer program first"):
        put_back(node, tmp_path / "b1")
    assert _whole(node.home) == before


def test_an_interrupted_backup_leaves_no_file(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[NODE]

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_seal", full)
        with pytest.raises(BadInput, match="No space left"):
            node.steward.backup(tmp_path / "b1", SECRET)
    assert not (tmp_path / "b1").exists()
    assert not (node.home.root / ".backup").exists()
    node.steward.backup(tmp_path / "b1", SECRET)


@pytest.mark.parametrize("renames", range(0, 14, 2))
def test_an_interrupted_restore_leaves_the_old_state_or_goes_on(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Cut off after so many renames, and then again one later, until it is through."""
    node = network.nodes[NODE]
    node.steward.backup(tmp_path / "b1", SECRET)
    node.stop()
    (node.home.root / "diseases.csv").write_text("narrow,broad\n")
    left, real = [renames], Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.parent.name in (".restoring", node.home.root.name):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
        return real(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        put_back(node, tmp_path / "b1")
    with pytest.raises(BadInput, match="to finish it"):
        check_no_restore(node.home)
    for _ in range(40):
        left[0] = 1
        try:
            finish_restore(node.home)
            break
        except KeyboardInterrupt:
            continue
    check_no_restore(node.home)
    (former,) = node.home.root.glob("before-restore-*")
    assert (former / "diseases.csv").exists()
    assert not (node.home.root / "diseases.csv").exists()
    node.start()
    assert node.service.ledger.restored is not None
    assert node.parts.records.members == 60


def test_a_backup_holds_what_stands_beside_the_records_and_not_in_them_yet(
    network: Network, tmp_path: Path
) -> None:
    node = network.nodes[NODE]
    with node.parts.records.snapshot() as cursor:
        [member] = cursor.execute("SELECT min(member) FROM members").fetchone()
    node.steward.consent(member, "all", "withdrawn", None, None)
    beside = node.home.records_file.with_name(node.home.records_file.name + ".wal")
    assert beside.exists(), "what the running node wrote last"
    node.steward.backup(tmp_path / "b1", SECRET)
    folder = _new(tmp_path / "unpacked")
    backup.unpack_backup(tmp_path / "b1", SECRET, folder)
    records = Records.open(folder / "records.duckdb")
    try:
        assert history(records, member)[-1][1].state.value == "withdrawn"
    finally:
        records.close()
