"""Leave to ask in a researcher's name: for one study version, so much, so long, by one other key.

A browser has no researcher's key. It asks with a key of its own, under a delegation that the
researcher's key signed; every question under it carries the delegation, every node checks it
and counts it, and the ledger names it.

Guarantee: a question counts for an investigator only with the investigator's own signature, on
the question or on a delegation that names study, cap, end and the key that signed the question.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from privacy.accounting.conversion import parse_budget, rho_of_epsilon
from privacy.contract.facts import Fact
from privacy.contract.plan import Question
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import KeyText, Study
from privacy.contract.time import parse_instant
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.units import Rho

KIND, END = "delegation", "delegation-end"
LONGEST = timedelta(days=7)


def _instant(text: str) -> str:
    parse_instant(text)
    return text


Instant = Annotated[str, AfterValidator(_instant)]


class Delegation(Fact):
    """What an investigator signs (envelope kind `delegation`).

    `epsilon` is decimal text at the study's delta: what all questions under it may cost
    together, at each organisation.
    """

    study: str
    study_digest: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
    delegate: KeyText
    epsilon: str
    made: Instant
    expires: Instant

    @cached_property
    def lifetime(self) -> timedelta:
        return parse_instant(self.expires) - parse_instant(self.made)

    def cap(self, study: Study) -> Rho:
        """The cap as zCDP, rounded down."""
        return rho_of_epsilon(parse_budget(self.epsilon), study.delta_fraction)


class DelegationEnd(Fact):
    """What an investigator signs to take a delegation back (envelope kind `delegation-end`)."""

    delegation: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
    at: Instant


def ended_delegation(delegation: Envelope, end: Envelope) -> str:
    """The digest of a delegation that its own signer ended; raises VerificationFailed."""
    Delegation.from_json(delegation.open(KIND, delegation.key))
    said = DelegationEnd.from_json(end.open(END, delegation.key))
    if said.delegation != delegation.digest:
        raise VerificationFailed("is the end of another delegation")
    return delegation.digest


@dataclass(frozen=True)
class Authority:
    """Whose question it is, and under which delegation another key signed it, if one did."""

    researcher: PublicKey
    delegation: Delegation | None = None
    statement: str = ""  # the delegation's digest


def authority_of(
    signer: PublicKey,
    question: Question,
    study: Study,
    now: datetime,
    investigators: Collection[str] | None = None,
) -> Authority:
    """In whose name `signer` asks. Whether it signed the question is checked elsewhere.

    `investigators` are the keys that count for those that the study names; None: just these.
    Raises Refused: NOT_AN_INVESTIGATOR for a stranger without a delegation, NOT_DELEGATED for a
    delegation of another study version, key or time, or by somebody who is no investigator.
    """
    keys = study.keys if investigators is None else investigators
    if question.delegation is None:
        if signer.text not in keys:
            raise Refused(Code.NOT_AN_INVESTIGATOR)
        return Authority(signer)
    try:
        envelope = Envelope.from_json(question.delegation)
        said = Delegation.from_json(envelope.open(KIND, envelope.key))
        said.cap(study)
    except (BadInput, VerificationFailed):
        raise Refused(Code.NOT_DELEGATED) from None
    if envelope.key.text not in keys:
        raise Refused(Code.NOT_AN_INVESTIGATOR)
    about = (said.study, said.study_digest, said.delegate)
    if about != (study.id, study.digest, signer.text):
        raise Refused(Code.NOT_DELEGATED)
    if not timedelta() < said.lifetime <= LONGEST or not now < parse_instant(said.expires):
        raise Refused(Code.NOT_DELEGATED, what="expired")
    return Authority(envelope.key, said, envelope.digest)
