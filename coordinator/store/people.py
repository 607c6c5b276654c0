"""People and invitations. Of a token only a hash and a public key are ever stored."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.events import OPERATOR, Action, note
from coordinator.store.facts import Invitation, Principal
from coordinator.store.log import log_statement
from coordinator.store.nodes import add_node, change_node_key
from coordinator.store.tables import DocumentRow, InvitationRow, PrincipalRow
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.researcher_key import MOST_OF_ONE, ResearcherKey, Successors
from privacy.contract.revocation import Revocation
from privacy.contract.roster import RosterNode
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.log import Logged

_NODE = "node"
_CHANGE = "researcher-key-"
_CHANGES = DocumentRow.name.startswith(_CHANGE)


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
        known = "" if row is None else str(row.bearer_sha256)
        if not hmac.compare_digest(known, bearer_sha256) or row is None or row.revoked_at:
            return None
        return principal_facts(row)

    def get(self, principal_id: str) -> Principal:
        """One person, revoked or not; raises Refused(NOT_FOUND)."""
        with self._database.read() as session:
            row = session.get(PrincipalRow, principal_id)
            if row is None:
                raise Refused(Code.NOT_FOUND)
            return principal_facts(row)

    def revoke(self, principal_id: str, at: str, by: str = OPERATOR) -> None:
        """Shut a person out for good, at once; raises Refused(NOT_FOUND). Once is enough."""
        with self._database.write() as session:
            row = session.get(PrincipalRow, principal_id)
            if row is None:
                raise Refused(Code.NOT_FOUND)
            if not row.revoked_at:
                row.revoked_at = at
                note(session, at, by, Action.REVOKED, principal_id)

    def register_key(self, principal_id: str, key: PublicKey, at: str) -> Principal:
        """Enter the key that a person signs with, once; raises Refused(CONFLICT) after that.

        Studies name keys, so a lost one is revoked with its person, who is invited again.
        """
        with self._database.write() as session:
            row = session.get_one(PrincipalRow, principal_id)
            taken = select(PrincipalRow.id).where(PrincipalRow.public_key == key.text)
            if row.public_key or session.scalars(taken).first() is not None:
                raise Refused(Code.CONFLICT, what="key")
            row.public_key = key.text
            note(session, at, principal_id, Action.KEY_REGISTERED, principal_id, key.fingerprint)
            return principal_facts(row)

    def change_key(
        self, principal_id: str, change: ResearcherKey, bearer_sha256: str | None, at: str
    ) -> Principal:
        """Put a person's new key in place of the old one, with the new token's credential.

        Raises Refused(CONFLICT) for a key that is not theirs, or was somebody's already, or comes
        after MOST_OF_ONE others, and (BAD_REQUEST) where a token's credential is missing.
        """
        with self._database.write() as session:
            row = session.get_one(PrincipalRow, principal_id)
            if row.revoked_at or row.public_key != change.old or _was_known(session, change.new):
                raise Refused(Code.CONFLICT, what="key")
            if len(row.former_keys.split()) >= MOST_OF_ONE:
                raise Refused(Code.CONFLICT, what="too many keys")
            if (row.bearer_sha256 is None) != (bearer_sha256 is None):
                raise Refused(Code.BAD_REQUEST, where="bearer_sha256")
            number = session.scalars(select(func.count(DocumentRow.name)).where(_CHANGES)).one() + 1
            name, value = f"{_CHANGE}{number:012d}", canonical_bytes(change.to_json())
            session.add(DocumentRow(name=name, value=value))
            row.former_keys = " ".join([*row.former_keys.split(), change.old])
            row.public_key, row.bearer_sha256 = change.new, bearer_sha256
            log_statement(session, Logged.RESEARCHER_KEY, change.digest, principal_id)
            print_ = PublicKey.from_text(change.new).fingerprint
            note(session, at, principal_id, Action.KEY_CHANGED, principal_id, print_)
            return principal_facts(row)

    def key_changes(self) -> tuple[ResearcherKey, ...]:
        """Every change of a researcher's key, oldest first."""
        wanted = select(DocumentRow.value).where(_CHANGES).order_by(DocumentRow.name)
        with self._database.read() as session:
            found = session.scalars(wanted).all()
        return tuple(ResearcherKey.from_json(parse_canonical(value)) for value in found)

    def successors(self) -> Successors:
        """Which key took the place of which."""
        return {change.old: change.new for change in self.key_changes()}

    def list_revoked(
        self,
        network: str,
        seal: Callable[[Revocation], Envelope],
        delegations: Collection[str] = (),
    ) -> Revocation | None:
        """Put a list in force that names the key of everybody who was revoked, and these
        delegations, if one lacks.

        Earlier lists are kept for the audit. None while nothing was revoked.
        """
        wanted = select(PrincipalRow).where(
            PrincipalRow.revoked_at.is_not(None), PrincipalRow.public_key != ""
        )
        with self._database.write() as session:
            newest = session.get(DocumentRow, "revocation")
            listed = None if newest is None else _listed(newest)
            theirs = {k for row in session.scalars(wanted) for k in principal_facts(row).keys}
            keys = theirs | set(() if listed is None else listed.keys)
            ended = set(delegations) | set(() if listed is None else listed.delegations)
            if keys | ended == (set() if listed is None else listed.everything):
                return listed
            made = Revocation(
                network=network,
                number=1 if listed is None else listed.number + 1,
                keys=tuple(sorted(keys)),
                delegations=tuple(sorted(ended)),
            )
            value = canonical_bytes(seal(made).to_json())
            for name in ("revocation", f"revocation-{made.number:012d}"):
                session.merge(DocumentRow(name=name, value=value))
            log_statement(session, Logged.REVOCATION, made.digest, f"list {made.number}")
            return made

    def all(self) -> tuple[Principal, ...]:
        ordered = select(PrincipalRow).order_by(PrincipalRow.created, PrincipalRow.id)
        with self._database.read() as session:
            return tuple(map(principal_facts, session.scalars(ordered)))

    def auditors(self) -> tuple[tuple[str, PublicKey], ...]:
        """The key of everybody who is or was an auditor, by the name that they cosign under."""
        found = (person for person in self.all() if person.role is Role.AUDITOR)
        return tuple((p.id, PublicKey.from_text(p.public_key)) for p in found if p.public_key)

    def invite(
        self,
        code: str,
        role: Role | None,
        name: str,
        now: datetime,
        lifetime: timedelta,
        by: str = OPERATOR,
    ) -> Invitation:
        """Store an invitation by the hash of its code; `role` None invites a node."""
        expires = instant_text(now + lifetime)
        kind = _NODE if role is None else role.value
        with self._database.write() as session:
            session.add(
                InvitationRow(
                    code_sha256=_code_hash(code),
                    role=kind,
                    name=name,
                    created=instant_text(now),
                    expires=expires,
                )
            )
            note(session, instant_text(now), by, Action.INVITED, "", f"{kind}: {name}")
        return Invitation(role, name, expires)

    def invitation(self, code: str, now: datetime) -> Invitation:
        """What a person's invitation is for, without using it; raises Refused(NOT_PERMITTED)."""
        with self._database.read() as session:
            row = _good(session, code, now)
            if row.role == _NODE:
                raise Refused(Code.NOT_PERMITTED)
            return Invitation(Role(row.role), row.name, row.expires)

    def join(self, code: str, credential: Credential, *, now: datetime) -> Principal:
        """Redeem a person's invitation and enter the person, both or neither."""
        at = instant_text(now)
        with self._database.write() as session:
            role, name = redeem_for_person(session, code, now)
            made = _add(session, name, role, credential, at)
            note(session, at, made.id, Action.JOINED, made.id, role.value)
            return made

    def join_node(
        self, code: str, node: RosterNode, *, now: datetime, change: NodeKeyChanged | None = None
    ) -> None:
        """Redeem a node's invitation and enter the node, or its new keys, both or neither."""
        with self._database.write() as session:
            if _redeem(session, code, now).role != _NODE:
                raise Refused(Code.NOT_PERMITTED)
            if change is None:
                add_node(session, node, instant_text(now))
            else:
                change_node_key(session, node, change)


def _listed(row: DocumentRow) -> Revocation:
    return Revocation.from_json(parse_canonical(Envelope.from_bytes(row.value).body))


def _code_hash(code: str) -> str:
    return sha256_hex(b"cairn invitation\n" + code.encode("utf-8", "surrogatepass"))


def _good(session: Session, code: str, now: datetime) -> InvitationRow:
    row = session.get(InvitationRow, _code_hash(code))
    if row is None or row.used_at or row.expires < instant_text(now):
        raise Refused(Code.NOT_PERMITTED)
    return row


def _redeem(session: Session, code: str, now: datetime) -> InvitationRow:
    """Use an invitation up, once; a wrong role raises in the caller and undoes this."""
    row = _good(session, code, now)
    row.used_at = instant_text(now)
    return row


def redeem_for_person(session: Session, code: str, now: datetime) -> tuple[Role, str]:
    """Use a person's invitation up within a transaction that does more: its role and name."""
    row = _redeem(session, code, now)
    if row.role == _NODE:
        raise Refused(Code.NOT_PERMITTED)
    return Role(row.role), row.name


def add_person(session: Session, principal_id: str, name: str, role: Role, at: str) -> Principal:
    """Enter a person who brings no token, within a transaction that does more."""
    row = PrincipalRow(id=principal_id, name=name, role=role.value, public_key="", created=at)
    session.add(row)
    return principal_facts(row)


def _was_known(session: Session, key: str) -> bool:
    """Whether a key is or was somebody's."""
    wanted = select(PrincipalRow.id).where(
        (PrincipalRow.public_key == key) | PrincipalRow.former_keys.contains(key, autoescape=True)
    )
    return session.scalars(wanted).first() is not None


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
    return principal_facts(row)


def principal_facts(row: PrincipalRow) -> Principal:
    return Principal(
        row.id,
        row.name,
        Role(row.role),
        row.public_key,
        row.created,
        row.revoked_at,
        tuple((row.former_keys or "").split()),
    )
