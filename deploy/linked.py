"""Linking the members of a network on one machine, as its coordinator's operator does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

from coordinator.bridge_socket import BridgeSocket
from coordinator.linking import new_session
from coordinator.store.facts import LinkageState
from coordinator.store.store import Store
from deploy.network import Network
from deploy.prepared import utc_now
from privacy.errors import Code, Refused

DAYS = 90
PATIENCE_SECONDS = 300.0


def link_members(network: Network, fields: Sequence[str]) -> str:
    """Link the members of all its organisations; returns the session's digest.

    Raises Refused with the code of what it came to nothing for.
    """
    home = network.prepared.home
    store = Store.open(home.database_url(home.settings()))
    try:
        now = utc_now()
        envelope = new_session(
            store,
            home.identity(),
            tuple(network.nodes),
            tuple(fields),
            (now + timedelta(days=DAYS)).date(),
            now=now,
            entropy=os.urandom,
        )
        BridgeSocket(home.socket_file, store).link(envelope.digest, PATIENCE_SECONDS)
        facts = store.linkages.get(envelope.digest)
    finally:
        store.close()
    if facts.state is not LinkageState.LINKED:
        raise Refused(Code(facts.code or Code.NODE_OFFLINE.value))
    return facts.digest
