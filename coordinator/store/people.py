"""People and invitations. Of a token only a hash and a public key are ever stored."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import Invitation, Principal
from coordinator.store.nodes import add_node
from coordinator.store.tables import InvitationRow, PrincipalRow
from privacy.contract.canonical import sha256_hex
from privacy.contract.roster import RosterNode
from privacy.contract.signing import PublicKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused

_NODE = "node"


@dataclass(frozen=True)
class Credential:
    """What a token's owner sends of it: nothing secret can be computed from either part."""

    bearer_sha256: str
    key: PublicKey

    @classmethod
    def of(cls, token: Token) -> Self:
        return cls(token.bearer_sha256, token.signing_key.public)

    @property
    def principal_id(self) -> str:
        """A short public name, the same wherever this key is met."""
        return "p-" + sha256_hex(b"cairn principal\n" + self.key.raw)[:24]


class People:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: Role, credential: Credential, at: str) -> Principal:
        """Enter a person; raises Refused(CONFLICT) if the credential is already known."""
        with self._database.write() as session:
            return _add(session, name, role, credential, at)

    def by_bearer(self, bearer_sha256: str) -> Principal | None:
        """The person whose credential has this hash, unless revoked."""
        wanted = select(PrincipalRow).where(PrincipalRow.bearer_sha256 == bearer_sha256)
        with self._database.read() as session:
            row = session.scalars(wanted).first()
        known = "" if row is None else row.bearer_sha256
        if not hmac.compare_digest(known, bearer_sha256) or row is None or row.revoked_at:
            return None
        return _facts(row)

    def revoke(self, principal_id: str, at: str) -> None:
        with self._database.write() as session:
            session.execute(
                update(PrincipalRow)
                .where(PrincipalRow.id == principal_id, PrincipalRow.revoked_at.is_(None))
                .values(revoked_at=at)
            )

    def all(self) -> tuple[Principal, ...]:
        ordered = select(PrincipalRow).order_by(PrincipalRow.created, PrincipalRow.id)
        with self._database.read() as session:
            return tuple(map(_facts, session.scalars(ordered)))

    def invite(
        self, code: str, role: Role | None, name: str, now: datetime, lifetime: timedelta
    ) -> Invitation:
        """Store an invitation by the hash of its code; `role` None invites a node."""
        expires = instant_text(now + lifetime)
        with self._database.write() as session:
            session.add(
                InvitationRow(
                    code_sha256=_code_hash(code),
                    role=_NODE if role is None else role.value,
                    name=name,
                    created=instant_text(now),
                    expires=expires,
                )
            )
        return Invitation(role, name, expires)

    def join(self, code: str, credential: Credential, *, now: datetime) -> Principal:
        """Redeem a person's invitation and enter the person, both or neither."""
        at = instant_text(now)
        with self._database.write() as session:
            row = _redeem(session, code, now)
            if row.role == _NODE:
                raise Refused(Code.NOT_PERMITTED)
            return _add(session, row.name, Role(row.role), credential, at)

    def join_node(self, code: str, node: RosterNode, *, now: datetime) -> None:
        """Redeem a node's invitation and enter the node, both or neither."""
        with self._database.write() as session:
            if _redeem(session, code, now).role != _NODE:
                raise Refused(Code.NOT_PERMITTED)
            add_node(session, node, instant_text(now))


def _code_hash(code: str) -> str:
    return sha256_hex(b"cairn invitation\n" + code.encode("utf-8", "surrogatepass"))


def _redeem(session: Session, code: str, now: datetime) -> InvitationRow:
    """Use an invitation up, once; a wrong role raises in the caller and undoes this."""
    row = session.get(InvitationRow, _code_hash(code))
    at = instant_text(now)
    if row is None or row.used_at or row.expires < at:
        raise Refused(Code.NOT_PERMITTED)
    row.used_at = at
    return row


def _add(session: Session, name: str, role: Role, credential: Credential, at: str) -> Principal:
    mark, named = credential.bearer_sha256, credential.principal_id
    known = select(PrincipalRow.id).where(
        (PrincipalRow.bearer_sha256 == mark) | (PrincipalRow.id == named)
    )
    if session.scalars(known).first() is not None:
        raise Refused(Code.CONFLICT)
    row = PrincipalRow(
        id=named,
        name=name,
        role=role.value,
        bearer_sha256=mark,
        public_key=credential.key.text,
        created=at,
    )
    session.add(row)
    return _facts(row)


def _facts(row: PrincipalRow) -> Principal:
    return Principal(row.id, row.name, Role(row.role), row.public_key, row.created, row.revoked_at)
