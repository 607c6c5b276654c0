"""Collecting an audit bundle from the store and packing it."""

from __future__ import annotations

import tarfile
from pathlib import Path

from coordinator.api.services import Services

NAME = "cairn-audit"


def pack_bundle(services: Services, folder: Path) -> Path:
    """Write the bundle under `folder` and pack it; returns the archive's path."""
    written = folder / NAME
    write_from_store(services, written)
    archive = folder / f"{NAME}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for path in sorted(written.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False)
    return archive


def write_from_store(services: Services, folder: Path) -> None:
    folder.mkdir()
