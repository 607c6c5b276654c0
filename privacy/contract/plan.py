"""A question as its researcher signs it, and the plan the coordinator makes of it.

The plan adds only what the question leaves open (participants, time, nonce). Everything
that costs privacy is derived from the question by one function that every node repeats
(`models.derivation.derive`), so a plan that claims less noise or a lower cost is refused.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import JsonValue

from privacy.contract.canonical import digest, parse_canonical
from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput


class Question(Fact):
    """What a researcher asks and signs (envelope kind `question`).

    `epsilon` is decimal text: the loss of one run, all its rounds once, for one membership at
    the study's delta. `tops_up` are digests of earlier releases of the same analysis: this run
    is a new one, charged like any other, to be combined with them. `delegation` is the envelope
    under which another key than an investigator's signs (`privacy.contract.delegation`).
    """

    study: str
    study_digest: str
    analysis: dict[str, JsonValue]
    cohort: str
    epsilon: str
    tops_up: tuple[str, ...] = ()
    delegation: dict[str, Any] | None = None
    max_attempts: int = 1
    asked_at: str
    expires: str
    nonce: str


class PlannedRound(Fact):
    """What one round opens and costs: `length` numbers, at `rho` per attempt (rational text)."""

    mechanism: dict[str, int]
    rho: str
    length: int


class Plan(Fact):
    """A compiled question (envelope kind `plan`, signed by the coordinator).

    `rho` is the cost of the run, each of its rounds once, as rational text, memberships
    included; a run reserves max_attempts * rho. `linkage` is the digest of the session by which a
    linked study counts; "" of any other. `evidence` are the envelopes of an earlier plan
    and of its release, where the analysis reuses what that opened (`models.reusing`). `nonce`
    makes two runs of one question two plans.
    """

    question: dict[str, Any]  # the researcher's envelope
    identity: str
    study: str
    study_digest: str
    analysis: dict[str, JsonValue]
    cohort: str
    dictionary: str
    roster: str
    participants: tuple[str, ...]
    t_drop: int
    t_collude: int
    rho: str
    delta: str
    rounds: tuple[PlannedRound, ...]
    max_attempts: int
    linkage: str = ""
    evidence: tuple[dict[str, Any], ...] = ()
    epoch: str
    created: str
    expires: str
    nonce: str

    @property
    def question_envelope(self) -> Envelope:
        return Envelope.from_json(self.question)

    def open_question(self) -> Question:
        """The question, if the envelope is signed by the key it names (any key).

        Whether that key belongs to an investigator is for the caller to decide.
        Raises VerificationFailed or BadInput.
        """
        envelope = self.question_envelope
        return Question.from_json(envelope.open("question", envelope.key))

    @cached_property
    def tops_up(self) -> tuple[str, ...]:
        """The releases that the question tops up, of a plan whose question was opened before."""
        return Question.from_json(parse_canonical(self.question_envelope.body)).tops_up

    @property
    def signer(self) -> PublicKey:
        """The key that signed the question: an investigator's, or a delegate's."""
        return self.question_envelope.key


def identity_of(
    *,
    analysis: dict[str, Any],
    cohort: str,
    dictionary: str,
    study_digest: str,
    participants: tuple[str, ...],
    epoch: str,
    rho: str,
    tops_up: tuple[str, ...] = (),
    linkage: str = "",
) -> str:
    """The identity of an analysis: equal identities have equal answers, so one is stored.

    Covers what is computed and for whom, without nonce, attempt or expiry. The study digest
    carries the purpose and the consent rule. An opening that tops up others is no repetition
    of them.
    """
    if not participants:
        raise BadInput("an analysis needs participants")
    return digest(
        {
            "analysis": analysis,
            "cohort": cohort,
            "dictionary": dictionary,
            "study": study_digest,
            "participants": list(participants),
            "epoch": epoch,
            "rho": rho,
            **({"tops_up": list(tops_up)} if tops_up else {}),
            **({"linkage": linkage} if linkage else {}),
        }
    )
