"""Invitations of stewards that wait for a signature: their secrets are in memory alone, and are
shown once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from node.member.links import MemberSession
from privacy.contract.token import Token
from privacy.errors import BadInput
from privacy.ledger.steward_entry import StewardInvited

MOST = 16


@dataclass(frozen=True)
class Invitation:
    """What will stand in the ledger, and the secret that redeems it."""

    body: StewardInvited
    code: Token


@dataclass
class Invitations:
    """The newest invitations of all sessions."""

    _kept: dict[tuple[str, str], Invitation] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, session: MemberSession, made: Invitation) -> None:
        with self._lock:
            while len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[session.form_token, made.body.invitation] = made

    def find(self, session: MemberSession, invitation: str) -> Invitation:
        """Raises BadInput for none of this session."""
        found = self._kept.get((session.form_token, invitation))
        if found is None:
            raise BadInput("this invitation is not here any more", instead="invite again")
        return found

    def drop(self, session: MemberSession, invitation: str) -> None:
        with self._lock:
            self._kept.pop((session.form_token, invitation), None)
