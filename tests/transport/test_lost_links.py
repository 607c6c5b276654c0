"""A node whose link is lost again and again keeps all its workers for what comes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import pytest

from node import flower_agent
from node.fleet_link import LinkLost
from node.flower_agent import FlowerAgent
from node.transport_key import new_transport_key

# isort: split
from flwr.clientapp import ClientApp

WORKERS = 2


class Losing:
    """A link that is lost at every poll, more often than there are workers; then all is over."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop, self.polls, self.heartbeats = stop, 0, 0

    def __call__(self, *_: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def activate(self) -> None: ...

    def deactivate(self) -> None: ...

    def heartbeat(self) -> None:
        self.heartbeats += 1
        self.stop.set()

    def pull(self) -> None:
        self.polls += 1
        if self.polls > 2 * WORKERS:
            self.stop.set()
            return
        raise LinkLost("pull-messages: ReadTimeout")


def test_a_link_lost_at_a_poll_takes_no_worker_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    link = Losing(stop)
    monkeypatch.setattr(flower_agent, "FleetLink", link)
    for name in ("FIRST_WAIT_SECONDS", "LONGEST_WAIT_SECONDS", "BUSY_HEARTBEAT_SECONDS"):
        monkeypatch.setattr(flower_agent, name, 0.01)
    FlowerAgent("-", Path("-"), new_transport_key(), ClientApp(), WORKERS).run(stop)
    assert (link.polls, link.heartbeats) == (2 * WORKERS + 1, 0)
