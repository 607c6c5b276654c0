"""Listening sockets: those of a folder, which its owner alone can reach, and those of a port."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from privacy.contract.canonical import sha256_hex
from privacy.errors import BadInput

LONGEST_SOCKET_PATH = 100
WAITING = 128  # connections that wait to be taken


def socket_path(path: Path) -> Path:
    """`path`, or a short name made of it where it is too long for a socket.

    The short name lies in a temporary folder that only this user can enter. Raises BadInput.
    """
    path = path.resolve()
    if _fits(path):
        return path
    name = f"{sha256_hex(bytes(path))[:24]}.sock"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - entered by its owner alone
        folder = base / f"cairn-{os.getuid()}"
        if _fits(folder / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise BadInput("not a folder of this user alone", where=str(folder))
            return folder / name
    raise BadInput("the path is too long for a socket", where=str(path))


def _fits(path: Path) -> bool:
    return len(bytes(path)) <= LONGEST_SOCKET_PATH


def listen_at_path(path: Path) -> socket.socket:
    """A listener on a local socket that its owner alone can open; raises BadInput."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise BadInput(
            "no socket can be made there",
            where=str(path),
            instead="use a folder with a shorter path",
        ) from None
    finally:
        os.umask(old)
    listener.listen(WAITING)
    return listener


def listen_on_port(host: str, port: int, instead: str) -> socket.socket:
    """A listener on a port; where there can be none raises BadInput with what to do `instead`."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        raise BadInput(
            f"cannot listen there ({error.strerror})", where=f"{host}:{port}", instead=instead
        ) from None
    return listener
