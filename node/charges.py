"""What a node writes into its ledger about a plan, from its own derivation of it."""

from __future__ import annotations

from dataclasses import dataclass

from models.derivation import Round
from node.gate import Permit
from privacy.ledger.desk_entry import Delegated
from privacy.ledger.entry import Commit, Mechanism, Reserve, ReservedRound
from privacy.ledger.state import OpenPlan
from privacy.mechanism import GaussianSum
from privacy.secure_sum.attempt import Attempt


@dataclass(frozen=True)
class Charge:
    """One opening of a plan that the ledger has reserved, and its mechanism."""

    plan: str
    round: int
    attempt: int
    event: GaussianSum

    @classmethod
    def of(cls, permit: Permit, attempt: Attempt) -> Charge:
        event = permit.derivation.rounds[attempt.round].mechanism
        return cls(attempt.plan, attempt.round, attempt.attempt, event)

    @property
    def place(self) -> tuple[str, int, int]:
        return self.plan, self.round, self.attempt


def reservation(permit: Permit) -> Reserve:
    """Every attempt of every round, set aside."""
    plan = permit.plan
    return Reserve(
        plan=permit.plan_digest,
        question=plan.question_envelope.digest,
        study=plan.study,
        study_digest=plan.study_digest,
        researcher=permit.authority.researcher.text,
        delegation=_delegated(permit),
        identity=plan.identity,
        sentence=permit.derivation.sentence,
        dictionary=plan.dictionary,
        rounds=tuple(map(_reserved, permit.derivation.rounds)),
        max_attempts=plan.max_attempts,
        rho=permit.reservation.text,
        linkage=plan.linkage,
        expires=plan.expires,
    )


def _delegated(permit: Permit) -> Delegated | None:
    """The delegation that the question was signed under, if it was."""
    said = permit.authority.delegation
    if said is None:
        return None
    return Delegated(
        statement=permit.authority.statement,
        key=said.delegate,
        rho=said.cap(permit.study).text,
        expires=said.expires,
    )


def _reserved(each: Round) -> ReservedRound:
    return ReservedRound(mechanism=Mechanism.of(each.mechanism), rho=each.rho.text)


def agrees(permit: Permit, open_plan: OpenPlan) -> bool:
    """Whether the ledger's reservation is what this program makes of the plan today."""
    own = tuple((Mechanism.of(each.mechanism), each.rho) for each in permit.derivation.rounds)
    return own == tuple((each.mechanism, each.cost) for each in open_plan.rounds)


def commitment(permit: Permit, attempt: Attempt, sha: str, size: int) -> Commit:
    """One opening, charged; `sha` and `size` are those of the bytes that may leave."""
    planned = permit.derivation.rounds[attempt.round]
    return Commit(
        plan=attempt.plan,
        round=attempt.round,
        attempt=attempt.attempt,
        mechanism=Mechanism.of(planned.mechanism),
        rho=planned.rho.text,
        masked_sha256=sha,
        length=attempt.length,
        bytes=size,
    )
