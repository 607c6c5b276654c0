"""The running processes of a network on one machine: a coordinator and the nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.prepared import Prepared
from privacy.errors import BadInput

_SETTLED = ("online", "paused", "left")
READY_SECONDS = 180.0
STOP_SECONDS = 15.0
RESTART_SECONDS = 0.5


@dataclass
class Process:
    """One child process, started again when it dies unless it is being stopped."""

    command: list[str]
    log: Path
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def ended(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def stop(self) -> None:
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@dataclass
class Network:
    """The running processes of a prepared network."""

    prepared: Prepared
    coordinator: Process
    nodes: dict[str, Process]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    @property
    def pids(self) -> list[int]:
        """Every process of the network: the coordinator, its bridge, the nodes."""
        web = self.coordinator.pid
        return [web, *_children(web), *(process.pid for process in self.nodes.values())]

    def start(self) -> None:
        for process in (self.coordinator, *self.nodes.values()):
            process.start()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        """Start a process again that died, as a service manager would."""
        while not self._stopping.wait(RESTART_SECONDS):
            for process in (self.coordinator, *self.nodes.values()):
                if process.ended() and not self._stopping.is_set():
                    process.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join(5.0)
        everyone = [self.coordinator, *self.nodes.values()]
        with ThreadPoolExecutor(len(everyone)) as pool:
            list(pool.map(Process.stop, everyone))

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until every node is online, has its roster in force and its approvals are known.

        In a network that is taken up again, organisations may have refused, paused or left
        meanwhile: there nobody has to approve anything.
        """
        until = time.monotonic() + seconds
        bearer = self.prepared.tokens.admin.bearer
        headers = {"Authorization": f"Bearer {bearer}"}
        with httpx.Client(base_url=self.prepared.url, headers=headers, timeout=5.0) as client:
            while not self._is_ready(client):
                if time.monotonic() > until:
                    raise BadInput(
                        "the network did not become ready",
                        instead="run it with --state FOLDER and read FOLDER/logs",
                    )
                time.sleep(0.05)

    def _is_ready(self, client: httpx.Client) -> bool:
        try:
            nodes = client.get("/v1/nodes").raise_for_status().json()["nodes"]
            studies = client.get("/v1/studies").raise_for_status().json()["studies"]
        except httpx.HTTPError:
            return False
        if self.prepared.resumed:
            return all(node["state"] in _SETTLED for node in nodes)
        online = all(node["state"] == "online" for node in nodes)
        everywhere = all(len(study["approved_by"]) == len(nodes) for study in studies)
        return online and everywhere and len(nodes) == len(self.nodes)


def _children(pid: int) -> list[int]:
    """A process' children, where the system tells (Linux)."""
    children: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            children.update(map(int, path.read_text("ascii").split()))
    return sorted(children)


def start(prepared: Prepared) -> Network:
    """Start every process; returns at once (see `Network.wait_ready`)."""
    logs = prepared.home.root.parent / "logs"
    logs.mkdir(exist_ok=True)
    coordinator = Process(_command("coordinator", prepared.home.root), logs / "coordinator.log")
    nodes = {
        node.organisation.id: Process(
            _command("node", node.home.root), logs / f"{node.organisation.id}.log"
        )
        for node in prepared.nodes
    }
    network = Network(prepared, coordinator, nodes)
    network.start()
    return network


def _command(role: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "deploy.child", role, str(folder), str(os.getpid())]


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    yield stop
