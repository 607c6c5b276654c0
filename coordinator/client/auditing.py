"""Fetching an audit bundle and unpacking it, whatever the other side sent."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from coordinator.audit.whole import check_new, whole_folder
from coordinator.client.errors import Unreachable
from coordinator.client.transport import Transport
from privacy.errors import BadInput, VerificationFailed

MAX_UNPACKED_BYTES = 2**36
_TIMEOUT_SECONDS = 600.0
_CHUNK_BYTES = 2**20
_TRIES = 5
_PAUSE_SECONDS = 1.0


def pull_bundle(
    transport: Transport,
    out: Path,
    progress: Callable[[str], None] = lambda _said: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch the newest bundle into the new folder `out`: complete, or not at all.

    A line that breaks is taken up again where it broke; so is a download that was stopped, by
    the next call for the same `out`, while the coordinator keeps the archive. `progress` is told
    how much is there. Raises BadInput if `out` is there already and not empty, Unreachable when
    nothing more comes.
    """
    check_new(out)
    part = _Part(out.parent / f".{out.name}.part")
    left = _TRIES
    while not part.whole:
        before = part.size
        try:
            _fetch(transport, part, progress)
        except Unreachable:
            left = _TRIES if part.size > before else left - 1
            if not left:
                raise
            pause(_PAUSE_SECONDS)
    try:
        open_archive(part.archive, out)
    except VerificationFailed:
        shutil.rmtree(part.folder)  # what came is no bundle: the next call begins anew
        raise
    shutil.rmtree(part.folder)


def open_archive(archive: Path, out: Path) -> None:
    """Unpack an archive of a bundle into the new folder `out`: complete, or not at all.

    Raises BadInput if `out` is there already and not empty, or there is no such archive,
    VerificationFailed for what no bundle holds.
    """
    if not archive.is_file():
        raise BadInput("there is no such file", where=str(archive))
    with whole_folder(out) as work:
        unpack(archive, work)


class _Part:
    """What of an archive has come so far, in a folder beside the one it is for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = folder / "bundle.tar.gz"
        self._about = folder / "about.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.tag, self.expected = self._read()

    def _read(self) -> tuple[str, int]:
        try:
            match json.loads(self._about.read_bytes()):
                case {"tag": str(tag), "size": int(size)}:
                    return tag, size
        except (OSError, ValueError):
            pass
        self.archive.unlink(missing_ok=True)
        return "", 0

    @property
    def size(self) -> int:
        return self.archive.stat().st_size if self.archive.exists() else 0

    @property
    def whole(self) -> bool:
        return 0 < self.expected == self.size

    def begin(self, tag: str, size: int) -> None:
        """Note of which archive the bytes are before any of them is there."""
        self.tag, self.expected = tag, size
        self.archive.unlink(missing_ok=True)
        self._about.write_text(json.dumps({"tag": tag, "size": size}))


def _fetch(transport: Transport, part: _Part, progress: Callable[[str], None]) -> None:
    with transport.download(
        "/v1/audit/bundle", _TIMEOUT_SECONDS, start=part.size, tag=part.tag
    ) as fetched:
        if not fetched.start:
            part.begin(fetched.tag, fetched.size)
        with part.archive.open("ab") as file:
            for piece in fetched.pieces:
                file.write(piece)
                file.flush()
                progress(f"{part.size / 1e6:.1f} of {fetched.size / 1e6:.1f} MB")


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Unpack plain files below `folder`, dropping the archive's own top folder.

    Raises VerificationFailed for links, devices, paths that lead elsewhere, a file that is
    there twice, and more than `max_bytes` in all.
    """
    folder.mkdir(exist_ok=True)
    left = max_bytes
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                target = _target(folder, member)
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                left -= member.size
                source = tar.extractfile(member)
                if left < 0 or source is None:
                    raise VerificationFailed("is larger than a bundle may be", where=member.name)
                _copy(source, target)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise VerificationFailed(f"is not a bundle ({type(error).__name__})") from None


def _target(folder: Path, member: tarfile.TarInfo) -> Path:
    parts = PurePosixPath(member.name).parts
    safe = all(part not in ("..", "/", "") and "\\" not in part for part in parts)
    if not safe or not parts or not (member.isfile() or member.isdir()):
        raise VerificationFailed("is not a plain file of a bundle", where=member.name[:200])
    return folder.joinpath(*parts[1:])


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
