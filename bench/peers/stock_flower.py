"""A stock Flower network on this machine: one SuperLink, three SuperNodes, TLS between them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coordinator.fleet_tls import create_authority, issue_server_certificate
from deploy.ports import free_port

APP = Path(__file__).parent / "fedavg"
BIN = Path(sys.executable).parent
PATIENCE = 240.0


@dataclass(frozen=True)
class StockFlower:
    """Running processes, and the folder that they keep their state in."""

    folder: Path
    environment: dict[str, str]

    def fit(self, covariates: int, rounds: int, epochs: int) -> tuple[float, list[float]]:
        """Seconds of one run from `flwr run` to its weights, and the weights."""
        out = self.folder / f"weights-{time.monotonic_ns()}.json"
        config = f'rounds={rounds} epochs={epochs} covariates={covariates} out="{out}"'
        began = time.perf_counter()
        subprocess.run(
            [str(BIN / "flwr"), "run", str(APP), "dep", "-c", config],
            check=True,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        while not (out.exists() and out.stat().st_size):
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError("the run did not end")
            time.sleep(0.05)
        return time.perf_counter() - began, json.loads(out.read_text())


@contextmanager
def running(folder: Path, rows: Sequence[Path]) -> Iterator[StockFlower]:
    """A network with one node for each of `rows`, until the block ends."""
    port = free_port()
    environment = _environment(folder, port)
    create_authority(folder, "bench", datetime.now(UTC))
    served = issue_server_certificate(folder, ["127.0.0.1", "localhost"], datetime.now(UTC))
    link = [BIN / "flower-superlink", "--ssl-certfile", served.certificate]
    link += ["--ssl-keyfile", served.key, "--ssl-ca-certfile", folder / "ca.crt"]
    link += ["--host", "127.0.0.1", "--port", port, "--isolation", "subprocess"]
    processes = [_start([*link, "--disable-runtime-dependency-installation"], environment)]
    try:
        _wait_open(port)
        for number, each in enumerate(rows):
            home = folder / f"node{number}"
            home.mkdir()
            node = [BIN / "flower-supernode", "--root-certificates", folder / "ca.crt"]
            node += ["--superlink", f"127.0.0.1:{port}", "--host", "127.0.0.1"]
            node += ["--port", free_port(), "--isolation", "subprocess"]
            node += ["--node-config", f'rows="{each}"']
            processes.append(_start(node, {**environment, "FLWR_HOME": str(home)}))
        yield StockFlower(folder, environment)
    finally:
        for process in reversed(processes):
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait(30)


def _environment(folder: Path, port: int) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "dep"\n[superlink.dep]\naddress = "127.0.0.1:{port}"\n'
        f'root-certificates = "{folder / "ca.crt"}"\n'
    )
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    quick = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05"}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **quiet, **quick, "FLWR_HOME": str(home), "PATH": path}


def _start(command: Sequence[object], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what it starts ends with it
    )


def _wait_open(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the SuperLink did not start")
