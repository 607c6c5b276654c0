"""Charts as SVG inside the page, drawn on the server; nothing is loaded and nothing runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from json import dumps
from threading import Thread
from typing import Any

import vl_convert
from markupsafe import Markup, escape

from pages.newest import Newest

KEPT = 256
_WIDER = 0.12  # of its size, how much wider a letter may be than the engine thought
_TAG = re.compile(r"<(?:g|path|line|text|rect)\b[^>]*>")
_ROLE = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_TEXT = re.compile(r'<text text-anchor="(\w+)"[^>]*?font-size="([\d.]+)px"[^>]*>([^<]*)')
_HEAD = re.compile(r'class="marks" width="([\d.]+)" height="([\d.]+)" viewBox="0 0 [\d.]+ [\d.]+">')
_WARM = {"mark": "point", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}


def fitted(svg: str) -> str:
    """A drawing of the engine, made fit for a page.

    Labels are measured with the engine's font, and a reader's may be wider: there is room for it
    at both sides. What parts of the drawing are called is taken out: the whole is one image.
    """
    plain = _TAG.sub(lambda tag: _ROLE.sub("", tag.group()), svg)
    sides = dict.fromkeys(("end", "start", "middle"), 0.0)
    for anchor, size, text in _TEXT.findall(plain):
        sides[anchor] = max(sides[anchor], len(unescape(text)) * float(size) * _WIDER)
    left, right = (math.ceil(max(sides[side], sides["middle"] / 2)) for side in ("end", "start"))
    return _HEAD.sub(lambda head: _head(head, left, right), plain, count=1)


def _head(head: re.Match[str], left: int, right: int) -> str:
    wide, high = (float(each) for each in head.groups())
    whole = wide + left + right
    return (
        f'class="drawing" width="{whole:g}" height="{high:g}" '
        f'viewBox="{-left} 0 {whole:g} {high:g}">'
    )


@dataclass
class Charts:
    """Draws Vega-Lite specifications and keeps the newest drawings. Thread-safe."""

    _drawn: Newest[str, str] = field(default_factory=lambda: Newest(KEPT))

    def warm(self) -> None:
        """Draw something, so that the first reader does not wait for the engine."""
        self._svg(_WARM)

    def warm_beside(self) -> None:
        """The same in a thread of its own."""
        Thread(target=self.warm, name="charts", daemon=True).start()

    def figure(self, spec: Mapping[str, Any], title: str) -> Markup:
        """The drawing as an image of its own size, which the macro `chart` puts into a box that
        scrolls; `title` is for those who do not see it (the page has it as a heading, so it is
        not drawn)."""
        plain = {name: part for name, part in spec.items() if name != "title"}
        named = f'<svg role="img" aria-label="{escape(title)}"'
        drawn = self._svg(plain).replace("<svg", named, 1)
        return Markup(drawn)  # noqa: S704 - drawn here, text escaped by it

    def _svg(self, spec: Mapping[str, Any]) -> str:
        key = sha256(dumps(spec, sort_keys=True).encode()).hexdigest()
        found = self._drawn.get(key)
        if found is not None:
            return found
        made = fitted(str(vl_convert.vegalite_to_svg(dict(spec), allowed_base_urls=[])))
        self._drawn.put(key, made)
        return made
