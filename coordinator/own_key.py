"""The coordinator's own key: how it changes, and what it signed before.

A change is one line of the log and one document; the key file is put in place after it, so that
the same command goes on where it was cut off. What former keys signed stays as it was signed, for
auditors; to nodes and clients the coordinator says it again under the key in force.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from coordinator.home import Home
from coordinator.store.store import Store
from privacy.contract.canonical import b64, parse_canonical, unb64
from privacy.contract.coordinator_key import CoordinatorKey, key_after
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study_life import Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.randomness import Entropy


def key_in_force(store: Store) -> PublicKey:
    """The key that the log says is in force, with those before it."""
    return key_after(store.network.key_changes(), store.network.roster_envelope.key)


def check_own_key(home: Home, store: Store) -> SigningKey:
    """The key in the folder; raises BadInput unless it is the one in force."""
    key = home.identity()
    if key.public != key_in_force(store):
        raise BadInput(
            "is not the key in force",
            where=str(home.identity_file),
            instead="run `cairn-coordinator rotate-key` again: it was cut off",
        )
    return key


def rotate_key(
    home: Home, store: Store, *, lost: bool, reason: str, entropy: Entropy, now: datetime
) -> CoordinatorKey:
    """Take a new key, signed by the old one unless that is `lost` or stolen; the change.

    The coordinator is stopped meanwhile. Called again, it goes on where it was cut off.
    """
    changes = store.network.key_changes()
    key, next_file = _next_key(home, entropy), _next_file(home)
    if not changes or changes[-1].new != key.public.text:
        old = key_in_force(store) if lost else check_own_key(home, store)
        place = (store.network.id, len(changes) + 1, store.log.size())
        change = CoordinatorKey.of(old, key, place, at=instant_text(now), reason=reason)
        store.network.put_key_change(change)
        changes = (*changes, change)
    next_file.replace(home.identity_file)
    return changes[-1]


def said_now(step: Envelope, key: SigningKey) -> Envelope:
    """A study's step; the coordinator's own, under the key in force."""
    said = StudyStep.from_json(parse_canonical(step.body))
    return step.resaid(key) if said.signer is Signer.COORDINATOR else step


def _next_file(home: Home) -> Path:
    return home.identity_file.with_name("next-identity.key")


def _next_key(home: Home, entropy: Entropy) -> SigningKey:
    """The key to come: made once, and found again by a second attempt."""
    path = _next_file(home)
    if not path.exists():
        made = path.with_name(path.name + ".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(made, flags, 0o600), "w", encoding="ascii") as file:
            file.write(b64(SigningKey(entropy(32)).secret_bytes()) + "\n")
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    return SigningKey(unb64(path.read_text("ascii").strip()))
