"""Stewards with keys, for tests: made from their names, joined at a node."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from node.steward_keys import read_key_file
from privacy.contract.canonical import Json
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.ledger.steward_entry import Signed, StewardInvited, StewardJoined
from tests.support.ledger_factory import signing_key
from tests.support.network import Node


def said(node: Node, key: SigningKey, word: Json) -> Signed:
    """A word signed for this node at this moment."""
    return Signed.of(key, node.service.node, "test", instant_text(node.clock()), word)


def open_period(node: Node, key: SigningKey | None = None) -> None:
    """Open the next year, signed by `key`, or by the one that was made with the node."""
    word = node.steward.next_period()
    signer = read_key_file(node.home.steward_file) if key is None else key
    node.steward.open_period(word["starts"], said(node, signer, word))


def invitation(node: Node, name: str, by: str = "steward", **more: Any) -> StewardInvited:
    """An invitation of `name` for a week, whose secret is made from the name."""
    return StewardInvited(
        name=name,
        invitation=signing_key(f"invitation of {name}").public.text,
        expires=instant_text(node.clock() + timedelta(days=7)),
        by=by,
        reason="",
        **more,
    )


def join_stewards(node: Node, *names: str) -> list[SigningKey]:
    """The first by itself, every other invited by the first; their keys."""
    keys: list[SigningKey] = []
    for name in names:
        body = invitation(node, name, names[0])
        signed = said(node, keys[0], body.word) if keys else None
        node.service.ledger.append(body.model_copy(update={"signed": signed}))
        keys.append(signing_key(f"steward {name}"))
        joined = StewardJoined.of(signing_key(f"invitation of {name}"), keys[-1])
        node.service.ledger.append(joined)
    return keys
