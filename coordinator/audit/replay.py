"""What if: a network's ledgers replayed under terms that were not in force.

Every recorded statement is turned into what would stand there (`supposition`), and the ledger's
own rules say what follows. A question that one organisation would have refused is answered by
none: what others had set aside for it is free again, and nothing of it is charged anywhere.

People's decisions are taken as they were: stewards approve the same studies and look at the same
questions, once for every time that the supposed policy asks for it. What is not known is what
researchers would have asked instead.

Guarantee: under terms that change nothing, nothing is refused and the balances are the ledgers'.
Assumes: the bundle was verified. A question refused at the time is known only where a plan was
made of it and some organisation set something aside for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from coordinator.audit.history import check_node, entries_of
from coordinator.audit.replay_order import Read, Survey, in_order, survey_of
from coordinator.audit.replayed import NodeOutcome, Replayed, Sums, Turned
from coordinator.audit.supposition import Supposition, supposed_body
from coordinator.audit.verify import Verified
from privacy.contract.plan import Plan
from privacy.contract.study import Study
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import Code, Refused
from privacy.ledger.entry import (
    Aborted,
    Approval,
    Body,
    Commit,
    ConsentRoot,
    ConsentText,
    Entry,
    Expired,
    Lost,
    PolicySet,
    Released,
    Reserve,
    Witnessed,
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.fold import supposed_step
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.permission import RULE_WORDS, Rule, needs_look, question_rule, study_rule
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import PeriodOpened
from privacy.units import Rho

LINKAGES = "(linkages)"
CODE_WORDS: dict[str, str] = {
    Code.BUDGET_EXCEEDED.value: "the period's budget would not have held it",
    Code.STUDY_BUDGET_EXCEEDED.value: "the study's limit would not have held it",
    Code.RESEARCHER_BUDGET_EXCEEDED.value: "the researcher's part would not have held it",
    Code.QUESTION_LIMIT.value: "it costs more than one question may",
    Code.DELEGATION_EXCEEDED.value: "the delegation's part would not have held it",
    Code.POLICY_FLOOR.value: "it is below a floor of the policy, or before the embargo's end",
    Code.NOT_LINKED.value: "it counts by a linkage that would not have been",
    Code.NOT_APPROVED.value: "the study would not have been approved",
}


@dataclass
class _Node:
    """One ledger while it is replayed."""

    name: str
    changed: bool
    state: LedgerState = field(default_factory=LedgerState)
    rules: dict[str, Rule] = field(default_factory=dict)  # why a study would not be approved
    limits: list[tuple[str, Rho, Rho]] = field(default_factory=list)
    then: Counter[str] = field(default_factory=Counter)  # units by study
    now: Counter[str] = field(default_factory=Counter)
    then_periods: list[int] = field(default_factory=list)
    now_periods: list[int] = field(default_factory=list)
    policy_rho: Rho = Rho.ZERO
    refused: int = 0

    def count(self, study: str, then: Rho, now: Rho) -> None:
        self.then[study] += then.units
        self.now[study] += now.units
        self.then_periods[-1] += then.units
        self.now_periods[-1] += now.units


def replay_bundle(found: Verified, suppose: Supposition, survey: Survey | None = None) -> Replayed:
    """Replay a verified bundle's ledgers under `suppose`, of which `survey` is known, or made.
    Raises BadInput for an unknown node."""
    for node in suppose.nodes:
        check_node(found, node)
    plans, studies = found.context.plans, found.context.network.studies
    return replay(_reads(found), suppose, plans, studies, survey)


def survey_bundle(found: Verified) -> Survey:
    """What every replay of a verified bundle begins with, whatever is supposed."""
    return survey_of(_reads(found))


def _reads(found: Verified) -> dict[str, Read]:
    return {node: partial(entries_of, found, node) for node in found.ledgers}


def replay(
    ledgers: Mapping[str, Read],
    suppose: Supposition,
    plans: Mapping[str, Plan] | None = None,
    studies: Mapping[str, Study] | None = None,
    survey: Survey | None = None,
) -> Replayed:
    """Replay ledgers that hold; each is read an entry at a time, and once before for `survey`.

    `plans` and `studies` by digest let a preset's rules be asked; without, only budgets and
    floors are.
    """
    nodes = {name: _Node(name, not suppose.nodes or name in suppose.nodes) for name in ledgers}
    run = _Run(suppose, nodes, plans or {}, studies or {}, survey or survey_of(ledgers))
    for name, entry in in_order(ledgers, run.survey.reserves):
        run.follow(nodes[name], entry)
    return Replayed(
        suppose=suppose,
        questions=len(run.survey.reserves),
        refused=tuple(run.refused.values()),
        admitted=tuple(run.admitted.values()),
        looks=len(run.looks),
        nodes=tuple(_outcome(node) for node in nodes.values()),
    )


@dataclass
class _Run:
    """The replay of all ledgers together."""

    suppose: Supposition
    nodes: Mapping[str, _Node]
    plans: Mapping[str, Plan]
    studies: Mapping[str, Study]
    survey: Survey
    refused: dict[str, Turned] = field(default_factory=dict)
    admitted: dict[str, Turned] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    looks: set[str] = field(default_factory=set)
    study_of: dict[str, str] = field(default_factory=dict)

    def follow(self, node: _Node, entry: Entry) -> None:
        """Let one entry of one ledger happen, or not."""
        match entry.body:
            case Witnessed() | ConsentRoot() | ConsentText():
                return
            case Reserve() as body:
                self._reserve(node, entry, body)
            case Commit() as body:
                self._commit(node, entry, body)
            case LinkBegun() as body:
                self._link(node, entry, body)
            case Linked() | LinkEnded() as body:
                if _under_way(node.state, body.session):
                    self._step(node, body, entry.at)
            case Released() | Aborted() | Expired() | Lost() as body:
                if body.plan in node.state.plans:
                    self._step(node, body, entry.at)
            case PeriodOpened() as body:
                self._open_period(node, body)
            case Approval() as body:
                self._decide(node, body, entry.at)
            case PolicySet() as body:
                self._step(node, self._supposed(node, body), entry.at)
            case body:
                with suppress(Refused):  # what cannot follow under these terms does not happen
                    self._step(node, body, entry.at)

    def _supposed(self, node: _Node, body: Body) -> Body:
        if not node.changed:
            return body
        return supposed_body(self.suppose, body, node.state.delta)

    def _step(self, node: _Node, body: Body, at: str) -> None:
        node.state = supposed_step(node.state, body, at)

    def _open_period(self, node: _Node, body: PeriodOpened) -> None:
        after = self._supposed(node, body)
        if isinstance(after, PeriodOpened):
            node.state = node.state.opened_period(after)
            node.limits.append((body.starts, parse_rho(body.budget_rho), node.state.budget))
            node.then_periods.append(0)
            node.now_periods.append(0)

    def _decide(self, node: _Node, body: Approval, at: str) -> None:
        """Stewards decide as they did; what a supposed policy forbids them is not approved."""
        after, policy = self._supposed(node, body), node.state.policy
        if not isinstance(after, Approval):
            return
        study = self.studies.get(body.study_digest)
        ruled = node.changed and self.suppose.preset is not None and body.decision == "approved"
        if ruled and policy is not None:
            embargo = timedelta(days=policy.rules.embargo_days)
            earliest = instant_text(parse_instant(at) + embargo)
            after = after.model_copy(
                update={"answers_from": max(earliest, after.answers_from or "")}
            )
            rule = None if study is None else study_rule(policy, study, node.state.delta)
            if rule is not None and rule is not Rule.STUDY_LIMIT:
                node.rules[body.study_digest] = rule
                return
        if body.decision == "withdrawn" and body.study_digest not in node.state.approvals:
            return
        node.state = node.state.decided(after)

    def _reserve(self, node: _Node, entry: Entry, body: Reserve) -> None:
        self.study_of[body.plan] = body.study
        if body.plan in self.refused or body.plan in self.tried:
            return
        if body.plan in self.survey.short:
            self._try_again(node, entry, body)
            return
        turned = self._asked(node, entry, body)
        if turned is not None:
            self.refused[body.plan] = turned
            node.refused += 1
            for each in self.nodes.values():
                if body.plan in each.state.plans:
                    each.state = each.state.ended_plan(each.state.plans[body.plan])

    def _asked(self, node: _Node, entry: Entry, body: Reserve) -> Turned | None:
        """Reserve at one organisation; returns why not, if it would not have."""
        after = self._supposed(node, body)
        if not isinstance(after, Reserve):
            return None
        rule = node.rules.get(body.study_digest) or self._rule(node, after)
        if rule is not None:
            return _turned(node, entry, after, rule.value, RULE_WORDS[rule])
        try:
            self._step(node, after, entry.at)
        except Refused as refused:
            code, left = refused.code.value, refused.public_fields.get("left")
            words = CODE_WORDS.get(code, str(refused))
            return _turned(node, entry, after, code, words, _left(left))
        return None

    def _rule(self, node: _Node, body: Reserve) -> Rule | None:
        """The rule of a supposed preset that refuses the question; a look is only counted."""
        plan, study = self.plans.get(body.plan), self.studies.get(body.study_digest)
        policy = node.state.policy
        supposed = node.changed and self.suppose.preset is not None
        if plan is None or study is None or policy is None or not supposed:
            return None
        kind = str(plan.analysis["kind"])
        if needs_look(policy.rules, kind):
            self.looks.add(body.plan)
        return question_rule(policy, study, kind, parse_rho(body.rho), True)

    def _try_again(self, node: _Node, entry: Entry, body: Reserve) -> None:
        """A question that ended for want of budget: would every participant have held it?

        Each of its rounds is charged once where all would have.
        """
        self.tried.add(body.plan)
        plan = self.plans.get(body.plan)
        if plan is None or not set(plan.participants) <= set(self.nodes):
            return
        asked = [self.nodes[name] for name in plan.participants]
        before = [each.state for each in asked]
        if any(self._asked(each, entry, body) is not None for each in asked):
            for each, state in zip(asked, before, strict=True):
                each.state = state
            return
        whole = Rho.ZERO
        for each in asked:
            opened = each.state.plans[body.plan]
            for number, one in enumerate(opened.rounds):
                each.state = each.state.charged_plan(each.state.plans[body.plan], (number, 0))
                each.count(body.study, Rho.ZERO, one.cost)
            whole = Rho.total(one.cost for one in opened.rounds)
            each.state = each.state.ended_plan(each.state.plans[body.plan])
        self.admitted[body.plan] = Turned(
            plan=body.plan,
            node=node.name,
            seq=entry.seq,
            at=entry.at,
            study=body.study,
            sentence=body.sentence,
            why=self.survey.short[body.plan],
            words="was refused for want of budget, and would have fitted",
            needed=whole,
            delta=node.state.delta,
        )

    def _link(self, node: _Node, entry: Entry, body: LinkBegun) -> None:
        """A linkage is charged when it begins; where one could not pay, it is not begun there."""
        cost, charged = parse_rho(body.rho), parse_rho(body.rho)
        try:
            self._step(node, body, entry.at)
        except Refused as refused:
            charged = Rho.ZERO
            node.refused += 1
            left = _left(refused.public_fields.get("left"))
            self.refused[body.session] = Turned(
                plan=body.session,
                node=node.name,
                seq=entry.seq,
                at=entry.at,
                study=LINKAGES,
                sentence=f"Links members with {', '.join(body.nodes)}",
                why=refused.code.value,
                words=CODE_WORDS.get(refused.code.value, str(refused)),
                needed=cost,
                delta=node.state.delta,
                left=left,
            )
        node.count(LINKAGES, cost, charged)

    def _commit(self, node: _Node, entry: Entry, body: Commit) -> None:
        plan = node.state.plans.get(body.plan)
        charged = Rho.ZERO
        if plan is not None:
            self._step(node, self._supposed(node, body), entry.at)
            charged = plan.rounds[body.round].cost
        study = self.study_of.get(body.plan, "")
        node.count(study, parse_rho(body.rho), charged)


def _under_way(state: LedgerState, session: str) -> bool:
    known = [each.session for each in (state.linking, state.linkage) if each is not None]
    return session in known


def _left(text: object) -> Rho | None:
    return Rho.parse(text) if isinstance(text, str) else None


def _turned(
    node: _Node, entry: Entry, body: Reserve, why: str, words: str, left: Rho | None = None
) -> Turned:
    return Turned(
        body.plan,
        node.name,
        entry.seq,
        entry.at,
        body.study,
        body.sentence,
        why,
        words,
        parse_rho(body.rho),
        node.state.delta,
        left,
    )


def _outcome(node: _Node) -> NodeOutcome:
    studies = tuple(
        (study, Sums(Rho(node.then[study]), Rho(node.now[study]))) for study in sorted(node.then)
    )
    periods = tuple(
        (starts, then, supposed, Sums(Rho(a), Rho(b)))
        for (starts, then, supposed), a, b in zip(
            node.limits, node.then_periods, node.now_periods, strict=True
        )
    )
    total = Sums(Rho(sum(node.then.values())), Rho(sum(node.now.values())))
    return NodeOutcome(node.name, node.state.delta, total, periods, studies, node.refused)
