"""Previews: price, expected error, what is left, and what was answered before. Spends nothing."""

from __future__ import annotations

from datetime import UTC

from coordinator.api.answering import who_answers
from coordinator.api.asking import check_question, linkage_in_force
from coordinator.api.budgets import NodeBudget, StudyBudget
from coordinator.api.entitlement import visible_study
from coordinator.api.library import Stored, members_by, related, stored
from coordinator.api.question_schema import Earlier, NodeLeft, PreviewAsk, PreviewView, Remaining
from coordinator.api.services import Services
from coordinator.api.views import amount
from coordinator.api.willing import unwilling
from coordinator.store.facts import Decision, Principal, StudyFacts
from models.aggregates.requests import Analysis
from models.cohort.text import canonical_text
from models.derivation import check_by_organisation
from models.planner import Preview, preview
from models.regression.rounds import InRounds
from models.related import Relation
from models.target import parse_target
from models.within import cohort_within, declared
from privacy.accounting.filter import remaining
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import identity_of
from privacy.contract.study import Study
from privacy.contract.time import epoch_of, instant_text
from privacy.errors import BadInput, Code, Refused
from privacy.secure_sum.attempt import fewest_nodes
from privacy.units import Rho

YOURS = "your guess"


def make_preview(services: Services, principal: Principal, ask: PreviewAsk) -> PreviewView:
    """Cost and expected error of a question; nothing is signed and nothing spent."""
    _check_aim(ask)
    facts = visible_study(services.store, principal, ask.study)
    study = facts.study
    dictionary = declared(study, services.store.network.dictionary_version(study.dictionary))
    analysis = check_question(study, dictionary, ask.analysis, ask.cohort, ask.epsilon or "1")
    cohort = canonical_text(cohort_within(study, ask.cohort, dictionary))
    library = stored(services.store, facts, cohort)
    known = (ask.members, YOURS) if ask.members else members_by(library, dictionary)
    out = unwilling(
        services.budgets,
        facts,
        analysis,
        cohort,
        ask.epsilon or "1",
        instant_text(services.clock()),
    )
    answering = who_answers(services, facts, out)
    able = answering.able
    _check_by_organisation(analysis, study, able)
    made = _preview(facts, ask, cohort, analysis, dictionary, len(able), known or (None, ""))
    services.executor.settle(services.settings.settle_seconds)
    budget = services.budgets.of(facts, principal.public_key)
    cost = Rho.parse(made.rho) * ask.max_attempts
    answered = _answered(services, facts, analysis, made, able)
    return PreviewView(
        preview={**made.to_json(), "answering": able},
        can_answer=able,
        cannot_answer=answering.unable,
        declining=answering.declining,
        left=amount(budget.left, study.delta_fraction),
        affordable=answered is not None or cost <= budget.left,
        budget=_remaining(budget, Rho.ZERO if answered else cost, cost, study),
        answered=answered,
        related=related(
            analysis,
            dictionary,
            library,
            "" if not answered else answered.release,
            (tuple(able), _epoch(services)),
        ),
    )


def _epoch(services: Services) -> str:
    return epoch_of(services.clock().astimezone(UTC).date())


def _check_aim(ask: PreviewAsk) -> None:
    """Either epsilon or a target error; raises Refused(BAD_REQUEST)."""
    if (ask.epsilon is None) == (ask.target_error is None):
        raise Refused(Code.BAD_REQUEST, where="epsilon or target_error")
    try:
        parse_target(ask.target_error or "1")
    except BadInput:
        raise Refused(Code.BAD_REQUEST, where="target_error") from None


def _check_by_organisation(analysis: Analysis, study: Study, able: list[str]) -> None:
    """As a run would be refused; with too few nodes it is refused for that, whoever is named."""
    few = len(able) < fewest_nodes(study.t_drop, study.t_collude)
    named = analysis.organisations if isinstance(analysis, InRounds) else ()
    check_by_organisation(analysis, study, named if few else tuple(able))


def _preview(
    facts: StudyFacts,
    ask: PreviewAsk,
    cohort: str,
    analysis: Analysis,
    dictionary: Dictionary,
    able: int,
    known: tuple[int | None, str],
) -> Preview:
    study = facts.study
    approving = sum(1 for said in facts.decisions.values() if said is Decision.APPROVED)
    needed = fewest_nodes(study.t_drop, study.t_collude)
    return preview(
        analysis,
        cohort,
        dictionary,
        epsilon=ask.epsilon or "",
        target_error=ask.target_error or "",
        delta=study.delta_fraction,
        nodes=able if able >= needed else max(approving, needed),
        margin=study.t_drop + study.t_collude,
        memberships=study.memberships,
        assumed_members=known[0],
        members_from=known[1],
    )


def _answered(
    services: Services, facts: StudyFacts, analysis: Analysis, made: Preview, able: list[str]
) -> Earlier | None:
    """The stored release that asking now would give, if there is one."""
    if not able:
        return None
    known = linkage_in_force(services.store, facts.study, services.clock())
    identity = identity_of(
        analysis=analysis.to_json(),
        cohort=made.cohort,
        dictionary=facts.study.dictionary,
        study_digest=facts.study.digest,
        participants=tuple(able),
        epoch=_epoch(services),
        rho=made.rho,
        linkage="" if known is None else known.digest,
    )
    found = services.store.releases.by_identity(identity, facts.study.digest)
    if found is None:
        return None
    return Stored(found, services.store.releases.plan(found), analysis).view(Relation.SAME)


def _remaining(budget: StudyBudget, spent: Rho, cost: Rho, study: Study) -> Remaining:
    delta = study.delta_fraction
    after = remaining(budget.left, spent)
    return Remaining(
        study=amount(min((n.quota_left for n in budget.nodes), default=budget.left), delta),
        node=_tightest(budget.nodes, study),
        after=amount(after, delta),
        more=after.units // max(cost.units, 1),
    )


def _tightest(nodes: tuple[NodeBudget, ...], study: Study) -> NodeLeft | None:
    periods = [(node.period_left, node.node) for node in nodes if node.period_left is not None]
    if not periods:
        return None
    left, node = min(periods)
    return NodeLeft(node=node, left=amount(left, study.delta_fraction))
