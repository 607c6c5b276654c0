"""From what the store holds to what the API shows."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from coordinator.api.budgets import StudyBudget
from coordinator.api.problems import CATALOGUE
from coordinator.api.question_schema import (
    Receipt,
    ReleasedAnswer,
    ReleasedRound,
    ReleaseSummary,
    ReleaseView,
    RunView,
)
from coordinator.api.schema import (
    Amount,
    ApprovalView,
    BudgetView,
    InvestigatorView,
    LinkageView,
    NetworkNode,
    NetworkView,
    NodeBudgetView,
    NodeView,
    StudySummary,
    StudyView,
)
from coordinator.api.services import Services
from coordinator.linking import linkage_json
from coordinator.store.facts import (
    Decision,
    LinkageFacts,
    NodeFacts,
    ReleaseFacts,
    ReleaseLine,
    RunFacts,
    StudyFacts,
)
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import parse_canonical, rational
from privacy.contract.plan import Plan
from privacy.contract.signing import PublicKey
from privacy.contract.study_life import State
from privacy.errors import Code
from privacy.log import LogProof
from privacy.units import Rho

_DECLINED = frozenset({Code.POLICY_FLOOR.value, Code.NOT_APPROVED.value})


def amount(rho: Rho, delta: Fraction) -> Amount:
    return Amount(rho=rho.text, epsilon=epsilon_of_rho(rho, delta))


def budget_view(budget: StudyBudget, delta: Fraction) -> BudgetView:
    own = budget.part_left
    return BudgetView(
        allowance=amount(budget.allowance, delta),
        committed=amount(budget.charged, delta),
        reserved=amount(budget.held, delta),
        left=amount(budget.left, delta),
        yours=None if own is None else amount(own, delta),
        nodes=[
            NodeBudgetView(
                node=node.node,
                committed=amount(node.charged, delta),
                reserved=amount(node.held, delta),
                left=amount(node.left, delta),
                ledger_size=node.ledger_size,
            )
            for node in budget.nodes
        ],
    )


def study_summary(facts: StudyFacts) -> StudySummary:
    return StudySummary(**_summary(facts))


def _summary(facts: StudyFacts) -> dict[str, Any]:
    study = facts.study
    approved = [node for node, said in facts.decisions.items() if said is Decision.APPROVED]
    names = ("id", "version", "digest", "title", "purpose", "consent", "starts", "ends")
    return {
        **{name: getattr(study, name) for name in names},
        "epsilon_allowance": study.epsilon_allowance,
        "approved_by": sorted(approved),
    }


def study_view(
    facts: StudyFacts,
    budget: StudyBudget,
    answering: list[str],
    state: State,
    *,
    everything: bool,
) -> StudyView:
    """`everything`: with the organisations that do not approve, which a researcher only counts."""
    study = facts.study
    decided = sorted(facts.decisions.items())
    approved = [(node, said) for node, said in decided if said is Decision.APPROVED]
    return StudyView(
        **_summary(facts),
        delta=study.delta,
        dictionary=study.dictionary,
        analyses=list(study.analyses),
        by_organisation=study.by_organisation,
        answering=answering,
        min_cohort=study.min_cohort,
        t_drop=study.t_drop,
        t_collude=study.t_collude,
        max_memberships=study.memberships,
        linked=study.linked,
        question=study.question,
        summary=study.summary,
        cohort=study.cohort,
        variables=list(study.variables),
        investigators=[InvestigatorView(**each.to_json()) for each in study.investigators],
        state=state.value,
        approvals=[
            ApprovalView(node=node, decision=said)
            for node, said in (decided if everything else approved)
        ],
        declining=len(decided) - len(approved),
        budget=budget_view(budget, study.delta_fraction),
        envelope=facts.envelope.to_json(),
    )


def linkage_view(facts: LinkageFacts) -> LinkageView:
    return LinkageView(**linkage_json(facts) | {"state": facts.state})


def node_view(facts: NodeFacts) -> NodeView:
    return NodeView(
        id=facts.id,
        name=facts.name,
        state=facts.state,
        version=facts.version,
        last_contact=facts.last_contact,
        fingerprint=PublicKey.from_text(facts.key).fingerprint,
    )


def network_view(services: Services) -> NetworkView:
    network = services.store.network
    roster, signed = network.roster, network.roster_envelope
    public = services.key.public
    return NetworkView(
        id=network.id,
        delta=rational(network.delta),
        coordinator_key=public.text,
        coordinator_fingerprint=public.fingerprint,
        key_changes=[each.to_json() for each in network.key_changes()],
        dictionary=network.dictionary.digest,
        roster_digest=roster.digest,
        roster_epoch=roster.epoch,
        roster=signed.resaid(services.key).to_json(),
        nodes=[
            NetworkNode(id=node.id, name=node.name, fingerprint=node.public.fingerprint)
            for node in roster.nodes
        ],
        fleet_address=services.settings.fleet_address,
        ca_pem=services.settings.ca_pem,
    )


def run_view(run: RunFacts, release: ReleaseFacts | None, proof: LogProof | None = None) -> RunView:
    """A run; with its answer where the caller may see it and there is one.

    What an organisation's policy or decision refuses is told as `declined`, without its reason.
    """
    plan = run.plan
    declined = run.code in _DECLINED
    code = Code.DECLINED.value if declined else run.code
    return RunView(
        id=run.id,
        study=run.study,
        state=run.state,
        code=code,
        title=CATALOGUE[Code(code)][1] if code else "",
        fields={} if declined else dict(run.fields),
        identity=run.identity,
        plan=run.plan_digest,
        analysis=dict(plan.analysis),
        cohort=plan.cohort,
        rho=plan.rho,
        participants=list(plan.participants),
        tops_up=list(plan.tops_up),
        max_attempts=plan.max_attempts,
        round=run.opened,
        rounds=len(plan.rounds),
        cancelling=run.cancelling,
        created=run.created,
        finished=run.finished,
        repeat=run.repeat,
        answer=None if release is None else released_answer(release, proof),
    )


def released_answer(release: ReleaseFacts, proof: LogProof | None = None) -> ReleasedAnswer:
    said: Mapping[str, Any] = parse_canonical(release.envelope.body)
    return ReleasedAnswer(
        release=release.digest,
        released_at=said["released_at"],
        rho=said["rho"],
        epsilon=float(said["epsilon"]),
        delta=said["delta"],
        rounds=[_released_round(each) for each in said["rounds"]],
        result=dict(release.result),
        log=None if proof is None else proof.to_json(),
    )


def _released_round(said: Mapping[str, Any]) -> ReleasedRound:
    return ReleasedRound(
        mechanism=said["mechanism"],
        rho=said["rho"],
        survivors=said["survivors"],
        receipts=[
            Receipt(**{**receipt, "node": node}) for node, receipt in said["receipts"].items()
        ],
    )


def release_summary(release: ReleaseLine) -> ReleaseSummary:
    return ReleaseSummary(
        digest=release.digest,
        study=release.plan.study,
        analysis=dict(release.plan.analysis),
        cohort=release.plan.cohort,
        created=release.created,
    )


def release_view(release: ReleaseFacts, plan: Plan, proof: LogProof | None = None) -> ReleaseView:
    return ReleaseView(
        digest=release.digest,
        identity=release.identity,
        study=plan.study,
        study_digest=release.study_digest,
        plan=release.plan,
        analysis=dict(plan.analysis),
        cohort=plan.cohort,
        participants=list(plan.participants),
        epoch=plan.epoch,
        tops_up=list(plan.tops_up),
        answer=released_answer(release, proof),
        envelope=release.envelope.to_json(),
    )
