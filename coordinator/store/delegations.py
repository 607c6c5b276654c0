"""Delegations that researchers registered for their browser: signed, so nothing of them is
secret."""

from __future__ import annotations

import json

from sqlalchemy import select

from coordinator.store.database import Database
from coordinator.store.tables import DelegationRow
from privacy.contract.canonical import canonical_bytes
from privacy.contract.signing import Envelope


class Delegations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, principal: str, study_digest: str, envelope: Envelope, at: str) -> None:
        """Store one; the newest of a person and study version counts."""
        with self._database.write() as session:
            session.add(
                DelegationRow(
                    principal=principal,
                    study_digest=study_digest,
                    envelope=canonical_bytes(envelope.to_json()),
                    added=at,
                )
            )

    def newest(self, principal: str, study_digest: str) -> Envelope | None:
        """The newest of a person for a study version, whether it still holds or not."""
        wanted = (
            select(DelegationRow.envelope)
            .where(DelegationRow.principal == principal, DelegationRow.study_digest == study_digest)
            .order_by(DelegationRow.place.desc())
            .limit(1)
        )
        with self._database.read() as session:
            found = session.scalars(wanted).first()
        return None if found is None else Envelope.from_json(json.loads(found))
