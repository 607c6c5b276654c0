"""What goes into an audit bundle: documents, the log, ledgers with who holds them, releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.dictionary import Dictionary
from privacy.contract.researcher_key import ResearcherKey
from privacy.contract.signing import Envelope, PublicKey


@dataclass(frozen=True)
class Held:
    """A checkpoint of a ledger in somebody else's hands.

    With a `cosignature` line, `by` vouches for its history; without, `by` only stores it (the
    node's own signature still binds the node to it).
    """

    by: str
    checkpoint: str
    cosignature: str | None


@dataclass(frozen=True)
class LedgerFacts:
    """One node's ledger. Lines beyond what `checkpoint` covers are left out of the bundle.

    Collect `held` first and the lines and checkpoint after: a ledger that is shorter than a
    checkpoint somebody holds is what a truncated one looks like.
    """

    node: str
    lines: Iterable[bytes]
    checkpoint: str
    held: tuple[Held, ...]


@dataclass(frozen=True)
class LogFacts:
    """The coordinator's log up to `checkpoint`. Every statement of it is in the bundle, but for
    releases from line `settled` on."""

    lines: Iterable[bytes]
    checkpoint: str
    held: tuple[Held, ...]
    settled: int


@dataclass(frozen=True)
class ReleaseFacts:
    """A signed release with the evidence that its body names, one by one.

    `transcripts` are canonical bytes, one per round; `states` what rounds were asked with.
    """

    envelope: Envelope
    transcripts: Iterable[bytes]
    states: Iterable[bytes] = ()


@dataclass(frozen=True)
class LinkageEvidence:
    """A signed session; of one that came to its end, the transcript (canonical bytes) and every
    node's word that it learnt by it."""

    envelope: Envelope
    transcript: bytes
    learnt: tuple[Envelope, ...]


@dataclass(frozen=True)
class BundleFacts:
    """Everything that goes into a bundle. Rosters, dictionaries and studies are every version."""

    network: str
    rosters: tuple[Envelope, ...]
    dictionaries: tuple[Dictionary, ...]
    studies: tuple[Envelope, ...]
    steps: tuple[Envelope, ...]
    revocations: tuple[Envelope, ...]
    auditors: Mapping[str, PublicKey]
    delta: Fraction
    log: LogFacts
    ledgers: Iterable[LedgerFacts]
    plans: Iterable[Envelope]
    releases: Iterable[ReleaseFacts]
    key_changes: tuple[CoordinatorKey, ...] = ()
    researcher_keys: tuple[ResearcherKey, ...] = ()
    linkages: Iterable[LinkageEvidence] = ()
