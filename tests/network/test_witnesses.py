"""A node that was stopped, restored from a backup or given another clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.store.facts import NodeState
from node.ledger_store import LedgerStore
from node.setup import open_ledger
from node.witnessing import answers_needed
from privacy.contract.messages import Ask
from privacy.contract.signing import Envelope, SigningKey
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.entry import Witnessed
from privacy.secure_sum.attempt import threshold
from tests.support import net_data
from tests.support.net_steps import Steps, codes, field
from tests.support.network import Network
from tests.support.stewards import open_period

ASKED = {"kind": "count"}
NODE = "ms-league"


def _statements(network: Network, peers: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What each peer signs about the restarted node."""
    nonce = network.nodes[NODE].service.witnessing.nonce
    answers = network.link.ask_all(Ask.WITNESS, peers, {"of": NODE, "nonce": nonce}, 1.0)
    return {node: answer.payload["statement"] for node, answer in answers.items()}  # type: ignore[union-attr]


def _deliver(network: Network, statements: dict[str, dict[str, Any]]) -> set[Code | None]:
    wish = {"statements": statements}
    return codes(network.link.ask_all(Ask.WITNESS_ANSWERS, (NODE,), wish, 1.0))


def _ready(network: Network) -> bool:
    return network.nodes[NODE].service.witnessing.done


def test_after_a_restart_a_node_answers_nothing_until_its_peers_have_spoken(
    network: Network,
) -> None:
    assert network.ask(ASKED).release
    network.nodes[NODE].restart()
    run = network.ask({"kind": "count", "by": ["treatment"]})
    assert run.code == Code.NOT_WITNESSED.value
    assert network.nodes[NODE].kinds("commit") == ["commit"]
    assert _deliver(network, _statements(network, ("als-union",))) == {None}
    assert not _ready(network), "one peer is not more than may collude"
    assert _deliver(network, _statements(network, ("mood-circle",))) == {None}
    assert _ready(network)
    [*_, last] = [b for b in network.nodes[NODE].bodies if isinstance(b, Witnessed)]
    assert last.peers == ("als-union", "mood-circle")
    network.settle()
    assert network.ask({"kind": "count", "by": ["treatment"]}, nonce="again").release


def test_every_restart_asks_with_a_new_nonce_and_old_answers_are_no_use(network: Network) -> None:
    node = network.nodes[NODE]
    node.restart()
    old = _statements(network, ("als-union", "mood-circle"))
    node.restart()
    assert _deliver(network, old) == {Code.BAD_REQUEST}
    assert not _ready(network)


def test_statements_that_the_coordinator_makes_up_are_no_use(network: Network) -> None:
    node = network.nodes[NODE]
    node.restart()
    nonce = node.service.witnessing.nonce
    forged = {}
    for peer in ("als-union", "mood-circle"):
        said = {"by": peer, "of": NODE, "nonce": nonce, "checkpoint": ""}
        forged[peer] = Envelope.seal("witness", said, network.key).to_json()
    assert _deliver(network, forged) == {Code.BAD_REQUEST}
    about_another = {p: Envelope.seal("witness", {"by": p}, SigningKey(b"p" * 32)) for p in forged}
    assert _deliver(network, {p: e.to_json() for p, e in about_another.items()}) == {
        Code.BAD_REQUEST
    }
    twice = _statements(network, ("als-union",))["als-union"]
    assert _deliver(network, {"als-union": twice, "mood-circle": twice}) == {Code.BAD_REQUEST}
    assert not _ready(network)


def test_a_restored_backup_would_have_its_budget_again_without_witnesses(
    network: Network, tmp_path: Path
) -> None:
    """A stand-in that only reads its own file does not notice; the node does, and stops."""
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "backup.sqlite")
    assert network.ask(ASKED).release
    charged = network.spent(NODE)[0]
    alone = LedgerStore.open(tmp_path / "backup.sqlite", node.home.identity(), network.clock)
    assert alone.state.total_charged.units < charged
    alone.close()

    node.restore_ledger(tmp_path / "backup.sqlite")
    assert network.spent(NODE)[0] < charged
    network.settle()
    assert not _ready(network)
    assert network.store.nodes.all()[-1].id  # the pass went through for everybody
    states = {facts.id: facts.state for facts in network.store.nodes.all()}
    assert states[NODE] is NodeState.NEEDS_STEWARD
    assert network.ask({"kind": "count", "by": ["treatment"]}).code == Code.NOT_WITNESSED.value


def test_evidence_of_a_rewind_is_not_forgotten_when_others_say_nothing(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    """Five nodes, two of which have never seen the newest checkpoint."""
    network = make(nodes=net_data.MORE_NODES, t_drop=1)
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "backup.sqlite")
    steps = Steps(network, network.plan(network.question(ASKED)))
    assert codes(steps.reserve()) == {None}
    assert network.run(steps.compiled).release
    node.restore_ledger(tmp_path / "backup.sqlite")
    assert _deliver(network, _statements(network, ("als-union",))) == {Code.LEDGER_STOPPED}
    nonce = node.service.witnessing.nonce
    ignorant = {}
    for peer in ("mood-circle", "stroke-club", "ataxia-group"):
        said = {"by": peer, "of": NODE, "nonce": nonce, "checkpoint": ""}
        key = network.nodes[peer].service.key
        ignorant[peer] = Envelope.seal("witness", said, key).to_json()
    assert _deliver(network, ignorant) == {Code.LEDGER_STOPPED}
    assert not _ready(network)


def test_a_coordinator_chooses_who_answers_for_a_restored_backup(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    """Five of seven signatures open a total: two honest peers never saw the newest checkpoint."""
    network = make(nodes=("a", "b", "c", "d", "e", "f", NODE), t_drop=1, count=5)
    node, ignorant = network.nodes[NODE], ("e", "f")
    node.copy_ledger(tmp_path / "backup.sqlite")
    steps = Steps(network, network.plan(network.question(ASKED)))
    assert codes(steps.reserve()) == {None}
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys)
    signers = tuple(name for name in sorted(network.nodes) if name not in ignorant)
    lists = field(steps.sign(attempt, field(given, "claim"), signers), "list")
    reveals = field(steps.reveal(attempt, lists.values(), signers), "shares")
    assert len(steps.open(attempt, keys, given, lists, reveals)) == 1  # opened, and charged for
    node.restore_ledger(tmp_path / "backup.sqlite")
    statements = _statements(network, ignorant)
    assert len(statements) == 2  # t_collude + 1: a rule of that many answers would be satisfied
    assert _deliver(network, statements) == {None}
    assert not _ready(network)
    for peer in ("a", "b"):
        assert _deliver(network, _statements(network, (peer,))) == {Code.LEDGER_STOPPED}
    assert not _ready(network)


@pytest.mark.parametrize("nodes", range(3, 40))
@pytest.mark.parametrize("t_collude", [1, 2, 3])
def test_the_answers_that_are_needed_include_an_honest_peer_that_knows(
    nodes: int, t_collude: int
) -> None:
    signatures = threshold(nodes, t_collude)
    if signatures > nodes:
        return
    ignorant = nodes - signatures
    assert answers_needed(nodes, t_collude) > ignorant + t_collude
    assert answers_needed(nodes, t_collude) >= t_collude + 1


def test_a_fork_of_the_same_length_is_detected(network: Network, tmp_path: Path) -> None:
    node = network.nodes[NODE]
    node.copy_ledger(tmp_path / "backup.sqlite")
    assert network.ask(ASKED).release
    size = node.service.ledger.size
    node.restore_ledger(tmp_path / "backup.sqlite")
    while node.service.ledger.size < size:
        (node.steward.pause if node.service.ledger.size % 2 else node.steward.resume)()
    statements = _statements(network, ("als-union", "mood-circle"))
    assert _deliver(network, statements) == {Code.LEDGER_STOPPED}


def test_a_commit_that_nobody_saw_signed_was_never_opened(network: Network, tmp_path: Path) -> None:
    """What a rewind can hide is only what no peer has signed; its masks are gone with it."""
    node = network.nodes[NODE]
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    node.copy_ledger(tmp_path / "backup.sqlite")
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys)
    assert codes(given) == {None}
    node.restore_ledger(tmp_path / "backup.sqlite")
    network.settle()
    claims = field(given, "claim")
    assert codes(steps.sign(attempt, claims, [NODE])) == {Code.ATTEMPT_LOST}
    others = [name for name in network.nodes if name != NODE]
    lists = field(steps.sign(attempt, claims, others), "list")
    assert codes(steps.reveal(attempt, lists.values(), others)) == {Code.BAD_REQUEST}


def test_a_commit_that_peers_sign_only_after_they_have_vouched_for_the_backup(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    """The coordinator holds the masked vectors back until the restored node is let in again."""
    network = make(nodes=net_data.MORE_NODES, t_drop=1)
    node = network.nodes[NODE]
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    node.copy_ledger(tmp_path / "backup.sqlite")
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys)
    claims = field(given, "claim")
    others = tuple(name for name in sorted(network.nodes) if name != NODE)
    assert len(others) == attempt.threshold  # enough signatures without the node itself
    node.restore_ledger(tmp_path / "backup.sqlite")
    assert network.spent(NODE)[0] == 0
    assert _deliver(network, _statements(network, others)) == {None}
    assert _ready(network)
    assert None not in codes(steps.sign(attempt, claims, others)), "uncharged, so never opened"
    alive = {name: claim for name, claim in claims.items() if name != NODE}
    lists = field(steps.sign(attempt, alive, others), "list")
    reveals = field(steps.reveal(attempt, lists.values(), others), "shares")
    kept = {name: answer for name, answer in given.items() if name != NODE}
    assert len(steps.open(attempt, keys, kept, lists, reveals)) == 1, "as if it had been lost"


def test_a_changed_entry_stops_the_node_at_its_start(network: Network) -> None:
    import sqlite3

    assert network.ask(ASKED).release
    node = network.nodes[NODE]
    node.stop()
    db = sqlite3.connect(node.home.ledger_file)
    [(seq, data)] = db.execute(
        "SELECT seq, data FROM entries WHERE CAST(data AS TEXT) LIKE '%\"commit\"%'"
    ).fetchall()
    db.execute(
        "UPDATE entries SET data = ? WHERE seq = ?", (data.replace(b'"bytes":8', b'"bytes":0'), seq)
    )
    db.commit()
    db.close()
    with pytest.raises(VerificationFailed):
        open_ledger(node.home, network.clock)


def test_a_clock_set_back_stops_the_ledger(network: Network) -> None:
    assert network.ask(ASKED).release
    now = network.clock.now
    network.clock.now = now - timedelta(seconds=90)
    run = network.ask({"kind": "count", "by": ["treatment"]})
    assert run.code == Code.LEDGER_STOPPED.value
    network.clock.now = now - timedelta(seconds=1)
    assert network.ask({"kind": "count", "by": ["treatment"]}, nonce="small").release


def test_a_clock_set_back_opens_no_earlier_period(network: Network) -> None:
    network.clock.forward(days=400)
    assert network.ask(ASKED).code == Code.NOT_IN_PERIOD.value
    open_period(network.nodes[NODE])
    with pytest.raises(Refused):
        open_period(network.nodes[NODE])
    network.clock.forward(days=-400)
    assert network.ask(ASKED, nonce="back").code in (
        Code.LEDGER_STOPPED.value,
        Code.NOT_IN_PERIOD.value,
    )


def test_a_peer_that_signed_two_histories_is_found_out(network: Network, tmp_path: Path) -> None:
    """The node's own key, but two ledgers of one length: the peer that holds the first refuses."""
    node, peer = network.nodes[NODE], network.nodes["als-union"]
    node.copy_ledger(tmp_path / "backup.sqlite")
    assert network.ask(ASKED).release
    held = peer.service.ledger.book.held(NODE)
    assert held is not None
    fork = LedgerStore.open(
        tmp_path / "backup.sqlite",
        node.home.identity(),
        lambda: network.clock() + timedelta(hours=1),
    )
    from privacy.checkpoint import open_checkpoint
    from privacy.ledger.entry import Paused, Resumed

    key = node.service.key.public
    while fork.size < open_checkpoint(held, key).size:
        fork.append(Resumed(by="x") if fork.size % 2 else Paused(by="x"))
    with pytest.raises(VerificationFailed):
        peer.service.ledger.book.keep({NODE: (fork.checkpoint(), key)})
    fork.close()


def test_one_signed_question_has_one_plan(network: Network) -> None:
    question = network.question(ASKED)
    first, second = (Steps(network, network.plan(question)) for _ in range(2))
    assert first.digest != second.digest
    assert codes(first.reserve()) == {None}
    assert codes(second.reserve()) == {Code.REPLAYED}
    first.outcome(aborted="cancelled")
    assert codes(second.reserve()) == {Code.REPLAYED}
