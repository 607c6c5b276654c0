"""A network of real processes on this machine, as `python -m deploy.local` starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.net_processes import REPOSITORY, write_layout


class Local:
    """`python -m deploy.local DIR --json`, from its first line to its end."""

    def __init__(self, folder: Path, log: Path, state: Path | None = None) -> None:
        self.log = log
        kept = [] if state is None else ["--state", str(state)]
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local", str(folder), "--json", *kept],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                env={**os.environ, "TMPDIR": str(log.parent)},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, log.read_text()
        self.facts: dict[str, Any] = json.loads(line)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def steward(self, name: str) -> httpx.Client:
        [node] = [n for n in self.facts["nodes"] if n["name"] == name]
        headers = {"authorization": f"Bearer {node['steward_token']}"}
        return httpx.Client(base_url=node["url"], headers=headers, timeout=20)

    def cairn(self, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CAIRN_URL": self.facts["url"], "CAIRN_TOKEN": token}
        code = "from coordinator.cli.researcher import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=REPOSITORY,
            env=env,
        )

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(40)

    def left_over(self) -> list[psutil.Process]:
        return [p for p in self.family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def local_network(
    root: Path, *, data: Path | None = None, state: Path | None = None
) -> Iterator[Local]:
    """The network of `data`, or of `write_layout`, for as long as the block runs."""
    running = Local(data or write_layout(root / "data"), root / "local.log", state)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        for process in running.left_over():
            process.kill()
