"""Every refusal of the gate, each reached by exactly one change of a plan that is permitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from models.derivation import derive
from node.gate import CLOCK_SKEW, Facts, Permit, decide
from node.steward import Steward
from privacy.contract.duo import Permission, Terms
from privacy.contract.messages import Ask
from privacy.contract.plan import Plan, Question
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum
from privacy.units import Rho
from tests.support import net_data
from tests.support.net_steps import Steps, code, codes
from tests.support.network import Network, Shape, make_network

ASKED = {"kind": "count", "by": ["treatment"]}
STRANGER = SigningKey(b"s" * 32)


@dataclass(frozen=True)
class Case:
    """A permitted plan with the facts that permit it, and ways to change one thing."""

    network: Network
    plan: Plan
    facts: Facts

    def sealed(self, key: SigningKey | None = None, kind: str = "plan", **changes: Any) -> Envelope:
        return Envelope.seal(kind, {**self.plan.to_json(), **changes}, key or self.network.key)

    def question(self, **changes: Any) -> dict[str, Any]:
        """The question with changes, signed anew by its researcher."""
        signer = changes.pop("signer", self.network.researcher.signing_key)
        facts = {**self.plan.open_question().to_json(), **changes}
        return Envelope.seal("question", facts, signer).to_json()

    def swapped(self) -> dict[str, Any]:
        """The question's text changed under the old signature."""
        return {**self.plan.question, "body": {**self.plan.question["body"], "cohort": "age < 40"}}

    def study(self, **changes: Any) -> dict[str, Study]:
        """Approvals in which the plan's study has other facts (under the digest it had)."""
        study = self.facts.studies[self.plan.study_digest].model_copy(update=changes)
        for computed in ("first_day", "last_day"):
            vars(study).pop(computed, None)
        return {self.plan.study_digest: study}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    network = make_network(tmp_path_factory.mktemp("gate"))
    plan = network.plan(network.question(ASKED)).plan
    yield Case(network, plan, network.nodes["als-union"].service.facts())
    network.close()


def test_the_unchanged_plan_is_permitted_with_the_nodes_own_derivation(case: Case) -> None:
    permit = decide(case.sealed(), case.facts)
    assert isinstance(permit, Permit)
    assert permit.derivation.rho.text == case.plan.rho
    assert permit.reservation == permit.derivation.rho


def _with_epsilon(case: Case, epsilon: str, *, question_too: bool) -> Envelope:
    """A plan whose figures all follow from another epsilon than the question's."""
    asked = Question.from_json({**case.plan.open_question().to_json(), "epsilon": epsilon})
    study = case.facts.studies[case.plan.study_digest]
    other = derive(asked, study, case.facts.dictionary, case.plan.participants)
    identity = other.identity(
        study.digest, case.facts.dictionary, case.plan.participants, case.plan.epoch
    )
    changes: dict[str, Any] = {
        "rounds": [each.to_json() for each in other.planned],
        "rho": other.rho.text,
        "identity": identity,
    }
    if question_too:
        changes["question"] = case.question(epsilon=epsilon)
    return case.sealed(**changes)


def test_more_or_less_noise_than_the_question_asked_for_is_refused(case: Case) -> None:
    """Consistent in itself, and signed by the coordinator: still not what was asked."""
    decide(_with_epsilon(case, "2", question_too=True), case.facts)
    for epsilon in ("0.5", "2"):
        with pytest.raises(Refused) as refused:
            decide(_with_epsilon(case, epsilon, question_too=False), case.facts)
        assert refused.value.public_fields == {"what": "mechanism"}


def _round(case: Case, **changes: Any) -> dict[str, Any]:
    """The plan's rounds with one thing changed in the only one."""
    return {"rounds": [{**case.plan.rounds[0].to_json(), **changes}]}


def _mechanism(case: Case, **changes: int) -> dict[str, int]:
    return {**case.plan.rounds[0].mechanism, **changes}


def _double(case: Case) -> int:
    return 2 * case.plan.rounds[0].mechanism["delta_grid"]


PLAN_CHANGES: dict[str, tuple[Callable[[Case], dict[str, Any]], Code, str]] = {
    "less noise": (
        lambda c: _round(c, mechanism=_mechanism(c, delta_grid=_double(c))),
        Code.PLAN_MISMATCH,
        "mechanism",
    ),
    "less noise at its true price": (
        lambda c: {
            **_round(
                c,
                mechanism=_mechanism(c, delta_grid=_double(c)),
                rho=GaussianSum(_double(c), 3, 1).rho.text,
            ),
            "rho": GaussianSum(_double(c), 3, 1).rho.text,
        },
        Code.PLAN_MISMATCH,
        "mechanism",
    ),
    "smaller shares of noise": (
        lambda c: _round(c, mechanism=_mechanism(c, log2_sigma=19)),
        Code.PLAN_MISMATCH,
        "mechanism",
    ),
    "a cheaper claim": (
        lambda c: {"rho": Rho(Rho.parse(c.plan.rho).units - 1).text},
        Code.PLAN_MISMATCH,
        "rho",
    ),
    "a cheaper round": (
        lambda c: _round(c, rho=Rho(Rho.parse(c.plan.rho).units - 1).text),
        Code.PLAN_MISMATCH,
        "rho",
    ),
    "another cohort": (lambda _c: {"cohort": "members.age < 40"}, Code.PLAN_MISMATCH, "cohort"),
    "another analysis": (
        lambda _c: {"analysis": {"kind": "count", "by": ["members.condition"]}},
        Code.PLAN_MISMATCH,
        "analysis",
    ),
    "another identity": (lambda _c: {"identity": "0" * 64}, Code.PLAN_MISMATCH, "identity"),
    "more rounds": (
        lambda c: {"rounds": [each.to_json() for each in c.plan.rounds * 2]},
        Code.PLAN_MISMATCH,
        "rounds",
    ),
    "no round": (lambda _c: {"rounds": []}, Code.PLAN_MISMATCH, "rounds"),
    "more attempts": (lambda _c: {"max_attempts": 2}, Code.PLAN_MISMATCH, "max_attempts"),
    "another length": (lambda c: _round(c, length=4), Code.PLAN_MISMATCH, "length"),
    "another delta": (lambda _c: {"delta": "1/100000"}, Code.PLAN_MISMATCH, "delta"),
    "another epoch": (lambda _c: {"epoch": "2026-02"}, Code.PLAN_MISMATCH, "epoch"),
    "no collusion allowed for": (lambda _c: {"t_collude": 0}, Code.POLICY_FLOOR, "margin"),
    "a larger margin": (lambda _c: {"t_drop": 1}, Code.POLICY_FLOOR, "margin"),
    "another roster": (lambda _c: {"roster": "0" * 64}, Code.ROSTER_MISMATCH, ""),
    "a stranger among the participants": (
        lambda c: {"participants": [*c.plan.participants, "zzz"]},
        Code.ROSTER_MISMATCH,
        "participants",
    ),
    "participants out of order": (
        lambda c: {"participants": list(c.plan.participants)[::-1]},
        Code.ROSTER_MISMATCH,
        "participants",
    ),
    "a node twice": (
        lambda c: {"participants": [c.plan.participants[0], *c.plan.participants]},
        Code.ROSTER_MISMATCH,
        "participants",
    ),
    "without this node": (
        lambda c: {"participants": list(c.plan.participants)[1:]},
        Code.ROSTER_MISMATCH,
        "participants",
    ),
    "fewer nodes than three": (
        lambda c: {"participants": list(c.plan.participants)[:2]},
        Code.POLICY_FLOOR,
        "min_nodes",
    ),
    "an unknown dictionary": (lambda _c: {"dictionary": "0" * 64}, Code.DICTIONARY_MISMATCH, ""),
    "an unknown study version": (lambda _c: {"study_digest": "0" * 64}, Code.NOT_APPROVED, ""),
    "the name of another study": (lambda _c: {"study": "ms-fatigue"}, Code.NOT_APPROVED, ""),
    "a question swapped under its signature": (
        lambda c: {"question": c.swapped()},
        Code.BAD_SIGNATURE,
        "question",
    ),
    "a question by somebody else": (
        lambda c: {"question": c.question(signer=STRANGER)},
        Code.NOT_AN_INVESTIGATOR,
        "",
    ),
    "a question of another study version": (
        lambda c: {"question": c.question(study_digest="0" * 64)},
        Code.PLAN_MISMATCH,
        "study",
    ),
    "a question of another study": (
        lambda c: {"question": c.question(study="ms-fatigue")},
        Code.PLAN_MISMATCH,
        "study",
    ),
    "a question that has expired": (
        lambda c: {"question": c.question(expires=instant_text(c.facts.now))},
        Code.EXPIRED,
        "question",
    ),
    "a question nobody can parse": (
        lambda c: {"question": c.question(cohort="import os")},
        Code.BAD_REQUEST,
        "",
    ),
    "too many attempts asked for": (
        lambda c: {"question": c.question(max_attempts=11), "max_attempts": 11},
        Code.TOO_MANY_ATTEMPTS,
        "",
    ),
    "expired": (lambda c: {"expires": instant_text(c.facts.now)}, Code.EXPIRED, "plan"),
    "from the future": (
        lambda c: {"created": instant_text(c.facts.now + CLOCK_SKEW + timedelta(seconds=1))},
        Code.EXPIRED,
        "plan",
    ),
    "valid for too long": (
        lambda c: {"expires": instant_text(c.facts.now + timedelta(hours=25))},
        Code.EXPIRED,
        "plan",
    ),
    "unknown field": (lambda _c: {"pickle": "cos\nsystem"}, Code.BAD_SIGNATURE, "plan"),
}


@pytest.mark.parametrize("name", PLAN_CHANGES)
def test_one_change_of_the_plan_is_refused(case: Case, name: str) -> None:
    change, expected, what = PLAN_CHANGES[name]
    with pytest.raises(Refused) as refused:
        decide(case.sealed(**change(case)), case.facts)
    assert refused.value.code is expected
    if what:
        assert refused.value.public_fields.get("what") == what


FACT_CHANGES: dict[str, tuple[Callable[[Case], dict[str, Any]], Code]] = {
    "a revoked key": (
        lambda c: {"revoked": frozenset({c.plan.signer.text, STRANGER.public.text})},
        Code.KEY_REVOKED,
    ),
    "another coordinator": (lambda _c: {"coordinator": STRANGER.public}, Code.BAD_SIGNATURE),
    "paused": (lambda _c: {"paused": True}, Code.PAUSED),
    "not witnessed": (lambda _c: {"witnessed": False}, Code.NOT_WITNESSED),
    "not approved, or withdrawn": (lambda _c: {"studies": {}}, Code.NOT_APPROVED),
    "a day before the period": (
        lambda c: {"studies": c.study(starts="2026-03-11")},
        Code.NOT_IN_PERIOD,
    ),
    "a day after the period": (
        lambda c: {"studies": c.study(ends="2026-03-09")},
        Code.NOT_IN_PERIOD,
    ),
    "an analysis the study does not allow": (
        lambda c: {"studies": c.study(analyses=("mean",))},
        Code.ANALYSIS_NOT_ALLOWED,
    ),
    "two peers unconfirmed": (
        lambda _c: {"confirmed": frozenset({"als-union"})},
        Code.PEERS_NOT_CONFIRMED,
    ),
    "more nodes demanded": (lambda c: _policy(c, min_nodes=4), Code.POLICY_FLOOR),
    "more collusion to be withstood": (lambda c: _policy(c, min_collude=2), Code.POLICY_FLOOR),
    "a larger least cohort": (lambda c: _policy(c, min_cohort=5), Code.POLICY_FLOOR),
    "more memberships": (lambda c: _policy(c, max_memberships=2), Code.POLICY_FLOOR),
    "a smaller delta": (lambda _c: {"delta": Fraction(1, 10**7)}, Code.POLICY_FLOOR),
    "another analysis": (lambda c: _rules(c, analyses=("mean",)), Code.POLICY_FLOOR),
    "another purpose": (
        lambda c: _rules(c, terms=Terms(permission=Permission.ORIGINS)),
        Code.POLICY_FLOOR,
    ),
    "no figures by organisation": (
        lambda c: _rules(c, by_organisation=False) | {"studies": c.study(by_organisation=True)},
        Code.POLICY_FLOOR,
    ),
    "columns to be named": (lambda c: _rules(c, names_columns=True), Code.POLICY_FLOOR),
    "each question to be looked at": (lambda c: _rules(c, each_question=True), Code.POLICY_FLOOR),
    "a cheaper question": (lambda c: _policy(c, question_rho="1/1024"), Code.QUESTION_LIMIT),
}


def _policy(case: Case, **changes: Any) -> dict[str, Any]:
    return {"policy": case.facts.policy.model_copy(update=changes)}


def _rules(case: Case, **changes: Any) -> dict[str, Any]:
    return _policy(case, rules=case.facts.policy.rules.model_copy(update=changes))


@pytest.mark.parametrize("name", FACT_CHANGES)
def test_one_change_at_the_node_is_refused(case: Case, name: str) -> None:
    change, expected = FACT_CHANGES[name]
    with pytest.raises(Refused) as refused:
        decide(case.sealed(), replace(case.facts, **change(case)))
    assert refused.value.code is expected


def test_one_unconfirmed_peer_is_within_the_margin(case: Case) -> None:
    decide(case.sealed(), replace(case.facts, confirmed=frozenset({"als-union", "ms-league"})))


def test_a_plan_signed_as_something_else_is_no_plan(case: Case) -> None:
    for envelope in (case.sealed(kind="study"), case.sealed(key=STRANGER)):
        with pytest.raises(Refused) as refused:
            decide(envelope, case.facts)
        assert refused.value.code is Code.BAD_SIGNATURE


def test_a_plan_for_more_drops_than_the_policy_allows_is_refused(
    make: Callable[..., Network],
) -> None:
    network = make(nodes=net_data.MORE_NODES, t_drop=1)
    plan = network.plan(network.question(ASKED))
    facts = network.nodes["als-union"].service.facts()
    decide(plan.envelope, facts)
    policy = facts.policy.model_copy(update={"max_drop": 0})
    with pytest.raises(Refused) as refused:
        decide(plan.envelope, replace(facts, policy=policy))
    assert refused.value.public_fields == {"what": "max_drop"}


def test_an_instant_that_is_none_is_refused_without_a_word_about_it(case: Case) -> None:
    with pytest.raises(BadInput):
        decide(case.sealed(created="yesterday"), case.facts)
    steps = Steps(case.network, case.network.plan(case.network.question(ASKED)))
    wish = {"plan": case.sealed(created="yesterday").to_json()}
    assert codes(steps.say(Ask.RESERVE, wish)) == {Code.BAD_REQUEST}


# the same at the door, through signed messages

STEWARD_CHANGES: dict[str, tuple[Callable[[Steward, Network], None], Code]] = {
    "paused": (lambda s, _n: s.pause(), Code.PAUSED),
    "withdrawn": (lambda s, n: s.decide(n.study.digest, "withdrawn"), Code.NOT_APPROVED),
    "refused": (lambda s, n: s.decide(n.study.digest, "refused"), Code.NOT_APPROVED),
    "peers not confirmed": (
        lambda s, n: s.confirm(n.store.network.roster.digest, []),
        Code.PEERS_NOT_CONFIRMED,
    ),
}


@pytest.mark.parametrize("name", STEWARD_CHANGES)
def test_a_stewards_decision_counts_from_the_next_question_on(network: Network, name: str) -> None:
    change, expected = STEWARD_CHANGES[name]
    assert network.ask({"kind": "count"}).release
    change(network.nodes["ms-league"].steward, network)
    run = network.ask(ASKED)
    assert run.code == expected.value
    for node in network.nodes.values():
        assert len(node.kinds("commit")) == 1
        assert network.spent(node.home.root.name)[1] == 0


def test_pause_and_resume(network: Network) -> None:
    node = network.nodes["mood-circle"]
    node.steward.pause()
    network.settle()
    assert network.ask(ASKED).code == Code.PAUSED.value
    assert node.kinds("reserve", "commit") == []
    node.steward.resume()
    network.settle()
    assert network.ask(ASKED).release


def _refusals(network: Network) -> list[Code | None]:
    """What one node says to a list of bad plans, in order."""
    plan = network.plan(network.question(ASKED)).plan
    facts = network.nodes["als-union"].service.facts()
    case = Case(network, plan, facts)
    steps = Steps(network, network.plan(network.question(ASKED)))
    found = []
    for change, *_ in PLAN_CHANGES.values():
        wish = {"plan": case.sealed(**change(case)).to_json()}
        found += [code(a) for a in steps.say(Ask.RESERVE, wish, ["als-union"]).values()]
    return found


def test_refusals_do_not_depend_on_the_records(tmp_path: Path) -> None:
    said = []
    for count in (60, 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        network = make_network(folder, Shape(count=count))
        read: list[object] = []
        for node in network.nodes.values():
            node.service.runner.engine = lambda *asked, seen=read: seen.append(asked)
        said.append(_refusals(network))
        assert read == []
        network.close()
    assert said[0] == said[1]
    assert None not in said[0]
