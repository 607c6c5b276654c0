"""Files that hold a secret: made new, readable by their owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from privacy.errors import BadInput, CairnError


@contextmanager
def new_secret_file(path: Path) -> Iterator[IO[str]]:
    """A file that its owner alone can read; gone again if what should fill it fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        raise BadInput("cannot be made, or is there already", where=str(path)) from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            yield file
    except CairnError:
        path.unlink()
        raise
