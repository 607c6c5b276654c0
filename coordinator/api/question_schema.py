"""What of a question is asked and told: its price, its runs, its releases."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, JsonValue

from coordinator.api.schema import (
    Amount,
    Answer,
    Ask,
    CohortText,
    NumberText,
    RegisteredStudy,
    ShortText,
)
from coordinator.store.facts import RunState


class PreviewAsk(Ask):
    study: ShortText
    analysis: dict[str, JsonValue]
    cohort: CohortText = ""
    epsilon: NumberText | None = None
    target_error: NumberText | None = Field(
        default=None,
        description="Instead of epsilon: the half-width of a 95 % interval, in the answer's unit.",
    )
    max_attempts: int = Field(default=1, ge=1, le=10)
    members: int | None = Field(
        default=None, ge=1, le=10**9, description="An assumed cohort size; never counted."
    )


class NodeLeft(Answer):
    node: str
    left: Amount


class Remaining(Answer):
    """What is left before and after this question, as the newest ledgers mirrored here tell."""

    study: Amount = Field(description="Of the study's allowance, at its most spent node.")
    node: NodeLeft | None = Field(description="Of a node's own period, at the most spent one.")
    after: Amount = Field(description="The smaller of both, less this question.")
    more: int = Field(description="Questions of this cost that could follow it.")


class Earlier(Answer):
    """A stored release that already answers a question, or holds what it asks."""

    release: str
    released_at: str
    relation: str
    sentence: str
    epsilon: float


class PreviewView(Answer):
    """What a question would cost and how far its answer may be off. Nothing is spent."""

    preview: dict[str, Any]
    can_answer: list[str]
    cannot_answer: dict[str, str] = Field(description="Other nodes, with their public state.")
    declining: int = Field(description="Organisations that will not answer, for whatever reason.")
    left: Amount
    affordable: bool
    budget: Remaining
    answered: Earlier | None = Field(description="This very answer is stored: it costs nothing.")
    related: list[Earlier]


class RunAsk(Ask):
    """A question as its researcher signed it."""

    question: dict[str, JsonValue]


class Receipt(Answer):
    """What one node recorded in its ledger before its masked vector left."""

    model_config = ConfigDict(frozen=True, extra="allow")

    node: str


class ReleasedRound(Answer):
    """One round of a run: its noise, its cost, and who answered it."""

    mechanism: dict[str, int]
    rho: str
    survivors: list[str]
    receipts: list[Receipt]


class ReleasedAnswer(Answer):
    release: str
    released_at: str
    rho: str = Field(description="The cost of the run, every round once.")
    epsilon: float
    delta: str
    rounds: list[ReleasedRound]
    result: dict[str, Any]
    log: dict[str, Any] | None = Field(
        default=None,
        description="Shows that the release stands in the coordinator's own log; not in lists.",
    )


class RunView(Answer):
    id: str
    study: str
    state: RunState
    code: str = Field(description="Why the run ended without a release; empty otherwise.")
    title: str = Field(description="The code in words.")
    fields: dict[str, Any]
    identity: str
    plan: str
    analysis: dict[str, Any]
    cohort: str
    rho: str = Field(description="The cost of the run, every round once, memberships included.")
    participants: list[str]
    tops_up: list[str] = Field(description="Releases that this one is to be combined with.")
    max_attempts: int
    round: int = Field(description="How many rounds have been opened.")
    rounds: int = Field(description="How many rounds the run has.")
    cancelling: bool = Field(description="Somebody asked the run to stop.")
    created: str
    finished: str | None
    repeat: bool = Field(description="Answered from a stored release, at no cost.")
    answer: ReleasedAnswer | None


class RunList(Answer):
    runs: list[RunView]


class ReleaseView(Answer):
    digest: str
    identity: str
    study: str
    study_digest: str
    plan: str
    analysis: dict[str, Any]
    cohort: str
    participants: list[str]
    epoch: str
    tops_up: list[str] = Field(description="Releases that this one is to be combined with.")
    answer: ReleasedAnswer
    envelope: dict[str, Any] = Field(description="The release as the coordinator signed it.")


class RegisteredResults(RegisteredStudy):
    """A study as the public sees it, with its published answers."""

    organisations: list[str] = Field(description="Names of those whose members were counted.")
    answers: list[ReleaseView]
    titles: dict[str, dict[str, str]] = Field(description="Columns of the answers, in words.")


class OpenedRound(Answer):
    """One round of a release. The release names the SHA-256 of both."""

    state: str = Field(description="What it was asked with: base64.")
    totals: str = Field(description="What it opened: 64-bit integers, little end first, base64.")


class OpenedRounds(Answer):
    rounds: list[OpenedRound]


class CombinedView(Answer):
    """What a release and those that it tops up say together: a function of them alone."""

    study: str
    analysis: dict[str, Any]
    cohort: str
    rho: str = Field(description="Of all releases together.")
    epsilon: float
    delta: str
    variance_grid: str = Field(description="Of the noise, on the grid of the last mechanism.")
    mechanism: dict[str, int]
    result: dict[str, Any]
    releases: list[ReleaseView]


class ReleaseSummary(Answer):
    digest: str
    study: str
    analysis: dict[str, Any]
    cohort: str
    created: str


class ReleaseList(Answer):
    releases: list[ReleaseSummary]
