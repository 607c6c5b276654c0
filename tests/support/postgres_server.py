"""A real PostgreSQL server for the tests, in a folder of its own, reached by a local socket.

It refuses to run as root; a test run as root starts it as another user of the machine. The
programs come from the system (Debian: `postgresql`); without them the tests fail.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BINARIES = "/usr/lib/postgresql/*/bin"
_USERS = ("postgres", "nobody")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a new server, for as long as the block runs."""
    user = _user()
    with tempfile.TemporaryDirectory(prefix="cairn-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _run([_program("initdb"), "-D", str(data), "-A", "trust", "-U", "cairn", "-N"], user)
        options = ["-k", name, "-c", "listen_addresses=", "-c", "fsync=off"]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [_program("postgres"), "-D", str(data), *options], user=user, stderr=log, stdout=log
        )
        try:
            _wait(server, folder / ".s.PGSQL.5432", folder / "log")
            yield f"postgresql:///postgres?host={name}&user=cairn"
        finally:
            server.send_signal(signal.SIGINT)  # ends connections
            server.wait(30)
            log.close()


def _user() -> str | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def _program(name: str) -> str:
    found = [str(path / name) for path in sorted(Path("/").glob(_BINARIES[1:]))]
    path = next((each for each in reversed(found) if os.access(each, os.X_OK)), shutil.which(name))
    if path is None:
        raise RuntimeError(f"{name} is missing: apt-get install postgresql")
    return path


def _run(command: list[str], user: str | None) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, user=user, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _wait(server: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Until it listens: the lock beside the socket is written when it accepts connections."""
    end = time.monotonic() + 60
    while "ready to accept connections" not in log.read_text("utf-8", "replace"):
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text('utf-8', 'replace')}")
        time.sleep(0.05)
    if not socket.exists():
        raise RuntimeError("PostgreSQL does not listen")
