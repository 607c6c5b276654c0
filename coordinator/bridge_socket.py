"""The socket between web and bridge: one JSON line asks, one JSON line answers.

Only the coordinator's own user can open it. Nothing secret passes: run ids and "done".
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from coordinator.store.store import Store

MAX_LINE_BYTES = 4096
LOOK_AGAIN_SECONDS = 0.25
CONNECT_SECONDS = 2.0


class Executes(Protocol):
    """What the bridge can do for the web process."""

    def execute(self, run_id: str) -> None: ...

    def wait(self, run_id: str, timeout_seconds: float) -> bool: ...

    def settle(self, timeout_seconds: float) -> None: ...


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serve(
    path: Path,
    execution: Executes,
    sync: Callable[[float], None],
    link: Callable[[str], None] = lambda _session: None,
) -> Iterator[None]:
    """Answer the web process until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline(MAX_LINE_BYTES)
            answer = _answer(json.loads(line), execution, sync, link) if line else None
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    path.unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        server = _Server(str(path), Handler)
    finally:
        os.umask(old)
    thread = threading.Thread(target=server.serve_forever, name="bridge-socket", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)


def _answer(
    line: dict[str, Any],
    execution: Executes,
    sync: Callable[[float], None],
    link: Callable[[str], None],
) -> Any:
    match line:
        case {"do": "execute", "run": str(run_id)}:
            execution.execute(run_id)
            return True
        case {"do": "wait", "run": str(run_id), "seconds": int() | float() as seconds}:
            return execution.wait(run_id, float(seconds))
        case {"do": "settle", "seconds": int() | float() as seconds}:
            execution.settle(float(seconds))
            return True
        case {"do": "sync", "seconds": int() | float() as seconds}:
            sync(float(seconds))
            return True
        case {"do": "link", "session": str(session)}:
            link(session)
            return True
        case _:
            return None


@dataclass(frozen=True)
class BridgeSocket:
    """The web process' executor. Without a bridge, runs stay queued until there is one."""

    path: Path
    store: Store

    @property
    def there(self) -> bool:
        """Whether a bridge listens."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(CONNECT_SECONDS)
                link.connect(str(self.path))
        except OSError:
            return False
        return True

    def execute(self, run_id: str) -> None:
        """Start a queued run; if the bridge is away it takes the run up when it is back."""
        self._ask({"do": "execute", "run": run_id}, CONNECT_SECONDS)

    def wait(self, run_id: str, timeout_seconds: float) -> bool:
        """True once the run is finished."""
        until = time.monotonic() + timeout_seconds
        while (left := until - time.monotonic()) > 0:
            request = {"do": "wait", "run": run_id, "seconds": round(left, 3)}
            if self._ask(request, left + CONNECT_SECONDS) is not None:
                break
            if self.store.runs.get(run_id).state.finished:
                return True
            time.sleep(min(LOOK_AGAIN_SECONDS, left))
        return self.store.runs.get(run_id).state.finished

    def settle(self, timeout_seconds: float) -> None:
        """Wait until what the finished runs cost is in the mirror, at most so long."""
        request = {"do": "settle", "seconds": timeout_seconds}
        self._ask(request, timeout_seconds + CONNECT_SECONDS)

    def sync(self, timeout_seconds: float) -> None:
        self._ask({"do": "sync", "seconds": timeout_seconds}, timeout_seconds + CONNECT_SECONDS)

    def link(self, session: str, timeout_seconds: float) -> bool:
        """Run a linkage that is queued; False when there is no bridge, or time ran out."""
        request = {"do": "link", "session": session}
        return self._ask(request, timeout_seconds) is not None

    def _ask(self, request: dict[str, Any], timeout_seconds: float) -> Any:
        """The bridge's answer, or None when there is no bridge to answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(timeout_seconds)
                link.connect(str(self.path))
                link.sendall(json.dumps(request).encode() + b"\n")
                with link.makefile("rb") as file:
                    return json.loads(file.readline(MAX_LINE_BYTES) or b"null")
        except (OSError, ValueError):
            return None
