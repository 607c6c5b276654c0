"""Requests and responses of the REST API. Amounts are given as exact rho and as epsilon."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from coordinator.store.facts import Decision, LinkageState, NodeState, Principal
from privacy.contract.roster import RosterNode
from privacy.contract.study import ConsentRule
from privacy.contract.study_life import Act
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
    asked: str = Field(default="", max_length=64, description="The request that it answers.")


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
    next: list[Act] = Field(description="What an investigator may do next.")
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
