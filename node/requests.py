"""From a plan, permitted or refused, to the request that a steward reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from models.derivation import Derivation, derive
from node.desk import Asked, Desk
from node.gate import Facts, mark_of
from privacy.contract.delegation import Authority, authority_of
from privacy.contract.plan import Plan, Question
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed


def told(refused: Refused) -> Refused:
    """What an organisation's policy or decision refuses leaves as the code alone."""
    own = refused.code in (Code.POLICY_FLOOR, Code.NOT_APPROVED)
    return Refused(refused.code) if own else refused


def raising(error: Exception) -> Callable[[], NoReturn]:
    """What is told later: the error, where it will be looked for."""

    def fail() -> NoReturn:
        raise error

    return fail


@contextmanager
def noting(
    desk: Desk, envelope: Envelope, facts: Facts, study_of: Callable[[str], Study]
) -> Iterator[None]:
    """Whatever becomes of a plan inside, its request is kept, with the code that refused it."""
    code, rule = "", ""
    try:
        yield
    except Refused as refused:
        code, rule = refused.code.value, str(refused.public_fields.get("what", ""))
        raise
    finally:
        asked = None if code == Code.REPLAYED.value else request_of(envelope, facts, study_of)
        if asked is not None:
            desk.note(replace(asked, code=code, rule=rule))


def request_of(envelope: Envelope, facts: Facts, study_of: Callable[[str], Study]) -> Asked | None:
    """The request in a plan; None for what is no signed question of a study known here."""
    try:
        plan = Plan.from_json(envelope.open("plan", facts.coordinator))
        question = plan.open_question()
        study = study_of(plan.study_digest)
        authority = authority_of(
            plan.signer, question, study, facts.now, facts.investigators(study)
        )
        derivation = derive(question, study, facts.dictionary, plan.participants)
    except (VerificationFailed, BadInput, Refused):
        return None
    return _asked(envelope.digest, plan, question, derivation, authority, facts.now)


def _asked(
    digest: str,
    plan: Plan,
    question: Question,
    derivation: Derivation,
    authority: Authority,
    now: datetime,
) -> Asked:
    return Asked(
        plan=digest,
        at=instant_text(now),
        mark=mark_of(question, derivation),
        study=plan.study,
        study_digest=plan.study_digest,
        kind=derivation.analysis.kind,
        sentence=derivation.sentence,
        rho=(derivation.rho * plan.max_attempts).text,
        researcher=authority.researcher.text,
    )
