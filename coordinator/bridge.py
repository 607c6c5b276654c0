"""The bridge: the process between the coordinator's web and the nodes.

It holds the Flower link and the rounds, and writes what comes of them into the store. The web
process asks it through a socket in the coordinator's folder; if the bridge dies, the web keeps
answering and the bridge is started again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from coordinator.bridge_socket import serve
from coordinator.contact import Contact
from coordinator.courier import Courier, NodeError
from coordinator.execution import Execution
from coordinator.fleet_tls import TlsFiles
from coordinator.flower_bridge import FlowerBridge, start_bridge
from coordinator.home import Home, Settings
from coordinator.key_stock import KeyStock
from coordinator.linking import Linking
from coordinator.log import CoordinatorLog
from coordinator.mirror import Mirror
from coordinator.node_link import NodeLink
from coordinator.own_key import check_own_key
from coordinator.rounds import Rounds
from coordinator.store.store import Store
from coordinator.witnesses import Witnesses
from privacy.contract.packet import Packet
from privacy.contract.roster import Roster
from privacy.contract.signing import SigningKey
from privacy.errors import Code, Refused
from privacy.randomness import Entropy

SETTLED_SECONDS = 2.0
UNSETTLED_SECONDS = 0.25
LOOK_SECONDS = 0.1
RECONNECT_SECONDS = 8.0

_log = structlog.get_logger("cairn.bridge")


@dataclass
class FlowerCarrier:
    """The carrier of a `NodeLink` over Flower: nodes by id, errors by code."""

    courier: Courier

    def ask(
        self, packets: Mapping[str, Packet], timeout_seconds: float
    ) -> Mapping[str, Packet | Code]:
        answers = self.courier.ask(packets, timeout_seconds)
        return {
            node: answer.code if isinstance(answer, NodeError) else answer
            for node, answer in answers.items()
        }


@dataclass
class Bridge:
    """Everything of the bridge process, started and stopped together."""

    store: Store
    flower: FlowerBridge
    contact: Contact
    execution: Execution
    mirror: Mirror
    directory: Directory
    linking: Linking
    stop: threading.Event = field(default_factory=threading.Event)

    def keep_in_touch(self) -> None:
        """Greet the nodes until stopped: often while something is unsettled, else rarely."""
        while not self.stop.is_set():
            self.directory.refresh()
            try:
                unsettled = self.contact.pass_once()
            except Exception as error:  # noqa: BLE001 - the bridge's job boundary
                _log.error("greeting failed", error=type(error).__name__)
                unsettled = True
            self._rest(UNSETTLED_SECONDS if unsettled else SETTLED_SECONDS)

    def _rest(self, seconds: float) -> None:
        """Wait, but not beyond the moment when a node comes or goes."""
        there, until = self.directory.connected(), time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.stop.wait(min(left, LOOK_SECONDS)) or self.directory.connected() != there:
                return

    def sync(self, timeout_seconds: float) -> None:
        """Copy what is new at every node that can be reached."""
        nodes = tuple(sorted(self.directory.connected()))
        with self.execution.quiet(timeout_seconds):
            self.mirror.sync(nodes, timeout_seconds)

    def link_waiting(self) -> None:
        """Run linkages that were signed while there was no bridge."""
        for facts in self.store.linkages.queued():
            self.link_members(facts.digest)

    def link_members(self, session: str) -> None:
        """Run a linkage that was signed, once its nodes are there."""
        self.execution.await_nodes(self.store.linkages.get(session).session.nodes)
        self.linking.run(session)

    def close(self) -> None:
        self.stop.set()
        self.execution.close()
        self.flower.stop()
        self.store.close()


@dataclass
class Directory:
    """Who is in the roster and how to reach them; read anew from the store when asked to."""

    store: Store
    flower: FlowerBridge
    _roster: Roster | None = None
    _keys: dict[str, str] = field(default_factory=dict)
    _met: frozenset[str] = frozenset()

    def roster(self) -> Roster:
        if self._roster is None:
            self.refresh()
        if self._roster is None:
            raise Refused(Code.ROSTER_MISMATCH)
        return self._roster

    def refresh(self) -> None:
        """Take up a new roster, and let nodes in that have joined."""
        self._roster = self.store.network.roster
        for node in self.store.nodes.all():
            if node.id not in self._keys:
                self.flower.allow(node.transport_key)
                self._keys[node.id] = node.transport_key

    def locate(self, node: str) -> int | None:
        key = self._keys.get(node)
        return None if key is None else self.flower.locate(key)

    def connected(self) -> frozenset[str]:
        """Nodes of the roster that hold a link now."""
        contacts = self.flower.nodes()
        names = self.roster().keys
        return frozenset(
            node
            for node, key in self._keys.items()
            if node in names and key in contacts and contacts[key].online
        )

    def await_nodes(self, nodes: Collection[str]) -> None:
        """Give nodes not met since this process started a moment to find it again."""
        until = time.monotonic() + RECONNECT_SECONDS
        while not set(nodes) <= self._met and time.monotonic() < until:
            self._met |= self.connected()
            if not set(nodes) <= self._met:
                time.sleep(LOOK_SECONDS)


def build(
    home: Home, settings: Settings, *, entropy: Entropy, clock: Callable[[], datetime]
) -> Bridge:
    """Put the bridge together and start listening for nodes."""
    store = Store.open(home.database_url(settings))
    key = check_own_key(home, store)
    tls = TlsFiles(home.tls / "server.crt", home.tls / "server.key")
    keys = [node.transport_key for node in store.nodes.all()]
    flower = start_bridge(
        settings.fleet_host, settings.fleet_port, tls, keys, state_dir=home.root / "flower"
    )
    directory = Directory(store, flower)
    directory.refresh()
    carrier = FlowerCarrier(Courier(flower.grid, directory.locate))
    changes = store.network.key_changes
    link = NodeLink(carrier, key, directory.roster, entropy, clock, changes)
    return assemble(store, flower, directory, link, key, settings.timeout_seconds, clock)


def assemble(
    store: Store,
    flower: FlowerBridge,
    directory: Directory,
    link: NodeLink,
    key: SigningKey,
    timeout_seconds: float,
    clock: Callable[[], datetime],
) -> Bridge:
    stock = KeyStock(link, _in_background)
    mirror = Mirror(store, link, key, directory.roster, clock)
    rounds = Rounds(link, stock, directory.roster, timeout_seconds)
    execution = Execution(store, rounds, mirror, key, clock, directory.await_nodes)
    log = CoordinatorLog(store.log, key, store.network.id)
    witnesses = Witnesses(store, link, log, directory.roster)
    contact = Contact(
        store,
        link,
        stock,
        mirror,
        directory.roster,
        directory.connected,
        clock,
        key.public,
        witnesses,
    )
    linking = Linking(store, link, directory.roster, clock)
    return Bridge(store, flower, contact, execution, mirror, directory, linking)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="keys", daemon=True).start()


def run(root: Path, entropy: Entropy) -> None:
    """The bridge process: serves until SIGTERM or SIGINT."""
    home = Home(root)
    bridge = build(home, home.settings(), entropy=entropy, clock=lambda: datetime.now(UTC))
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: bridge.stop.set())
    bridge.execution.resume()
    threading.Thread(target=bridge.link_waiting, name="linkage", daemon=True).start()
    threading.Thread(target=bridge.keep_in_touch, name="contact", daemon=True).start()
    with serve(home.socket_file, bridge.execution, bridge.sync, bridge.link_members):
        bridge.stop.wait()
    bridge.close()
