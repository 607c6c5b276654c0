"""What the console keeps between requests, in memory alone: a node that starts again has none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from node.console.imports import Imports
from node.console.invitations import Invitations
from node.console.uploads import Uploads
from node.expected_shape import ExpectedShape

MOST = 64


@dataclass
class Shapes:
    """Examples of studies' answers: the same at every look, and drawn once."""

    _kept: dict[str, ExpectedShape] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, digest: str, make: Callable[[str], ExpectedShape]) -> ExpectedShape:
        """A study's, made at the first look; one without examples is tried again."""
        with self._lock:
            found = self._kept.get(digest)
        if found is None:
            found = make(digest)
            with self._lock:
                while len(self._kept) >= MOST:
                    del self._kept[next(iter(self._kept))]
                if found.examples:
                    self._kept[digest] = found
        return found


@dataclass(frozen=True)
class Kept:
    """One console's."""

    uploads: Uploads = field(default_factory=Uploads)
    invitations: Invitations = field(default_factory=Invitations)
    imports: Imports = field(default_factory=Imports)
    shapes: Shapes = field(default_factory=Shapes)
