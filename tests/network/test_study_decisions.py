"""Organisations decide at their nodes: by two stewards, by policy, with questions, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator import operate
from coordinator.node_link import Body
from node.policy_file import read_policy
from node.steward import Steward
from privacy.contract.messages import Ask
from privacy.contract.signing import SigningKey
from privacy.contract.study import Investigator, Study
from privacy.contract.study_life import Act, Signer, State, StudyStep
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Approval, PolicySet
from privacy.ledger.steward_entry import Signed, decision_word
from tests.support.net_steps import Steps, codes
from tests.support.network import Network
from tests.support.stewards import join_stewards, said

ASKED = {"kind": "count", "by": ["treatment"]}
TARGET = "als-union"
STRANGER = SigningKey(b"s" * 32)


def set_policy(network: Network, text: str, node: str = TARGET) -> None:
    policy = read_policy(f"yearly_epsilon = 100\n{text}", "policy.toml", "1/1000000")
    network.nodes[node].service.ledger.append(PolicySet.of(policy, "steward"))


def amended(network: Network, **changes: Any) -> Study:
    facts = {**network.study.to_json(), "id": "ms-fatigue", "version": 1, **changes}
    return Study.from_json(facts)


def offer(network: Network, study: Study, *, signed: SigningKey | None = None) -> None:
    """Propose for the investigators, or by an investigator's own signature; nodes are told."""
    envelope = operate.propose(network.store, network.key, study, now=network.clock())
    if signed is not None:
        step = StudyStep.of(study, Act.PROPOSE, Signer.RESEARCHER, "2026-03-10T12:00:00Z")
        wish = {"study": envelope.to_json(), "proposals": [step.sealed(signed).to_json()]}
        bodies = {node: Body(wish) for node in network.nodes}
        network.link.ask(Ask.OFFER_STUDY, bodies, 1.0)
    network.settle()


def life(network: Network, study: Study) -> State:
    return network.store.steps.life(study, len(network.nodes)).state


def decision(network: Network, study: Study, node: str = TARGET) -> Approval | None:
    found = [
        body
        for body in network.nodes[node].bodies
        if isinstance(body, Approval) and body.study_digest == study.digest
    ]
    return found[-1] if found else None


def test_every_decision_reaches_the_studys_record_signed_by_its_node(network: Network) -> None:
    network.settle()
    assert life(network, network.study) is State.APPROVED
    study = amended(network)
    offer(network, study)
    assert life(network, study) is State.PROPOSED
    network.nodes[TARGET].steward.decide(study.digest, "asked", "Why so many columns?")
    network.settle()
    assert life(network, study) is State.ASKED_BACK
    logged = network.store.steps.of(study.digest)[-1]
    assert (logged.step.by, logged.step.note) == (TARGET, "Why so many columns?")
    assert logged.envelope.key == network.nodes[TARGET].service.key.public
    for node in network.nodes.values():
        node.steward.decide(study.digest, "approved")
    network.settle()
    assert life(network, study) is State.APPROVED
    network.nodes[TARGET].restart()
    network.settle()
    network.nodes[TARGET].steward.decide(study.digest, "withdrawn", "New board.")
    network.settle()
    assert life(network, study) is State.REFUSED


def test_an_answer_reaches_the_organisation_that_asked(network: Network) -> None:
    study = amended(network)
    offer(network, study)
    network.nodes[TARGET].steward.decide(study.digest, "asked", "Why?")
    network.settle()
    step = StudyStep.of(
        study, Act.PROPOSE, Signer.RESEARCHER, "2026-03-11T12:00:00Z", note="Because."
    ).sealed(network.researcher.signing_key)
    network.store.steps.add(step, study, operate.signers(network.store, network.key.public))
    network.settle()
    (shown,) = [s for s in network.nodes[TARGET].steward.studies() if s["digest"] == study.digest]
    assert shown["answers"] == ["Because."]
    assert life(network, study) is State.PROPOSED


def test_two_stewards_have_to_approve_where_the_policy_says_so(network: Network) -> None:
    """Two keys: names alone, and one key under two names, are not two stewards."""
    set_policy(network, "approvers = 2")
    study = amended(network)
    offer(network, study)
    node = network.nodes[TARGET]
    ina, tom = join_stewards(node, "Ina", "Tom")

    def decide(by: str, signed: Signed | None) -> str:
        return Steward(node.parts, by).decide(study.digest, "approved", "", signed)

    def sign(key: SigningKey) -> Signed:
        return said(node, key, decision_word(study.digest, "approved", ""))

    with pytest.raises(BadInput, match="told apart by their keys"):
        decide("Ina", None)
    assert decide("Ina", sign(ina)) == "endorsed"
    with pytest.raises(BadInput, match="another steward"):
        decide("Ina", sign(ina))
    with pytest.raises(Refused, match="another name"):
        decide("Ina", sign(tom))
    assert decision(network, study) is None
    assert decide("Tom", sign(tom)) == "approved"
    assert node.bodies[-2].by == "Ina"


RULES = 'automatic = ["approve-known", "refuse-outside"]\nknown = ["{key}"]\nmin_cohort = 10\n'


def test_a_known_investigators_study_within_the_policy_is_approved_by_it(
    network: Network,
) -> None:
    key = network.researcher.signing_key
    set_policy(network, RULES.format(key=key.public.text))
    within = amended(network, min_cohort=10)
    offer(network, within, signed=key)
    found = decision(network, within)
    assert found is not None
    assert (found.decision, found.how, found.by) == ("approved", "policy", "policy")
    assert "known" in found.reason
    outside = amended(network, id="outside", min_cohort=9)
    offer(network, outside, signed=key)
    found = decision(network, outside)
    assert found is not None
    assert (found.decision, found.how) == ("refused", "policy")
    assert "smallest cohort" in found.reason


def test_a_study_that_the_coordinator_makes_up_is_not_approved_by_a_policy(
    network: Network,
) -> None:
    """It may name a known investigator, or itself; it cannot sign for one."""
    known = network.researcher.signing_key
    set_policy(network, RULES.format(key=known.public.text))
    forged = amended(network, id="forged", min_cohort=10)
    offer(network, forged)  # proposed by the coordinator alone
    assert decision(network, forged) is None
    wish = {
        "study": operate.propose(network.store, network.key, forged, now=network.clock()).to_json(),
        "proposals": [
            StudyStep.of(forged, Act.PROPOSE, Signer.RESEARCHER, "2026-03-10T12:00:00Z")
            .sealed(network.key)
            .to_json()
        ],
    }
    answers = network.link.ask(Ask.OFFER_STUDY, {TARGET: Body(wish)}, 1.0)
    assert codes(answers) == {Code.BAD_REQUEST}
    own = (Investigator(key=network.key.public.text).to_json(),)
    offer(network, amended(network, id="own", min_cohort=10, investigators=list(own)))
    for each in network.nodes[TARGET].steward.studies():
        assert each["decision"] == ("approved" if each["id"] == network.study.id else "waiting")


def test_a_withdrawal_stops_a_run_at_once(network: Network) -> None:
    steps = Steps(network, network.plan(network.question(ASKED)))
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    given = steps.contribute(attempt, keys)
    assert codes(given) == {None}
    node = network.nodes[TARGET]
    node.steward.decide(network.study.digest, "withdrawn", "We changed our mind.")
    assert node.service.ledger.state.plans == {}
    from tests.support.net_steps import field

    claims = field(given, "claim")
    assert codes(steps.sign(attempt, claims, [TARGET])) == {Code.ATTEMPT_LOST}
    assert codes(steps.reveal(attempt, [], [TARGET])) == {Code.ATTEMPT_LOST}
    assert codes(steps.reserve([TARGET])) != {None}
    assert node.kinds("commit", "aborted") == ["commit", "aborted"], "what left stays charged"


@pytest.mark.parametrize(
    ("rule", "analysis"),
    [
        ('analyses = ["mean"]', ASKED),
        ("names_columns = true", ASKED),
        ('permission = "DUO:0000011"', ASKED),
        ("each_question = true", ASKED),
    ],
)
def test_why_a_policy_refuses_does_not_leave_the_building(
    network: Network, rule: str, analysis: dict[str, Any]
) -> None:
    set_policy(network, rule)
    steps = Steps(network, network.plan(network.question(analysis)))
    answers = steps.reserve([TARGET])
    assert codes(answers) == {Code.POLICY_FLOOR}
    assert all(answer.fields == {} for answer in answers.values())  # type: ignore[union-attr]


def test_counts_are_always_allowed_for_approved_studies_and_others_looked_at(
    network: Network,
) -> None:
    rule = 'each_question = true\nautomatic = ["counts-for-approved-studies"]'
    set_policy(network, rule)
    assert network.ask(ASKED).release
    mean = {"kind": "mean", "column": "age"}
    assert network.ask(mean).code == Code.POLICY_FLOOR.value
    steward = network.nodes[TARGET].steward
    (waiting,) = steward.waiting_questions()
    assert waiting["study"] == network.study.id
    steward.decide_question(waiting["mark"], "allowed")
    assert steward.waiting_questions() == []
    assert network.ask(mean).release
    assert network.ask(mean, epsilon="2").code == Code.POLICY_FLOOR.value, "another question"


def test_a_study_that_the_policy_does_not_allow_cannot_be_approved_by_hand(
    network: Network,
) -> None:
    set_policy(network, "min_cohort = 50")
    study = amended(network)
    offer(network, study)
    with pytest.raises(BadInput, match="smallest cohort"):
        network.nodes[TARGET].steward.decide(study.digest, "approved")
    with pytest.raises(BadInput, match="nothing is asked"):
        network.nodes[TARGET].steward.decide(study.digest, "asked")


def test_an_amendment_takes_the_place_of_the_version_before(
    make: Callable[..., Network],
) -> None:
    network = make()
    newer = Study.from_json({**network.study.to_json(), "version": 2, "cohort": "age >= 40"})
    offer(network, newer)
    for node in network.nodes.values():
        node.steward.decide(
            next(s["digest"] for s in node.steward.studies() if s["version"] == 2), "approved"
        )
    assert network.ask(ASKED).code == Code.NOT_APPROVED.value
