"""The network of one process behind its real HTTP interface, and a researcher who asks it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI

from coordinator.api.app import create_app
from coordinator.api.services import ApiSettings
from coordinator.client import connect, remote
from coordinator.client.network import Network as Client
from tests.support.fake_executor import serve
from tests.support.network import RESEARCHER, Network


@dataclass
class InProcess:
    """The bridge as the web process sees it, where it is the same process."""

    network: Network

    def execute(self, run_id: str) -> None:
        self.network.execution.execute(run_id)

    def wait(self, run_id: str, timeout_seconds: float) -> bool:
        return self.network.execution.wait(run_id, timeout_seconds)

    def settle(self, timeout_seconds: float) -> None:
        self.network.execution.settle(timeout_seconds)

    def sync(self, timeout_seconds: float) -> None:
        self.network.settle()


def app_of(network: Network, settings: ApiSettings) -> FastAPI:
    """The coordinator's application over the network."""
    return create_app(
        network.store,
        InProcess(network),
        network.key,
        settings=settings,
        clock=network.clock,
        entropy=network.entropy,
    )


@contextmanager
def asked_over_http(network: Network, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A researcher connected to `network`, on the network's own clock."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return network.clock().astimezone(tz)

    patch.setattr(remote, "datetime", Now)
    network.settle()
    with serve(app_of(network, ApiSettings())) as url:
        client = connect(url, token=RESEARCHER.text)
        assert isinstance(client, Client)
        try:
            yield client
        finally:
            client.close()
