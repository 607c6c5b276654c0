"""What was done about people: who invited, entered, was revoked or reset, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.log import log_statement
from coordinator.store.tables import PeopleEventRow
from privacy.contract.canonical import digest
from privacy.log import Logged

OPERATOR = "operator"  # at the coordinator's own command line


class Action(StrEnum):
    """Everything that is written down."""

    INVITED = "invited"
    JOINED = "joined"  # with a token
    ENROLLED = "enrolled"  # with an account
    LINKED = "linked"  # through the identity provider
    KEY_REGISTERED = "key-registered"
    KEY_CHANGED = "key-changed"
    REVOKED = "revoked"
    RESET_ISSUED = "reset-issued"
    FACTOR_REPLACED = "factor-replaced"
    PASSWORD_REPLACED = "password-replaced"  # noqa: S105 - what was done, not a password
    RECOVERY_USED = "recovery-code-used"
    SESSION_STOLEN = "refresh-token-reused"


@dataclass(frozen=True)
class PeopleEvent:
    """`actor` and `person` are ids of people; the person is "" while only invited."""

    number: int
    at: str
    actor: str
    action: Action
    person: str
    detail: str


def note(
    session: Session, at: str, actor: str, action: Action, person: str = "", detail: str = ""
) -> None:
    """Write an event down with the change that it tells of, both or neither."""
    row = PeopleEventRow(
        at=at, actor=actor, action=action.value, person=person, detail=detail[:200]
    )
    session.add(row)
    said = [at, actor, action.value, person, detail[:200]]
    log_statement(session, Logged.PEOPLE, digest(said), action.value)


class PeopleEvents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, after: int = 0, limit: int = 1000) -> tuple[PeopleEvent, ...]:
        """Events with a number above `after`, oldest first."""
        wanted = (
            select(PeopleEventRow)
            .where(PeopleEventRow.number > after)
            .order_by(PeopleEventRow.number)
            .limit(limit)
        )
        with self._database.read() as session:
            return tuple(map(_facts, session.scalars(wanted)))


def _facts(row: PeopleEventRow) -> PeopleEvent:
    return PeopleEvent(row.number, row.at, row.actor, Action(row.action), row.person, row.detail)
