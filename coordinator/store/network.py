"""The network's documents: id, δ, dictionary and roster."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from sqlalchemy import select

from coordinator.store.database import Database
from coordinator.store.log import log_statement
from coordinator.store.tables import DocumentRow
from privacy.accounting.conversion import DEFAULT_DELTA
from privacy.contract.canonical import canonical_bytes, parse_canonical, parse_rational, rational
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.dictionary import Dictionary
from privacy.contract.revocation import Revocation
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused
from privacy.log import Logged


class NetworkDocuments:
    """Named documents. A document that is not there raises Refused(NOT_FOUND)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[str, Dictionary] = {}  # by digest: they stay what they are

    def get(self, name: str) -> Any | None:
        with self._database.read() as session:
            row = session.get(DocumentRow, name)
            return None if row is None else parse_canonical(row.value)

    def put(self, name: str, value: Any) -> None:
        with self._database.write() as session:
            session.merge(DocumentRow(name=name, value=canonical_bytes(value)))

    def _put_logged(self, names: tuple[str, ...], value: Any, kind: Logged, digest: str) -> None:
        with self._database.write() as session:
            for name in names:
                session.merge(DocumentRow(name=name, value=canonical_bytes(value)))
            log_statement(session, kind, digest, names[0])

    def _need(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise Refused(Code.NOT_FOUND, document=name)
        return value

    @property
    def id(self) -> str:
        return str(self._need("id"))

    @property
    def delta(self) -> Fraction:
        value = self.get("delta")
        return DEFAULT_DELTA if value is None else parse_rational(value)

    def describe(self, network_id: str, delta: Fraction) -> None:
        """Name the network and fix its δ."""
        self.put("id", network_id)
        self.put("delta", rational(delta))

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary in force."""
        return Dictionary.from_json(self._need("dictionary"))

    @property
    def dictionaries(self) -> tuple[Dictionary, ...]:
        """Every version there ever was: studies and plans name theirs by digest."""
        with self._database.read() as session:
            names = session.scalars(
                select(DocumentRow.name)
                .where(DocumentRow.name.startswith("dictionary-"))
                .order_by(DocumentRow.name)
            ).all()
        return tuple(Dictionary.from_json(self._need(name)) for name in names)

    def put_dictionary(self, dictionary: Dictionary) -> None:
        """Put a dictionary in force; earlier versions stay readable by digest."""
        names = (f"dictionary-{dictionary.digest[:40]}", "dictionary")
        self._put_logged(names, dictionary.to_json(), Logged.DICTIONARY, dictionary.digest)

    def dictionary_version(self, digest: str) -> Dictionary:
        """The dictionary that a study names."""
        if digest not in self._versions:
            found = Dictionary.from_json(self._need(f"dictionary-{digest[:40]}"))
            if found.digest != digest:
                raise Refused(Code.NOT_FOUND, document="dictionary")
            self._versions[digest] = found
        return self._versions[digest]

    @property
    def roster_envelope(self) -> Envelope:
        return Envelope.from_json(self._need("roster"))

    @property
    def roster(self) -> Roster:
        """The roster in force, as this coordinator signed it."""
        return Roster.from_json(parse_canonical(self.roster_envelope.body))

    def put_roster(self, envelope: Envelope) -> None:
        """Put a roster in force; earlier epochs are kept for the audit."""
        roster = Roster.from_json(parse_canonical(envelope.body))
        names = (f"roster-{roster.epoch:012d}", "roster")
        self._put_logged(names, envelope.to_json(), Logged.ROSTER, roster.digest)

    @property
    def revocation_envelope(self) -> Envelope | None:
        """The newest list of revoked keys, if any key was ever revoked."""
        value = self.get("revocation")
        return None if value is None else Envelope.from_json(value)

    def revocations(self) -> tuple[Envelope, ...]:
        """Every list of revoked keys, oldest first."""
        return self._series("revocation-")

    def key_changes(self) -> tuple[CoordinatorKey, ...]:
        """Every change of the coordinator's own key, oldest first."""
        found = self._values("key-change-")
        return tuple(CoordinatorKey.from_json(parse_canonical(value)) for value in found)

    def put_key_change(self, change: CoordinatorKey) -> None:
        """Enter a change of the coordinator's key as the line of the log that it names.

        Raises Refused(CONFLICT) where that line is taken.
        """
        with self._database.write() as session:
            name = f"key-change-{change.number:012d}"
            if session.get(DocumentRow, name) is not None:
                raise Refused(Code.CONFLICT, what="number")
            session.add(DocumentRow(name=name, value=canonical_bytes(change.to_json())))
            said = change.new_key.fingerprint
            if log_statement(session, Logged.KEY, change.digest, said) != change.until:
                raise Refused(Code.CONFLICT, what="line of the log")

    def rosters(self) -> tuple[Envelope, ...]:
        """The roster of every epoch, oldest first."""
        return self._series("roster-")

    def _series(self, prefix: str) -> tuple[Envelope, ...]:
        return tuple(Envelope.from_bytes(value) for value in self._values(prefix))

    def _values(self, prefix: str) -> tuple[bytes, ...]:
        wanted = select(DocumentRow.value).where(DocumentRow.name.startswith(prefix))
        with self._database.read() as session:
            return tuple(session.scalars(wanted.order_by(DocumentRow.name)))


def revoked_in(envelope: Envelope) -> frozenset[str]:
    """The keys and delegations on a list that this coordinator signed."""
    return Revocation.from_json(parse_canonical(envelope.body)).everything
