"""Verifying the coordinator's own copies while readers look on: one at a time, in a thread.

A verification is kept here, not in a reader's browser, so whoever reloads sees how far it is.
Of those that held, the newest stays on the disk: dossiers and what-ifs are made of it.
"""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import structlog

from coordinator.api.bundles import NAME, Holder, settled, write_from_store
from coordinator.api.shelf import BundleShelf
from coordinator.audit.advice import Found
from coordinator.audit.dossier.document import Document
from coordinator.audit.dossier.material import Material, gather
from coordinator.audit.replay import replay_bundle, survey_bundle
from coordinator.audit.replay_order import Survey
from coordinator.audit.replayed import Replayed
from coordinator.audit.supposition import Supposition
from coordinator.audit.verify import Pinned, Verified, verified
from pages.newest import Newest
from privacy.contract.time import instant_text
from privacy.errors import BadInput, VerificationFailed

_KEPT = 32  # dossiers, and replays, of one copy
_log = structlog.get_logger("cairn.audit")


class Stage(StrEnum):
    """collecting -> verifying -> held | failed; broken is what could not be carried through."""

    COLLECTING = "collecting"
    VERIFYING = "verifying"
    HELD = "held"
    FAILED = "failed"
    BROKEN = "broken"

    @property
    def over(self) -> bool:
        return self not in (Stage.COLLECTING, Stage.VERIFYING)


@dataclass(frozen=True, eq=False)
class Checked:
    """A copy that held, at `at`, with what is made of it when it is first wanted."""

    found: Verified
    at: str
    documents: Newest[str, Document] = field(default_factory=lambda: Newest(_KEPT))
    replays: Newest[Supposition, Replayed] = field(default_factory=lambda: Newest(_KEPT))

    @cached_property
    def report(self) -> dict[str, Any]:
        """What was found, as `cairn audit verify --format json` says it."""
        return self.found.report.to_json()

    @cached_property
    def material(self) -> Material:
        return gather(self.found)

    @cached_property
    def survey(self) -> Survey:
        return survey_bundle(self.found)

    def replayed(self, suppose: Supposition) -> Replayed:
        """The ledgers under this supposition, replayed once; raises BadInput as that does."""
        known = self.replays.get(suppose)
        if known is None:
            known = replay_bundle(self.found, suppose, self.survey)
            self.replays.put(suppose, known)
        return known


@dataclass(frozen=True)
class Verification:
    """One verification as it stands. `share` of all bytes was read, the last of them of `file`."""

    number: int
    by: str
    started: str
    stage: Stage = Stage.COLLECTING
    file: str = ""
    share: float = 0.0
    finished: str = ""
    checked: Checked | None = None
    failed: Found | None = None


class Source(Holder, Protocol):
    """A store with what brings it up to date."""

    def sync(self) -> None: ...


@dataclass
class VerificationDesk:
    """The newest verification, and the newest that held. Thread-safe."""

    shelf: BundleShelf
    _newest: Verification | None = None
    _held: Checked | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def newest(self) -> Verification | None:
        with self._lock:
            return self._newest

    @property
    def held(self) -> Checked | None:
        """The newest copy that was verified and held."""
        with self._lock:
            return self._held

    def start(self, source: Source, by: str) -> Verification:
        """Begin one, unless one is under way; returns the one that is."""
        with self._lock:
            known = self._newest
            if known is not None and not known.stage.over:
                return known
            number = 1 if known is None else known.number + 1
            self._newest = Verification(number, by, instant_text(source.clock()))
            begun = self._newest
        work = threading.Thread(target=self._run, args=(source,), name="verifying", daemon=True)
        work.start()
        return begun

    def _run(self, source: Source) -> None:
        folder: Path | None = None
        stage, failed, checked = Stage.BROKEN, None, None
        try:
            folder = self.shelf.new_folder()
            checked = self._verify(source, folder)
            stage = Stage.HELD
        except VerificationFailed as wrong:
            stage, failed = Stage.FAILED, Found.of(wrong)
        except BadInput as wrong:
            stage, failed = Stage.FAILED, Found(wrong.where or "", wrong.what)
        finally:
            ended = instant_text(source.clock())
            self._change(
                lambda one: replace(
                    one, stage=stage, finished=ended, failed=failed, checked=checked
                )
            )
            if checked is None or folder is None:
                if folder is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                _log.error("a verification did not hold", where=failed and failed.where)
            else:
                weakref.finalize(checked, shutil.rmtree, folder, ignore_errors=True)

    def _verify(self, source: Source, folder: Path) -> Checked:
        before = settled(source)
        source.sync()
        written, at = folder / NAME, instant_text(source.clock())
        write_from_store(source, written, before)
        self._change(lambda one: replace(one, stage=Stage.VERIFYING))

        def tell(file: str, share: float) -> None:
            self._change(lambda one: replace(one, file=file, share=share))

        return Checked(verified(written, pinned=Pinned(source.key.public), progress=tell), at)

    def _change(self, change: Callable[[Verification], Verification]) -> None:
        with self._lock:
            if self._newest is not None:
                self._newest = change(self._newest)
                self._held = self._newest.checked or self._held
