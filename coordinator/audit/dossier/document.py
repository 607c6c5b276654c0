"""A dossier as its readers see it, in one form from which HTML and PDF are both made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never


@dataclass(frozen=True)
class Link:
    """A word that leads to a section of the same dossier."""

    text: str
    to: str


Cell = str | tuple[Link, ...]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its caption. `numbers` are the columns set flush right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    empty: str = "None."


@dataclass(frozen=True)
class Figure:
    """A chart (SVG) whose numbers stand in a table beside it; `alt` says what it shows."""

    svg: str
    alt: str
    caption: str


Block = Words | Items | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `id` is what links lead to."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole dossier. `name` is its file's, `about` the lines under its title."""

    name: str
    title: str
    about: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    language: str = field(default="en")

    def to_json(self, rows: int | None = None) -> dict[str, Any]:
        """Plain values for the templates; of every table its last `rows` lines, or all."""
        return {
            "title": self.title,
            "language": self.language,
            "about": [list(pair) for pair in self.about],
            "sections": [
                {
                    "id": section.id,
                    "title": section.title,
                    "blocks": [_block(block, rows) for block in section.blocks],
                }
                for section in self.sections
            ],
        }


def facts(caption: str, lines: Sequence[tuple[str, str]]) -> Table:
    """Lines of (what, in words) as a table of two columns."""
    return Table(caption, ("what", "in words"), tuple(lines))


def count(number: int, what: str) -> str:
    """For instance `1 plan`, `1,200 plans`; for words that add an s."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def short(digest: str) -> str:
    """The beginning of a digest, enough to find its file in the bundle."""
    return f"{digest[:12]}…"


def _block(block: Block, rows: int | None) -> dict[str, Any]:
    match block:
        case Words(text=text):
            return {"kind": "words", "text": text}
        case Items(items=items):
            return {"kind": "items", "items": list(items)}
        case Table():
            left_out = 0 if rows is None else max(0, len(block.rows) - rows)
            return {
                "kind": "table",
                "caption": block.caption,
                "columns": list(block.columns),
                "numbers": sorted(block.numbers),
                "rows": [[_cell(cell) for cell in row] for row in block.rows[left_out:]],
                "left_out": left_out,
                "empty": block.empty,
            }
        case Figure(svg=svg, alt=alt, caption=caption):
            return {"kind": "figure", "svg": svg, "alt": alt, "caption": caption}
        case _:
            assert_never(block)


def _cell(cell: Cell) -> list[dict[str, str]]:
    if isinstance(cell, str):
        return [{"text": cell, "to": ""}]
    return [{"text": link.text, "to": link.to} for link in cell]
