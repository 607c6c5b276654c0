"""Which key the coordinator's word counts with at this node, and how another takes its place.

A change that the key in force signed is followed as soon as it is heard of, and entered in the
ledger once the peers have confirmed it: a restored ledger begins no history of its own. Any other
key is only offered, to a steward who compares its fingerprint with the coordinator's operator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from node.documents import Documents
from node.ledger_store import LedgerStore
from privacy.checkpoint import LOG
from privacy.contract.coordinator_key import CoordinatorKey, check_chain, followed
from privacy.contract.messages import Ask, Request, open_request
from privacy.contract.packet import Packet
from privacy.contract.signing import Envelope, FormerKey, PublicKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.coordinators import change_coordinator, coordinator_of, is_fork
from privacy.ledger.steward_entry import Signed

MOST_REFUSED = 16

_log = structlog.get_logger("cairn.node")


@dataclass
class CoordinatorKeys:
    """The key in force; `first` is the one that the node was set up with."""

    first: PublicKey
    ledger: LedgerStore
    documents: Documents
    clock: Callable[[], datetime]
    refused: list[dict[str, str]] = field(default_factory=list)  # the newest, since the start
    _fork: CoordinatorKey | None = None  # a second successor, and perhaps not in the ledger yet
    _ahead: tuple[CoordinatorKey, ...] = ()  # followed, and perhaps not in the ledger yet
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def key(self) -> PublicKey:
        """The key in force, with those before it."""
        known = coordinator_of(self.ledger.state, self.first)
        for change in self._beyond(known):
            former = (*known.former, FormerKey(change.old_key, change.until))
            known = PublicKey(change.new_key.raw, former)
        return known

    def _beyond(self, known: PublicKey) -> tuple[CoordinatorKey, ...]:
        """What was followed and does not stand in the ledger."""
        with suppress(VerificationFailed):
            return followed(self._ahead, known.text)
        return ()

    # changes that are signed

    def open(self, packet: Packet, me: str) -> Request:
        """A request by the key in force, or one that shows how it changed.

        What it shows counts only as far as `follow` takes it. Raises VerificationFailed.
        """
        try:
            return open_request(packet, self.key, me)
        except VerificationFailed:
            signer = Envelope.from_bytes(packet.header).key
            request = open_request(packet, signer, me)
            if request.ask is not Ask.FOLLOW_KEY:
                self._refuse(signer, request.ask.value)
                raise
            return request

    def follow(self, changes: Sequence[CoordinatorKey], settled: bool) -> dict[str, Any]:
        """Go by the key at the end of these changes, as far as each key signed the next.

        `settled` says whether the peers have confirmed the ledger. Raises Refused(BAD_SIGNATURE)
        for what does not follow from the key in force, and (HISTORY_BROKEN) for a second
        successor of a key, which is entered as evidence.
        """
        if not changes:
            raise BadInput("no changes")
        with self._lock:
            try:
                self._take(changes)
            except VerificationFailed as failed:
                self._refuse(changes[-1].new_key, failed.what)
                raise Refused(Code.BAD_SIGNATURE, what="coordinator's key") from None
            finally:
                if settled:
                    self._enter()
            return {"key": self.key.text}

    def _take(self, changes: Sequence[CoordinatorKey]) -> None:
        genesis = self.ledger.state.genesis
        check_chain(changes, genesis.network if genesis else "")
        try:
            self._check_forks(changes)
            found = followed(changes, self.key.text)
            self._ahead = (*self._beyond(coordinator_of(self.ledger.state, self.first)), *found)
            known = {change.new_key.fingerprint for change in found}
            self.refused = [each for each in self.refused if each["fingerprint"] not in known]
        finally:
            self._offer(changes[-1])

    def _check_forks(self, changes: Sequence[CoordinatorKey]) -> None:
        state = self.ledger.state
        for each in self._beyond(coordinator_of(state, self.first)):
            state = change_coordinator(state, CoordinatorKeyChanged(change=each), state.at)
        forks = [each for each in changes if is_fork(state, each)]
        if not forks:
            return
        self._refuse(forks[0].new_key, "a second successor of a former key")
        self._fork = forks[0]
        raise Refused(Code.HISTORY_BROKEN, what="coordinator's key")

    def settle(self) -> None:
        """Enter what was followed before the peers had confirmed the ledger."""
        with self._lock:
            self._enter()

    def _enter(self) -> None:
        """What was followed, and then evidence that what was followed has a second successor."""
        for change in self._beyond(coordinator_of(self.ledger.state, self.first)):
            self.ledger.append(CoordinatorKeyChanged(change=change))
        if self._fork is None:
            return
        try:
            self.ledger.append(CoordinatorForked(change=self._fork))
        except Refused as refused:
            if refused.code is not Code.CONFLICT:  # the ledger takes nothing now: later
                return
        self._fork = None

    def _refuse(self, key: PublicKey, why: str) -> None:
        """Seen in `cairn-node status`, and in the program's log."""
        _log.warning("refused another coordinator's key", key=key.fingerprint[:9], why=why)
        said = {"at": instant_text(self.clock()), "fingerprint": key.fingerprint, "why": why}
        self.refused = [*self.refused, said][-MOST_REFUSED:]

    # what a steward decides

    def _offer(self, change: CoordinatorKey) -> None:
        """Keep the newest key that does not follow by itself, for a steward to compare."""
        if change.new_key not in self.key.every:
            self.documents.keep_offered_key(change)

    @property
    def offered(self) -> PublicKey | None:
        """The key that somebody who holds it offered last, and that is not in force."""
        change = self.documents.offered_key()
        return None if change is None or change.new_key in self.key.every else change.new_key

    def named(self, text: str) -> PublicKey:
        """The offered key, or the one in force, by its fingerprint; any other by its own text."""
        for key in (self.offered, self.key):
            if key is not None and text in (key.fingerprint, key.text):
                return key
        with suppress(BadInput):
            return PublicKey.from_text(text)
        raise BadInput(
            "no key of this fingerprint was offered",
            where=text,
            instead="let the node meet the coordinator first, or write the key itself",
        )

    def accept(self, key: PublicKey, by: str, reason: str, signed: Signed | None = None) -> None:
        """Go by `key` from now on, without the old key's word. A steward compared it."""
        with self._lock:
            self.ledger.append(
                CoordinatorAccepted(
                    old=coordinator_of(self.ledger.state, self.first).text,
                    key=key.text,
                    by=by,
                    reason=reason,
                    signed=signed,
                )
            )
            self._ahead = ()
            self.ledger.book.forget(LOG)
