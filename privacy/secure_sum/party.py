"""A node in its group, and the peers whose adverts it has verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privacy.contract.signing import PublicKey, SigningKey
from privacy.secure_sum.channel import Channel
from privacy.secure_sum.checks import Group
from privacy.secure_sum.messages import KeyAdvert


@dataclass(frozen=True)
class Member:
    """The node itself: its name, its identity key (which does not print) and its group."""

    node: str
    key: SigningKey
    group: Group

    @property
    def position(self) -> int:
        return self.group.participants.index(self.node)

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(name for name in self.group.participants if name != self.node)


@dataclass(frozen=True)
class Peer:
    """A peer whose advert was verified, and the channel to it."""

    advert: KeyAdvert
    channel: Channel


@dataclass(frozen=True)
class Peers:
    """All verified peers by name, and every participant's pinned identity key."""

    by_name: Mapping[str, Peer]
    keys: Mapping[str, PublicKey]
