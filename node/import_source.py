"""One data file of an organisation, CSV or Parquet, as something DuckDB can read.

CSV: UTF-8 (a byte order mark is tolerated), a header line, `,` `;` tab or `|` between fields,
`"` around fields that need it. Every field is read as text; what it means is the dictionary's.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import duckdb

from node.layout import Cursor, literal, quote
from privacy.errors import BadInput

SUFFIXES = (".csv", ".parquet")
_DELIMITERS = ",;\t|"
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_FIELDS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_GLOB = re.compile(r"([*?\[])")


@dataclass(frozen=True)
class SourceColumn:
    """A column of a file: how SQL names it and which type DuckDB reads it as."""

    sql: str
    type: str


@dataclass(frozen=True)
class Source:
    """A readable file. `relation` is the SQL that reads it."""

    file: str
    relation: str
    columns: Mapping[str, SourceColumn]

    def column(self, name: str) -> SourceColumn:
        """Raises BadInput if the file has no such column."""
        if name not in self.columns:
            close = get_close_matches(name, self.columns, n=1)
            hint = f"is {close[0]!r} meant?" if close else "add it, left empty where unknown"
            where = f"{self.file}, column {name}"
            raise BadInput("the column is missing", where=where, instead=hint)
        return self.columns[name]

    def unreadable(self, error: duckdb.Error) -> BadInput:
        """What DuckDB found wrong while reading, as one line that quotes no row."""
        message = str(error)
        line = _LINE.search(message)
        where = f"{self.file}, line {line.group(1)}" if line else self.file
        fields = _FIELDS.search(message)
        if fields:
            what = f"{fields.group(2)} fields where the header has {fields.group(1)}"
            return BadInput(what, where=where, instead="quote a field that holds the delimiter")
        if "unicode" in message or "utf-8" in message:
            return BadInput("not UTF-8", where=where, instead="save the file as UTF-8")
        if "quote" in message:
            return BadInput("a quote is not closed", where=where, instead='write "" for a quote')
        return BadInput("the file cannot be read", where=where, instead="save it again")


def find_file(folder: Path, table: str) -> Path | None:
    """The one file of a table; None if there is none. Raises BadInput if there are two."""
    found = [folder / f"{table}{suffix}" for suffix in SUFFIXES]
    present = [path for path in found if path.is_file()]
    if len(present) > 1:
        raise BadInput(
            f"both {present[0].name} and {present[1].name} are there",
            where=str(folder),
            instead="keep one file per table",
        )
    return present[0] if present else None


def open_source(cursor: Cursor, path: Path) -> Source:
    """Look at a file's columns. Raises BadInput if it cannot be read."""
    return _parquet(cursor, path) if path.suffix == ".parquet" else _csv(path)


def _sql_path(path: Path) -> str:
    """The path as an SQL string in which nothing is a wildcard."""
    return literal(_GLOB.sub(r"[\1]", str(path)))


def _parquet(cursor: Cursor, path: Path) -> Source:
    relation = f"read_parquet({_sql_path(path)})"
    try:
        described = cursor.execute(f"DESCRIBE FROM {relation}").fetchall()
    except duckdb.Error:
        raise BadInput("not a Parquet file", where=path.name, instead="write it again") from None
    columns = {row[0]: SourceColumn(quote(row[0]), str(row[1])) for row in described}
    return Source(path.name, relation, columns)


def _csv(path: Path) -> Source:
    names, delimiter = _header(path)
    fields = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    relation = (
        f"read_csv({_sql_path(path)}, auto_detect = false, header = true, delim = "
        f"{literal(delimiter)}, quote = '\"', escape = '\"', strict_mode = true, "
        f"columns = {{{fields}}})"
    )
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise BadInput(
            "the column stands twice", where=f"{path.name}, column {min(twice)}", instead="keep one"
        )
    columns = {name: SourceColumn(f"c{i}", "VARCHAR") for i, name in enumerate(names) if name}
    return Source(path.name, relation, columns)


def _header(path: Path) -> tuple[list[str], str]:
    """Names in the first line, and the delimiter that cuts it into the most fields."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            delimiter = delimiter_of(file.readline())
            file.seek(0)
            names = next(csv.reader(file, delimiter=delimiter, strict=True), [])
            "".join(names).encode("utf-8")
    except (UnicodeError, csv.Error):
        raise BadInput(
            "the header line cannot be read", where=path.name, instead="save the file as UTF-8"
        ) from None
    if not names:
        raise BadInput(
            "the file is empty", where=path.name, instead="write a header line, even without rows"
        )
    return [name.strip() for name in names], delimiter


def delimiter_of(line: str) -> str:
    """The sign that cuts a header line into the most fields."""
    unquoted = re.sub(r'"[^"]*"', "", line)
    return max(_DELIMITERS, key=lambda sign: (unquoted.count(sign), -_DELIMITERS.index(sign)))
