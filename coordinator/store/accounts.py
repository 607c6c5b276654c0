"""Accounts: how people sign in here, and what an administrator allows who cannot any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.events import Action, note
from coordinator.store.facts import Principal
from coordinator.store.people import add_person, principal_facts, redeem_for_person
from coordinator.store.sessions import end_sessions
from coordinator.store.tables import (
    AccountRow,
    IdentityRow,
    PrincipalRow,
    RecoveryCodeRow,
    ResetRow,
)
from privacy.contract.canonical import sha256_hex
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused


class ResetKind(StrEnum):
    """What was lost; the other of the two has to be brought."""

    PASSWORD = "password"  # noqa: S105 - a kind, not a password
    FACTOR = "factor"


@dataclass(frozen=True)
class Factor:
    """A second factor as it is stored. `step` is that of the code which proved it."""

    sealed: bytes = field(repr=False)
    recovery: tuple[str, ...] = field(repr=False)  # hashes
    step: int


@dataclass(frozen=True)
class Account:
    principal: str
    login: str
    password: str = field(repr=False)  # argon2id
    factor: bytes = field(repr=False)  # sealed
    revoked: bool


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def enrol(
        self, code: str, principal: str, login: str, password: str, factor: Factor, now: datetime
    ) -> Principal:
        """Redeem an invitation, enter the person and their account, all or nothing."""
        at = instant_text(now)
        with self._database.write() as session:
            role, name = redeem_for_person(session, code, now)
            if session.scalars(select(AccountRow).where(AccountRow.login == login)).first():
                raise Refused(Code.CONFLICT, what="login")
            made = add_person(session, principal, name, role, at)
            session.flush()
            session.add(
                AccountRow(
                    principal=principal,
                    login=login,
                    password=password,
                    factor=factor.sealed,
                    last_step=factor.step,
                    created=at,
                )
            )
            _add_codes(session, principal, factor.recovery)
            note(session, at, principal, Action.ENROLLED, principal, role.value)
            return made

    def by_login(self, login: str) -> Account | None:
        wanted = (
            select(AccountRow, PrincipalRow.revoked_at)
            .join(PrincipalRow, PrincipalRow.id == AccountRow.principal)
            .where(AccountRow.login == login)
        )
        with self._database.read() as session:
            found = session.execute(wanted).first()
        if found is None:
            return None
        row, revoked = found
        return Account(row.principal, row.login, row.password, row.factor, bool(revoked))

    def logins(self) -> dict[str, str]:
        """The login of everybody who has an account here, by person."""
        with self._database.read() as session:
            rows = session.execute(select(AccountRow.principal, AccountRow.login))
            return {row.principal: row.login for row in rows}

    def accept_step(self, principal: str, step: int) -> bool:
        """Count a code as used; False if it, or a later one, was used before."""
        newer = update(AccountRow).where(
            AccountRow.principal == principal, AccountRow.last_step < step
        )
        with self._database.write() as session:
            return _changed(session.execute(newer.values(last_step=step)))

    def knows_recovery(self, sha256: str) -> bool:
        """Whether an unused recovery code has this hash, which names its person too."""
        wanted = select(RecoveryCodeRow.sha256).where(
            RecoveryCodeRow.sha256 == sha256, RecoveryCodeRow.used_at.is_(None)
        )
        with self._database.read() as session:
            return session.scalars(wanted).first() is not None

    def use_recovery(self, principal: str, sha256: str, at: str) -> bool:
        """Use a recovery code up; False if it was used before."""
        used = update(RecoveryCodeRow).where(
            RecoveryCodeRow.sha256 == sha256, RecoveryCodeRow.used_at.is_(None)
        )
        with self._database.write() as session:
            done = _changed(session.execute(used.values(used_at=at)))
            if done:
                note(session, at, principal, Action.RECOVERY_USED, principal)
            return done

    def allow_reset(
        self,
        code: str,
        principal: str,
        kind: ResetKind,
        actor: str,
        now: datetime,
        lifetime: timedelta,
    ) -> str:
        """Let a person replace what they lost; returns until when. NOT_FOUND without account."""
        expires, at = instant_text(now + lifetime), instant_text(now)
        with self._database.write() as session:
            person = session.get(PrincipalRow, principal)
            if session.get(AccountRow, principal) is None or person is None or person.revoked_at:
                raise Refused(Code.NOT_FOUND)
            row = ResetRow(
                code_sha256=_reset_hash(code), principal=principal, kind=kind.value, expires=expires
            )
            session.add(row)
            note(session, at, actor, Action.RESET_ISSUED, principal, kind.value)
        return expires

    def reset_of(self, code: str, principal: str, now: datetime) -> ResetKind | None:
        """What a code lets this person replace now."""
        with self._database.read() as session:
            row = _good_reset(session, code, principal, now)
            return None if row is None else ResetKind(row.kind)

    def replace_password(self, code: str, principal: str, password: str, now: datetime) -> None:
        """Use a reset for a new password, and sign the person out everywhere."""
        at = instant_text(now)
        with self._database.write() as session:
            _use_reset(session, code, principal, ResetKind.PASSWORD, now)
            account = session.get_one(AccountRow, principal)
            account.password = password
            end_sessions(session, principal, at)
            note(session, at, principal, Action.PASSWORD_REPLACED, principal)

    def replace_factor(self, code: str, principal: str, factor: Factor, now: datetime) -> None:
        """Use a reset for a new second factor and codes, and sign the person out everywhere."""
        at = instant_text(now)
        with self._database.write() as session:
            _use_reset(session, code, principal, ResetKind.FACTOR, now)
            account = session.get_one(AccountRow, principal)
            account.factor, account.last_step = factor.sealed, factor.step
            session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.principal == principal))
            _add_codes(session, principal, factor.recovery)
            end_sessions(session, principal, at)
            note(session, at, principal, Action.FACTOR_REPLACED, principal)

    def link(
        self, code: str, principal: str, issuer: str, subject: str, now: datetime
    ) -> Principal:
        """Redeem an invitation for a person of the identity provider, all or nothing."""
        at = instant_text(now)
        with self._database.write() as session:
            role, name = redeem_for_person(session, code, now)
            if session.get(IdentityRow, (issuer, subject)) is not None:
                raise Refused(Code.CONFLICT, what="identity")
            made = add_person(session, principal, name, role, at)
            session.flush()
            session.add(
                IdentityRow(issuer=issuer, subject=subject, principal=principal, created=at)
            )
            note(session, at, principal, Action.LINKED, principal, role.value)
            return made

    def linked(self, issuer: str, subject: str) -> Principal | None:
        """The person whom the identity provider names so, unless revoked."""
        with self._database.read() as session:
            row = session.get(IdentityRow, (issuer, subject))
            person = None if row is None else session.get(PrincipalRow, row.principal)
            if person is None or person.revoked_at:
                return None
            return principal_facts(person)


def _reset_hash(code: str) -> str:
    return sha256_hex(b"cairn reset\n" + code.encode("utf-8", "surrogatepass"))


def _good_reset(session: Session, code: str, principal: str, now: datetime) -> ResetRow | None:
    row = session.get(ResetRow, _reset_hash(code))
    if row is None or row.used_at or row.expires < instant_text(now) or row.principal != principal:
        return None
    return row


def _use_reset(session: Session, code: str, principal: str, kind: ResetKind, now: datetime) -> None:
    row = _good_reset(session, code, principal, now)
    if row is None or row.kind != kind.value:
        raise Refused(Code.NOT_SIGNED_IN)
    row.used_at = instant_text(now)


def _add_codes(session: Session, principal: str, hashes: Iterable[str]) -> None:
    session.add_all(RecoveryCodeRow(sha256=each, principal=principal) for each in hashes)


def _changed(result: object) -> bool:
    return isinstance(result, CursorResult) and result.rowcount == 1
