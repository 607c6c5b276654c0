"""From a question to a signed plan: who takes part, and what every node will check again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.changed import changed
from models.derivation import Derivation, derive
from models.reusing import check_reused
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan, Question
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import epoch_of, instant_text
from privacy.errors import Code, Refused
from privacy.linkage.session import LinkSession

PLAN_LIFETIME = timedelta(minutes=10)  # and as long again for every further round
LONGEST_LIFETIME = timedelta(hours=12)
FEWEST_NODES = 3


@dataclass(frozen=True)
class Compiled:
    """A signed plan with the derivation behind it."""

    envelope: Envelope
    plan: Plan
    derivation: Derivation


def participants_for(
    study_digest: str,
    roster: Roster,
    online: Collection[str],
    approvals: Mapping[str, Collection[str]],
    needed: int = FEWEST_NODES,
) -> tuple[str, ...]:
    """The nodes that approved this study version and can be reached, in roster order.

    Raises Refused(NOT_ENOUGH_NODES) for fewer than `needed`, which is never below three: a sum
    over two is no secret.
    """
    able = tuple(
        node.id
        for node in roster.nodes
        if node.id in online and study_digest in approvals.get(node.id, ())
    )
    if len(able) < max(needed, FEWEST_NODES):
        raise Refused(Code.NOT_ENOUGH_NODES, able=len(able), needed=max(needed, FEWEST_NODES))
    return able


def linkage_for(study: Study, known: LinkSession | None, participants: tuple[str, ...]) -> str:
    """The session that a linked study counts by; "" for any other study.

    Raises Refused(NOT_LINKED) without one between exactly the nodes that answer: members counted
    at an organisation that does not answer would be missing.
    """
    if not study.linked:
        return ""
    if known is None:
        raise Refused(Code.NOT_LINKED)
    if known.nodes != participants:
        raise Refused(Code.NOT_LINKED, what="participants")
    return known.digest


def make_plan(
    question: Envelope,
    study: Study,
    dictionary: Dictionary,
    roster: Roster,
    participants: tuple[str, ...],
    *,
    key: SigningKey,
    now: datetime,
    entropy: Callable[[int], bytes],
    known: LinkSession | None = None,
    evidence: tuple[Envelope, ...] = (),
) -> Compiled:
    """Compile and sign. Raises BadInput or Refused before anything is spent.

    `known` is the linkage in force, if there is one; `evidence` are the plan and the release
    whose opened totals the question reuses.
    """
    asked = Question.from_json(question.open("question", question.key))
    if asked.study_digest != study.digest:
        raise Refused(Code.PLAN_MISMATCH)
    derived = derive(asked, study, dictionary, participants)
    linkage = linkage_for(study, known, participants)
    plan = _plan(
        question, asked, derived, study, dictionary, roster, participants, linkage, now, entropy
    )
    plan = changed(plan, evidence=tuple(each.to_json() for each in evidence))
    check_reused(derived.analysis, plan, key.public)
    return Compiled(Envelope.seal("plan", plan.to_json(), key), plan, derived)


def _plan(
    question: Envelope,
    asked: Question,
    derived: Derivation,
    study: Study,
    dictionary: Dictionary,
    roster: Roster,
    participants: tuple[str, ...],
    linkage: str,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> Plan:
    epoch = epoch_of(now.astimezone(UTC).date())
    lifetime = min(PLAN_LIFETIME * len(derived.rounds), LONGEST_LIFETIME)
    return Plan(
        question=question.to_json(),
        identity=derived.identity(study.digest, dictionary, participants, epoch, linkage),
        study=study.id,
        study_digest=study.digest,
        analysis=derived.analysis_json,
        cohort=derived.cohort_text,
        dictionary=dictionary.digest,
        roster=roster.digest,
        participants=participants,
        t_drop=study.t_drop,
        t_collude=study.t_collude,
        rho=derived.rho.text,
        delta=study.delta,
        rounds=derived.planned,
        max_attempts=asked.max_attempts,
        linkage=linkage,
        epoch=epoch,
        created=instant_text(now),
        expires=instant_text(now + lifetime),
        nonce=entropy(16).hex(),
    )
