"""Requests and responses of the REST API. Amounts are given as exact rho and as epsilon."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from coordinator.store.facts import Decision, LinkageState, NodeState, Principal, RunState
from privacy.contract.roster import RosterNode
from privacy.contract.study import ConsentRule
from privacy.contract.token import Role
from privacy.ledger.upkeep_entry import NodeKeyChanged

Sha256 = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
CohortText = Annotated[str, StringConstraints(max_length=10_000)]
NumberText = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ask(BaseModel):
    """A request body: unknown fields and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Health(Answer):
    status: str
    version: str


class NetworkNode(Answer):
    id: str
    name: str
    fingerprint: str


class NetworkView(Answer):
    """Public facts of the network."""

    id: str
    delta: str
    coordinator_key: str
    coordinator_fingerprint: str
    key_changes: list[dict[str, Any]] = Field(
        description="Every change of the coordinator's key, oldest first."
    )
    dictionary: str
    roster_digest: str
    roster_epoch: int
    roster: dict[str, Any] = Field(description="The signed roster.")
    nodes: list[NetworkNode]
    fleet_address: str
    ca_pem: str


class PersonView(Answer):
    id: str
    name: str
    role: Role
    public_key: str

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(
            id=principal.id,
            name=principal.name,
            role=principal.role,
            public_key=principal.public_key,
        )


class Amount(Answer):
    """A privacy loss: exact rho (rational text) and epsilon at the study's delta."""

    rho: str
    epsilon: float


class NodeBudgetView(Answer):
    node: str
    committed: Amount
    reserved: Amount
    left: Amount
    ledger_size: int


class BudgetView(Answer):
    """The study as its most spent node sees it, from the newest ledgers mirrored here."""

    allowance: Amount
    committed: Amount
    reserved: Amount
    left: Amount
    yours: Amount | None = Field(
        default=None, description="Left of your own part, where the study or a policy has parts."
    )
    nodes: list[NodeBudgetView]


class ApprovalView(Answer):
    node: str
    decision: Decision


class InvestigatorView(Answer):
    key: str
    name: str
    affiliation: str
    country: str


class StudySummary(Answer):
    id: str
    version: int
    digest: str
    title: str
    purpose: str
    consent: ConsentRule
    starts: str
    ends: str
    epsilon_allowance: str
    approved_by: list[str]


class StudyView(StudySummary):
    delta: str
    dictionary: str
    analyses: list[str] = Field(description="Empty: every analysis of the catalogue.")
    by_organisation: bool = Field(description="May figures of single organisations be asked?")
    min_cohort: int
    t_drop: int
    t_collude: int
    max_memberships: int = Field(description="Memberships that a question pays for.")
    linked: bool = Field(description="Whether each linked member, and nobody else, counts, once.")
    answering: list[str] = Field(description="Nodes that can answer now, in a plan's order.")
    question: str
    summary: str
    cohort: str = Field(description="Every question is restricted to it. Empty: every member.")
    variables: list[str] = Field(description="Empty: every column of the dictionary.")
    investigators: list[InvestigatorView]
    state: str = Field(description="draft, proposed, approved, … as of all signed steps.")
    approvals: list[ApprovalView] = Field(
        description="A researcher sees approvals alone; the rest is in `declining`."
    )
    declining: int = Field(description="Organisations that decided and do not approve.")
    budget: BudgetView
    envelope: dict[str, Any] = Field(description="The study as the coordinator signed it.")


class StudyList(Answer):
    studies: list[StudySummary]


class ProposalAsk(Ask):
    """A study as it would be signed, and its proposal signed by one of its investigators."""

    study: dict[str, JsonValue]
    proposal: dict[str, JsonValue] | None = Field(
        default=None, description="Without it the study is kept as a draft."
    )


class StepAsk(Ask):
    step: dict[str, JsonValue]


class StudyStateView(Answer):
    study: str
    version: int
    digest: str
    state: str
    approving: int = Field(description="How many organisations approve now.")


class StepView(Answer):
    place: int
    act: str
    signer: str
    by: str = Field(description="The organisation's node; empty for the others.")
    at: str
    note: str
    envelope: dict[str, Any] = Field(description="The step as it was signed.")


class StepList(Answer):
    state: str
    approving: int
    steps: list[StepView]


class RegisteredStudy(Answer):
    """A study as the public sees it."""

    id: str
    version: int
    title: str
    question: str
    summary: str
    purpose: str
    investigators: list[str]
    for_profit: bool
    permit: str
    starts: str
    ends: str
    state: str
    approving: int
    reviewed_by_patients_of: list[str]
    results: str = Field(description="In plain words, by its investigators; empty before.")
    published: str | None
    releases: list[str] = Field(description="Answers that were published with the results.")


class Register(Answer):
    studies: list[RegisteredStudy]


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


class LogHead(Answer):
    """The coordinator's own log: its signed head, and what shows that it grew from an older one."""

    checkpoint: str
    size: int
    since: int
    hashes: list[str] = Field(description="The consistency proof from `since`, hexadecimal.")


class HeadView(Answer):
    """The newest head that somebody signed of their log."""

    of: str = Field(description="A node, or coordinator/log.")
    key: str
    checkpoint: str


class Heads(Answer):
    network: str
    heads: list[HeadView]


class CosignatureForm(Ask):
    """A head, and the caller's cosignature line on it."""

    of: str = Field(max_length=64)
    checkpoint: str = Field(max_length=16_384)
    cosignature: str = Field(max_length=1_024)


class CosignatureView(Answer):
    of: str
    by: str
    size: int


class SentAsk(Ask):
    request: dict[str, Any] = Field(description="A signed `sent-request`.")


class SentView(Answer):
    """One node's masked vector of one round, as stored."""

    plan: str
    round: int
    attempt: int
    masked: str = Field(description="base64")


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


class NodeView(Answer):
    id: str
    name: str
    state: NodeState
    version: str
    last_contact: str | None
    fingerprint: str


class NodeList(Answer):
    nodes: list[NodeView]


class BandView(Answer):
    """How many members, between public edges; `below` is null above the last edge."""

    at_least: int
    below: int | None
    release: str = Field(description="The release that tells so.")
    study: str
    epoch: str = Field(description="Of which data.")


class VariableView(Answer):
    """A declared column, with a band for each level of the catalogue's column."""

    name: str
    type: str
    label: str
    countable: bool = Field(description="Whether `count` by it would tell its bands.")
    bands: list[BandView | None]


class CatalogueView(Answer):
    """Variables by the levels of the column `by`; `members` are the levels' own bands."""

    by: str = Field(description="Empty where no column has levels.")
    choices: list[str] = Field(description="Columns by which it can be laid out.")
    levels: list[str]
    members: list[BandView | None]
    variables: list[VariableView]


class LinkageView(Answer):
    """One linkage between organisations: queued, linked or failed (`code` says why)."""

    session: str
    nodes: list[str]
    fields: list[str] = Field(description="By what people are recognised: names of columns.")
    starts: str
    ends: str
    state: LinkageState
    code: str


class LinkageList(Answer):
    linkages: list[LinkageView]


class InvitationAsk(Ask):
    """An invitation for a person's role, or for a node."""

    model_config = ConfigDict(strict=False)

    role: Role | None = Field(default=None, description="Absent: the invitation is for a node.")
    name: ShortText


class InvitationView(Answer):
    code: str = Field(description="Shown once; hand it over privately.")
    role: Role | None
    name: str
    expires: str


class PersonJoin(Ask):
    public_key: NumberText
    bearer_sha256: Sha256


class JoinAsk(Ask):
    """Redeem an invitation: as a person, or as a node; a known node brings a change of its key."""

    code: ShortText
    person: PersonJoin | None = None
    node: RosterNode | None = None
    change: NodeKeyChanged | None = None


class JoinView(Answer):
    person: PersonView | None
    network: NetworkView
