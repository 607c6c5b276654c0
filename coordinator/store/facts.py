"""What the store hands out: frozen facts, never a live database object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from privacy.contract.canonical import parse_canonical
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.token import Role
from privacy.linkage.session import LinkSession


class NodeState(StrEnum):
    """The public states of a node."""

    JOINING = "joining"  # has redeemed its invitation; not yet in a roster
    ONLINE = "online"
    OFFLINE = "offline"
    PAUSED = "paused"
    LEFT = "left"  # for good: its ledger is closed
    NEEDS_STEWARD = "needs-steward"  # behind its own witnessed checkpoint, or peers unconfirmed


class RunState(StrEnum):
    """queued -> running -> released | refused | lost | cancelled; queued -> cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    RELEASED = "released"
    REFUSED = "refused"
    LOST = "lost"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


class Decision(StrEnum):
    APPROVED = "approved"
    REFUSED = "refused"
    ASKED = "asked"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class NodeFacts:
    id: str
    name: str
    key: str
    transport_key: str
    state: NodeState
    version: str
    last_contact: str | None
    joined: str


@dataclass(frozen=True)
class StudyFacts:
    """A signed study version and every organisation's newest decision about it, by node."""

    study: Study
    envelope: Envelope
    decisions: Mapping[str, Decision]


@dataclass(frozen=True)
class Principal:
    id: str
    name: str
    role: Role
    public_key: str
    created: str
    revoked_at: str | None
    former_keys: tuple[str, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The key that this person signs with, and those before it."""
        return frozenset({self.public_key, *self.former_keys} - {""})


@dataclass(frozen=True)
class Invitation:
    """For a person's `role`, or for a node (`role` is None)."""

    role: Role | None
    name: str
    expires: str


@dataclass(frozen=True)
class ReleaseFacts:
    """A release: its signed statement, and the estimate that was made of it."""

    digest: str
    identity: str
    plan: str
    study_digest: str
    envelope: Envelope
    result: Mapping[str, Any]
    created: str


@lru_cache(maxsize=256)
def parsed_envelope(data: bytes) -> Envelope:
    """A stored plan as it was signed; it is frozen, so one that is looked at is parsed once."""
    return Envelope.from_bytes(data)


@lru_cache(maxsize=256)
def _plan(body: bytes) -> Plan:
    return Plan.from_json(parse_canonical(body))


def plan_of(envelope: Envelope) -> Plan:
    """What such an envelope says."""
    return _plan(envelope.body)


@dataclass(frozen=True)
class ReleaseLine:
    """A release as a list shows it: what it answers, and when."""

    digest: str
    created: str
    plan: Plan


@dataclass(frozen=True)
class RunFacts:
    """One run as it stands. `code` and `fields` say why a run ended without a release.

    `opened` counts the rounds that are done; `cancelling` that somebody asked it to stop.
    """

    id: str
    number: int
    plan_digest: str
    plan_envelope: Envelope
    identity: str
    study: str
    study_digest: str
    principal: str
    state: RunState
    code: str
    fields: Mapping[str, Any]
    created: str
    finished: str | None
    release: str | None
    repeat: bool
    opened: int
    cancelling: bool

    @property
    def plan(self) -> Plan:
        """The plan as it was signed by the coordinator that stored it."""
        return plan_of(self.plan_envelope)


class LinkageState(StrEnum):
    """What became of a linkage session."""

    QUEUED = "queued"
    LINKED = "linked"
    FAILED = "failed"


@dataclass(frozen=True)
class LinkageFacts:
    """A signed session; of one that every node learnt by, its transcript and their words."""

    digest: str
    envelope: Envelope
    session: LinkSession
    state: LinkageState
    code: str
    transcript: bytes
    learnt: tuple[Envelope, ...]
    created: str
    finished: str | None


@dataclass(frozen=True)
class CheckpointFacts:
    """`by` is the node itself, or the witness whose cosignature stands beside the text."""

    node: str
    by: str
    size: int
    text: str
    cosignature: str | None
