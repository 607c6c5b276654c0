"""From a plan, permitted or refused, to the request that a steward reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from models.derivation import Derivation, derive
from node.desk import Asked
from node.gate import Facts, Permit, mark_of
from privacy.contract.plan import Plan, Question
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Refused, VerificationFailed


def asked_for(permit: Permit, now: datetime) -> Asked:
    """The request behind a permitted plan."""
    return _asked(permit.plan, permit.question, permit.derivation, now)


def request_of(envelope: Envelope, facts: Facts, study_of: Callable[[str], Study]) -> Asked | None:
    """The request behind a refused plan; None for what is no signed question of a known study."""
    try:
        plan = Plan.from_json(envelope.open("plan", facts.coordinator))
        question = plan.open_question()
        study = study_of(plan.study_digest)
        if plan.researcher.text not in study.keys:
            return None
        derivation = derive(question, study, facts.dictionary, plan.participants)
    except (VerificationFailed, BadInput, Refused):
        return None
    return _asked(plan, question, derivation, facts.now)


def _asked(plan: Plan, question: Question, derivation: Derivation, now: datetime) -> Asked:
    return Asked(
        at=instant_text(now),
        mark=mark_of(question, derivation),
        study=plan.study,
        study_digest=plan.study_digest,
        kind=derivation.analysis.kind,
        sentence=derivation.sentence,
        rho=(derivation.rho * plan.max_attempts).text,
        researcher=plan.researcher.text,
    )
