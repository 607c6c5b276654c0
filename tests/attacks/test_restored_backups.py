"""A23: a coordinator that keeps an attempt open while a backup of one node is restored.

The commit is in no ledger any more and no peer has seen its checkpoint; if the others would
still open the attempt, the restored node would have given an answer that nobody paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.runner import Runner
from privacy.contract.messages import Ask
from privacy.errors import Code
from tests.support import net_data
from tests.support.net_steps import Steps, codes, field
from tests.support.network import Network

TARGET = "als-union"
FIVE: dict[str, Any] = {"nodes": net_data.MORE_NODES, "t_drop": 1}
ASKED = {"kind": "count", "by": ["treatment"]}


def _opened_after_restoring(network: Network, backup: Path, *, others_late: bool) -> bool:
    """Contribute, restore the target's ledger, let it be witnessed, then open without it."""
    node = network.nodes[TARGET]
    steps = Steps(network, network.plan(network.question(ASKED)))
    others = [name for name in steps.plan.participants if name != TARGET]
    node.copy_ledger(backup)
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys, [TARGET] if others_late else None)
    node.restore_ledger(backup)
    network.settle()
    assert node.service.witnessing.done, "no peer has seen the commit"
    if others_late:
        given |= steps.contribute(attempt, keys, others)
    claims = field(given, "claim")
    lists = field(steps.sign(attempt, claims, others), "list")
    reveals = field(steps.reveal(attempt, lists.values(), others), "shares")
    if len(reveals) < attempt.threshold:
        return False
    assert len(steps.open(attempt, keys, given, lists, reveals)) == 3
    return network.spent(TARGET) == (0, 0)


@pytest.mark.parametrize("others_late", [False, True])
def test_an_answer_that_a_restored_backup_did_not_pay_for(
    make: Callable[..., Network],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    others_late: bool,
) -> None:
    """Peers that forget the restart give the answer away; peers that note it do not."""
    with monkeypatch.context() as unprotected:
        unprotected.setattr(Runner, "peer_restarted", lambda _runner, _peer, _nonce: None)
        assert _opened_after_restoring(make(**FIVE), tmp_path / "1", others_late=others_late)
    assert not _opened_after_restoring(make(**FIVE), tmp_path / "2", others_late=others_late)


def test_a_total_without_the_restarted_node_may_still_be_opened(
    make: Callable[..., Network],
) -> None:
    """The margin covers it: what it had committed is not in the total."""
    network = make(**FIVE)
    steps = Steps(network, network.plan(network.question(ASKED)))
    others = [name for name in steps.plan.participants if name != TARGET]
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys, others)
    network.nodes[TARGET].restart()
    network.settle()
    lists = field(steps.sign(attempt, field(given, "claim"), others), "list")
    assert len(lists) == len(others)
    reveals = field(steps.reveal(attempt, lists.values(), others), "shares")
    assert len(steps.open(attempt, keys, given, lists, reveals)) == 3


def test_after_a_restart_the_network_answers_with_new_keys(make: Callable[..., Network]) -> None:
    network = make(**FIVE)
    assert network.ask(ASKED).release
    network.nodes[TARGET].restart()
    network.settle()
    run = network.ask(ASKED, "age > 40")
    assert run.release
    assert len(network.nodes[TARGET].kinds("commit")) == 2


def test_nobody_is_asked_about_a_stranger(network: Network) -> None:
    answers = network.link.ask_all(
        Ask.WITNESS, tuple(network.nodes), {"of": "nobody", "nonce": "n"}, 1.0
    )
    assert codes(answers) == {Code.ROSTER_MISMATCH}
