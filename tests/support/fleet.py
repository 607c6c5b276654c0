"""A whole link on loopback: authority, bridge and node processes or threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from coordinator.courier import Courier
from coordinator.fleet_door import Limits
from coordinator.fleet_tls import (
    TlsFiles,
    authority_files,
    create_authority,
    issue_server_certificate,
)
from coordinator.flower_bridge import FlowerBridge, start_bridge
from node.fleet_link import FleetLink
from node.flower_agent import FlowerAgent
from node.flower_app import build_client_app, each
from node.transport_key import new_transport_key, public_text, save_transport_key
from privacy.contract.packet import Packet
from tests.support.echo_node import echo

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Fleet:
    """Names, keys and certificates of one test network."""

    directory: Path
    names: Sequence[str]
    tls: TlsFiles
    keys: dict[str, EllipticCurvePrivateKey] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, names: Sequence[str]) -> Fleet:
        now = datetime.now(UTC)
        create_authority(directory, "test", now)
        tls = issue_server_certificate(directory, ["localhost", "127.0.0.1"], now)
        fleet = cls(directory, names, tls, {name: new_transport_key() for name in names})
        for name, key in fleet.keys.items():
            save_transport_key(key, fleet.key_file(name))
        return fleet

    @property
    def ca(self) -> Path:
        return authority_files(self.directory).certificate

    def key_file(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def public(self, name: str) -> str:
        return public_text(self.keys[name])

    def bridge(self, port: int = 0, limits: Limits | None = None) -> FlowerBridge:
        keys = [self.public(name) for name in self.names]
        return start_bridge("127.0.0.1", port, self.tls, keys, limits=limits)

    def courier(self, bridge: FlowerBridge) -> Courier:
        return Courier(bridge.grid, lambda name: bridge.locate(self.public(name)))

    def link(self, name: str, port: int) -> FleetLink:
        """A node's bare connection."""
        return FleetLink(f"127.0.0.1:{port}", self.ca, self.keys[name])

    def process(self, name: str, port: int) -> subprocess.Popen[bytes]:
        """A node in a process of its own."""
        words = [f"127.0.0.1:{port}", str(self.ca), str(self.key_file(name))]
        command = [sys.executable, "-m", "tests.support.echo_node", *words]
        return subprocess.Popen(command, cwd=ROOT)

    @contextmanager
    def threads(
        self, port: int, handle: Callable[[Packet], Packet] = echo, names: Sequence[str] = ()
    ) -> Iterator[threading.Event]:
        """Nodes as threads; yields the event that stops them."""
        stop = threading.Event()
        running = []
        for name in names or self.names:
            app = build_client_app(each(handle))
            agent = FlowerAgent(f"127.0.0.1:{port}", self.ca, self.keys[name], app)
            running.append(threading.Thread(target=agent.run, args=(stop,), daemon=True))
            running[-1].start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in running:
                thread.join(10)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition; fails the test when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def all_online(bridge: FlowerBridge, count: int) -> Callable[[], bool]:
    return lambda: len(bridge.grid.get_node_ids()) == count
