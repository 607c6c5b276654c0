"""Nodes that witness: the coordinator's log at every contact, and one another's ledgers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.log import CoordinatorLog
from coordinator.node_link import Body
from coordinator.store.facts import NodeState
from node import cli
from node.ledger_store import LedgerStore
from node.witnessing import Copy
from privacy.checkpoint import (
    LOG,
    check_cosignature,
    log_origin,
    node_origin,
    open_checkpoint,
    witness_name,
)
from privacy.contract.messages import Ask
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import Commit, Paused, Resumed
from privacy.ledger.history_entry import (
    BudgetForfeited,
    Fault,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
)
from privacy.witness import Growth
from tests.support.net_steps import code, codes
from tests.support.network import Network
from tests.support.rewinding import cut_log, forget_memory, say
from tests.support.stewards import open_period

ASKED = {"kind": "count"}
NODE, PEER = "ms-league", "als-union"


def _broken(network: Network, node: str = NODE) -> list[HistoryBroken]:
    return [body for body in network.nodes[node].bodies if isinstance(body, HistoryBroken)]


def _cosigned(network: Network, of: str) -> dict[str, int]:
    """The largest head of `of` that each node's stored cosignature holds on, checked here."""
    roster, found = network.store.network.roster, dict[str, int]()
    key = network.key.public if of == LOG else roster.keys[of]
    for each in network.store.ledgers.witnesses(of):
        if each.cosignature and each.by in roster.keys:
            head = open_checkpoint(each.text, key)
            name = witness_name("test", each.by)
            check_cosignature(head, each.cosignature, name, roster.keys[each.by])
            found[each.by] = max(head.size, found.get(each.by, 0))
    return found


def test_every_head_is_cosigned_by_every_other_node_and_the_log_by_all(network: Network) -> None:
    assert network.ask(ASKED).release
    network.settle()
    everybody = set(network.nodes)
    lines = network.contact.witnesses.log.size()
    assert _cosigned(network, LOG) == dict.fromkeys(everybody, lines)
    for name, node in network.nodes.items():
        size = node.service.ledger.size
        assert _cosigned(network, name) == dict.fromkeys(everybody - {name}, size)
    assert (
        open_checkpoint(
            network.nodes[NODE].service.ledger.book.cosigned(LOG).checkpoint,  # type: ignore[union-attr]
            network.key.public,
            log_origin("test"),
        ).size
        == lines
    )


def test_a_restarted_coordinator_learns_what_nodes_hold_in_one_contact(network: Network) -> None:
    say(network, "one", "two")
    forget_memory(network)
    network.contact.pass_once()
    assert all(node.service.watch.current for node in network.nodes.values())
    assert set(_cosigned(network, LOG).values()) == {network.contact.witnesses.log.size()}
    assert network.ask(ASKED).release


def test_a_log_set_back_stops_every_node_until_a_steward_accepts_it(network: Network) -> None:
    assert network.ask(ASKED).release
    network.settle()
    lines = network.contact.witnesses.log.size()
    cut_log(network, lines - 2)
    network.settle()
    node = network.nodes[NODE]
    [said] = _broken(network)
    assert (said.of, said.fault) == (LOG, Fault.REWOUND)
    held, shown = (open_checkpoint(n, network.key.public) for n in (said.held, said.shown))
    assert (held.size, shown.size) == (lines, lines - 2), "both are signed by the coordinator"
    states = {facts.id: facts.state for facts in network.store.nodes.all()}
    assert states[NODE] is NodeState.NEEDS_STEWARD
    question = network.question({"kind": "count", "by": ["treatment"]})
    assert network.run(network.plan(question)).code == Code.HISTORY_BROKEN.value
    [explained] = node.steward.status()["stopped"]
    assert f"had {lines} entries and now shows {lines - 2}" in explained
    assert "accept-history coordinator/log" in explained
    node.restart()
    network.settle()
    assert len(_broken(network)) == 1, "it is written once, and outlives a restart"
    assert node.service.ledger.state.halted
    for each in network.nodes.values():
        each.steward.accept_history(LOG, "The operator restored last night's backup.")
    network.settle()
    assert [b.by for b in node.bodies if isinstance(b, HistoryAccepted)] == ["steward"]
    assert network.ask({"kind": "count", "by": ["treatment"]}, nonce="again").release
    with pytest.raises(Refused):
        node.steward.accept_history(LOG, "nothing is broken")
    with pytest.raises(BadInput):
        node.steward.accept_history("nobody", "?")


def test_a_log_told_anew_is_found_whatever_its_length(network: Network) -> None:
    """Same size, and larger: the lines are others than those that were seen."""
    for more in (0, 3):
        say(network, "one", "two")
        network.settle()
        lines = network.contact.witnesses.log.size()
        cut_log(network, lines - 2)
        say(network, *(f"other {more} {number}" for number in range(2 + more)))
        forget_memory(network)
        network.contact.pass_once()
        [*_, said] = _broken(network)
        assert (said.of, said.fault) == (LOG, Fault.FORKED)
        for each in network.nodes.values():
            each.steward.accept_history(LOG, "a test")
        network.settle()


def test_growth_that_is_never_shown_is_not_believed_for_ever(network: Network) -> None:
    """A coordinator that keeps proving from where nobody is."""
    node = network.nodes[NODE]
    for number in range(3):
        assert node.service.watch.current
        say(network, f"{number}")
        text, hashes = network.contact.witnesses.log.consistency(1)
        growth = Growth(checkpoint=text, since=1, hashes=hashes)
        answer = network.link.ask(Ask.HELLO, {NODE: Body({"log": growth.to_json()})}, 1.0)[NODE]
        assert isinstance(answer, Body)
        assert answer.payload["cosigned"] == ""
    assert not node.service.watch.current
    assert network.ask(ASKED).code == Code.NOT_WITNESSED.value
    network.settle()
    assert network.ask(ASKED, nonce="shown").release


def test_a_head_that_was_overtaken_on_its_way_is_nobodys_fault(network: Network) -> None:
    old = network.contact.witnesses.shown_log(NODE)
    early = network.clock.now
    network.clock.forward(seconds=30)
    say(network, "one")
    network.settle()
    network.clock.now = early
    answer = network.link.ask(Ask.HELLO, {NODE: Body({"log": old.to_json()})}, 1.0)[NODE]
    assert code(answer) is None
    assert not _broken(network)


def test_a_coordinators_clock_that_goes_back_stops_the_node(network: Network) -> None:
    node = network.nodes[NODE]
    network.clock.forward(hours=1)
    say(network, "one")
    network.settle()
    node.service.watch.clock = node.service.ledger._clock = lambda: (
        network.clock() + timedelta(hours=1)
    )
    network.clock.forward(minutes=-30)
    network.contact.pass_once()
    assert [said.fault for said in _broken(network)] == [Fault.CLOCK]
    assert "a time that lies before" in node.steward.status()["stopped"][0]


def test_a_greeting_that_does_not_show_the_log_is_refused(network: Network) -> None:
    wish = {NODE: Body({}), PEER: Body({"log": {"checkpoint": "x"}})}
    assert codes(network.link.ask(Ask.HELLO, wish, 1.0)) == {Code.BAD_REQUEST}
    forged = CoordinatorLog(network.store.log, network.nodes[PEER].service.key, "test")
    growth = Growth(checkpoint=forged.checkpoint())
    answer = network.link.ask(Ask.HELLO, {NODE: Body({"log": growth.to_json()})}, 1.0)[NODE]
    assert code(answer) is Code.BAD_REQUEST


def _fork(network: Network, tmp_path: Path) -> str:
    """Another ledger of the size that the peers have seen, under the node's own key."""
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "backup.sqlite")
    assert network.ask(ASKED).release
    network.settle()
    fork = LedgerStore.open(
        tmp_path / "backup.sqlite",
        node.home.identity(),
        lambda: network.clock() + timedelta(hours=1),
    )
    while fork.size < node.service.ledger.size:
        fork.append(Resumed(by="x") if fork.size % 2 else Paused(by="x"))
    text = fork.checkpoint()
    fork.close()
    return text


def _show(network: Network, text: str, **more: object) -> dict[str, str]:
    growth = Growth.from_json({"checkpoint": text, **more})
    wish = {PEER: Body({"ledgers": {NODE: growth.to_json()}})}
    answer = network.link.ask(Ask.COSIGN, wish, 1.0)[PEER]
    assert isinstance(answer, Body)
    return dict(answer.payload["cosigned"])


def test_a_peer_with_two_ledgers_is_no_peer_until_a_steward_has_looked(
    network: Network, tmp_path: Path
) -> None:
    text = _fork(network, tmp_path)
    assert _show(network, text) == {NODE: ""}
    [said] = _broken(network, PEER)
    assert (said.of, said.fault) == (NODE, Fault.FORKED)
    key = network.nodes[NODE].service.key.public
    two = [
        open_checkpoint(note, key, node_origin("test", NODE)) for note in (said.held, said.shown)
    ]
    assert two[0].size == two[1].size, "anybody can see that the node signed two histories"
    assert two[0].root != two[1].root
    peer = network.nodes[PEER]
    assert NODE not in peer.service.peers()
    assert not peer.service.ledger.state.halted, "the others are answered"
    assert "the ledger of ms-league is another one" in peer.steward.status()["stopped"][0]
    peer.steward.accept_history(NODE, "Their disk was copied.")
    assert NODE in peer.service.peers()
    network.settle()
    assert not _broken(network, PEER)[1:]


def test_what_the_coordinator_says_of_a_peer_is_no_evidence(network: Network) -> None:
    """Proofs that fail and older heads are not cosigned, and nobody is accused."""
    peer = network.nodes[NODE].service.ledger
    early = peer.checkpoint_at(3)
    peer.append(Paused(by="x"))
    size = network.nodes[PEER].service.ledger.book.cosigned(NODE)
    assert size is not None
    since = open_checkpoint(size.checkpoint, network.nodes[NODE].service.key.public).size
    for shown in (
        {"checkpoint": early},
        {"checkpoint": peer.checkpoint(), "since": since, "hashes": ["0" * 64]},
        {"checkpoint": peer.checkpoint(), "since": 1},
        {"checkpoint": "nothing"},
    ):
        assert _show(network, shown.pop("checkpoint"), **shown) == {NODE: ""}  # type: ignore[arg-type]
    assert not _broken(network, PEER)


# a restored backup, and the ways out


def _restored(network: Network, tmp_path: Path) -> int:
    """Charged, and then back to before; returns what was spent."""
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "backup.sqlite")
    assert network.ask(ASKED).release
    network.settle()
    spent = network.spent(NODE)[0]
    node.restore_ledger(tmp_path / "backup.sqlite")
    network.settle()
    assert network.spent(NODE)[0] < spent
    assert node.service.witnessing.stopped
    return spent


def test_a_restored_ledger_stops_and_takes_back_what_it_lost(
    network: Network, tmp_path: Path
) -> None:
    before = [Commit]
    spent = _restored(network, tmp_path)
    node = network.nodes[NODE]
    [explained] = node.steward.status()["stopped"]
    assert "a backup was restored" in explained
    assert "recover" in explained
    kept = node.service.ledger.size
    back = node.steward.recover("A disk failed; Monday's backup was restored.")["recovered"]
    assert network.spent(NODE)[0] == spent, "to the last entry"
    network.settle()
    assert node.service.witnessing.done
    assert [type(b) for b in node.bodies if isinstance(b, Commit)] == before
    [said] = [b for b in node.bodies if isinstance(b, LedgerRecovered)]
    assert (said.kept, back) == (kept, node.service.ledger.size - kept - 2)
    assert network.ask({"kind": "count", "by": ["treatment"]}).release
    node.restart()
    network.settle()
    assert node.service.witnessing.done, "and what was written back is on disk"
    with pytest.raises(BadInput):
        node.steward.recover("nothing is lost")


def test_nothing_but_the_lost_entries_is_taken_back(network: Network, tmp_path: Path) -> None:
    _restored(network, tmp_path)
    witnessing = network.nodes[NODE].service.witnessing
    honest = witnessing.copy
    assert honest is not None
    first, *others = honest.lines
    for lines in (
        honest.lines[:-1],
        (*honest.lines, honest.lines[-1]),
        tuple(others),
        (first.replace(b'"max_attempts":1', b'"max_attempts":2'), *others),
        (),
    ):
        witnessing.copy = Copy(lines, honest.checkpoint)
        size = network.nodes[NODE].service.ledger.size
        with pytest.raises(VerificationFailed):
            network.nodes[NODE].steward.recover("a coordinator that keeps a commit back")
        assert network.nodes[NODE].service.ledger.size == size


def test_a_copy_from_a_file_serves_where_the_coordinator_has_none(
    network: Network, tmp_path: Path
) -> None:
    spent = _restored(network, tmp_path)
    node = network.nodes[NODE]
    node.service.witnessing.copy = None
    file = tmp_path / "entries.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in network.store.ledgers.entries(NODE)))
    newest = network.store.ledgers.newest_checkpoint(NODE)
    assert newest is not None
    (tmp_path / "checkpoint.txt").write_text(newest.text)
    node.steward.recover("from the auditor's bundle", file)
    assert network.spent(NODE)[0] == spent
    with pytest.raises(BadInput):
        node.steward.recover("?", tmp_path / "nothing")


def test_without_a_copy_everything_counts_as_spent_for_a_year(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    network = make()
    _restored(network, tmp_path)
    node = network.nodes[NODE]
    with pytest.raises(Refused):
        network.nodes[PEER].steward.assume_spent("nothing is lost here")
    budget = node.steward.assume_spent("Nobody kept a copy.")
    assert budget["left_rho"] == "0/1"
    network.settle()
    assert node.service.witnessing.done
    run = network.ask({"kind": "count", "by": ["treatment"]})
    assert run.code in (Code.BUDGET_EXCEEDED.value, Code.STUDY_BUDGET_EXCEEDED.value)
    [said] = [b for b in node.bodies if isinstance(b, BudgetForfeited)]
    network.clock.forward(days=364)
    with pytest.raises(Refused):
        open_period(node)
    network.clock.forward(days=2)
    open_period(node)
    assert said.ends <= node.service.ledger.state.at
    node.restart()
    network.settle()
    assert node.service.witnessing.done, "its peers still hold what it gave up, and that is known"


def test_a_ledger_that_its_peers_have_not_confirmed_goes_no_way_of_its_own(
    network: Network, tmp_path: Path
) -> None:
    """A plan that ran out in the backup would be noted as expired: another history."""
    node = network.nodes[NODE]
    compiled = network.plan(network.question(ASKED))
    network.rounds.reserve(compiled.envelope, compiled.plan)
    node.copy_ledger(tmp_path / "backup.sqlite")
    network.rounds.abort(compiled.envelope, compiled.plan, Code.CANCELLED)
    network.settle()
    network.clock.forward(hours=2)
    node.restore_ledger(tmp_path / "backup.sqlite")
    network.settle()
    assert node.service.witnessing.stopped
    assert "expired" not in node.kinds("expired")


def test_ways_out_from_the_shell_say_when_there_is_nothing_to_go_out_of(network: Network) -> None:
    node = network.nodes[NODE]
    node.stop()

    def cairn_node(*line: str) -> Result:
        return CliRunner().invoke(cli.app, [*line, "--dir", str(node.home.root)])

    assert cairn_node("recover", "--reason", "x").exit_code == 2
    assert cairn_node("recover", "--assume-spent", "--reason", "x").exit_code == 3
    both = cairn_node("recover", "--assume-spent", "--copy", "x", "--reason", "x")
    assert both.exit_code == 2
    assert cairn_node("accept-history", "--reason", "x").exit_code == 3
    assert cairn_node("accept-history", "nobody", "--reason", "x").exit_code == 2
    said = cairn_node("accept-history", PEER, "--reason", "Their disk was copied.", "--by", "Ida")
    assert (said.exit_code, said.output) == (0, "accepted\n")
    node.start()
    [entry] = [body for body in node.bodies if isinstance(body, HistoryAccepted)]
    assert (entry.of, entry.by) == (PEER, "Ida")
