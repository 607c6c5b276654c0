"""Histories that broke, as the ledgers of a bundle tell it: each with its evidence checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, assert_never

from coordinator.audit.bundle import Bundle
from coordinator.audit.documents import Network, require
from coordinator.audit.held import head_of
from privacy.checkpoint import LOG, Checkpoint
from privacy.ledger.chain import Anchor
from privacy.ledger.entry import Entry
from privacy.ledger.history_entry import (
    BudgetForfeited,
    Fault,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
    Told,
)


@dataclass(frozen=True)
class Break:
    """What a ledger says of a broken history; `by` is the steward who went on, if one did.

    `of` is whose history: the coordinator's log, a node's ledger, or this one itself.
    """

    seq: int
    at: str
    of: str
    kind: str
    what: str
    by: str = ""
    held: Checkpoint | None = None

    def to_json(self) -> dict[str, Any]:
        named = ("seq", "at", "of", "kind", "what", "by")
        return {name: getattr(self, name) for name in named}


def note_break(
    bundle: Bundle, network: Network, breaks: list[Break], entry: Entry, body: Told
) -> None:
    """Add what an entry tells; raises VerificationFailed where its evidence shows nothing."""
    match body:
        case HistoryBroken():
            breaks.append(_broken(bundle, network, entry, body))
        case HistoryAccepted():
            breaks.append(Break(entry.seq, entry.at, body.of, body.kind, body.reason, body.by))
        case LedgerRecovered():
            what = f"{entry.seq - body.kept} lost entries were taken back: {body.reason}"
            breaks.append(Break(entry.seq, entry.at, "", body.kind, what, body.by))
        case BudgetForfeited():
            what = f"lost entries are nowhere, all budget counts as spent: {body.reason}"
            breaks.append(Break(entry.seq, entry.at, "", body.kind, what, body.by))
        case _:
            assert_never(body)


def _broken(bundle: Bundle, network: Network, entry: Entry, body: HistoryBroken) -> Break:
    require(body.of == LOG or body.of in network.keys, f"no history of {body.of}")
    shown = head_of(bundle, network, body.of, body.shown)
    held = head_of(bundle, network, body.of, body.held) if body.held else None
    if held is not None and body.fault is not Fault.CLOCK:
        require(_contradict(held, shown, body), "the two heads do not contradict each other")
    seen = "nothing" if held is None else f"{held.size} entries"
    what = f"{body.fault.value}: {seen} seen before, {shown.size} shown"
    return Break(entry.seq, entry.at, body.of, body.kind, what, held=held)


def _contradict(held: Checkpoint, shown: Checkpoint, body: HistoryBroken) -> bool:
    """Two heads of one size cannot both be of one history. Larger ones contradict by a proof
    that failed, which only the coordinator can have given of its own log."""
    if body.fault is Fault.REWOUND:
        return shown.size < held.size
    same = shown.size == held.size and shown.root != held.root
    return same or (body.of == LOG and shown.size > held.size)


def heads_seen(node: str, breaks: Iterable[Break]) -> list[Anchor]:
    """Heads of the coordinator's log that a node saw and whose break no steward accepted."""
    seen: list[Anchor] = []
    for each in breaks:
        if each.of == LOG:
            seen = [] if each.held is None else [Anchor(each.held.size, each.held.root, node)]
    return seen
