"""A node that approves or answers what its own policy refuses; an auditor holds it to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator import operate
from coordinator.audit.verify import verify_bundle
from node import decisions, gate
from privacy.contract.study import Study
from privacy.errors import BadInput, Code, VerificationFailed
from privacy.ledger.entry import Approval
from tests.support.net_bundle import bundle
from tests.support.network import Network

NODE = "als-union"
STRICT = "yearly_epsilon = 100\nmin_cohort = 10"
ASKED = {"kind": "count"}


def found_by_auditor(network: Network, tmp_path: Path) -> tuple[str, str]:
    network.settle()
    with pytest.raises(VerificationFailed) as found:
        verify_bundle(bundle(network, tmp_path / "bundle"))
    return found.value.what, found.value.where


def test_a_study_that_the_policy_refuses_is_not_approved(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steward, digest = network.nodes[NODE].steward, network.study.digest
    steward.set_policy(STRICT)
    steward.decide(digest, "withdrawn")
    with pytest.raises(BadInput, match="does not allow this study"):
        steward.decide(digest, "approved")
    monkeypatch.setattr(decisions, "_check_rules", lambda *_: None)
    steward.decide(digest, "approved")
    entry = network.nodes[NODE].service.ledger.size - 1
    what, where = found_by_auditor(network, tmp_path)
    assert what == "approves what the policy in force refuses: min_cohort"
    assert where == f"nodes/{NODE}/entries.jsonl: entry {entry}"


def test_a_policy_approves_by_itself_only_for_people_it_knows(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, stranger = network.nodes[NODE], "A" * 43 + "="
    rules = f'yearly_epsilon = 100\nautomatic = ["approve-known"]\nknown = ["{stranger}"]'
    node.steward.set_policy(rules)
    monkeypatch.setattr(decisions, "known_to", lambda *_: True)
    study = Study.from_json({**network.study.to_json(), "id": "ms-fatigue"})
    operate.propose(network.store, network.key, study, now=network.clock())
    network.settle()
    decisions.decide_by_policy(
        node.service.ledger, decisions.Offered(study, signed=True), network.clock()
    )
    [approval] = [b for b in node.bodies if isinstance(b, Approval) and b.how == "policy"]
    assert approval.decision == "approved"
    what, _ = found_by_auditor(network, tmp_path)
    assert what == "is by a policy that does not know every investigator's key"


def test_a_limit_raised_after_the_approval_holds_for_every_question(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.nodes[NODE].steward.set_policy(STRICT)
    network.settle()
    assert network.ask(ASKED).code == Code.POLICY_FLOOR.value
    monkeypatch.setattr(gate, "_check_floors", lambda *_: None)
    assert network.ask(ASKED, nonce="again").release
    what, where = found_by_auditor(network, tmp_path)
    assert what == "the policy in force refuses it: min_cohort"
    assert where.startswith(f"nodes/{NODE}/entries.jsonl: entry")
