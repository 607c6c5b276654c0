"""What ledgers say of the coordinator's key, held against the changes that its log has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from coordinator.audit.breaks import Break
from privacy.checkpoint import COORDINATOR, LOG
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorBody,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.entry import Entry
from privacy.ledger.state import LedgerState


def note_coordinator(
    changes: Sequence[CoordinatorKey], breaks: list[Break], entry: Entry, body: CoordinatorBody
) -> None:
    """What a ledger says of the coordinator's key, where it is no change that the log has."""
    match body:
        case CoordinatorKeyChanged(change=change):
            if change not in changes:
                what = f"followed a key that is not the log's: {change.new_key.fingerprint}"
                breaks.append(Break(entry.seq, entry.at, COORDINATOR, body.kind, what))
        case CoordinatorForked(change=change):
            what = f"a former key signed a second one: {change.new_key.fingerprint}"
            breaks.append(Break(entry.seq, entry.at, COORDINATOR, body.kind, what))
        case CoordinatorAccepted():
            print_ = PublicKey.from_text(body.key).fingerprint
            what = f"goes by {print_} without the old key's word: {body.reason}"
            breaks.append(Break(entry.seq, entry.at, LOG, body.kind, what, body.by))
        case _:
            assert_never(body)


def check_in_force(state: LedgerState, key: PublicKey, breaks: Sequence[Break]) -> None:
    """A ledger goes by the coordinator's key, or by one that it had; raises VerificationFailed."""
    if state.coordinator and state.coordinator not in [each.text for each in key.every]:
        own = [each for each in breaks if each.kind.startswith("coordinator")]
        where = f"entry {own[-1].seq}" if own else ""
        raise VerificationFailed("goes by a key that is not the coordinator's", where=where)
