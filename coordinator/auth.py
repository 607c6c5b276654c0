"""Who is asking: the bearer credential of a token, or a session, and a limit on wrong ones.

Nothing in an answer tells an unknown credential from a revoked one.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.login.limits import RateLimit, address_group
from coordinator.login.sessions import SessionDesk, csrf_holds, is_session_token
from coordinator.store.facts import Principal
from coordinator.store.people import People
from coordinator.store.sessions import SessionFacts
from privacy.contract.token import Role, bearer_sha256
from privacy.errors import BadInput, Code, Refused


@dataclass(frozen=True)
class Shown:
    """What a request brings to say whose it is. A cookie counts where there is no bearer.

    `changes` is False for a request that only reads; `csrf` is what a page of this site adds to
    one that changes something.
    """

    bearer: str | None = None
    cookie: str | None = None
    csrf: str = ""
    changes: bool = True

    def __repr__(self) -> str:
        return "Shown"


@dataclass(frozen=True)
class Admitted:
    """The caller, and the session if there is one."""

    principal: Principal
    session: SessionFacts | None = None


@dataclass(frozen=True)
class Gatekeeper:
    """Turns what a request brings into the person it belongs to."""

    people: People
    sessions: SessionDesk
    failures: RateLimit  # of one address
    requests: RateLimit  # of one person

    def admit(self, shown: Shown, address: str, roles: frozenset[Role]) -> Admitted:
        """The caller, if signed in with one of `roles`.

        Raises Refused: NOT_SIGNED_IN (nothing or nothing valid), RATE_LIMITED (too many invalid
        ones from this address, or too many requests of this person), NOT_PERMITTED (another
        role, or a cookie without its companion). What is valid is let in however often others
        failed from the same address.
        """
        if shown.bearer is None and shown.cookie is None:
            raise Refused(Code.NOT_SIGNED_IN)
        found = self._known(shown)
        if found is None:
            self.failures.count(address_group(address))
            raise Refused(Code.NOT_SIGNED_IN)
        return self.let_in(found, roles)

    def let_in(self, found: Admitted, roles: frozenset[Role]) -> Admitted:
        """Somebody who was found to be signed in: counted, and let in with one of `roles` only.

        Raises Refused: RATE_LIMITED, NOT_PERMITTED.
        """
        self.requests.count(found.principal.id)
        if found.principal.role not in roles:
            raise Refused(Code.NOT_PERMITTED)
        return found

    def _known(self, shown: Shown) -> Admitted | None:
        if shown.bearer is not None:
            return self._of_bearer(shown.bearer)
        cookie = shown.cookie or ""
        session = self.sessions.by_cookie(cookie)
        if session is None:
            return None
        if shown.changes and not csrf_holds(cookie, shown.csrf):
            raise Refused(Code.NOT_PERMITTED, what="csrf")
        return Admitted(session.principal, session)

    def _of_bearer(self, bearer: str) -> Admitted | None:
        if is_session_token(bearer):
            session = self.sessions.by_access(bearer)
            return None if session is None else Admitted(session.principal, session)
        try:
            principal = self.people.by_bearer(bearer_sha256(bearer))
        except BadInput:
            return None
        return None if principal is None else Admitted(principal)
