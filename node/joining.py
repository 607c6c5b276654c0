"""Joining a network with the one file that its coordinator sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from node.home import Home, Settings
from node.policy_file import read_policy
from node.setup import Clock, begin_ledger, create, undo
from privacy.contract.dictionary import Dictionary
from privacy.contract.policy import Policy
from privacy.errors import BadInput, Code
from privacy.randomness import Entropy

_FIELDS = {"network", "url", "fleet_address", "ca", "coordinator_key", "code", "name"}
TIMEOUT_SECONDS = 30.0
_WHY = {
    Code.NOT_PERMITTED: (
        "it is unknown, was used before, has run out, or is for something else",
        "ask the coordinator for a new one",
    ),
    Code.CONFLICT: (
        "the network has a node with this name or key already",
        "ask for one under another name; to take new keys, run `cairn-node rotate-key`",
    ),
    Code.RATE_LIMITED: ("too many were tried from here", "wait some minutes and try again"),
}


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
    max_drop: int = 0,
    policy_text: str = "",
    entropy: Entropy,
    clock: Clock,
) -> str:
    """Create the node, redeem the invitation and begin the ledger; returns the fingerprint.

    Whatever is wrong is said before the invitation is redeemed, for it works once. The text of
    a policy.toml, where there is one, goes before `yearly_epsilon` and `max_drop`.
    """
    settings = Settings(
        node=node_id_of(invite["name"]),
        name=invite["name"],
        network=invite["network"],
        coordinator_url=invite["url"],
        coordinator_key=invite["coordinator_key"],
        fleet_address=invite["fleet_address"],
    )
    delta, dictionary = _read_network(invite)
    if policy_text:
        policy = read_policy(policy_text, "policy.toml", delta)
    else:
        policy = _policy(yearly_epsilon, delta, max_drop)
    entry = create(home, settings, invite["ca"], entropy=entropy)
    try:
        redeem(invite, entry.to_json())
    except BadInput:
        undo(home)
        raise
    begin_ledger(home, settings, policy, dictionary, by="steward", clock=clock)
    return home.identity().public.fingerprint


def _policy(yearly_epsilon: str, delta: str, max_drop: int) -> Policy:
    if max_drop < 0:
        raise BadInput("max-drop is at least 0")
    policy = Policy(yearly_epsilon=yearly_epsilon, delta=delta, max_drop=max_drop)
    try:
        _ = policy.yearly_rho
    except BadInput as error:
        raise BadInput(error.what, where="yearly-epsilon", instead=error.instead) from None
    return policy


def _read_network(invite: dict[str, str]) -> tuple[str, Dictionary]:
    """The network's delta and dictionary, from the coordinator that the invitation names."""
    try:
        with httpx.Client(base_url=invite["url"], timeout=TIMEOUT_SECONDS) as client:
            network = client.get("/v1/network").raise_for_status().json()
            dictionary = client.get("/v1/network/dictionary").raise_for_status().json()
    except httpx.HTTPError:
        raise BadInput("the coordinator does not answer", where=invite["url"]) from None
    if network["coordinator_key"] != invite["coordinator_key"]:
        raise BadInput("the coordinator's key is not the invitation's", where=invite["url"])
    return str(network["delta"]), Dictionary.from_json(dictionary)


def redeem(
    invite: dict[str, str], node: dict[str, Any], change: dict[str, Any] | None = None
) -> None:
    """Join as `node`; one that is known brings the `change` of its key. Raises BadInput."""
    body = {"code": invite["code"], "node": node, **({} if change is None else {"change": change})}
    try:
        answer = httpx.post(f"{invite['url']}/v1/join", json=body, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError:
        raise BadInput("the coordinator does not answer", where=invite["url"]) from None
    if not answer.is_success:
        raise _not_accepted(answer)


def _not_accepted(answer: httpx.Response) -> BadInput:
    """Why, in the coordinator's code and in words that fit an invitation."""
    try:
        said = answer.json()
        code, title = Code(said["code"]), str(said["title"])[:200]
    except (ValueError, KeyError, TypeError):
        why = f"the answer was {answer.status_code}, of something else than a coordinator"
        return BadInput(f"the invitation was not accepted: {why}", where=str(answer.url))
    why, instead = _WHY.get(code, (title.rstrip("."), "ask the coordinator's operator"))
    return BadInput(f"the invitation was not accepted: {why} [{code.value}]", instead=instead)
