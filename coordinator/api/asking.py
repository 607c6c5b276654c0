"""Runs: what is checked, in this order, before a node hears of a question.

entitled    the study exists for this researcher
signed      the question is signed now, for this study version, by the researcher's own key or
            under a delegation of it
sound       analysis, cohort and epsilon fit the dictionary
able        enough nodes that approved can be reached
planned     one signed plan, stored with its run; an identical analysis is answered at once
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coordinator.api.combining import check_tops_up
from coordinator.api.entitlement import visible_release, visible_study
from coordinator.api.services import Services
from coordinator.api.study_steps import begin
from coordinator.api.willing import unwilling
from coordinator.planning import make_plan, participants_for
from coordinator.store.facts import Principal, RunFacts, RunState
from coordinator.store.runs import NewRun
from coordinator.store.store import Store
from models.aggregates.requests import Analysis, normalise, parse_analysis
from models.cohort.text import canonical_text
from models.reusing import reused_by
from models.within import cohort_within, declared
from privacy.accounting.conversion import parse_epsilon
from privacy.contract.canonical import digest
from privacy.contract.delegation import authority_of
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Question
from privacy.contract.researcher_key import standing
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import BadInput, Code, Refused
from privacy.linkage.session import LinkSession
from privacy.secure_sum.attempt import fewest_nodes


def check_question(
    study: Study, dictionary: Dictionary, analysis: object, cohort: str, epsilon: str
) -> Analysis:
    """The analysis with full column names; raises Refused with the code of what is wrong.

    `dictionary` is what the study names of its own (`models.within.declared`).
    """
    try:
        asked = parse_analysis(analysis)
    except BadInput:
        raise Refused(Code.BAD_REQUEST, where="analysis") from None
    if study.analyses and asked.kind not in study.analyses:
        raise Refused(Code.ANALYSIS_NOT_ALLOWED, analysis=asked.kind)
    try:
        full = normalise(asked, dictionary)
    except BadInput as error:
        code = Code.BAD_REQUEST if error.where else Code.UNKNOWN_COLUMN
        raise Refused(code, where="analysis") from None
    try:
        cohort_within(study, cohort, dictionary)
    except BadInput:
        raise Refused(Code.BAD_EXPRESSION, where="cohort") from None
    try:
        parse_epsilon(epsilon)
    except BadInput:
        raise Refused(Code.BAD_EPSILON, where="epsilon") from None
    return full


def start_run(
    services: Services, principal: Principal, question: object, idempotency_key: str
) -> RunFacts:
    """Store a run for a signed question and hand it on; the same key gives the same run."""
    envelope = Envelope.from_json(question)
    request = digest(envelope.to_json())
    run = services.store.runs.started_by(principal.id, idempotency_key, request)
    if run is None:
        run = _new_run(services, principal, envelope, idempotency_key, request)
    if run.state is RunState.QUEUED:
        services.executor.execute(run.id)
    return run


def _new_run(
    services: Services, principal: Principal, envelope: Envelope, key: str, request: str
) -> RunFacts:
    store, now = services.store, services.clock()
    if store.runs.unfinished_of(principal.id) >= services.settings.max_unfinished_runs:
        raise Refused(Code.RATE_LIMITED, unfinished=services.settings.max_unfinished_runs)
    question = _open_question(services, principal, envelope)
    facts = visible_study(store, principal, question.study)
    if question.study_digest != facts.study.digest:
        raise Refused(Code.PLAN_MISMATCH)
    keys = standing(facts.study.keys, store.people.successors())
    authority = authority_of(envelope.key, question, facts.study, now, keys)
    if authority.researcher.text != principal.public_key:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    dictionary = store.network.dictionary_version(facts.study.dictionary)
    named = declared(facts.study, dictionary)
    analysis = check_question(
        facts.study, named, question.analysis, question.cohort, question.epsilon
    )
    begin(services, facts.study)
    roster = store.network.roster
    cohort = canonical_text(cohort_within(facts.study, question.cohort, named))
    at = instant_text(now)
    out = unwilling(services.budgets, facts, analysis, cohort, question.epsilon, at)
    participants = participants_for(
        facts.study.digest,
        roster,
        frozenset(store.nodes.online()) - out,
        store.studies.approvals(),
        fewest_nodes(facts.study.t_drop, facts.study.t_collude),
    )
    compiled = make_plan(
        envelope,
        facts.study,
        dictionary,
        roster,
        participants,
        key=services.key,
        now=now,
        entropy=services.entropy,
        known=linkage_in_force(store, facts.study, now),
        evidence=_evidence(services, principal, analysis),
    )
    check_tops_up(store, principal, compiled.plan)
    run_id = f"run-{services.entropy(12).hex()}"
    return store.runs.create(
        NewRun(run_id, compiled.envelope, principal.id, key, request, instant_text(now))
    )


def linkage_in_force(store: Store, study: Study, now: datetime) -> LinkSession | None:
    """The linkage that a linked study counts by; None for another study, or where there is none."""
    if not study.linked:
        return None
    known = store.linkages.in_force(now.astimezone(UTC).date().isoformat())
    return None if known is None else known.session


def _evidence(services: Services, principal: Principal, analysis: Analysis) -> tuple[Envelope, ...]:
    """Plan and release of what the analysis reuses; raises Refused(NOT_FOUND) for a release that
    the caller may not see."""
    reused = reused_by(analysis)
    if reused is None:
        return ()
    store, key = services.store, services.key
    release, _ = visible_release(store, principal, reused.release)
    return store.releases.plan_envelope(release).resaid(key), release.envelope.resaid(key)


def _open_question(services: Services, principal: Principal, envelope: Envelope) -> Question:
    """The question, if it is signed by the key it names and is neither old nor early.

    Without a delegation that key is the caller's own.
    """
    question = Question.from_json(envelope.open("question", envelope.key))
    if question.delegation is None and envelope.key.text != principal.public_key:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    now = services.clock()
    skew = timedelta(seconds=services.settings.question_skew_seconds)
    if parse_instant(question.expires) < now or parse_instant(question.asked_at) > now + skew:
        raise Refused(Code.EXPIRED, now=instant_text(now))
    return question
