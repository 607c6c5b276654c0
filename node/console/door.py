"""Who may open the console: whoever holds a link that `cairn-node console` printed here.

The command reaches the node through the socket in its folder, which only the node's own user can
open. A link opens once, within minutes; the session that it opens ends with the node.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from fastapi import Request, Response

from node.member.links import MemberSession, Sessions
from pages.links import OneTimeLinks
from privacy.errors import Code, Refused

COOKIE = "cairn_console"
PLACE = "/console"


@dataclass(frozen=True)
class ConsoleDoor:
    """Links and sessions, in memory alone."""

    links: OneTimeLinks
    sessions: Sessions

    def link(self, by: str) -> str:
        """The path of a link for the steward `by`."""
        return f"{PLACE}/open/{self.links.make(by)}"

    def open(self, secret: str) -> str:
        """The cookie of a new session; raises Refused(NOT_SIGNED_IN) for no open link."""
        by = self.links.take(secret)
        if by is None:
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
