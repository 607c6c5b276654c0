"""What a ledger says of the coordinator's key: changes that it signed, and what stewards decided.

Bodies of ledger entries, like those in `privacy.ledger.entry`.
"""

from __future__ import annotations

from typing import Any, Literal

from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.facts import Sorted
from privacy.contract.study import KeyText
from privacy.ledger.fields import Name, Words
from privacy.ledger.steward_entry import Signed


class CoordinatorKeyChanged(Sorted):
    """From here on the coordinator's word counts with the new key alone; both keys signed it."""

    kind: Literal["coordinator-key"] = "coordinator-key"
    change: CoordinatorKey


class CoordinatorForked(Sorted):
    """A key that this node had followed signed a second successor: somebody else holds it.

    Nothing is answered until a steward says which key is the coordinator's. `change` is the
    evidence: both keys signed it.
    """

    kind: Literal["coordinator-forked"] = "coordinator-forked"
    change: CoordinatorKey


class CoordinatorAccepted(Sorted):
    """A steward compared a fingerprint with the coordinator's operator: `key` counts from now on.

    No signature of the `old` key stands behind it.
    """

    kind: Literal["coordinator-accepted"] = "coordinator-accepted"
    old: KeyText
    key: KeyText
    by: Name
    reason: Words
    signed: Signed | None = None

    @property
    def word(self) -> dict[str, Any]:
        return accept_word(self.key, self.reason)


def accept_word(key: str, reason: str) -> dict[str, Any]:
    """What a steward signs to accept a key of the coordinator."""
    return {"do": "accept-coordinator", "key": key, "reason": reason}


CoordinatorBody = CoordinatorKeyChanged | CoordinatorForked | CoordinatorAccepted
