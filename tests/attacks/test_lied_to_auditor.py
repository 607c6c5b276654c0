"""A coordinator and all nodes that agree on a lie, and an auditor who has only their bundle.

Every ledger, plan and release is signed and fits the others. What gives the lie away is the
researcher's signed question: everything that costs privacy follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from coordinator.audit import documents
from coordinator.audit.verify import verify_bundle
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan, PlannedRound, Question, identity_of
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope
from privacy.errors import VerificationFailed
from tests.support.bundle_factory import COORDINATOR, Network

PARTS = ("analysis", "cohort", "dictionary", "study_digest", "participants", "epoch", "rho")


class Lying(Network):
    """Plans say something else than their questions, with an identity that fits."""

    lie: dict[str, Any] = {}  # noqa: RUF012 - set by the test

    def _compiled(self, question: Question, asked: Envelope) -> Plan:
        plan = super()._compiled(question, asked)
        changes = {name: said(plan) if callable(said) else said for name, said in self.lie.items()}
        plan = plan.model_copy(update=changes)
        identity = identity_of(**{name: getattr(plan, name) for name in PARTS})
        return plan.model_copy(update={"identity": identity})


def _lied(tmp_path: Path, lie: dict[str, Any], **network: Any) -> Path:
    made = Lying(**network)
    made.lie = lie
    made.ask("0.5")
    return made.write(tmp_path / "bundle")


def _longer(rounds: tuple[PlannedRound, ...]) -> tuple[PlannedRound, ...]:
    return tuple(each.model_copy(update={"length": each.length + 1}) for each in rounds)


LIES: dict[str, dict[str, Any]] = {
    "another analysis": {"lie": {"analysis": {"kind": "count", "by": []}}},
    "another cohort": {"lie": {"cohort": "members.treatment == 'riluzole'"}},
    "more numbers than were asked for": {"lie": {"rounds": lambda plan: _longer(plan.rounds)}},
    "more attempts than were signed": {"lie": {"max_attempts": 3}},
    "another data epoch's delta": {"lie": {"delta": "1/10"}},
    "one membership where the study allows two": {
        "lie": {},
        "study_changes": {"max_memberships": 2},
    },
    "a smaller margin than the study's": {"lie": {}, "study_changes": {"t_collude": 2}},
}


@pytest.mark.parametrize("name", LIES)
def test_a_plan_that_is_not_its_questions_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _lied(tmp_path, **LIES[name])
    with monkeypatch.context() as unprotected:
        unprotected.setattr(documents, "_check_plan", lambda *_: None)
        if name != "another data epoch's delta":  # that one shows in the release as well
            verify_bundle(bundle)
    with pytest.raises(VerificationFailed) as found:
        verify_bundle(bundle)
    assert found.value.where.startswith("plans/")


def _other_dictionary(network: Network) -> dict[str, Any]:
    """The same levels in another order: every cell would be read as another one."""
    value = network.dictionary.to_json()
    value["tables"][0]["columns"][0]["levels"].reverse()
    return {"dictionaries": (Dictionary.from_json(value),)}


def _other_roster(network: Network) -> dict[str, Any]:
    roster = Roster(network=network.roster.network, epoch=2, nodes=network.roster.nodes)
    return {"rosters": (Envelope.seal("roster", roster.to_json(), COORDINATOR),)}


def _other_delta(_network: Network) -> dict[str, Any]:
    return {"delta": Fraction(1, 10**9)}


SWAPS: dict[str, Callable[[Network], dict[str, Any]]] = {
    "dictionary": _other_dictionary,
    "roster": _other_roster,
    "delta": _other_delta,
}


@pytest.mark.parametrize("name", SWAPS)
@pytest.mark.parametrize("asked", [False, True])
def test_documents_other_than_those_the_nodes_recorded_are_found(
    name: str, *, asked: bool, tmp_path: Path
) -> None:
    network = Network()
    if asked:
        network.ask("0.5")
    verify_bundle(network.write(tmp_path / "honest"))
    bundle = network.write(tmp_path / "swapped", **SWAPS[name](network))
    with pytest.raises(VerificationFailed) as found:
        verify_bundle(bundle)
    assert found.value.where.startswith(("plans/", "nodes/"))


def test_earlier_dictionaries_are_in_the_bundle(tmp_path: Path) -> None:
    """A new dictionary does not make the questions under the old one unverifiable."""
    network = Network()
    network.ask("0.5")
    newer = _other_dictionary(network)["dictionaries"]
    bundle = network.write(tmp_path / "bundle", dictionaries=(*newer, network.dictionary))
    assert verify_bundle(bundle).plans == 1
