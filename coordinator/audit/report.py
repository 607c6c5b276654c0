"""What a verified bundle says, for people: figures recomputed by the verifier, never copied."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from coordinator.audit.attempts import RefusedAttempt
from coordinator.audit.breaks import Break
from privacy.accounting.conversion import epsilon_of_rho
from privacy.promise import Promise
from privacy.units import Rho


@dataclass(frozen=True)
class Spent:
    """A loss, summed from the commits: rho exactly, epsilon at `delta` rounded up."""

    rho: Rho
    delta: Fraction

    @property
    def epsilon(self) -> float:
        return epsilon_of_rho(self.rho, self.delta)

    def to_json(self) -> dict[str, Any]:
        return {"rho": self.rho.text, "epsilon": self.epsilon, "delta": str(self.delta)}


@dataclass(frozen=True)
class Change:
    """A limit or an approval that somebody at the organisation set."""

    seq: int
    at: str
    kind: str
    by: str
    what: str


@dataclass(frozen=True)
class NodeReport:
    """One ledger. `spent` covers every period, `period_spent` the current one alone.

    `cosigners` vouch for the ledger's history up to `witnessed_size`; `holders` only keep a
    checkpoint of it. `promise` is what the policy in force promises members.
    """

    node: str
    entries: int
    root: str
    spent: Spent
    period_spent: Spent
    studies: dict[str, Spent]
    open_reservations: int
    cosigners: tuple[str, ...]
    holders: tuple[str, ...]
    witnessed_size: int
    changes: tuple[Change, ...]
    promise: Promise | None
    breaks: tuple[Break, ...] = ()
    refused: tuple[RefusedAttempt, ...] = ()

    @property
    def size(self) -> int:
        return self.entries

    def to_json(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "entries": self.entries,
            "size": self.size,
            "root": self.root,
            "spent": self.spent.to_json(),
            "period_spent": self.period_spent.to_json(),
            "studies": {study: spent.to_json() for study, spent in self.studies.items()},
            "open_reservations": self.open_reservations,
            "cosigners": list(self.cosigners),
            "holders": list(self.holders),
            "witnessed_size": self.witnessed_size,
            "changes": [asdict(change) for change in self.changes],
            "breaks": [each.to_json() for each in self.breaks],
            "refused": [each.to_json() for each in self.refused],
            "promise": None if self.promise is None else self.promise.to_json(),
        }


@dataclass(frozen=True)
class LogReport:
    """The coordinator's own log, and who vouches for its history up to `witnessed_size`."""

    lines: int
    root: str
    cosigners: tuple[str, ...]
    witnessed_size: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "cosigners": list(self.cosigners)}


@dataclass(frozen=True)
class KeyReport:
    """A change of the coordinator's key; `signed` by the old one or not, `until` how many lines
    of the log that one signed."""

    at: str
    until: int
    old: str  # fingerprints
    new: str
    signed: bool
    reason: str

    @property
    def words(self) -> str:
        """The change in one line."""
        how = "signed by both" if self.signed else "NOT signed by the old one"
        why = f": {self.reason}" if self.reason else ""
        return f"{self.at}, line {self.until}: {self.old} -> {self.new}, {how}{why}"


@dataclass(frozen=True)
class Report:
    """The outcome of a verification that found nothing wrong.

    `pinned` says whether the coordinator's key was compared with one known from elsewhere;
    `absent` are nodes of the newest roster whose ledger is not in the bundle, `unpinned` nodes
    and auditors whose keys, among `keys`, were taken from the bundle.
    """

    network: str
    made_at: str
    coordinator: str
    pinned: bool
    unpinned: tuple[str, ...]
    keys: dict[str, str]
    log: LogReport
    nodes: tuple[NodeReport, ...]
    absent: tuple[str, ...]
    plans: int
    releases: int
    transcripts: int
    key_changes: tuple[KeyReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "made_at": self.made_at,
            "coordinator": self.coordinator,
            "key_changes": [asdict(each) for each in self.key_changes],
            "pinned": self.pinned,
            "unpinned": list(self.unpinned),
            "keys": self.keys,
            "log": self.log.to_json(),
            "nodes": [node.to_json() for node in self.nodes],
            "absent": list(self.absent),
            "plans": self.plans,
            "releases": self.releases,
            "transcripts": self.transcripts,
        }
