"""Charts as SVG: no script, no style attribute, readable in black and white, in light and dark.

Colours are presentation attributes for paper; a page's style sheet may set others by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH = 640
_ROW = 30
_LEFT = 190
_RIGHT = 90
_INK, _FAINT, _BAR, _OVER = "#1b1b1b", "#767676", "#1f5f8b", "#a33a1a"


def bars(rows: Sequence[tuple[str, float, str]], alt: str) -> str:
    """One bar for each (label, share of its limit, words); what is beyond the limit is hatched."""
    height = _ROW * len(rows) + 34
    parts = [part for at, row in enumerate(rows) for part in _bar(at, row)]
    edge = _LEFT + _span()
    bottom = _ROW * len(rows) + 6
    limit = [
        f'<line class="limit" x1="{edge}" y1="4" x2="{edge}" y2="{bottom}" stroke="{_INK}"'
        ' stroke-width="2" stroke-dasharray="5 3"/>',
        _text(edge, bottom + 18, "limit", anchor="middle"),
        _text(_LEFT, bottom + 18, "0", anchor="middle"),
    ]
    return _svg(height, alt, [*parts, *limit])


def _span() -> int:
    return (_WIDTH - _LEFT - _RIGHT) * 3 // 4


def _bar(at: int, row: tuple[str, float, str]) -> list[str]:
    label, share, words = row
    top = at * _ROW + 8
    width = min(share, 4 / 3) * _span()
    colour, kind = (_OVER, "over") if share > 1 else (_BAR, "bar")
    return [
        _text(_LEFT - 10, top + 14, label, anchor="end"),
        f'<rect class="track" x="{_LEFT}" y="{top}" width="{_span()}" height="18" fill="none"'
        f' stroke="{_FAINT}"/>',
        f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{max(width, 1):.1f}" height="18"'
        f' fill="{colour}"/>',
        _text(_LEFT + max(_span(), int(width)) + 8, top + 14, words),
    ]


def steps(points: Sequence[tuple[float, float]], ends: tuple[str, str], alt: str) -> str:
    """A line that steps up: (share of the period, share of the limit), between two dates."""
    height, top, bottom, left = 250, 20, 205, 60
    wide, high = _WIDTH - left - 20, bottom - top
    most = max([1.0, *(share for _, share in points)]) * 1.05

    def at(when: float, share: float) -> str:
        return f"{left + when * wide:.1f},{bottom - share / most * high:.1f}"

    path = [f"M{at(0, 0)}"]
    before = 0.0
    for when, share in points:
        path += [f"L{at(when, before)}", f"L{at(when, share)}"]
        before = share
    path.append(f"L{at(1, before)}")
    limit = bottom - high / most
    return _svg(
        height,
        alt,
        [
            f'<path class="axis" d="M{left},{top}V{bottom}H{left + wide}" fill="none"'
            f' stroke="{_FAINT}"/>',
            f'<line class="limit" x1="{left}" y1="{limit:.1f}" x2="{left + wide}" y2="{limit:.1f}"'
            f' stroke="{_INK}" stroke-width="2" stroke-dasharray="5 3"/>',
            f'<path class="line" d="{"".join(path)}" fill="none" stroke="{_BAR}"'
            ' stroke-width="3" stroke-linejoin="round"/>',
            _text(left - 8, bottom + 4, "0 %", anchor="end"),
            _text(left - 8, limit + 4, "100 %", anchor="end"),
            _text(left, bottom + 22, ends[0]),
            _text(left + wide, bottom + 22, ends[1], anchor="end"),
            _text(left + wide, limit - 7, "limit", anchor="end"),
        ],
    )


def _svg(height: int, alt: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img" aria-label="{escape(alt)}"'
        f' font-family="DejaVu Sans Mono, monospace" font-size="13">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return (
        f'<text class="ink" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{_INK}">'
        f"{escape(words)}</text>"
    )
