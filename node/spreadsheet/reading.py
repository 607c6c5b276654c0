"""An uploaded file as sheets of text: an Excel workbook (.xlsx) or CSV."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from io import BytesIO, StringIO
from itertools import chain, islice
from pathlib import PurePath
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from node.import_source import delimiter_of
from privacy.errors import BadInput

MAX_BYTES = 64 * 2**20
MAX_UNPACKED = 1024 * 2**20  # of a workbook, which is a packed archive
MAX_CELLS = 20_000_000
_TITLES = 20  # so many rows may stand above the header


@dataclass(frozen=True)
class Sheet:
    """A table as it was written. Every row has as many fields as the header."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...] = field(default=(), compare=False)

    def line(self, row: int) -> int:
        """Where the spreadsheet itself has a row, both from 1; the header is a line too."""
        return self.lines[row - 1]

    def values(self, column: str) -> list[str]:
        """The fields of a column, in the order of rows."""
        place = self.header.index(column)
        return [row[place] for row in self.rows]


def read_sheets(file: str, body: bytes) -> tuple[Sheet, ...]:
    """The sheets of an uploaded file that have a header; raises BadInput naming the file."""
    name = PurePath(file.replace("\\", "/")).name or "file"
    if len(body) > MAX_BYTES:
        raise BadInput("larger than 64 MB", where=name, instead="import a folder of CSV files")
    match PurePath(name).suffix.lower():
        case ".xlsx" | ".xlsm":
            found = _workbook(name, body)
        case ".csv" | ".tsv" | ".txt":
            found = [sheet_of(PurePath(name).stem, _csv_rows(name, body))]
        case _:
            raise BadInput("no spreadsheet", where=name, instead="save it as .xlsx or .csv")
    sheets = tuple(sheet for sheet in found if sheet.header)
    if not sheets:
        raise BadInput("no sheet has a header line", where=name, instead="name columns in row 1")
    return sheets


def sheet_of(name: str, rows: Iterator[tuple[str, ...]]) -> Sheet:
    """The first row with two fields or more is the header, or the first that says something.

    Empty rows, titles above the header and nameless columns go.
    """
    filled = ((line, row) for line, row in enumerate(rows, 1) if any(row))
    first = list(islice(filled, _TITLES))
    at = next((at for at, (_, row) in enumerate(first) if sum(map(bool, row)) > 1), 0)
    header = first[at][1] if first else ()
    kept = [at for at, title in enumerate(header) if title]
    titles = tuple(header[at] for at in kept)
    twice = {title for title in titles if titles.count(title) > 1}
    if twice:
        where = f"{name}, column {min(twice)}"
        raise BadInput("the column stands twice", where=where, instead="keep one")
    body = (
        (line, tuple(row[at] if at < len(row) else "" for at in kept))
        for line, row in chain(first[at + 1 :], filled)
    )
    said = [(line, row) for line, row in body if any(row)]
    return Sheet(name, titles, tuple(row for _, row in said), tuple(line for line, _ in said))


def _csv_rows(name: str, body: bytes) -> Iterator[tuple[str, ...]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252", "replace")  # what spreadsheets on Windows write
    reader = csv.reader(StringIO(text), delimiter=delimiter_of(text.partition("\n")[0]))
    try:
        yield from _limited(name, (tuple(field.strip() for field in row) for row in reader))
    except csv.Error:
        where = f"{name}, line {reader.line_num}"
        raise BadInput("cannot be read", where=where, instead="save it as CSV again") from None


def _workbook(name: str, body: bytes) -> list[Sheet]:
    try:
        with zipfile.ZipFile(BytesIO(body)) as packed:
            if sum(each.file_size for each in packed.infolist()) > MAX_UNPACKED:
                raise BadInput("unpacks to more than 1 GB", where=name, instead="split the file")
        book = load_workbook(BytesIO(body), read_only=True, data_only=True)
        return [
            sheet_of(sheet.title, _limited(name, _texts(sheet.iter_rows(values_only=True))))
            for sheet in book.worksheets
        ]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError, EOFError):
        raise BadInput("no Excel workbook", where=name, instead="save it as .xlsx again") from None


def _texts(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        yield tuple(_text(value) for value in row)


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value).strip()


def _limited(name: str, rows: Iterator[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    cells = 0
    for row in rows:
        cells += len(row)
        if cells > MAX_CELLS:
            raise BadInput("too many cells", where=name, instead="import a folder of CSV files")
        yield row
