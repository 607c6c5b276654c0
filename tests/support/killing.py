"""Things that happen to a network at a named message, for stories of interrupted runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from privacy.contract.messages import Ask
from privacy.contract.packet import Packet


class Killed(BaseException):
    """The coordinator's process is gone; nothing in it gets to handle that."""


@dataclass
class When:
    """Calls `do` when the given message is about to leave for the `nth` time (from 1).

    `round_` limits it to messages about an attempt of that round. What `do` returns goes on.
    """

    ask: Ask
    do: Callable[[Packet], Packet | None]
    nth: int = 1
    node: str | None = None
    round_: int | None = None

    def __call__(self, node: str, ask: Ask, packet: Packet) -> Packet | None:
        if ask is not self.ask or self.node not in (None, node):
            return packet
        if self.round_ is not None and payload(packet)["attempt"]["round"] != self.round_:
            return packet
        self.nth -= 1
        return self.do(packet) if self.nth == 0 else packet


def payload(packet: Packet) -> dict[str, Any]:
    """What a request asks."""
    return dict(json.loads(packet.header)["body"]["payload"])


def kill(_packet: Packet) -> Packet | None:
    raise Killed


def lose(_packet: Packet) -> Packet | None:
    return None
