"""A folder of files becomes the node's records: all of them, or nothing changes.

    stage      each file is read into a temporary table and checked     (node.import_stage)
    consent    what members consent to is read and checked              (node.import_consent)
    replace    the record tables are built from these and replace the former, in one transaction

Warnings and errors stay in the building: they may quote a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.consent import reapply_refusals
from node.erasure import not_erased
from node.import_consent import (
    ConsentPlan,
    effective_columns,
    note_words,
    plan_consent,
    with_classes,
)
from node.import_events import LAST
from node.import_progress import Progress, Told, silent
from node.import_source import SUFFIXES
from node.import_stage import (
    Staged,
    outside,
    stage_name,
    stage_table,
    stored,
    table_file,
    undeclared_time,
)
from node.layout import (
    MEMBERS,
    Cursor,
    bin_column,
    code_type,
    double,
    is_numeric,
    quote,
    rows_table,
    select,
)
from node.linkage_records import reapply as reapply_linkage
from node.records import Records, note_import
from privacy.contract.dictionary import Column, ColumnRef, Dictionary, Rows
from privacy.errors import BadInput

_KEYS = stage_name("member keys")


@dataclass(frozen=True)
class ImportReport:
    """What an import did. Counts and warnings are for the organisation alone."""

    members: int
    rows: Mapping[str, int]
    warnings: tuple[str, ...]


def import_folder(
    records: Records,
    dictionary: Dictionary,
    folder: Path,
    *,
    consent_purposes: Collection[str] = (),
    at: str = "",
    told: Told = silent,
) -> ImportReport:
    """Replace all records by the files in `folder`, one per declared table.

    `consent_purposes` are the purposes for which studies ask members' consent, `at` is when
    what the files say of consent is recorded; `told` hears of every step. Raises BadInput naming
    file, column, row and rule; the former records are then exactly as they were.
    """
    paths = _paths(dictionary, folder)
    steps = len(paths) + 2
    with records.transaction() as cursor:
        staged = []
        for done, table in enumerate(dictionary.tables):
            told(Progress(done, steps, f"reading and checking {paths[table.name].name}"))
            staged.append(stage_table(cursor, table, paths[table.name]))
        told(Progress(len(paths), steps, "reading what members consent to"))
        consent = plan_consent(cursor, dictionary, staged, folder, consent_purposes)
        warnings = _warnings(cursor, folder, staged, consent)
        told(Progress(steps - 1, steps, "writing the records"))
        _drop_former(cursor)
        _number_members(cursor, staged)
        _build_members(cursor, staged, consent)
        rows = {each.table.name: _build_rows(cursor, each) for each in staged if _many(each)}
        note_words(cursor, consent, at)
        reapply_refusals(cursor)
        reapply_linkage(cursor)
        note_import(cursor, dictionary.digest)
        members = _count(cursor, MEMBERS)
    return ImportReport(members, rows, warnings)


def check_folder(
    records: Records,
    dictionary: Dictionary,
    folder: Path,
    *,
    consent_purposes: Collection[str] = (),
) -> tuple[str, ...]:
    """What `import_folder` would refuse or warn of; nothing is kept."""
    paths = _paths(dictionary, folder)
    with records.transaction() as cursor:
        staged = [stage_table(cursor, t, paths[t.name]) for t in dictionary.tables]
        consent = plan_consent(cursor, dictionary, staged, folder, consent_purposes)
        warnings = _warnings(cursor, folder, staged, consent)
    return warnings


def _paths(dictionary: Dictionary, folder: Path) -> dict[str, Path]:
    """The file of each declared table; raises BadInput if the folder or a file is missing."""
    if not folder.is_dir():
        raise BadInput("no such folder", where=str(folder), instead="name the folder of the files")
    return {table.name: table_file(folder, table) for table in dictionary.tables}


def _many(staged: Staged) -> bool:
    return staged.table.rows is Rows.MANY


def _count(cursor: Cursor, source: str) -> int:
    return int(cursor.execute(select({"n": "count(*)"}, source)).fetchone()[0])


def _drop_former(cursor: Cursor) -> None:
    names = (
        "SELECT table_name FROM duckdb_tables() "
        "WHERE NOT temporary AND (table_name = ? OR table_name LIKE 'rows:%')"
    )
    for (name,) in cursor.execute(names, [MEMBERS]).fetchall():
        cursor.execute(f"DROP TABLE {quote(name)}")


def _number_members(cursor: Cursor, staged: Sequence[Staged]) -> None:
    """Members are all keys of all tables; they are numbered densely in the keys' order."""
    every = " UNION ALL ".join(select({"member": "member"}, each.sql) for each in staged)
    keys = select({"member": "member"}, f"({every}) WHERE {not_erased()} GROUP BY member")
    numbered = {"member_ix": "CAST(row_number() OVER (ORDER BY member) - 1 AS INTEGER)"}
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE {_KEYS} AS "
        f"{select(numbered | {'member': 'member'}, f'({keys})')}"
    )


def _build_members(cursor: Cursor, staged: Sequence[Staged], consent: ConsentPlan) -> None:
    columns = {"member_ix": "k.member_ix", "member": "k.member"}
    source = f"{_KEYS} AS k"
    for each in staged:
        if not _many(each):
            alias = quote(each.table.name)
            columns |= _stored_columns(each, alias)
            source += f" LEFT JOIN {each.sql} AS {alias} ON k.member = {alias}.member"
    if consent.events:
        source += f" LEFT JOIN {LAST} AS said ON k.member = said.member"
    columns |= effective_columns(consent, "said")
    rows = with_classes(cursor, consent, select(columns, source))
    cursor.execute(f"CREATE TABLE {MEMBERS} AS {rows}")


def _build_rows(cursor: Cursor, staged: Staged) -> int:
    """The rows of a many-row table, at most the declared number per member. Returns how many."""
    table = staged.table
    ranked = {"member_ix": "k.member_ix", "row_rank": f"CAST({_rank(staged)} - 1 AS INTEGER)"}
    columns = ranked | _stored_columns(staged, "s")
    source = f"{staged.sql} AS s JOIN {_KEYS} AS k ON k.member = s.member"
    kept = {name: quote(name) for name in columns}
    limit = f"WHERE row_rank < {table.max_rows_per_member}"
    statement = select(kept, f"({select(columns, source)}) {limit}")
    cursor.execute(f"CREATE TABLE {quote(rows_table(table))} AS {statement}")
    return _count(cursor, quote(rows_table(table)))


def _rank(staged: Staged) -> str:
    """Place of a row among its member's: by time where one is named, then as in the file."""
    order = ["s.row_no"]
    if undeclared_time(staged.table):
        order = ["TRY_CAST(s.time AS DOUBLE) NULLS LAST", "s.time NULLS LAST", *order]
    else:
        names = [column.name for column in staged.table.columns]
        if staged.table.time in names:
            order = [f"s.v{names.index(staged.table.time)} NULLS LAST", *order]
    return f"row_number() OVER (PARTITION BY s.member ORDER BY {', '.join(order)})"


def _stored_columns(staged: Staged, alias: str) -> dict[str, str]:
    """Every column as it is kept, with the code of its bin where bins are declared."""
    columns: dict[str, str] = {}
    for i, column in enumerate(staged.table.columns):
        ref = ColumnRef(staged.table, column)
        value = stored(column, f"{alias}.v{i}")
        columns[ref.name] = value
        if column.bins and is_numeric(column):
            columns[bin_column(ref)] = bin_code(column, value)
    return columns


def bin_code(column: Column, value: str) -> str:
    """SQL of `Column.bin_of`: how many inner edges lie at or below the value."""
    inner = column.edges[1:-1]
    whens = " ".join(f"WHEN {value} < {double(edge)} THEN {i}" for i, edge in enumerate(inner))
    code = f"CASE WHEN {value} IS NULL THEN NULL {whens} ELSE {len(inner)} END"
    return f"CAST({code} AS {code_type(len(inner) + 1)})"


def _warnings(
    cursor: Cursor, folder: Path, staged: Sequence[Staged], consent: ConsentPlan
) -> tuple[str, ...]:
    found = _unused_files(folder, {each.source.file for each in staged})
    for each in staged:
        found += _table_warnings(cursor, each)
    return (*found, *consent.warnings)


def _unused_files(folder: Path, used: set[str]) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    return [
        f"{name}: no such table is declared; the file is ignored"
        for name in names
        if name not in used and not name.startswith("consent.")
    ]


def _table_warnings(cursor: Cursor, staged: Staged) -> list[str]:
    table, file = staged.table, staged.source.file
    found = []
    declared = {table.key, table.time, *(column.name for column in table.columns)}
    unused = [n for n in staged.source.columns if n not in {*declared, *staged.consent.values()}]
    if unused:
        found.append(f"{file}: not declared, so not imported: {', '.join(unused)}")
    checked = {"rows": "count(*)"} | {
        f"n{i}": f"count(*) FILTER (WHERE {outside(column, f'v{i}')})"
        for i, column in enumerate(table.columns)
    }
    counts = cursor.execute(select(checked, staged.sql)).fetchone()[1:]
    for column, count in zip(table.columns, counts, strict=True):
        if count:
            bounds = f"{column.lower} to {column.upper}"
            found.append(f"{file}, column {column.name}: {count} values clamped to {bounds}")
    return found + (_surplus(cursor, staged) if _many(staged) else [])


def _surplus(cursor: Cursor, staged: Staged) -> list[str]:
    """A warning where members have more rows than are kept."""
    most = staged.table.max_rows_per_member
    grouped = f"({select({'n': 'count(*)'}, f'{staged.sql} GROUP BY member')}) WHERE n > {most}"
    sums = {"members": "count(*)", "rows": f"coalesce(sum(n - {most}), 0)"}
    members, rows = cursor.execute(select(sums, grouped)).fetchone()
    if not members:
        return []
    return [
        f"{staged.source.file}: {members} members have more than {most} rows; "
        f"the first {most} of each are kept, {rows} rows are not"
    ]
