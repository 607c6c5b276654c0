"""Charts as SVG inside the page, drawn on the server; nothing is loaded and nothing runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from threading import Lock, Thread
from typing import Any

import vl_convert
from markupsafe import Markup, escape

KEPT = 256
_CLASS = 'class="marks"'
_WARM = {"mark": "point", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}


@dataclass
class Charts:
    """Draws Vega-Lite specifications and keeps the newest drawings. Thread-safe."""

    kept: int = KEPT
    _drawn: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def warm(self) -> None:
        """Draw something, so that the first reader does not wait for the engine."""
        self._svg(_WARM)

    def warm_beside(self) -> None:
        """The same in a thread of its own."""
        Thread(target=self.warm, name="charts", daemon=True).start()

    def figure(self, spec: Mapping[str, Any], title: str) -> Markup:
        """The drawing as an image, no wider than its box; `title` is for those who do not see it
        (the page has it as a heading, so it is not drawn)."""
        plain = {name: part for name, part in spec.items() if name != "title"}
        body = self._svg(plain).replace(_CLASS, 'class="drawing"', 1)
        named = f'<svg role="img" aria-label="{escape(title)}"'
        return Markup(body.replace("<svg", named, 1))  # noqa: S704 - drawn here, text escaped by it

    def _svg(self, spec: Mapping[str, Any]) -> str:
        key = sha256(dumps(spec, sort_keys=True).encode()).hexdigest()
        with self._lock:
            found = self._drawn.get(key)
            if found is not None:
                self._drawn.move_to_end(key)
                return found
        made = str(vl_convert.vegalite_to_svg(dict(spec), allowed_base_urls=[]))
        with self._lock:
            self._drawn[key] = made
            while len(self._drawn) > self.kept:
                self._drawn.popitem(last=False)
        return made
