"""A folder that is written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privacy.errors import BadInput


def check_new(folder: Path) -> None:
    """Raise BadInput if `folder` is there already and not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("is there already", where=str(folder), instead="name a new folder")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which becomes the new `folder` when all went well.

    Raises BadInput if `folder` is there already and not empty.
    """
    check_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cairn-audit-", dir=folder.parent) as work:
        written = Path(work) / "whole"
        written.mkdir()
        yield written
        if folder.exists():
            folder.rmdir()
        shutil.move(written, folder)
