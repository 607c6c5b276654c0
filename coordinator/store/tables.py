"""The tables, in types that SQLite and PostgreSQL both have.

Signed statements are kept as their canonical bytes, so that a hash or signature checked
later is checked over exactly what was received.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_HASH = String(64)
_ID = String(64)
_TEXT = Text()
_AT = String(20)  # RFC 3339, UTC, whole seconds


class Table(DeclarativeBase):
    """Base of every table; plain values only, no relationships to load by accident."""


class DocumentRow(Table):
    """One document of the network, by name: roster, dictionary, id, delta."""

    __tablename__ = "network"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class NodeRow(Table):
    __tablename__ = "nodes"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(String(64))
    transport_key: Mapped[str] = mapped_column(String(1024))
    state: Mapped[str] = mapped_column(String(32))
    version: Mapped[str] = mapped_column(String(64), default="")
    last_contact: Mapped[str | None] = mapped_column(_AT, default=None)
    joined: Mapped[str] = mapped_column(_AT)


class StudyRow(Table):
    __tablename__ = "studies"
    __table_args__ = (UniqueConstraint("id", "version", name="uq_studies_id_version"),)
    digest: Mapped[str] = mapped_column(_HASH, primary_key=True)
    id: Mapped[str] = mapped_column(_ID)
    version: Mapped[int]
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[str] = mapped_column(_AT)


class ApprovalRow(Table):
    """One organisation's newest decision about one study version."""

    __tablename__ = "approvals"
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    study_digest: Mapped[str] = mapped_column(_HASH, primary_key=True)
    decision: Mapped[str] = mapped_column(String(16))
    at: Mapped[str] = mapped_column(_AT)


class StudyStepRow(Table):
    """One signed step in the life of a study version. `node` is "" unless an organisation's."""

    __tablename__ = "study_steps"
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    digest: Mapped[str] = mapped_column(_HASH, unique=True)
    study_digest: Mapped[str] = mapped_column(_HASH, ForeignKey("studies.digest"), index=True)
    node: Mapped[str] = mapped_column(_ID, index=True)
    count: Mapped[int]
    envelope: Mapped[bytes] = mapped_column(LargeBinary)


class PrincipalRow(Table):
    """A person. Of a token a hash and a public key are stored; a person who signs in otherwise
    has no credential here, and no key ("") until one is registered."""

    __tablename__ = "principals"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    bearer_sha256: Mapped[str | None] = mapped_column(_HASH, unique=True)
    public_key: Mapped[str] = mapped_column(String(64), index=True)
    created: Mapped[str] = mapped_column(_AT)
    revoked_at: Mapped[str | None] = mapped_column(_AT, default=None)
    former_keys: Mapped[str] = mapped_column(_TEXT, default="")  # by spaces, oldest first


class DelegationRow(Table):
    """A researcher's leave for the pages to ask one study in their name."""

    __tablename__ = "delegations"
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"), index=True)
    study_digest: Mapped[str] = mapped_column(_HASH, ForeignKey("studies.digest"))
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    added: Mapped[str] = mapped_column(_AT)


class InvitationRow(Table):
    __tablename__ = "invitations"
    code_sha256: Mapped[str] = mapped_column(_HASH, primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    created: Mapped[str] = mapped_column(_AT)
    expires: Mapped[str] = mapped_column(_AT)
    used_at: Mapped[str | None] = mapped_column(_AT, default=None)


class AccountRow(Table):
    """How a person signs in here: an argon2id hash, and a sealed second factor.

    `last_step` is the half minute of the newest code that was accepted: none is good twice.
    """

    __tablename__ = "accounts"
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"), primary_key=True)
    login: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(String(200))
    factor: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int]
    created: Mapped[str] = mapped_column(_AT)


class RecoveryCodeRow(Table):
    __tablename__ = "recovery_codes"
    sha256: Mapped[str] = mapped_column(_HASH, primary_key=True)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"), index=True)
    used_at: Mapped[str | None] = mapped_column(_AT, default=None)


class ResetRow(Table):
    """Leave to set a new password or second factor, once, by the hash of its code."""

    __tablename__ = "resets"
    code_sha256: Mapped[str] = mapped_column(_HASH, primary_key=True)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"))
    kind: Mapped[str] = mapped_column(String(16))
    expires: Mapped[str] = mapped_column(_AT)
    used_at: Mapped[str | None] = mapped_column(_AT, default=None)


class IdentityRow(Table):
    """A person as an identity provider names them: by issuer and subject, never by e-mail."""

    __tablename__ = "identities"
    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"), index=True)
    created: Mapped[str] = mapped_column(_AT)


class SessionRow(Table):
    """One sign-in, until it expires or is ended."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    created: Mapped[str] = mapped_column(_AT)
    expires: Mapped[str] = mapped_column(_AT)
    ended_at: Mapped[str | None] = mapped_column(_AT, default=None)


class SessionTokenRow(Table):
    """A token of a session, by its hash. A refresh token is good once: `used_at`."""

    __tablename__ = "session_tokens"
    sha256: Mapped[str] = mapped_column(_HASH, primary_key=True)
    session: Mapped[str] = mapped_column(_ID, ForeignKey("sessions.id"), index=True)
    use: Mapped[str] = mapped_column(String(16))
    expires: Mapped[str] = mapped_column(_AT)
    used_at: Mapped[str | None] = mapped_column(_AT, default=None)


class PeopleEventRow(Table):
    """Who let whom in or shut whom out, in order; rows are only ever added."""

    __tablename__ = "people_events"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[str] = mapped_column(_AT)
    actor: Mapped[str] = mapped_column(_ID)
    action: Mapped[str] = mapped_column(String(32))
    person: Mapped[str] = mapped_column(_ID)
    detail: Mapped[str] = mapped_column(String(200))


class PlanRow(Table):
    __tablename__ = "plans"
    digest: Mapped[str] = mapped_column(_HASH, primary_key=True)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)


class ReleaseRow(Table):
    __tablename__ = "releases"
    digest: Mapped[str] = mapped_column(_HASH, primary_key=True)
    identity: Mapped[str] = mapped_column(_HASH, index=True)
    plan: Mapped[str] = mapped_column(_HASH, ForeignKey("plans.digest"))
    study_digest: Mapped[str] = mapped_column(_HASH, index=True)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    result: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[str] = mapped_column(_AT)


class UnderWayRow(Table):
    """The newest attempt of a plan, written before any node is asked for it."""

    __tablename__ = "under_way"
    plan: Mapped[str] = mapped_column(_HASH, ForeignKey("plans.digest"), primary_key=True)
    round: Mapped[int]
    attempt: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class OpeningRow(Table):
    """What one round of a plan opened: totals as 64-bit integers, little end first."""

    __tablename__ = "openings"
    plan: Mapped[str] = mapped_column(_HASH, ForeignKey("plans.digest"), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    state: Mapped[bytes] = mapped_column(LargeBinary)
    totals: Mapped[bytes] = mapped_column(LargeBinary)
    survivors: Mapped[list[str]] = mapped_column(JSON)
    receipts: Mapped[dict[str, Any]] = mapped_column(JSON)
    transcript_sha256: Mapped[str] = mapped_column(_HASH)
    transcript: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class RunRow(Table):
    """One run of one plan. `number` orders runs; `fields` are the public fields of `code`.

    `opened` counts the rounds whose totals are stored; `cancelling` asks the bridge to stop.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_study_number", "study_digest", "number"),
        Index("ix_runs_state", "state"),
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(_ID, unique=True)
    plan: Mapped[str] = mapped_column(_HASH, ForeignKey("plans.digest"))
    question: Mapped[str] = mapped_column(_HASH, unique=True)
    identity: Mapped[str] = mapped_column(_HASH, index=True)
    study: Mapped[str] = mapped_column(_ID)
    study_digest: Mapped[str] = mapped_column(_HASH)
    principal: Mapped[str] = mapped_column(_ID, ForeignKey("principals.id"))
    state: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(32), default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created: Mapped[str] = mapped_column(_AT)
    finished: Mapped[str | None] = mapped_column(_AT, default=None)
    release: Mapped[str | None] = mapped_column(_HASH, ForeignKey("releases.digest"), default=None)
    repeat: Mapped[bool] = mapped_column(default=False)
    opened: Mapped[int] = mapped_column(default=0)
    cancelling: Mapped[bool] = mapped_column(default=False)


class IdempotencyRow(Table):
    """A key that a caller chose for one request, so that a retry never starts a second run."""

    __tablename__ = "idempotency"
    principal: Mapped[str] = mapped_column(_ID, primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(_HASH)
    run_id: Mapped[str] = mapped_column(_ID, ForeignKey("runs.id"))
    created: Mapped[str] = mapped_column(_AT)


class LinkageRow(Table):
    """One linkage session: queued, linked or failed (`code` says why)."""

    __tablename__ = "linkages"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    digest: Mapped[str] = mapped_column(_HASH, unique=True)
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(32), default="")
    transcript: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    learnt: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    created: Mapped[str] = mapped_column(_AT)
    finished: Mapped[str | None] = mapped_column(_AT, default=None)


class LogRow(Table):
    """The coordinator's own log: canonical lines, only ever added."""

    __tablename__ = "log"
    __table_args__ = (Index("ix_log_statement", "digest", "kind"),)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(_HASH)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerEntryRow(Table):
    """The mirror of a node's ledger: canonical entry bytes by sequence number."""

    __tablename__ = "ledger_entries"
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class CheckpointRow(Table):
    """A checkpoint of `node`, signed by itself (`by` = `node`) or cosigned by a witness."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("node", "by", "size", "sha256", name="uq_checkpoints_statement"),
        Index("ix_checkpoints_node_size", "node", "size"),
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node: Mapped[str] = mapped_column(_ID)
    by: Mapped[str] = mapped_column(_ID)
    size: Mapped[int]
    text: Mapped[str]
    cosignature: Mapped[str | None] = mapped_column(default=None)
    sha256: Mapped[str] = mapped_column(_HASH)
