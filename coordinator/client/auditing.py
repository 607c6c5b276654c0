"""Fetching an audit bundle and unpacking it, whatever the other side sent."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

from coordinator.client.transport import Transport
from privacy.errors import BadInput, VerificationFailed

MAX_UNPACKED_BYTES = 2**36
_TIMEOUT_SECONDS = 600.0
_CHUNK_BYTES = 2**20


def pull_bundle(transport: Transport, out: Path) -> None:
    """Fetch the newest bundle into the new folder `out`: complete, or not at all.

    Raises BadInput if `out` is there already and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput("is there already", where=str(out), instead="name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cairn-audit-", dir=out.parent) as work:
        archive, unpacked = Path(work) / "bundle.tar.gz", Path(work) / "bundle"
        fetched = transport.download("/v1/audit/bundle", _TIMEOUT_SECONDS)
        with fetched as pieces, archive.open("wb") as file:
            file.writelines(pieces)
        unpack(archive, unpacked)
        if out.exists():
            out.rmdir()
        shutil.move(unpacked, out)


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Unpack plain files below `folder`, dropping the archive's own top folder.

    Raises VerificationFailed for links, devices, paths that lead elsewhere, a file that is
    there twice, and more than `max_bytes` in all.
    """
    folder.mkdir()
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
