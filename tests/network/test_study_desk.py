"""What a steward sees and does about policy and studies, and what members are shown and say."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from coordinator import operate
from node.api import create_app
from privacy.contract.study import Study
from privacy.contract.study_life import Act, open_sign_off
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import PolicySet
from tests.support.network import Network, Node
from tests.support.stewards import open_period

ASKED = {"kind": "count", "by": ["treatment"]}
TARGET = "als-union"


@pytest.fixture
def node(network: Network) -> Node:
    return network.nodes[TARGET]


def offered(network: Network, **changes: Any) -> Study:
    facts = {**network.study.to_json(), "id": "ms-fatigue", **changes}
    study = Study.from_json(facts)
    operate.propose(network.store, network.key, study, now=network.clock())
    network.settle()
    return study


def test_a_change_of_policy_is_an_entry_and_counts_from_the_next_question_on(
    network: Network, node: Node
) -> None:
    assert network.ask(ASKED).release
    told = node.steward.set_policy('yearly_epsilon = 100\nanalyses = ["mean"]', "The board said so")
    assert told == [["analyses", "every analysis of the catalogue -> mean"]]
    newest = node.bodies[-1]
    assert isinstance(newest, PolicySet)
    assert (newest.by, newest.reason) == ("steward", "The board said so")
    assert network.ask({"kind": "count"}).code == Code.POLICY_FLOOR.value
    node.restart()
    network.settle()
    assert network.ask({"kind": "count", "by": ["age"]}).code == Code.POLICY_FLOOR.value
    assert network.ask({"kind": "mean", "column": "age"}).release
    with pytest.raises(BadInput, match="did you mean 'analyses'"):
        node.steward.set_policy('analysis = ["mean"]')
    assert node.steward.policy()["reason"] == "The board said so"


def test_a_policy_is_tried_on_last_months_requests(network: Network, node: Node) -> None:
    assert network.ask(ASKED).release
    network.clock.forward(days=20)
    assert network.ask({"kind": "mean", "column": "age"}, epsilon="2").release
    assert network.ask(ASKED, "age < 40", epsilon="0.5").release
    entries = node.service.ledger.size
    tried = node.steward.try_policy("yearly_epsilon = 100\nquestion_epsilon = 1.5")
    assert (tried["allowed"], tried["refused"]) == (2, 1)
    (refused,) = [each for each in tried["requests"] if not each["allowed"]]
    assert (refused["rule"], refused["happened"]) == ("question_limit", "reserved")
    for text, rule, allowed in (
        ('analyses = ["count"]', "analyses", 2),
        ("yearly_epsilon = 1.2", "budget_exceeded", 2),
        ("study_epsilon = 1.2", "study_budget_exceeded", 2),
        ("researcher_epsilon = 1.2", "researcher_budget_exceeded", 2),
        ("lifetime_epsilon = 1.2", "budget_exceeded", 2),
        ("min_cohort = 10", "min_cohort", 0),
        ('permission = "DUO:0000011"', "purpose", 0),
    ):
        base = "" if text.startswith("yearly") else "yearly_epsilon = 100\n"
        tried = node.steward.try_policy(base + text)
        assert tried["allowed"] == allowed, (text, tried)
        assert rule in {each["rule"] for each in tried["requests"]}, text
    network.clock.forward(days=20)
    assert len(node.steward.try_policy("")["requests"]) == 2, "the first is more than a month old"
    assert node.service.ledger.size == entries, "nothing was changed"


def test_what_was_spent_before_the_month_counts_in_a_trial(network: Network, node: Node) -> None:
    assert network.ask(ASKED, epsilon="2").release
    network.clock.forward(days=40)
    assert network.ask(ASKED, "age < 40", epsilon="0.5").release
    assert node.steward.try_policy("yearly_epsilon = 100")["allowed"] == 1
    assert node.steward.try_policy("yearly_epsilon = 2")["allowed"] == 0
    for most, allowed in ((2, 0), (3, 1)):
        tried = node.steward.try_policy(f"yearly_epsilon = 100\nlifetime_epsilon = {most}")
        assert tried["allowed"] == allowed
    members = "yearly_epsilon = {}\nceiling_epsilon = 100\nlifetime_epsilon = 2"
    assert node.steward.try_policy(members.format(2))["allowed"] == 1, "each member's, at the node"
    [asked] = node.steward.try_policy(members.format(0.4))["requests"]
    assert asked["reason"] == "it costs more than a member may lose in a year"


def test_a_lifetime_on_trial_counts_the_periods_before(network: Network, node: Node) -> None:
    assert network.ask(ASKED, epsilon="2").release
    network.clock.forward(days=366)
    open_period(node)
    network.settle()
    assert network.ask(ASKED, "age < 40", epsilon="0.5").code == Code.NOT_IN_PERIOD.value
    [asked] = node.steward.try_policy("yearly_epsilon = 1\nlifetime_epsilon = 2")["requests"]
    assert asked["reason"] == "the limit of a lifetime would have been spent"
    assert node.steward.try_policy("yearly_epsilon = 1\nlifetime_epsilon = 3")["allowed"] == 1


def test_a_refused_question_stands_among_the_requests_with_the_rule(
    network: Network, node: Node
) -> None:
    node.steward.set_policy('yearly_epsilon = 100\nanalyses = ["mean"]')
    network.ask(ASKED)
    (asked,) = node.steward.requests()
    assert (asked["code"], asked["rule"], asked["kind"]) == ("policy_floor", "analyses", "count")
    assert asked["epsilon"] == pytest.approx(1, abs=1e-4)
    assert "treatment" in asked["sentence"]


def test_members_are_shown_a_study_and_say_what_they_want_to_know(
    network: Network, node: Node
) -> None:
    study = offered(network, summary="We count, and nobody is shown.")
    steward = node.steward
    assert steward.studies_for_members() == []
    with pytest.raises(Refused) as refused:
        steward.member_says(study.digest, "question", "Why?")
    assert refused.value.code is Code.UNKNOWN_STUDY
    steward.show_to_members(study.digest)
    (shown,) = steward.studies_for_members()
    assert shown["summary"] == "We count, and nobody is shown."
    assert shown["decision"] == "waiting"
    steward.member_says(study.digest, "question", " Will it hurt? ")
    steward.member_says(study.digest, "priority", priority=5)
    steward.member_says(study.digest, "priority", priority=2)
    said = steward.voices(study.digest)
    assert [each["words"] for each in said["said"]] == ["Will it hurt?"]
    assert said["priorities"] == [0, 1, 0, 0, 1]
    for wrong in (("question", "", 0), ("question", "x" * 2001, 0), ("priority", "", 6)):
        with pytest.raises(BadInput):
            steward.member_says(study.digest, *wrong)
    steward.show_to_members(study.digest, shown=False)
    assert steward.studies_for_members() == []


def test_a_patient_reviewers_sign_off_stands_in_the_studys_record(
    network: Network, node: Node
) -> None:
    study = offered(network)
    node.steward.set_policy("yearly_epsilon = 100\nreviewed = true")
    with pytest.raises(BadInput, match="patient reviewer"):
        node.steward.decide(study.digest, "approved")
    node.steward.sign_off(study.digest, "Ruth", "We want to know this.")
    assert node.steward.decide(study.digest, "approved") == "approved"
    network.settle()
    logged = network.store.steps.of(study.digest)
    (review,) = [each.step for each in logged if each.step.act is Act.REVIEW]
    assert (open_sign_off(review).reviewer, review.by) == ("Ruth", TARGET)
    assert [s["reviewed"] for s in node.steward.studies() if s["id"] == "ms-fatigue"] == [True]


def test_a_study_is_shown_in_words_with_what_an_amendment_changes(
    network: Network, node: Node
) -> None:
    newer = Study.from_json({**network.study.to_json(), "version": 2, "epsilon_allowance": "20"})
    operate.propose(network.store, network.key, newer, now=network.clock())
    network.settle()
    (shown,) = [s for s in node.steward.studies() if s["version"] == 2]
    changed = dict(shown["changes"])
    assert set(changed) == {"study", "allowance"}
    assert "epsilon 10" in changed["allowance"]
    assert "epsilon 20" in changed["allowance"]


def test_the_local_api_says_the_same_and_lets_nobody_else_in(network: Network, node: Node) -> None:
    study = offered(network)
    client = TestClient(create_app(node.parts, lambda: True))
    headers = {"Authorization": f"Bearer {node.home.steward_token()}"}
    paths = [
        ("GET", "/v1/studies", None),
        ("GET", "/v1/policy", None),
        ("GET", "/v1/policy/presets", None),
        ("GET", "/v1/requests", None),
        ("GET", "/v1/requests/waiting", None),
        ("GET", "/v1/members/studies", None),
        ("POST", f"/v1/members/studies/{study.digest}", None),
        ("POST", f"/v1/members/studies/{study.digest}/voices", {"kind": "question", "words": "?"}),
        ("GET", f"/v1/members/studies/{study.digest}/voices", None),
        ("POST", "/v1/policy/trial", {"content": ""}),
        ("POST", f"/v1/studies/{study.digest}/review", {"reviewer": "Ruth"}),
        ("POST", f"/v1/studies/{study.digest}/decision", {"decision": "approved", "by": "Ina"}),
        ("POST", "/v1/policy", {"content": "yearly_epsilon = 50"}),
        ("DELETE", f"/v1/members/studies/{study.digest}", None),
    ]
    for method, path, body in paths:
        assert client.request(method, path, json=body).status_code == 401, path
        answer = client.request(method, path, json=body, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
    assert node.bodies[-2].by == "Ina"
