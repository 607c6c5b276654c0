"""A23, A29: somebody puts an older copy of the records, and only of the records, in place.

The ledger is whole and the peers agree; but the older records still hold consent that members
have withdrawn since.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from node.records_guard import RecordsGuard
from privacy.errors import Code
from tests.support.network import Network, Node

TARGET = "als-union"
ASKED = {"kind": "count", "by": ["treatment"]}


def _member(network: Network) -> str:
    people = network.shape.people(TARGET)
    return str(people[people["consent"] == "yes"]["member"].iloc[0])


def _withdraw_and_restore(network: Network, copy: Path) -> None:
    node = network.nodes[TARGET]
    node.stop()
    shutil.copy(node.home.records_file, copy)
    node.start()
    node.steward.consent(_member(network), "all", "withdrawn", None, None)
    _put_back(node, copy)
    network.settle()
    assert node.service.witnessing.done


def _put_back(node: Node, copy: Path) -> None:
    node.stop()
    shutil.copy(copy, node.home.records_file)
    node.start()


def test_consent_that_was_withdrawn_comes_back_with_an_old_copy(
    make: Callable[..., Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as unprotected:
        unprotected.setattr(RecordsGuard, "fault", lambda _guard, _dictionary: None)
        network = make()
        _withdraw_and_restore(network, tmp_path / "1.duckdb")
        assert network.ask(ASKED).release, "counts a member who withdrew"
    network = make()
    _withdraw_and_restore(network, tmp_path / "2.duckdb")
    assert network.ask(ASKED).code == Code.LEDGER_STOPPED.value
    assert network.nodes[TARGET].kinds("reserve", "commit") == []
    assert "set back" in network.nodes[TARGET].steward.status()["state"]


def test_an_import_ends_it_and_says_what_is_lost(network: Network, tmp_path: Path) -> None:
    _withdraw_and_restore(network, tmp_path / "copy.duckdb")
    node = network.nodes[TARGET]
    files = node.home.root.parent.parent / "files" / TARGET
    if not files.is_dir():
        pytest.fail("the network keeps its files")
    warnings = node.steward.import_data(files)["warnings"]
    assert "withdrawals again" in warnings[0]
    assert network.ask(ASKED).release
    node.restart()
    network.settle()
    assert network.ask(ASKED, "age > 20").release


def test_changes_at_a_node_with_old_records_do_not_make_them_new(
    network: Network, tmp_path: Path
) -> None:
    _withdraw_and_restore(network, tmp_path / "copy.duckdb")
    node = network.nodes[TARGET]
    node.steward.consent(_member(network), "all", "given", None, None)
    node.restart()
    network.settle()
    assert network.ask(ASKED).code == Code.LEDGER_STOPPED.value


def test_records_that_vanish_are_no_empty_records(network: Network) -> None:
    node = network.nodes[TARGET]
    node.stop()
    node.home.records_file.unlink()
    node.start()
    network.settle()
    assert network.ask(ASKED).code == Code.LEDGER_STOPPED.value


def test_records_of_another_dictionary_are_not_read_under_this_one(network: Network) -> None:
    service = network.nodes[TARGET].service
    guard = network.nodes[TARGET].parts.guard
    assert guard.fault(service.ledger.state.dictionary) is None
    assert guard.fault("0" * 64) is Code.DICTIONARY_MISMATCH
    guard.dictionary = "0" * 64
    assert network.ask(ASKED).code == Code.DICTIONARY_MISMATCH.value


def test_ordinary_life_is_no_set_back(network: Network) -> None:
    node = network.nodes[TARGET]
    for state in ("withdrawn", "given"):
        node.steward.consent(_member(network), "all", state, None, None)
        node.restart()
        network.settle()
        assert not node.parts.guard.set_back
    assert network.ask(ASKED).release
