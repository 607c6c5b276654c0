"""What a ledger says of its keeping, in words for the auditor's list of changes."""

from __future__ import annotations

from privacy.checkpoint import COORDINATOR
from privacy.contract.signing import PublicKey
from privacy.ledger.coordinator_entry import CoordinatorAccepted, CoordinatorKeyChanged
from privacy.ledger.entry import Body
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import (
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
)
from privacy.ledger.upkeep_entry import Leaving, Left, NodeKeyChanged, Restored

NODE = "node"


def upkeep_change(body: Body, before: LedgerState) -> tuple[str, str] | None:
    """Who changed what, for an entry of this kind; None for the others."""
    match body:
        case StewardInvited():
            how = "all keys lost, " if body.recovery else ""
            by, what = body.by, f"{how}invites {body.name} as a steward {body.reason}".rstrip()
        case StewardJoined():
            invited = before.invited[body.invitation]
            by, what = invited.name, f"joined as a steward, key {_print(body.key)}"
        case StewardKeyChanged():
            by, what = before.stewards[body.old].name, f"took the new key {_print(body.new)}"
        case StewardEnded():
            ended = before.stewards[body.key].name
            by, what = body.by, f"ended the key {_print(body.key)} of {ended}: {body.reason}"
        case Restored():
            by, what = body.by, f"restored from a backup of {body.size} entries"
        case NodeKeyChanged():
            by, what = body.by, f"the node's new key {_print(body.new)} {body.reason}".rstrip()
        case CoordinatorKeyChanged(change=change):
            by, what = (
                COORDINATOR,
                f"took the new key {_print(change.new)} {change.reason}".rstrip(),
            )
        case CoordinatorAccepted():
            by, what = body.by, f"accepts the coordinator's key {_print(body.key)}: {body.reason}"
        case Leaving():
            by, what = body.by, f"the organisation leaves the network {body.reason}".rstrip()
        case Left():
            by, what = NODE, "the ledger is closed"
        case _:
            return None
    return by, what


def _print(key: str) -> str:
    return PublicKey.from_text(key).fingerprint
