"""Packed audit bundles, kept a while so that a download that was cut off can go on."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from privacy.randomness import Entropy

Clock = Callable[[], datetime]
KEPT = 4
KEPT_FOR = timedelta(minutes=30)


@dataclass(frozen=True)
class Packed:
    """One archive, and the entity tag under which it is known."""

    path: Path
    tag: str
    at: datetime


class BundleShelf:
    """The newest archives, each in a folder of its own that goes with it."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock, self._entropy = clock, entropy
        self._lock = threading.Lock()
        self._packed: list[Packed] = []
        self._folder = ""

    def new_folder(self) -> Path:
        """An empty folder to pack an archive in; it is gone when the program ends."""
        with self._lock:
            if not self._folder:
                self._folder = tempfile.mkdtemp(prefix="cairn-audit-")
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            return Path(tempfile.mkdtemp(dir=self._folder))

    def put(self, archive: Path) -> Packed:
        """Keep an archive that was packed in a `new_folder`; old ones go."""
        packed = Packed(archive, f'"{self._entropy(16).hex()}"', self._clock())
        with self._lock:
            self._packed = [packed, *self._packed]
            fresh = [each for each in self._packed[:KEPT] if packed.at - each.at <= KEPT_FOR]
            old = [each for each in self._packed if each not in fresh]
            self._packed = fresh
        for each in old:
            shutil.rmtree(each.path.parent, ignore_errors=True)
        return packed

    def find(self, tag: str) -> Packed | None:
        """The archive of this entity tag, if it is still here."""
        with self._lock:
            return next((each for each in self._packed if each.tag == tag), None)
