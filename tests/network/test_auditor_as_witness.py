"""An auditor that comes back: `cairn audit witness` with a notebook of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.audit.verify import Pinned, verify_bundle
from coordinator.cli.researcher import app
from coordinator.client.known_keys import read_keys
from coordinator.client.network import Network as Client
from coordinator.store.people import Credential
from privacy.checkpoint import LOG, check_cosignature, open_checkpoint, witness_name
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, VerificationFailed
from tests.support.net_bundle import bundle
from tests.support.network import Network
from tests.support.rewinding import cut_log, say
from tests.support.rotating import rotate
from tests.support.served import asked_over_http

AUDITOR = Token(Role.AUDITOR, b"a" * 32)
ME = f"auditor/{Credential.of(AUDITOR).principal_id}"
ASKED = {"kind": "count"}


@pytest.fixture
def network(make: Callable[..., Network]) -> Network:
    made = make(count=60)
    at = instant_text(made.clock())
    made.store.people.add("Grace", Role.AUDITOR, Credential.of(AUDITOR), at)
    return made


@pytest.fixture
def client(network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(network, monkeypatch) as made:
        yield made


def _cairn(client: Client, *line: str) -> Result:
    values = {"CAIRN_URL": client.transport.url, "CAIRN_TOKEN": AUDITOR.text, "NO_COLOR": "1"}
    return CliRunner().invoke(app, list(line), env=values, catch_exceptions=False)


def _witness(client: Client, notebook: Path, *more: str) -> Result:
    return _cairn(client, "audit", "witness", "--state", str(notebook), *more)


def test_an_auditor_cosigns_what_grew_and_the_bundle_shows_it(
    network: Network, client: Client, tmp_path: Path
) -> None:
    notebook = tmp_path / "notebook.json"
    first = _witness(client, notebook)
    assert first.exit_code == 0, first.stderr
    assert "seen for the first time" in first.stdout
    network.ask(ASKED)
    network.settle()
    again = _witness(client, notebook, "--format", "json")
    rows = {row["log"]: row for row in json.loads(again.stdout)}
    assert set(rows) == {LOG, *network.nodes}
    assert all(row["cosigned"] > row["known before"] > 0 for row in rows.values())
    for of, row in rows.items():
        facts = [w for w in network.store.ledgers.witnesses(of) if w.by == ME]
        assert [each.size for each in facts] == [row["known before"], row["cosigned"]]
        key = network.key.public if of == LOG else network.store.network.roster.keys[of]
        head = open_checkpoint(facts[-1].text, key)
        own = AUDITOR.signing_key.public
        assert check_cosignature(head, facts[-1].cosignature or "", witness_name("test", ME), own)
    report = verify_bundle(bundle(network, tmp_path / "bundle"))
    assert ME in report.log.cosigners
    assert all(ME in node.cosigners for node in report.nodes)
    assert report.unpinned == tuple(sorted({ME, *network.nodes}))


def test_an_auditor_that_was_shown_more_signs_nothing_else(
    network: Network, client: Client, tmp_path: Path
) -> None:
    notebook = tmp_path / "notebook.json"
    say(network, "one", "two")
    assert _witness(client, notebook).exit_code == 0
    kept = notebook.read_bytes()
    lines = network.contact.witnesses.log.size()
    cut_log(network, lines - 2)
    rewound = _rewound(client, network, notebook)
    assert rewound.exit_code == 6
    assert f"{LOG}: had {lines} entries and shows {lines - 2}" in rewound.stderr
    say(network, "other", "story", "longer")
    forked = _rewound(client, network, notebook)
    assert forked.exit_code == 6
    assert "another history" in forked.stderr
    assert notebook.read_bytes() == kept


def _rewound(client: Client, network: Network, notebook: Path) -> Result:
    """As from a coordinator that was started again: the web process keeps its tree in memory."""
    from coordinator.log import CoordinatorLog

    with pytest.MonkeyPatch.context() as patch:
        fresh = CoordinatorLog(network.store.log, network.key, "test")
        patch.setattr(CoordinatorLog, "checkpoint", lambda _self: _fresh(fresh))
        return _witness(client, notebook)


def _fresh(log: object) -> str:
    from coordinator.log import CoordinatorLog

    assert isinstance(log, CoordinatorLog)
    with log._lock:
        return log._head(log._grown())


def test_keys_that_are_known_are_compared(network: Network, client: Client, tmp_path: Path) -> None:
    wrong = AUDITOR.signing_key.public.text
    node = sorted(network.nodes)[0]
    for name in ("coordinator", node):
        keys = tmp_path / f"{name}.txt"
        keys.write_text(f"# by telephone\n{name} {wrong}\n")
        refused = _witness(client, tmp_path / "notebook.json", "--keys", str(keys))
        assert refused.exit_code == 6
        assert "another key" in refused.stderr
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert _witness(client, other).exit_code == 2


def test_first_seen_keys_are_remembered_and_a_later_change_is_found(
    network: Network, client: Client, tmp_path: Path
) -> None:
    folder, keys = tmp_path / "bundle", tmp_path / "keys.txt"
    bundle(network, folder)
    seen = _cairn(client, "audit", "verify", str(folder), "--keys", str(keys), "--remember")
    assert seen.exit_code == 0, seen.stderr
    assert "keys taken from the bundle, compare them" in seen.stdout
    known = read_keys(keys)
    assert known["coordinator"] == network.key.public
    again = _cairn(client, "audit", "verify", str(folder), "--keys", str(keys))
    assert "taken from the bundle" not in again.stdout
    node = sorted(network.nodes)[0]
    text = keys.read_text().replace(known[node].text, AUDITOR.signing_key.public.text)
    keys.write_text(text)
    changed = _cairn(client, "audit", "verify", str(folder), "--keys", str(keys))
    assert changed.exit_code == 6
    assert f"the key of {node} is not the pinned one" in changed.stderr
    keys.write_text("one two three\n")
    with pytest.raises(BadInput):
        read_keys(keys)


def test_a_bundle_whose_log_is_not_the_one_that_was_witnessed_does_not_verify(
    network: Network, tmp_path: Path
) -> None:
    """The coordinator rewinds its log and hides the nodes' cosignatures: their ledgers tell."""
    assert network.ask(ASKED).release
    network.settle()
    pinned = Pinned(network.key.public)
    assert verify_bundle(bundle(network, tmp_path / "honest"), pinned=pinned)
    say(network, "taken back later")
    network.settle()
    cut_log(network, network.contact.witnesses.log.size() - 1)
    network.settle()  # every node stops, and writes down what it saw
    with pytest.raises(VerificationFailed, match="missing") as failed:
        verify_bundle(bundle(network, tmp_path / "rewound"), pinned=pinned)
    assert failed.value.where.startswith("log/lines.jsonl: entry")
    with network.store.database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM checkpoints WHERE node = ?", (LOG,))
    with pytest.raises(VerificationFailed, match="missing"):
        verify_bundle(bundle(network, tmp_path / "hidden"), pinned=pinned)
    for node in network.nodes.values():
        node.steward.accept_history(LOG, "A backup was restored; told by telephone.")
    network.settle()
    report = verify_bundle(bundle(network, tmp_path / "accepted"), pinned=pinned)
    for found in report.nodes:
        assert [each.kind for each in found.breaks] == ["history-broken", "history-accepted"]
        assert "rewound" in found.breaks[0].what


def test_a_notebook_follows_the_coordinators_key_where_the_old_one_signed(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notebook = tmp_path / "notebook.json"

    def visit() -> Result:
        with asked_over_http(network, monkeypatch) as client:
            return _witness(client, notebook)

    assert visit().exit_code == 0
    rotate(network, tmp_path)
    followed = visit()
    assert followed.exit_code == 0, followed.stderr
    kept = notebook.read_bytes()
    assert len(json.loads(kept)["logs"][LOG]["keys"]) == 2
    rotate(network, tmp_path, lost=True)
    stopped = visit()
    assert stopped.exit_code == 6
    assert f"{LOG}: is signed by another key than the one known" in stopped.stderr
    assert notebook.read_bytes() == kept
