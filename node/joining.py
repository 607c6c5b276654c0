"""Joining a network with the one file that its coordinator sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from node.home import Home, Settings
from node.setup import Clock, begin_ledger, create
from privacy.contract.dictionary import Dictionary
from privacy.contract.study import Policy
from privacy.errors import BadInput
from privacy.randomness import Entropy

_FIELDS = {"network", "url", "fleet_address", "ca", "coordinator_key", "code", "name"}
TIMEOUT_SECONDS = 30.0


def read_invite(path: Path) -> dict[str, str]:
    """The invite file's fields; raises BadInput naming the file."""
    try:
        invite = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise BadInput("not an invite file", where=str(path)) from None
    if not isinstance(invite, dict) or set(invite) != _FIELDS:
        raise BadInput("not an invite file", where=str(path), instead="ask for a new one")
    return {name: str(value) for name, value in invite.items()}


def node_id_of(name: str) -> str:
    """An organisation's name as a node id: lower-case letters, digits and hyphens."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")
    if not cleaned:
        raise BadInput("the name has no letter or digit", where=name)
    return cleaned


def join(
    home: Home,
    invite: dict[str, str],
    yearly_epsilon: str,
    *,
    entropy: Entropy,
    clock: Clock,
) -> str:
    """Create the node, redeem the invitation and begin the ledger; returns the fingerprint."""
    settings = Settings(
        node=node_id_of(invite["name"]),
        name=invite["name"],
        network=invite["network"],
        coordinator_url=invite["url"],
        coordinator_key=invite["coordinator_key"],
        fleet_address=invite["fleet_address"],
    )
    entry = create(home, settings, invite["ca"], entropy=entropy)
    network = _redeem(invite, entry.to_json())
    policy = Policy(yearly_epsilon=yearly_epsilon, delta=str(network["delta"]))
    dictionary = Dictionary.from_json(network["dictionary"])
    begin_ledger(home, settings, policy, dictionary, by="steward", clock=clock)
    return home.identity().public.fingerprint


def _redeem(invite: dict[str, str], node: dict[str, Any]) -> dict[str, Any]:
    body = {"code": invite["code"], "node": node}
    try:
        answer = httpx.post(f"{invite['url']}/v1/join", json=body, timeout=TIMEOUT_SECONDS)
        network = httpx.get(f"{invite['url']}/v1/network", timeout=TIMEOUT_SECONDS)
    except httpx.TransportError:
        raise BadInput("the coordinator does not answer", where=invite["url"]) from None
    if not answer.is_success:
        raise BadInput(
            "the invitation was not accepted", instead="ask the coordinator for a new one"
        )
    return dict(network.raise_for_status().json())
