"""Who may open the console: whoever holds a link that `cairn-node console` printed here.

The command reaches the node through the socket in its folder, which only the node's own user can
open. A link opens once, within minutes; the session that it opens ends with the node.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import Request, Response

from node.member.links import MemberSession, Sessions, new_secret, secret_hash
from privacy.errors import Code, Refused
from privacy.randomness import Entropy

COOKIE = "cairn_console"
PLACE = "/console"
LINK = timedelta(minutes=10)
MOST_LINKS = 100


@dataclass
class ConsoleDoor:
    """Links and sessions, in memory alone."""

    entropy: Entropy
    clock: Callable[[], datetime]
    sessions: Sessions
    _links: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, by: str) -> str:
        """The path of a link for the steward `by`."""
        secret, now = new_secret(self.entropy), self.clock()
        with self._lock:
            self._links = {h: each for h, each in self._links.items() if each[1] > now}
            while len(self._links) >= MOST_LINKS:
                del self._links[next(iter(self._links))]
            self._links[secret_hash(secret)] = (by, now + LINK)
        return f"{PLACE}/open/{secret}"

    def open(self, secret: str) -> str:
        """The cookie of a new session; raises Refused(NOT_SIGNED_IN) for no open link."""
        with self._lock:
            by, until = self._links.pop(secret_hash(secret), ("", self.clock()))
        if until <= self.clock():
            raise Refused(Code.NOT_SIGNED_IN)
        return self.sessions.begin(by)[0]

    def session(self, request: Request) -> MemberSession | None:
        """The session of a request's cookie; `member` is the steward's name."""
        return self.sessions.find(request.cookies.get(COOKIE, ""))

    def check_form(self, session: MemberSession, token: str) -> None:
        """Raises Refused(NOT_PERMITTED) for a form that is not from a page of this session."""
        if not hmac.compare_digest(session.form_token.encode(), token.encode()):
            raise Refused(Code.NOT_PERMITTED, what="form")

    def set_cookie(self, response: Response, secret: str) -> None:
        response.set_cookie(COOKIE, secret, path=PLACE, httponly=True, samesite="strict")
