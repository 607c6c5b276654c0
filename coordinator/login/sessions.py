"""Opening, refreshing and ending sessions. A session only lets a person in: what a researcher
asks is signed with a key that stays with them.

A program has an access token of minutes and a refresh token that is replaced at every use. A
browser has one cookie, good while it is used, and sends with every change a value that only a
page of this site can read.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator.store.facts import Principal
from coordinator.store.sessions import NewToken, SessionFacts, SessionKind, Sessions, TokenUse
from privacy.contract.canonical import sha256_hex
from privacy.contract.time import instant_text, parse_instant
from privacy.errors import Code, Refused

_FORM = re.compile(r"(cookie|access|refresh)\.[A-Za-z0-9_-]{43}")
_SELDOM = timedelta(minutes=1)  # a cookie is extended at most so often


@dataclass(frozen=True)
class Lifetimes:
    """How long each is good."""

    access: timedelta = timedelta(minutes=10)
    idle: timedelta = timedelta(minutes=15)
    web: timedelta = timedelta(hours=12)
    command: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class CommandSession:
    """What a program keeps of its session."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_expires: str
    expires: str


@dataclass(frozen=True)
class WebSession:
    """What a browser keeps: `cookie` out of reach of scripts, `csrf` for the pages."""

    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    expires: str


@dataclass(frozen=True)
class SessionDesk:
    """Hands out tokens and takes them back; of each only a hash is stored."""

    store: Sessions
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    lifetimes: Lifetimes = Lifetimes()

    def open_command(self, principal: Principal) -> CommandSession:
        """A session for a program."""
        now = self.clock()
        until = now + self.lifetimes.command
        made = self._pair(now, until)
        self._open(principal, SessionKind.COMMAND, until, _tokens(made), now)
        return made

    def open_web(self, principal: Principal) -> WebSession:
        """A session for a browser."""
        now = self.clock()
        cookie = self._secret(TokenUse.COOKIE)
        good = NewToken(
            token_hash(cookie), TokenUse.COOKIE, instant_text(now + self.lifetimes.idle)
        )
        until = now + self.lifetimes.web
        self._open(principal, SessionKind.WEB, until, (good,), now)
        return WebSession(cookie, csrf_of(cookie), instant_text(until))

    def refresh(self, token: str) -> CommandSession:
        """New tokens for a refresh token, which is then used up; raises Refused(NOT_SIGNED_IN).

        One that was used before ends its session: somebody has a copy.
        """
        _check_form(token, TokenUse.REFRESH)
        now = self.clock()
        found = self.store.find(token_hash(token), TokenUse.REFRESH, instant_text(now))
        until = now if found is None else parse_instant(found.expires)
        made = self._pair(now, until)
        self.store.refresh(token_hash(token), _tokens(made), instant_text(now))
        return made

    def by_access(self, token: str) -> SessionFacts | None:
        """The session of an access token that is good now."""
        return self._find(token, TokenUse.ACCESS)

    def by_cookie(self, cookie: str) -> SessionFacts | None:
        """The session of a cookie that is good now; it is good for longer after that."""
        found = self._find(cookie, TokenUse.COOKIE)
        if found is not None:
            now = self.clock()
            later = now + self.lifetimes.idle
            if later - parse_instant(found.token_expires) > _SELDOM:
                self.store.extend(token_hash(cookie), instant_text(later))
        return found

    def end(self, session_id: str) -> None:
        """Sign out of one session."""
        self.store.end(session_id, instant_text(self.clock()))

    def end_all(self, principal: str) -> int:
        """Sign out everywhere."""
        return self.store.end_all(principal, instant_text(self.clock()))

    def _find(self, token: str, use: TokenUse) -> SessionFacts | None:
        try:
            _check_form(token, use)
        except Refused:
            return None
        return self.store.find(token_hash(token), use, instant_text(self.clock()))

    def _pair(self, now: datetime, until: datetime) -> CommandSession:
        access = min(now + self.lifetimes.access, until)
        return CommandSession(
            access=self._secret(TokenUse.ACCESS),
            refresh=self._secret(TokenUse.REFRESH),
            access_expires=instant_text(access),
            expires=instant_text(until),
        )

    def _open(
        self,
        principal: Principal,
        kind: SessionKind,
        until: datetime,
        tokens: tuple[NewToken, ...],
        now: datetime,
    ) -> None:
        name = f"s-{self.entropy(12).hex()}"
        self.store.open(name, principal.id, kind, instant_text(until), tokens, instant_text(now))

    def _secret(self, use: TokenUse) -> str:
        text = base64.urlsafe_b64encode(self.entropy(32)).decode("ascii").rstrip("=")
        return f"{use.value}.{text}"


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return sha256_hex(b"cairn session\n" + token.encode("utf-8", "surrogatepass"))


def csrf_of(cookie: str) -> str:
    """What a page of this site sends with every change: it does not give the cookie away."""
    return sha256_hex(b"cairn csrf\n" + cookie.encode("utf-8", "surrogatepass"))


def csrf_holds(cookie: str, sent: str) -> bool:
    return hmac.compare_digest(csrf_of(cookie).encode(), sent.encode("utf-8", "surrogatepass"))


def is_session_token(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def _tokens(made: CommandSession) -> tuple[NewToken, ...]:
    return (
        NewToken(token_hash(made.access), TokenUse.ACCESS, made.access_expires),
        NewToken(token_hash(made.refresh), TokenUse.REFRESH, made.expires),
    )


def _check_form(token: str, use: TokenUse) -> None:
    found = _FORM.fullmatch(token)
    if found is None or found[1] != use.value:
        raise Refused(Code.NOT_SIGNED_IN)
