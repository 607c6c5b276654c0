"""Sessions and their tokens, each known by a hash alone.

A refresh token is good once. Brought a second time it was copied, by whoever is second: the
whole session ends, and it is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.events import Action, note
from coordinator.store.facts import Principal
from coordinator.store.people import principal_facts
from coordinator.store.tables import PrincipalRow, SessionRow, SessionTokenRow
from privacy.errors import Code, Refused


class SessionKind(StrEnum):
    WEB = "web"  # one cookie, extended while it is used
    COMMAND = "command"  # access and refresh tokens


class TokenUse(StrEnum):
    COOKIE = "cookie"
    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True)
class NewToken:
    sha256: str
    use: TokenUse
    expires: str


@dataclass(frozen=True)
class SessionFacts:
    """A session that is open, whose it is, and until when the token brought is good."""

    id: str
    kind: SessionKind
    principal: Principal
    expires: str
    token_expires: str


class Sessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self,
        session_id: str,
        principal: str,
        kind: SessionKind,
        expires: str,
        tokens: Sequence[NewToken],
        at: str,
    ) -> None:
        """Begin a session; what expired of this person's earlier ones is forgotten."""
        with self._database.write() as session:
            _forget(session, principal, at)
            session.add(
                SessionRow(
                    id=session_id,
                    principal=principal,
                    kind=kind.value,
                    created=at,
                    expires=expires,
                )
            )
            session.flush()
            session.add_all(_row(session_id, token) for token in tokens)

    def find(self, sha256: str, use: TokenUse, at: str) -> SessionFacts | None:
        """The open session of a token that is good now."""
        wanted = (
            select(SessionTokenRow, SessionRow, PrincipalRow)
            .join(SessionRow, SessionRow.id == SessionTokenRow.session)
            .join(PrincipalRow, PrincipalRow.id == SessionRow.principal)
            .where(SessionTokenRow.sha256 == sha256, SessionTokenRow.use == use.value)
        )
        with self._database.read() as session:
            found = session.execute(wanted).first()
            if found is None:
                return None
            token, opened, person = found
            if token.used_at or token.expires <= at or not _open(opened, person, at):
                return None
            kind = SessionKind(opened.kind)
            return SessionFacts(
                opened.id, kind, principal_facts(person), opened.expires, token.expires
            )

    def extend(self, sha256: str, expires: str) -> None:
        """Let a cookie be good for longer."""
        longer = update(SessionTokenRow).where(SessionTokenRow.sha256 == sha256)
        with self._database.write() as session:
            session.execute(longer.values(expires=expires))

    def refresh(self, sha256: str, tokens: Sequence[NewToken], at: str) -> str:
        """Use a refresh token up for `tokens`; returns the session.

        Raises Refused(NOT_SIGNED_IN) for an unknown or late one, and for one that was used
        before, which ends the session.
        """
        with self._database.write() as session:
            row = session.get(SessionTokenRow, sha256)
            opened = None if row is None else session.get(SessionRow, row.session)
            person = None if opened is None else session.get(PrincipalRow, opened.principal)
            good = (
                row is not None
                and opened is not None
                and person is not None
                and row.use == TokenUse.REFRESH.value
                and row.expires > at
                and _open(opened, person, at)
            )
            if good and row is not None and opened is not None and not row.used_at:
                row.used_at = at
                session.add_all(_row(opened.id, token) for token in tokens)
                return opened.id
            if good and opened is not None:
                opened.ended_at = at
                note(session, at, opened.principal, Action.SESSION_STOLEN, opened.principal)
        raise Refused(Code.NOT_SIGNED_IN)

    def end(self, session_id: str, at: str) -> None:
        """Sign out: every token of the session is worthless from now on."""
        ended = update(SessionRow).where(SessionRow.id == session_id, SessionRow.ended_at.is_(None))
        with self._database.write() as session:
            session.execute(ended.values(ended_at=at))

    def end_all(self, principal: str, at: str) -> int:
        """Sign a person out everywhere; returns how many sessions that were."""
        with self._database.write() as session:
            return end_sessions(session, principal, at)


def end_sessions(session: Session, principal: str, at: str) -> int:
    """Within a transaction that does more."""
    ended = update(SessionRow).where(
        SessionRow.principal == principal, SessionRow.ended_at.is_(None)
    )
    done = session.execute(ended.values(ended_at=at))
    return done.rowcount if isinstance(done, CursorResult) else 0


def _open(opened: SessionRow, person: PrincipalRow, at: str) -> bool:
    return not opened.ended_at and opened.expires > at and not person.revoked_at


def _row(session_id: str, token: NewToken) -> SessionTokenRow:
    return SessionTokenRow(
        sha256=token.sha256, session=session_id, use=token.use.value, expires=token.expires
    )


def _forget(session: Session, principal: str, at: str) -> None:
    over = select(SessionRow.id).where(SessionRow.principal == principal, SessionRow.expires <= at)
    session.execute(delete(SessionTokenRow).where(SessionTokenRow.session.in_(over)))
    session.execute(
        delete(SessionRow).where(SessionRow.principal == principal, SessionRow.expires <= at)
    )
