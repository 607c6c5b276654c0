"""The roster: who takes part in the network, in one signed and pinned list.

Joining or leaving is a new epoch. A node pins the roster by digest and the peers by the
fingerprints that its steward compared out of band; a coordinator cannot slip in a peer.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from privacy.contract.facts import Fact
from privacy.contract.signing import FormerKey, PublicKey

_NODE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Former(Fact):
    """A key that a node had: it signed checkpoints of up to `until` entries of its ledger."""

    key: str
    until: Annotated[int, Field(ge=0, lt=2**53)]


class RosterNode(Fact):
    """One organisation's node: its name, identity key and transport key, and the keys it had."""

    id: str
    name: str
    key: str  # Ed25519 identity, base64
    transport_key: str  # the transport's public key, base64: carries messages, signs nothing
    # A body that was parsed already brings a list here, so the tuple alone is not strict.
    former: Annotated[tuple[Former, ...], Field(max_length=256, strict=False)] = ()

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not _NODE_ID.fullmatch(value):
            raise ValueError("a node id has lower-case letters, digits and hyphens")
        return value

    @cached_property
    def public(self) -> PublicKey:
        own = PublicKey.from_text(self.key)
        had = [FormerKey(PublicKey.from_text(each.key), each.until) for each in self.former]
        return PublicKey(own.raw, tuple(had))


class Roster(Fact):
    """All nodes of a network in one epoch, sorted by id."""

    network: str
    epoch: int
    nodes: tuple[RosterNode, ...]

    @model_validator(mode="after")
    def _sorted_and_distinct(self) -> Self:
        ids = [node.id for node in self.nodes]
        if ids != sorted(set(ids)):
            raise ValueError("nodes are sorted by id and distinct")
        if len({node.key for node in self.nodes}) != len(ids):
            raise ValueError("two nodes share an identity key")
        return self

    @cached_property
    def keys(self) -> dict[str, PublicKey]:
        """Identity key of every node by id."""
        return {node.id: node.public for node in self.nodes}
