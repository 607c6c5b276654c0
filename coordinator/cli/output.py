"""Data on standard output as a table, JSON or CSV; everything else on standard error."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from coordinator.client.result import Result
from models.digits import digits
from models.result import NUMBERS
from privacy.contract.shown import as_cell, printable, printable_lines

_WIDE = 240


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def console() -> Console:
    """Standard output; wide when it is no terminal, so that nothing is cut off."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, soft_wrap=True)


def progress() -> Console:
    """Standard error, for what is not data."""
    return Console(stderr=True, highlight=False)


def confirm(what: Callable[[], str]) -> None:
    """On a terminal show what is about to be spent, and ask."""
    if sys.stdin.isatty():
        progress().print(printable_lines(what()), markup=False)
        typer.confirm("Spend this?", abort=True, err=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is under way; the value tells what it is at."""
    out = progress()
    if not out.is_terminal:
        yield lambda _step: None
        return
    with out.status(what) as status:
        yield lambda step: status.update(Text(f"{what} {step}"))


@contextmanager
def metered(what: str) -> Iterator[Callable[[str, float], None]]:
    """On a terminal a bar; the value tells what it is at and which share is done."""
    out = progress()
    if not out.is_terminal:
        yield lambda _step, _share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda step, share: bar.update(
            task, completed=share, description=escape(f"{what} {step}")
        )


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: Format) -> None:
    """Rows of plain values under `columns`."""
    match form:
        case Format.JSON:
            show_json([dict(row) for row in rows])
        case Format.CSV:
            _csv(rows, columns)
        case Format.TABLE:
            _table(rows, columns)


def show_json(value: Any) -> None:
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: object) -> None:
    """Text on standard output; what others wrote in it cannot move the cursor."""
    sys.stdout.write(printable_lines(str(text)) + "\n")


def show_result(result: Result, form: Format) -> None:
    """A result: numbers unclipped in every format; JSON adds noise, cost and receipts."""
    if form is Format.JSON:
        show_json(result.to_json())
        return
    answer = result.answer
    by = [f"{name} " if name in NUMBERS else name for name in answer.by]
    rows = [
        {
            **dict(zip(by, row.cell, strict=True)),
            **row.numbers(),
            **({"note": row.note} if row.note else {}),
        }
        for row in answer.rows
    ]
    notes = ["note"] if any(row.note for row in answer.rows) else []
    show(rows, [*by, *NUMBERS, *notes], form)
    if form is Format.TABLE:
        _explain(result)


def _explain(result: Result) -> None:
    out = console()
    if result.mock:
        out.print("MOCK DATA: made-up members")
    for note in result.answer.notes:
        out.print(printable(note), markup=False)
    out.print(f"cost: {result.cost}")
    for receipt in result.shown_receipts:
        out.print(f"receipt: {receipt}", markup=False)


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(row.get(name, "")) for name in columns} for row in rows)


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return as_cell(printable(value) if sys.stdout.isatty() else value)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        numeric = any(isinstance(row.get(name), float | int) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in columns))
    console().print(table)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return digits(value, 4)
        case list() | tuple():
            return printable(", ".join(map(str, value)))
        case _:
            return printable(str(value))
