"""Shutting a person out: here at once, and at the nodes by a signed list of revoked keys."""

from __future__ import annotations

from collections.abc import Collection

from coordinator.store.events import OPERATOR
from coordinator.store.store import Store
from privacy.contract.revocation import Revocation
from privacy.contract.signing import Envelope, SigningKey


def revoke(
    store: Store, key: SigningKey, person: str, at: str, *, by: str = OPERATOR
) -> Revocation | None:
    """Revoke a person for good: credential, sessions and signing key.

    Nodes are offered the list at their next contact. Returns it, or None while no key is on it;
    raises Refused(NOT_FOUND) for nobody of this id.
    """
    store.people.revoke(person, at, by)
    store.sessions.end_all(person, at)
    return list_revoked(store, key)


def list_revoked(
    store: Store, key: SigningKey, delegations: Collection[str] = ()
) -> Revocation | None:
    """Sign a new list if there are revoked keys, or `delegations`, that the newest lacks."""
    return store.people.list_revoked(
        store.network.id,
        lambda made: Envelope.seal("revocation", made.to_json(), key),
        delegations,
    )
