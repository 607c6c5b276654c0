"""Which sheet is which table, which column which, and which word which level.

A proposal goes by names; whoever knows the data changes it. What nothing is mapped to stays
empty, and a word that is no level is listed until it is mapped or left out.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from node.consent import CONSENT
from node.import_stage import undeclared_time
from node.layout import is_coded
from node.spreadsheet.reading import Sheet
from node.spreadsheet.spelling import Spelling, respelled, spelling
from privacy.contract.dictionary import Column, Dictionary, Table

LEFT_OUT = "(left out)"
MOST_TERMS = 50


@dataclass(frozen=True)
class TableMapping:
    """`sheet` is "" where a table has none; `columns` by the dictionary's name; `words` by column,
    from what is written to a level, or to LEFT_OUT; `spelled` are columns with decimal commas, or
    with days written 31.12.2024."""

    table: str
    sheet: str
    columns: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]
    spelled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Term:
    """A word that stands so often in a column and is no level of it; perhaps `suggested` is meant,
    "" where no level is like it."""

    column: str
    word: str
    count: int
    suggested: str = ""


def fields_of(table: Table) -> tuple[str, ...]:
    """The names that a table's file has: the key, the columns, and a time that is no column."""
    time = (str(table.time),) if undeclared_time(table) else ()
    return (table.key, *time, *(column.name for column in table.columns))


def propose(sheets: Sequence[Sheet], dictionary: Dictionary) -> tuple[TableMapping, ...]:
    """Each table from the sheet that fits best, if any does."""
    return tuple(_proposed(table, sheets) for table in dictionary.tables)


def _proposed(table: Table, sheets: Sequence[Sheet]) -> TableMapping:
    scored = [(_fit(table, sheet), -at, sheet) for at, sheet in enumerate(sheets)]
    score, _, best = max(scored, key=lambda each: each[:2])
    return matched(table, best if score > 0 else None)


def _fit(table: Table, sheet: Sheet) -> float:
    """0 for a sheet without the members' key, and for one with nothing else of the table."""
    columns = _columns(table, sheet)
    others = sum(bool(columns[name]) for name in fields_of(table) if name != table.key)
    named = 0.5 if plain(sheet.name) == plain(table.name) else 0.0
    return others / len(columns) + named if columns[table.key] else 0.0


def matched(table: Table, sheet: Sheet | None) -> TableMapping:
    """The mapping of a table from one sheet, by names."""
    if sheet is None:
        return TableMapping(table.name, "", dict.fromkeys(fields_of(table), ""), {})
    columns = _columns(table, sheet)
    words = {
        column.name: _words(column, sheet.values(columns[column.name]))
        for column in table.columns
        if is_coded(column) and columns[column.name]
    }
    return TableMapping(table.name, sheet.name, columns, words)


def _columns(table: Table, sheet: Sheet) -> dict[str, str]:
    titles = {plain(title): title for title in sheet.header}
    labels = {column.name: column.label for column in table.columns}
    found: dict[str, str] = {}
    for name in fields_of(table):
        known = [plain(name), *([plain(labels[name])] if labels.get(name) else [])]
        if name == table.key:
            known += ["id", "member", "member_id", "patient_id", "record_id"]
        exact = [titles[each] for each in known if each in titles]
        close = get_close_matches(plain(name), titles, n=1, cutoff=0.84)
        found[name] = exact[0] if exact else titles[close[0]] if close else ""
    return found


def _words(column: Column, written: Sequence[str]) -> dict[str, str]:
    levels = {plain(level): level for level in column.levels}
    found = {}
    for word in dict.fromkeys(written):
        if word and word not in column.levels and plain(word) in levels:
            found[word] = levels[plain(word)]
    return found


def plain(text: str) -> str:
    """A name without what people write differently."""
    return re.sub(r"[\W_]+", "_", text.casefold()).strip("_")


def unmapped(table: Table, mapping: TableMapping, sheet: Sheet) -> tuple[Term, ...]:
    """The most frequent words that are no level and are not mapped."""
    found: list[Term] = []
    for column in table.columns:
        source = mapping.columns.get(column.name, "")
        if not source or not is_coded(column):
            continue
        known = {*column.levels, *column.missing, "", *mapping.words.get(column.name, {})}
        counts = Counter(word for word in sheet.values(source) if word not in known)
        found += [
            Term(column.name, word, n, suggested_level(column, word))
            for word, n in counts.most_common(MOST_TERMS)
        ]
    return tuple(found[:MOST_TERMS])


def spellings(table: Table, mapping: TableMapping, sheet: Sheet) -> tuple[Spelling, ...]:
    """Columns whose numbers or days are written as other languages do."""
    sources = ((column, mapping.columns.get(column.name, "")) for column in table.columns)
    found = (spelling(column, sheet.values(source)) for column, source in sources if source)
    return tuple(each for each in found if each is not None)


def suggested_level(column: Column, word: str) -> str:
    """The level that is written most like a word, or that it begins with; "" for none."""
    levels = {plain(level): level for level in column.levels}
    written = plain(word)
    close = get_close_matches(written, levels, n=1)
    if close:
        return levels[close[0]]
    begun = [level for name, level in levels.items() if _begins(written, name)]
    return begun[0] if len(begun) == 1 else ""


def _begins(one: str, other: str) -> bool:
    """Whether one of two is the other with words after it."""
    short, long = sorted((one, other), key=len)
    return bool(short) and long.startswith(f"{short}_")


def write_files(
    dictionary: Dictionary,
    sheets: Mapping[str, Sheet],
    mappings: Sequence[TableMapping],
    folder: Path,
) -> None:
    """One CSV file for each table, as the importer reads them, consent columns included."""
    for table, mapping in zip(dictionary.tables, mappings, strict=True):
        sheet = sheets.get(mapping.sheet)
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            names, rows = _rows(table, mapping, sheet)
            writer.writerow(names)
            writer.writerows(rows)


def _rows(
    table: Table, mapping: TableMapping, sheet: Sheet | None
) -> tuple[list[str], list[list[str]]]:
    names = list(fields_of(table))
    if sheet is None:
        return names, []
    consent = [title for title in consent_titles(sheet) if title not in names]
    sources = [*(mapping.columns.get(name, "") for name in names), *consent]
    places = [sheet.header.index(source) if source else None for source in sources]
    reads = [_reader(table, mapping, name) for name in (*names, *consent)]
    rows = [
        ["" if at is None else read(row[at]) for at, read in zip(places, reads, strict=True)]
        for row in sheet.rows
    ]
    return [*names, *(plain(title) for title in consent)], rows


def _reader(table: Table, mapping: TableMapping, name: str) -> Callable[[str], str]:
    """How the fields of a column are read."""
    known = mapping.words.get(name, {})
    column = next((each for each in table.columns if each.name == name), None)
    if column is not None and name in mapping.spelled:
        return partial(respelled, column)
    return lambda word: "" if (said := known.get(word, word)) == LEFT_OUT else said


def consent_titles(sheet: Sheet) -> tuple[str, ...]:
    """The columns from which members' consent is read."""
    return tuple(title for title in sheet.header if _is_consent(title))


def _is_consent(title: str) -> bool:
    return plain(title) == CONSENT or plain(title).startswith(f"{CONSENT}_")
