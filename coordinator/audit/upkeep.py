"""What a ledger says of its keeping, in words for the auditor's list of changes."""

from __future__ import annotations

from coordinator.audit.report import Change
from privacy.contract.signing import PublicKey
from privacy.ledger.entry import Entry
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import (
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
)
from privacy.ledger.upkeep_entry import Leaving, Left, NodeKeyChanged, Restored

NODE = "node"


def upkeep_change(entry: Entry, before: LedgerState) -> Change | None:
    """The change that an entry of this kind is; None for the others."""
    match entry.body:
        case StewardInvited() as body:
            how = "all keys lost, " if body.recovery else ""
            by, what = body.by, f"{how}invites {body.name} as a steward {body.reason}".rstrip()
        case StewardJoined() as body:
            invited = before.invited[body.invitation]
            by, what = invited.name, f"joined as a steward, key {_print(body.key)}"
        case StewardKeyChanged() as body:
            by, what = before.stewards[body.old].name, f"took the new key {_print(body.new)}"
        case StewardEnded() as body:
            ended = before.stewards[body.key].name
            by, what = body.by, f"ended the key {_print(body.key)} of {ended}: {body.reason}"
        case Restored() as body:
            by, what = body.by, f"restored from a backup of {body.size} entries"
        case NodeKeyChanged() as body:
            by, what = body.by, f"the node's new key {_print(body.new)} {body.reason}".rstrip()
        case Leaving() as body:
            by, what = body.by, f"the organisation leaves the network {body.reason}".rstrip()
        case Left():
            by, what = NODE, "the ledger is closed"
        case _:
            return None
    return Change(entry.seq, entry.at, entry.body.kind, by, what)


def _print(key: str) -> str:
    return PublicKey.from_text(key).fingerprint
