"""The gate: whether this node answers a plan, decided from public facts alone.

`decide` reads no data and no clock; it is handed everything. It either returns a Permit with
the node's own derivation of the question, or raises Refused with a catalogue code. A plan
that claims less noise, a lower cost, other participants or another question than the
researcher signed does not pass, whoever signed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from models.derivation import Derivation, derive, disagreement
from models.reusing import check_reused
from privacy.contract.delegation import Authority, authority_of
from privacy.contract.dictionary import Dictionary
from privacy.contract.duo import Use
from privacy.contract.plan import Plan, Question
from privacy.contract.researcher_key import ever, standing
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import Study
from privacy.contract.time import epoch_of, instant_text, parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import PolicySet
from privacy.ledger.link_entry import Linkage
from privacy.ledger.permission import Rule, question_mark, question_rule
from privacy.units import Rho

CLOCK_SKEW = timedelta(minutes=5)
LONGEST_PLAN = timedelta(hours=24)


@dataclass(frozen=True)
class Facts:
    """All that a decision may depend on. Nothing here is computed from members."""

    node: str
    coordinator: PublicKey
    roster: Roster
    revoked: frozenset[str]  # keys and delegations that this node was told of
    confirmed: frozenset[str]  # node ids whose fingerprint a steward confirmed; includes `node`
    dictionary: Dictionary
    studies: Mapping[str, Study]  # approved here, by digest
    policy: PolicySet
    looked: Mapping[str, bool]  # what a steward said to single questions, by mark
    delta: Fraction  # the ledger's
    paused: bool
    witnessed: bool
    halted: bool  # the coordinator's log broke
    software: frozenset[str]  # libraries here that some analyses need
    linkage: Linkage | None  # in force, by the ledger
    records_fault: Code | None  # the records were set back, or follow another dictionary
    now: datetime
    successors: Mapping[str, str] = field(default_factory=dict)  # of researchers' keys

    def investigators(self, study: Study, *, reserved: bool = False) -> frozenset[str]:
        """Whose questions of a study count; of what was `reserved`, by the key of that time."""
        count = ever if reserved else standing
        return count(study.keys, self.successors)


@dataclass(frozen=True)
class Asked:
    """What a member must have consented to: a purpose, and under their terms this use; and the
    linkage session by which they are counted at one organisation, of a linked study."""

    purpose: str | None
    use: Use
    linkage: str = ""


@dataclass(frozen=True)
class Permit:
    """Leave to answer one plan, with the node's own view of what it is."""

    plan: Plan
    plan_digest: str
    question: Question
    authority: Authority
    study: Study
    derivation: Derivation

    @property
    def asks(self) -> Asked | None:
        """Which members count; None where no consent is needed and everybody does."""
        purpose, linkage = self.study.consent_purpose, self.plan.linkage
        asks = purpose is not None or bool(linkage)
        return Asked(purpose, self.study.use, linkage) if asks else None

    @property
    def reservation(self) -> Rho:
        """What the whole run may cost: every attempt of every round."""
        return self.derivation.rho * self.plan.max_attempts


def decide(envelope: Envelope, facts: Facts, *, reserved: bool = False) -> Permit:
    """Permit or refuse the plan in `envelope`. The budget is the ledger's to refuse.

    A plan that is `reserved` here already answered its question in time: a run of many rounds
    may outlast the question, though not the plan.
    """
    plan = _open_plan(envelope, facts, reserved)
    check_ready(facts)
    _check_time(plan, facts)
    _check_roster(plan, facts)
    study = _approved_study(plan, facts)
    question, authority = _check_question(plan, study, facts, reserved)
    _check_floors(plan, study, facts)
    _check_linkage(plan, study, facts)
    derivation = _check_derivation(plan, question, study, facts)
    check_reused(derivation.analysis, plan, facts.coordinator)
    _check_rules(plan, question, study, derivation, facts)
    _check_software(derivation, facts)
    return Permit(plan, envelope.digest, question, authority, study, derivation)


def _open_plan(envelope: Envelope, facts: Facts, reserved: bool) -> Plan:
    """What was reserved goes on, though the coordinator took another key since."""
    opened = envelope.open_kept if reserved else envelope.open
    try:
        return Plan.from_json(opened("plan", facts.coordinator))
    except (VerificationFailed, BadInput):
        raise Refused(Code.BAD_SIGNATURE, what="plan") from None


def check_ready(facts: Facts) -> None:
    """Raises Refused for a node that takes part in nothing now."""
    if facts.paused:
        raise Refused(Code.PAUSED)
    if facts.halted:
        raise Refused(Code.HISTORY_BROKEN)
    if not facts.witnessed:
        raise Refused(Code.NOT_WITNESSED)
    if facts.records_fault is not None:
        raise Refused(facts.records_fault, what="records")


def _check_time(plan: Plan, facts: Facts) -> None:
    created, expires = parse_instant(plan.created), parse_instant(plan.expires)
    if not created - CLOCK_SKEW <= facts.now < expires:
        raise Refused(Code.EXPIRED, what="plan")
    if not timedelta() < expires - created <= LONGEST_PLAN:
        raise Refused(Code.EXPIRED, what="plan")
    if plan.epoch != epoch_of(created.astimezone(UTC).date()):
        raise Refused(Code.PLAN_MISMATCH, what="epoch")


def _check_roster(plan: Plan, facts: Facts) -> None:
    if plan.roster != facts.roster.digest:
        raise Refused(Code.ROSTER_MISMATCH)
    known = set(facts.roster.keys)
    if list(plan.participants) != sorted(set(plan.participants) & known):
        raise Refused(Code.ROSTER_MISMATCH, what="participants")
    if facts.node not in plan.participants:
        raise Refused(Code.ROSTER_MISMATCH, what="participants")
    confirmed = facts.confirmed & set(plan.participants)
    if len(confirmed) < len(plan.participants) - plan.t_collude:
        raise Refused(Code.PEERS_NOT_CONFIRMED)


def _approved_study(plan: Plan, facts: Facts) -> Study:
    study = facts.studies.get(plan.study_digest)
    if study is None or study.id != plan.study:
        raise Refused(Code.NOT_APPROVED)
    if not study.first_day <= facts.now.astimezone(UTC).date() <= study.last_day:
        raise Refused(Code.NOT_IN_PERIOD)
    return study


def _check_question(
    plan: Plan, study: Study, facts: Facts, reserved: bool
) -> tuple[Question, Authority]:
    try:
        question = plan.open_question()
    except (VerificationFailed, BadInput):
        raise Refused(Code.BAD_SIGNATURE, what="question") from None
    # What was reserved goes on: a run of many rounds may outlast its delegation.
    asked = parse_instant(question.asked_at) if reserved else facts.now
    keys = facts.investigators(study, reserved=reserved)
    authority = authority_of(plan.signer, question, study, asked, keys)
    if {plan.signer.text, authority.researcher.text, authority.statement} & facts.revoked:
        raise Refused(Code.KEY_REVOKED)
    if question.study_digest != plan.study_digest or question.study != plan.study:
        raise Refused(Code.PLAN_MISMATCH, what="study")
    if not reserved and facts.now >= parse_instant(question.expires):
        raise Refused(Code.EXPIRED, what="question")
    return question, authority


def _check_floors(plan: Plan, study: Study, facts: Facts) -> None:
    policy = facts.policy
    floors = (
        (plan.t_drop == study.t_drop and plan.t_collude == study.t_collude, "margin"),
        (len(plan.participants) >= max(policy.min_nodes, 3), "min_nodes"),
        (plan.t_collude >= max(policy.min_collude, 1), "min_collude"),
        (plan.t_drop <= policy.max_drop, "max_drop"),
        (study.linked or study.max_memberships >= policy.max_memberships, "max_memberships"),
        (study.min_cohort >= policy.min_cohort, "min_cohort"),
        (study.delta_fraction <= facts.delta, "delta"),
    )
    for holds, what in floors:
        if not holds:
            raise Refused(Code.POLICY_FLOOR, what=what)


def _check_linkage(plan: Plan, study: Study, facts: Facts) -> None:
    """A linked study is answered by exactly the nodes of the linkage in force, and by it."""
    if not study.linked:
        if plan.linkage:
            raise Refused(Code.PLAN_MISMATCH, what="linkage")
        return
    known = facts.linkage
    if known is None or known.session != plan.linkage or not known.holds(instant_text(facts.now)):
        raise Refused(Code.NOT_LINKED)
    if plan.participants != known.begun.nodes:
        raise Refused(Code.NOT_LINKED, what="participants")


def _check_derivation(plan: Plan, question: Question, study: Study, facts: Facts) -> Derivation:
    if plan.dictionary != facts.dictionary.digest or study.dictionary != plan.dictionary:
        raise Refused(Code.DICTIONARY_MISMATCH)
    try:
        own = derive(question, study, facts.dictionary, plan.participants)
    except BadInput:
        raise Refused(Code.BAD_REQUEST) from None
    what = disagreement(plan, question, own, study, facts.dictionary)
    if what is not None:
        raise Refused(Code.PLAN_MISMATCH, what=what)
    return own


def mark_of(question: Question, derivation: Derivation) -> str:
    """The name under which a steward allows or refuses this question."""
    asked, cohort = derivation.analysis_json, derivation.cohort_text
    return question_mark(question.study_digest, asked, cohort, question.epsilon)


def _check_rules(
    plan: Plan, question: Question, study: Study, derivation: Derivation, facts: Facts
) -> None:
    looked = facts.looked.get(mark_of(question, derivation))
    cost = derivation.rho * plan.max_attempts
    rule = question_rule(facts.policy, study, derivation.analysis.kind, cost, looked)
    match rule:
        case None:
            return
        case Rule.QUESTION_LIMIT:
            left = facts.policy.question_rho or ""
            raise Refused(Code.QUESTION_LIMIT, needed=cost.text, left=left)
        case _:
            raise Refused(Code.POLICY_FLOOR, what=rule.value)


def _check_software(derivation: Derivation, facts: Facts) -> None:
    """What cannot be computed here is refused now, not in the middle of a run."""
    needed = derivation.analysis.needs
    if needed and needed not in facts.software:
        raise Refused(Code.MISSING_SOFTWARE, what=needed)
