"""Everything that is wrong with a folder of files, row by row, for whoever can mend it.

It quotes values, so it stays in the building like the files themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.import_stage import Staged, read_table, table_file
from node.import_values import rule_broken
from node.layout import Cursor, select
from node.records import Records
from privacy.contract.dictionary import Dictionary, Rows

MOST = 200


@dataclass(frozen=True)
class Problem:
    """One field that breaks a rule; `row` counts the rows below the header from 1."""

    file: str
    row: int
    column: str
    what: str
    instead: str


def problems_of(records: Records, dictionary: Dictionary, folder: Path) -> tuple[Problem, ...]:
    """The first problems of each table, at most `MOST`, in the files' order; nothing is kept.

    Raises BadInput for a file that is missing or cannot be read.
    """
    found: list[Problem] = []
    with records.transaction() as cursor:
        for table in dictionary.tables:
            staged = read_table(cursor, table, table_file(folder, table))
            wrong = [*_fields(cursor, staged), *_second_rows(cursor, staged)]
            found += sorted(wrong, key=lambda each: each.row)
    return tuple(found[:MOST])


def _fields(cursor: Cursor, staged: Staged) -> Iterator[Problem]:
    columns = staged.table.columns
    wrong = [f"e{i}" for i in range(len(columns))]
    broken = " OR ".join(["member IS NULL", *(f"{name} IS NOT NULL" for name in wrong)])
    wanted = {"row_no": "row_no", "member": "member"} | {name: name for name in wrong}
    source = f"{staged.sql} WHERE {broken} ORDER BY row_no LIMIT {MOST}"
    for row, member, *fields in cursor.execute(select(wanted, source)).fetchall():
        if member is None:
            key = staged.table.key
            yield Problem(staged.source.file, row, key, "the member's key is empty", "fill it in")
        for column, written in zip(columns, fields, strict=True):
            if written is not None:
                rule = rule_broken(column, written, "")
                yield Problem(staged.source.file, row, column.name, rule.what, rule.instead)


def _second_rows(cursor: Cursor, staged: Staged) -> Iterator[Problem]:
    if staged.table.rows is not Rows.ONE:
        return
    order = "row_number() OVER (PARTITION BY member ORDER BY row_no)"
    ranked = select(
        {"row": "row_no", "member": "member", "rank": order},
        f"{staged.sql} WHERE member IS NOT NULL",
    )
    later = f"({ranked}) WHERE rank > 1 ORDER BY row LIMIT {MOST}"
    for row, member in cursor.execute(select({"row": "row", "member": "member"}, later)).fetchall():
        what = f"member {member!r} has another row in a table with one row per member"
        yield Problem(staged.source.file, row, staged.table.key, what, "keep one row")
