"""A node's folder in one sealed file, and out of it again.

The file is a tar archive under a passphrase (`privacy.sealed_file`), its first member a manifest:
whose node it is, the version of every store, and size and SHA-256 of every file. What it is of
and when it was made is readable without the passphrase, and bound to the rest.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from node.home import Home
from node.records import Records
from node.snapshot import KEPT, RECORDS, take_snapshot
from node.stores import StoreVersion, store_versions
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.contract.facts import Fact
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.randomness import Entropy
from privacy.sealed_file import Sealer, Unsealer, read_head

FORMAT = "cairn-node-backup/1"
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 2**26
_BLOCK = 2**20


class FileFacts(Fact):
    """One file of a backup."""

    bytes: int
    sha256: str


class Manifest(Fact):
    """What a backup holds. `id` is random: the ledger names the backup by it."""

    format: str
    id: str
    node: str
    network: str
    made_at: str
    stores: dict[str, int]
    files: dict[str, FileFacts]


@dataclass(frozen=True)
class About:
    """What a backup says of itself without its passphrase; nobody has checked it."""

    id: str
    node: str
    made_at: str


def write_backup(
    home: Home,
    file: Path,
    passphrase: str,
    *,
    backup: str,
    records: Records | None,
    entropy: Entropy,
    now: datetime,
) -> Manifest:
    """Write the folder into a new `file` under the name `backup`; all of it or nothing.

    `records` are those that this process has open; None if no process has. Raises BadInput if
    the file is there, or cannot be written.
    """
    if file.exists():
        raise BadInput("is there already", where=str(file), instead="name a new file")
    with _folder_beside(home, ".backup") as folder, _disk(file):
        take_snapshot(home, folder, records)
        made = _describe(home, folder, backup, instant_text(now))
        part = file.with_name(file.name + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            _seal(out, folder, made, passphrase, entropy)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    return made


@contextmanager
def _disk(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"the backup cannot be written ({error.strerror})", where=str(file)
        ) from None


@contextmanager
def _folder_beside(home: Home, name: str) -> Iterator[Path]:
    """An empty folder in the node's own, gone afterwards; what a crash left of it goes first."""
    folder = home.root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe(home: Home, folder: Path, backup: str, at: str) -> Manifest:
    settings = home.settings()
    stores = {each.store: each.found for each in store_versions(Home(folder))}
    # only now: whoever opens the copied records puts into them what lay beside, and removes that
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest(
        format=FORMAT,
        id=backup,
        node=settings.node,
        network=settings.network,
        made_at=at,
        stores=stores,
        files={path.relative_to(folder).as_posix(): _facts(path) for path in paths},
    )


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileFacts(bytes=path.stat().st_size, sha256=digest)


def _seal(out: IO[bytes], folder: Path, made: Manifest, secret: str, entropy: Entropy) -> None:
    about = {"format": FORMAT, "id": made.id, "node": made.node, "made_at": made.made_at}
    sealer = Sealer(secret, about, entropy)
    out.write(sealer.beginning)
    sink: Any = _Sink(sealer, out)
    data = canonical_bytes(made.to_json())
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BLOCK) as tar:
        tar.addfile(_plain(MANIFEST, len(data)), io.BytesIO(data))
        for name, facts in made.files.items():
            with (folder / name).open("rb") as file:
                tar.addfile(_plain(name, facts.bytes), file)
    out.write(sealer.finish())


def _plain(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


@dataclass(frozen=True, repr=False)
class _Sink:
    """What `tarfile` writes to: sealed, then into the file."""

    sealer: Sealer
    out: IO[bytes]

    def write(self, data: bytes) -> int:
        self.out.write(self.sealer.update(data))
        return len(data)


# and out of it again


def about_backup(file: Path) -> About:
    """What a backup says of itself; raises BadInput for a file that is none."""
    with _reading(file) as source:
        head, _ = read_head(source.read)
    match head.about:
        case {"format": format_, "id": str(backup), "node": str(node), "made_at": str(at)}:
            _check_format(format_, file)
            return About(backup, node, at)
        case _:
            raise BadInput("not a backup of a node", where=str(file))


def unpack_backup(file: Path, passphrase: str, folder: Path) -> Manifest:
    """Unpack and check everything into the folder, which is there and empty.

    Raises BadInput for another file, a wrong passphrase, a file that was cut off or changed, and
    for one that a newer program wrote.
    """
    with _reading(file) as source:
        unsealer: Any = Unsealer.open(source.read, passphrase)
        _check_format(unsealer.about.get("format", ""), file)
        with tarfile.open(fileobj=unsealer, mode="r|", bufsize=_BLOCK) as tar:
            manifest = _manifest(tar)
            _unpack(tar, manifest, folder)
        while unsealer.read(_BLOCK):
            pass  # to the last piece: a file that was cut off is found by it
    return manifest


@contextmanager
def _reading(file: Path) -> Iterator[IO[bytes]]:
    """The file; whatever is wrong in it is said with its name."""
    try:
        with file.open("rb") as source:
            yield source
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(file)) from None
    except tarfile.TarError:
        raise BadInput("the file was changed or cut off", where=str(file)) from None
    except BadInput as error:
        where = error.where or str(file)
        raise BadInput(error.what, where=where, instead=error.instead) from None


def _check_format(found: str, file: Path) -> None:
    if found != FORMAT:
        raise BadInput(
            f"is a {found or 'file'} and this program reads {FORMAT}",
            where=str(file),
            instead="use the program that wrote it, or a newer one",
        )


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or first.size > MOST_MANIFEST_BYTES:
        raise BadInput("has no manifest")
    source = tar.extractfile(first)
    if source is None:
        raise BadInput("has no manifest")
    return Manifest.from_json(parse_canonical(source.read(), max_bytes=MOST_MANIFEST_BYTES))


def _unpack(tar: tarfile.TarFile, manifest: Manifest, folder: Path) -> None:
    """Every file that the manifest names, as it names it, and no other."""
    missing = dict(manifest.files)
    while (member := tar.next()) is not None:
        facts = missing.pop(member.name, None)
        source = tar.extractfile(member) if member.isreg() else None
        if facts is None or source is None or not _belongs(member.name):
            raise BadInput("holds a file that its manifest does not name")
        path = folder / member.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _write(path, source) != facts:
            raise BadInput(f"{member.name} is not the file that its manifest names")
    if missing:
        raise BadInput(f"{min(missing)} is missing")


def _belongs(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return parts[0] in (*KEPT, f"{RECORDS}.wal") and ".." not in parts and len(parts) <= 2


def _write(path: Path, source: IO[bytes]) -> FileFacts:
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += len(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return FileFacts(bytes=size, sha256=digest.hexdigest())


def check_stores(manifest: Manifest, current: tuple[StoreVersion, ...]) -> None:
    """Raises BadInput if a newer program wrote one of the stores in the backup."""
    newest = {each.store: each.current for each in current}
    for store, found in sorted(manifest.stores.items()):
        if found > newest.get(store, -1):
            raise BadInput(
                f"the backup's {store} is of version {found}, this program knows"
                f" {newest.get(store, 'none')}",
                instead="install the newer program first",
            )
