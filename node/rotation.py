"""A node takes new keys: identity and transport, told to the coordinator and its own ledger.

The old key signs the new one, for a place in the ledger: up to there the old key's checkpoints
count, from there on the new one's. Peers go on by the next roster, whose fingerprints their
stewards compare. The node is stopped meanwhile; interrupted, the same command goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from node.home import Home, write_private
from node.joining import redeem
from node.ledger_store import LedgerStore
from node.setup import Clock, open_ledger
from node.transport_key import (
    load_transport_key,
    new_transport_key,
    public_text,
    save_transport_key,
)
from privacy.contract.canonical import b64, unb64
from privacy.contract.roster import RosterNode
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.coordinators import coordinator_of
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.randomness import Entropy


def rotate_keys(
    home: Home, invite: dict[str, str], *, by: str, reason: str, entropy: Entropy, clock: Clock
) -> str:
    """Take new keys with an invitation of the network's coordinator; the new fingerprint.

    Raises BadInput for an invitation that does not count and Refused(LEDGER_STOPPED) for a restored
    ledger that has not taken back what it lost, with everything as it was.
    """
    settings = home.settings()
    if invite["network"] != settings.network:
        raise BadInput("the invitation is of another network", instead="ask for a new one")
    key, transport = _next_keys(home, entropy)
    ledger = _opened(home, key, clock)
    try:
        if invite["coordinator_key"] != coordinator_of(ledger.state, settings.coordinator).text:
            raise BadInput("the invitation is by another key", instead="ask for a new one")
        if ledger.state.key != key.public.text:
            ledger.check_begun()  # before the coordinator is told
            old = home.identity()
            place = (settings.network, settings.node, ledger.size)
            body = NodeKeyChanged.of(old, key, place, by=by, reason=reason)
            redeem(invite, _roster_node(home, key, transport), body.to_json())
            ledger.change_key(body, key)
    finally:
        ledger.close()
    _next_transport(home).replace(home.transport_file)
    _next_identity(home).replace(home.identity_file)
    return key.public.fingerprint


def _opened(home: Home, key: SigningKey, clock: Clock) -> LedgerStore:
    """The ledger, under the old key or, where an earlier attempt came so far, the new one."""
    try:
        return open_ledger(home, clock)
    except VerificationFailed:
        return LedgerStore.open(home.ledger_file, key, clock)


def _roster_node(home: Home, key: SigningKey, transport: EllipticCurvePrivateKey) -> dict[str, Any]:
    settings = home.settings()
    return RosterNode(
        id=settings.node,
        name=settings.name,
        key=key.public.text,
        transport_key=public_text(transport),
    ).to_json()


def _next_keys(home: Home, entropy: Entropy) -> tuple[SigningKey, EllipticCurvePrivateKey]:
    """The keys to come: made once, and found again by a second attempt."""
    identity, transport = _next_identity(home), _next_transport(home)
    if not identity.exists():
        secret = SigningKey(entropy(32)).secret_bytes()
        write_private(identity, b64(secret).encode() + b"\n")
    if not transport.exists():
        save_transport_key(new_transport_key(), transport)
    key = SigningKey(unb64(identity.read_text("ascii").strip()))
    return key, load_transport_key(transport)


def _next_identity(home: Home) -> Path:
    return home.identity_file.with_name("next-identity.key")


def _next_transport(home: Home) -> Path:
    return home.transport_file.with_name("next-transport.pem")
