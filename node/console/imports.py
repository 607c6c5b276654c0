"""Imports begun at the console: each goes on in a thread of its own, whoever looks or does not.

In memory alone. An import is one transaction of the records, so a node that stops in the middle
has the former records.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from node.console.words import in_words
from node.import_progress import Progress, Told
from privacy.errors import BadInput, CairnError, Code, Refused

KEPT = 8
PATIENCE_SECONDS = 1.0  # for an import that is over before its page would be read

Work = Callable[[Told], dict[str, Any]]


@dataclass(frozen=True)
class Import:
    """One import: where its files came from, how far it is, and what came of it."""

    number: int
    source: str
    back: str  # the page from which it was begun
    began: str
    progress: Progress = field(default=Progress(0, 1, "beginning"))
    report: dict[str, Any] | None = None
    wrong: str = ""

    @property
    def over(self) -> bool:
        return self.report is not None or bool(self.wrong)


@dataclass
class Imports:
    """The newest imports, one at a time."""

    _kept: dict[int, Import] = field(default_factory=dict)
    _ended: dict[int, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, source: str, back: str, began: str, work: Work) -> Import:
        """Start an import; raises BadInput while another is under way."""
        with self._lock:
            running = [each for each in self._kept.values() if not each.over]
            if running:
                what = f"import {running[0].number} is under way"
                raise BadInput(what, instead="wait until it has ended")
            made = Import(max(self._kept, default=0) + 1, source, back, began)
            self._kept[made.number] = made
            ended = self._ended[made.number] = threading.Event()
            for number in sorted(self._kept)[:-KEPT]:
                del self._kept[number], self._ended[number]
        threading.Thread(target=self._run, args=(made.number, work), name="import").start()
        ended.wait(PATIENCE_SECONDS)
        return self.of(made.number)

    def of(self, number: int) -> Import:
        """Raises Refused(NOT_FOUND)."""
        with self._lock:
            found = self._kept.get(number)
        if found is None:
            raise Refused(Code.NOT_FOUND)
        return found

    def newest(self) -> Import | None:
        """The last that was begun since the node runs."""
        with self._lock:
            return self._kept[max(self._kept)] if self._kept else None

    def _run(self, number: int, work: Work) -> None:
        try:
            report = work(lambda progress: self._change(number, progress=progress))
            self._change(number, report=report)
        except CairnError as error:
            said = in_words(error) if isinstance(error, Refused) else str(error)
            self._change(number, wrong=said)
        finally:
            if not self.of(number).over:  # a bug: its text could quote a value
                self._change(number, wrong="the node could not do this")
            self._ended[number].set()

    def _change(self, number: int, **changes: Any) -> None:
        with self._lock:
            self._kept[number] = replace(self._kept[number], **changes)
