"""A coordinator that holds its real key and makes things up: studies, limits, approvals, steps.

Each story first works against a node that would take the coordinator's word, then is tried on
the nodes, and leaves them without a reservation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator import operate
from coordinator.node_link import Body
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.derivation import derive
from privacy.contract.messages import Ask
from privacy.contract.plan import Question
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Investigator, Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused, VerificationFailed
from tests.support.net_steps import Steps, codes
from tests.support.network import COORDINATOR, Network

ASKED = {"kind": "count", "by": ["treatment"]}
TARGET = "als-union"


def nothing_was_set_aside(network: Network) -> bool:
    return all(network.spent(node) == (0, 0) for node in network.nodes)


def question_of(network: Network, study: Study, key: SigningKey, **changes: Any) -> Envelope:
    return network.question(ASKED, study=study.id, study_digest=study.digest, signer=key, **changes)


def reserve(network: Network, study: Study, question: Envelope) -> set[Code | None]:
    compiled = network.plan(question, study=study)
    return codes(Steps(network, compiled).reserve())


def changed(network: Network, **changes: Any) -> Study:
    return Study.from_json({**network.study.to_json(), **changes})


def slip_in(network: Network, study: Study) -> None:
    """Offer it to every node with a proposal of the coordinator's own."""
    step = StudyStep.of(study, Act.PROPOSE, Signer.COORDINATOR, instant_text(network.clock()))
    wish = {
        "study": Envelope.seal("study", study.to_json(), COORDINATOR).to_json(),
        "proposals": [step.sealed(COORDINATOR).to_json()],
    }
    bodies = {node: Body(wish) for node in network.nodes}
    assert codes(network.link.ask(Ask.OFFER_STUDY, bodies, 1.0)) == {None}


STUDIES: dict[str, Callable[[Network], dict[str, Any]]] = {
    "itself as the investigator": lambda _n: {
        "investigators": [Investigator(key=COORDINATOR.public.text).to_json()]
    },
    "a larger allowance": lambda _n: {"epsilon_allowance": "1000"},
    "a longer period": lambda _n: {"ends": "2030-12-31"},
    "no consent": lambda _n: {"consent": "none"},
    "a smaller margin": lambda _n: {"min_cohort": 0, "t_drop": 1},
    "a new version": lambda _n: {"version": 2, "epsilon_allowance": "1000"},
    "another study": lambda _n: {
        "id": "made-up",
        "investigators": [Investigator(key=COORDINATOR.public.text).to_json()],
    },
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_forged_study_is_answered_by_nobody(network: Network, name: str) -> None:
    forged = changed(network, **STUDIES[name](network))
    keys = (COORDINATOR, network.researcher.signing_key)
    key = next(each for each in keys if each.public.text in forged.keys)
    derive(
        Question.from_json(question_of(network, forged, key).to_json()["body"]),
        forged, network.dictionary, tuple(sorted(network.nodes)),
    )  # fmt: skip
    slip_in(network, forged)
    assert reserve(network, forged, question_of(network, forged, key)) == {Code.NOT_APPROVED}
    assert nothing_was_set_aside(network)
    for node in network.nodes.values():
        waiting = {s["digest"]: s["decision"] for s in node.steward.studies()}
        assert waiting[forged.digest] == "waiting", "a steward sees it, and sees what it changes"


def test_a_forged_study_is_not_kept_without_the_coordinators_signature(network: Network) -> None:
    forged = changed(network, epsilon_allowance="1000")
    said = Envelope.seal("study", network.study.to_json(), COORDINATOR).to_json()
    for study in (
        {**said, "body": forged.to_json()},
        Envelope.seal("study", forged.to_json(), network.researcher.signing_key).to_json(),
    ):
        wish = Body({"study": study, "proposals": []})
        answers = network.link.ask(Ask.OFFER_STUDY, {TARGET: wish}, 1.0)
        assert codes(answers) == {Code.BAD_REQUEST}


@pytest.fixture
def narrow(make: Callable[..., Network]) -> tuple[Network, Study]:
    """A study of members of 40 and over, and of two columns, approved everywhere."""
    network = make()
    study = changed(
        network,
        id="narrow",
        cohort="members.age >= 40",
        variables=["members.age", "members.treatment"],
    )
    operate.propose(network.store, network.key, study, now=network.clock())
    network.settle()
    for node in network.nodes.values():
        node.steward.decide(study.digest, "approved")
    network.settle()
    return network, study


def _outside(network: Network, question: Envelope, cohort: str) -> dict[str, Any]:
    """The plan of a coordinator that leaves the study's cohort and columns out."""
    body = question.to_json()["body"]
    open_study = changed(network, id="narrow")
    derived = derive(
        Question.from_json(body), open_study, network.dictionary, tuple(sorted(network.nodes))
    )
    return {"cohort": cohort, "analysis": derived.analysis_json}


@pytest.mark.parametrize("asked", ["", "age < 40", "age >= 18"])
def test_a_plan_for_members_outside_the_studys_cohort_is_refused(
    narrow: tuple[Network, Study], asked: str
) -> None:
    network, study = narrow
    question = question_of(network, study, network.researcher.signing_key, cohort=asked)
    honest = network.plan(question, study=study)
    wide = canonical_text(parse_cohort(asked, network.dictionary))
    plan = {**honest.plan.to_json(), **_outside(network, question, wide)}
    steps = Steps(network, honest)
    wish = {"plan": Envelope.seal("plan", plan, COORDINATOR).to_json()}
    assert codes(steps.say(Ask.RESERVE, wish)) == {Code.PLAN_MISMATCH}
    assert nothing_was_set_aside(network)
    run = network.run(honest)
    counted = sum(network.estimates(run).values())
    old = network.pooled[network.pooled["age"] >= 40]
    expected = len(old) if asked != "age < 40" else 0
    assert abs(counted - expected) < 40, "and the honest plan counts the study's cohort alone"


def test_a_question_about_another_column_is_refused_whatever_the_plan_says(
    narrow: tuple[Network, Study],
) -> None:
    network, study = narrow
    for analysis, cohort in (
        ({"kind": "count", "by": ["condition"]}, ""),
        ({"kind": "mean", "column": "score"}, ""),
        (ASKED, "condition == 'als'"),
    ):
        question = network.question(analysis, cohort, study=study.id, study_digest=study.digest)
        with pytest.raises(Refused):
            network.plan(question, study=study)
        loose = Study.from_json({**study.to_json(), "variables": []})
        body = {**question.to_json()["body"], "study_digest": loose.digest}
        signed = Envelope.seal("question", body, network.researcher.signing_key)
        made = network.plan(signed, study=loose)
        plan = {
            **made.plan.to_json(),
            "question": question.to_json(),
            "study_digest": study.digest,
        }
        steps = Steps(network, made)
        wish = {"plan": Envelope.seal("plan", plan, COORDINATOR).to_json()}
        assert codes(steps.say(Ask.RESERVE, wish)) == {Code.OUTSIDE_STUDY}
    assert nothing_was_set_aside(network)


def test_approvals_that_the_coordinator_makes_up_count_at_no_node(network: Network) -> None:
    study = changed(network, version=2, epsilon_allowance="1000")
    operate.propose(network.store, network.key, study, now=network.clock())
    signers = operate.signers(network.store, network.key.public)
    for node in network.nodes:
        step = StudyStep.of(
            study, Act.APPROVE, Signer.ORGANISATION, instant_text(network.clock()), by=node
        )
        with pytest.raises(VerificationFailed):  # nor in a record that others can check
            network.store.steps.add(step.sealed(COORDINATOR), study, signers)
    network.settle()
    question = question_of(network, study, network.researcher.signing_key)
    assert reserve(network, study, question) == {Code.NOT_APPROVED}


def test_withdrawing_is_not_undone_by_offering_again(network: Network) -> None:
    node = network.nodes[TARGET]
    node.steward.decide(network.study.digest, "withdrawn", "No more.")
    slip_in(network, network.study)
    network.clock.forward(minutes=1)
    question = network.question(ASKED)
    answers = Steps(network, network.plan(question)).reserve([TARGET])
    assert codes(answers) == {Code.NOT_APPROVED}
