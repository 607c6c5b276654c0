"""What auditors are told on line: the overview, entries with proofs, verifications."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from coordinator.api.schema import Amount, Answer, Ask
from coordinator.store.facts import NodeState


class WitnessView(Answer):
    """The newest checkpoint of a log that somebody else cosigned, or only holds."""

    by: str
    size: int
    cosigned: bool
    at: str = Field(description="When it was cosigned; empty if it is only held.")


class FindingView(Answer):
    """The first thing that does not hold, and what to do."""

    where: str
    what: str
    node: str
    entry: int | None
    sentence: str
    advice: list[str]


class VerificationView(Answer):
    """One verification of the coordinator's copies, made by the coordinator itself."""

    number: int
    by: str
    started: str
    finished: str
    stage: str = Field(description="collecting, verifying, held, failed or broken.")
    file: str = Field(description="What is read.")
    share: float = Field(description="Of all bytes that are to be read.")
    report: dict[str, Any] | None = Field(
        description="As `cairn audit verify --format json`; null in an overview."
    )
    failed: FindingView | None


class VerificationState(Answer):
    """The newest verification, and when the newest that held was collected."""

    newest: VerificationView | None
    held_at: str


class LedgerOverview(Answer):
    """One organisation, as the coordinator's copy of its ledger says."""

    node: str
    name: str
    state: NodeState
    last_contact: str | None
    preset: str
    period: str
    spent: Amount
    reserved: Amount
    limit: Amount
    lifetime: Amount
    share: float = Field(description="Of the limit, in rho, with what is reserved.")
    spent_share: float = Field(description="The same without it.")
    last_entry: str
    entries: int
    root: str
    checkpoint_size: int = Field(description="Of the newest checkpoint that the node signed.")
    witnesses: list[WitnessView]
    verified_size: int = Field(description="Entries in the newest verification that held.")
    stopped: list[str]
    remarks: list[str]
    refusals: dict[str, int]
    trouble: FindingView | None


class AuditOverview(Answer):
    """Every organisation at a glance."""

    network: str
    log_size: int
    log_witnesses: list[WitnessView]
    nodes: list[LedgerOverview]
    runs_refused: dict[str, int] = Field(
        description="Runs by the code that they were refused with."
    )
    verification: VerificationState


class EntryView(Answer):
    """One entry in a word, and what it is about."""

    seq: int
    at: str
    kind: str
    kind_words: str
    words: str
    study: str
    researcher: str = Field(description="The beginning of the key's fingerprint.")


class EntryList(Answer):
    """A page of the entries that are looked for, the newest first."""

    node: str
    name: str
    entries: list[EntryView]
    found: int
    page: int
    pages: int
    size: int
    kinds: dict[str, int]
    kind_words: dict[str, str]
    studies: list[str]
    researchers: list[str]


class ProofView(Answer):
    """What leads from the entry to a checkpoint that the node signed (RFC 9162, 2.1.3)."""

    size: int
    root: str
    hashes: list[str]
    checkpoint: str
    key: str


class EntryDetail(EntryView):
    """One entry with its bytes and the proof that it stands in the ledger."""

    node: str
    name: str
    text: str = Field(description="The canonical bytes, which are what is hashed.")
    value: JsonValue
    leaf: str
    proof: ProofView | None = Field(description="None while no checkpoint covers the entry.")
    witnesses: list[WitnessView] = Field(description="Who vouches for a history with it.")
    newest: int


class PolicyView(Answer):
    """One policy of an organisation, numbered from 1, and what it changed."""

    node: str
    number: int
    seq: int
    at: str
    by: str
    reason: str
    preset: str
    words: dict[str, str]
    changes: dict[str, str]


class PolicyList(Answer):
    """Every policy that was in force at one organisation, and what members are promised."""

    node: str
    name: str
    versions: list[PolicyView]
    promise: dict[str, Any] | None = Field(description="None before a policy was set.")


class WithdrawalView(Answer):
    """Something that was taken back, and whether it held from then on."""

    node: str
    seq: int
    at: str
    kind: str
    what: str
    until: str
    under_way: int
    charged_after: int
    after_seconds: float | None


class WithdrawalList(Answer):
    """What was taken back, in the newest copy that was verified and held."""

    made_at: str
    withdrawals: list[WithdrawalView]
    found: int = Field(description="How many there are on all pages.")
    page: int
    pages: int


class DossierView(Answer):
    """A dossier that can be made: of a study, or of an organisation."""

    name: str
    of: str
    kind: str = Field(description="study or node.")
    title: str


class DossierList(Answer):
    """The dossiers of the newest copy that was verified and held."""

    made_at: str
    dossiers: list[DossierView]
    paper: bool = Field(description="Whether PDF can be set here.")


class Dossier(Answer):
    """One dossier, section by section."""

    name: str
    title: str
    made_at: str
    about: list[tuple[str, str]]
    sections: list[dict[str, Any]]


class ReplayAsk(Ask):
    """What is supposed; see `cairn audit replay`."""

    limits: dict[str, str] = Field(default={}, max_length=4)
    preset: str = Field(default="", max_length=32)
    margin: str = Field(default="", max_length=8)
    memberships: int | None = None
    noise: str = Field(default="", max_length=32)
    nodes: list[str] = Field(default=[], max_length=1000)


class ReplayView(Answer):
    """What the supposition would have changed, in the newest copy that held."""

    made_at: str
    supposed: list[str]
    questions: int
    refused: list[dict[str, Any]]
    admitted: list[dict[str, Any]]
    looks: int
    nodes: list[dict[str, Any]]
