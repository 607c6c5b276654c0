"""Witnessing what others show: the coordinator's log at every contact, and peers' ledgers.

A coordinator whose log is not the one that this node saw may have taken back what it signed. The
node then writes both heads into its ledger and answers nothing until a steward has looked. A peer
that signed two ledgers of one size is no confirmed peer any more until a steward has looked.

What a coordinator says of a peer's ledger is no evidence against the peer unless the peer signed
it: a proof that fails, or an older checkpoint, is not cosigned and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from node.gate import CLOCK_SKEW
from node.ledger_store import LedgerStore
from node.witness_book import Cosigned, entries_of
from privacy.checkpoint import LOG, Checkpoint, open_checkpoint
from privacy.contract.signing import PublicKey
from privacy.contract.time import parse_instant
from privacy.errors import VerificationFailed
from privacy.ledger.history_entry import Fault, HistoryAccepted, HistoryBroken
from privacy.witness import Growth, Seen

MOST_STALE = 3  # contacts in a row without a proof that begins with what this node holds


@dataclass
class Watch:
    """What this node has checked since it was started. `current` is False until it was shown a
    log that grew from the one it had seen."""

    ledger: LedgerStore
    clock: Callable[[], datetime]
    current: bool = False
    _said: str = ""
    _stale: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """How many lines of the coordinator's log this node vouches for."""
        return _size(self.ledger.book.cosigned(LOG))

    def log(self, growth: Growth, key: PublicKey, said: str) -> str:
        """Look at the coordinator's log, shown with the instant it `said`; the cosignature on it.

        "" while the node needs another proof, or does not vouch for what is shown.
        """
        with self._lock:
            if LOG in self.ledger.state.faults:
                return ""
            seen, _ = self.ledger.book.look(LOG, growth, key)
            fault = self._clock_fault(said) or _fault(seen)
            if self._late(said):
                return ""
            if fault is not None:
                self._break(LOG, fault, growth)
                return ""
            self._said = said
            return self._taken(seen, growth, key)

    def _taken(self, seen: Seen, growth: Growth, key: PublicKey) -> str:
        """Cosign what grew. Heads whose growth is never shown are not believed for ever."""
        if seen is Seen.STALE:
            self._stale += 1
            self.current = self.current and self._stale < MOST_STALE
            return ""
        self.current, self._stale = True, 0
        return self._cosigned(LOG, growth, key, self._said)

    def _clock_fault(self, said: str) -> Fault | None:
        last = max(self._said, _said(self.ledger.book.cosigned(LOG)))
        if last and parse_instant(last) - parse_instant(said) > CLOCK_SKEW:
            return Fault.CLOCK
        return None

    def _late(self, said: str) -> bool:
        """A message that another one overtook shows an older head, and that is nobody's fault."""
        return said < self._said and self._clock_fault(said) is None

    def peer(self, of: str, growth: Growth, key: PublicKey) -> str:
        """Look at a peer's ledger; the cosignature, or "" where the node does not vouch for it."""
        with self._lock:
            if of in self.ledger.state.faults:
                return ""
            try:
                seen, _ = self.ledger.book.look(of, growth, key)
            except VerificationFailed:
                return ""
            if seen is Seen.OTHER:
                self._break(of, Fault.FORKED, growth)
            vouched = seen in (Seen.GROWN, Seen.SAME)
            return self._cosigned(of, growth, key) if vouched else ""

    def peers(self, shown: Mapping[str, Growth], keys: Mapping[str, PublicKey]) -> dict[str, str]:
        """The same for several; who is no peer is left out."""
        return {of: self.peer(of, shown[of], keys[of]) for of in sorted(shown.keys() & keys.keys())}

    def _cosigned(self, of: str, growth: Growth, key: PublicKey, said: str = "") -> str:
        at = int(self.clock().timestamp())
        return self.ledger.book.cosign(of, growth, key, at, said).cosignature

    def _break(self, of: str, fault: Fault, growth: Growth) -> None:
        self.current = self.current and of != LOG
        held = self._against(of, growth)
        self.ledger.append(HistoryBroken(of=of, fault=fault, held=held, shown=growth.checkpoint))

    def _against(self, of: str, growth: Growth) -> str:
        """The head that what is shown contradicts: one of its size, else the newest vouched for."""
        cosigned = self.ledger.book.cosigned(of)
        vouched = "" if cosigned is None else cosigned.checkpoint
        stored = self.ledger.book.held(of)
        same = stored is not None and entries_of(stored) == entries_of(growth.checkpoint)
        return stored if same and stored is not None else vouched


def _fault(seen: Seen) -> Fault | None:
    """What the coordinator itself shows is its own word."""
    match seen:
        case Seen.SMALLER:
            return Fault.REWOUND
        case Seen.OTHER | Seen.UNPROVEN:
            return Fault.FORKED
        case Seen.GROWN | Seen.SAME | Seen.STALE:
            return None


def explained(broken: HistoryBroken, keys: Mapping[str, PublicKey]) -> str:
    """What happened, and what a steward can do about it."""
    whose = "the coordinator's log" if broken.of == LOG else f"the ledger of {broken.of}"
    held, shown = (_read(note, keys.get(broken.of)) for note in (broken.held, broken.shown))
    match broken.fault:
        case Fault.REWOUND:
            what = f"had {_count(held)} and now shows {_count(shown)}: a backup was restored"
            what += " there, or lines were taken back"
        case Fault.FORKED:
            what = f"is another one than was seen: {_count(held)} then, {_count(shown)} now"
        case Fault.CLOCK:
            what = "came with a time that lies before what was said earlier"
    return (
        f"{whose} {what}. Ask its operator what happened and compare with other organisations "
        f"and auditors; then `cairn-node accept-history {broken.of} --reason …` goes on from what "
        "is shown now"
    )


def _count(head: Checkpoint | None) -> str:
    return "an unknown number of entries" if head is None else f"{head.size} entries"


def _read(note: str, key: PublicKey | None) -> Checkpoint | None:
    return open_checkpoint(note, key) if note and key is not None else None


def _said(cosigned: Cosigned | None) -> str:
    return "" if cosigned is None else cosigned.said


def _size(cosigned: Cosigned | None) -> int:
    return 0 if cosigned is None else entries_of(cosigned.checkpoint)


def sizes(ledger: LedgerStore, peers: Mapping[str, PublicKey]) -> dict[str, int]:
    """How many entries of each peer's ledger this node vouches for."""
    return {peer: _size(ledger.book.cosigned(peer)) for peer in peers}


def accept_history(ledger: LedgerStore, of: str, by: str, reason: str) -> None:
    """Go on from what `of` shows next; raises Refused(CONFLICT) for a log that is not broken."""
    ledger.append(HistoryAccepted(of=of, by=by, reason=reason))
    ledger.book.forget(of)
