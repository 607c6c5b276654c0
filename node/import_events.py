"""A file of consent, a row for every word of a member: read, checked, and the last words found.

`consent.csv` or `consent.parquet` as docs/formats.md describes them, or FHIR R4 Consents in
`consent.json` or `consent.ndjson` (node.consent_fhir), which become the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from node.consent import CONSENT
from node.consent_files import COLUMNS, FHIR_SUFFIXES, fhir_words, row_of
from node.consent_terms import number_of
from node.import_source import Source, SourceColumn, find_file, open_source
from node.import_stage import stage_name
from node.import_values import NO, YES, known_text, plain_text, reading
from node.layout import Cursor, literal, offer, quote, select
from privacy.contract.consent import ConsentState
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.contract.duo_text import parse_terms
from privacy.errors import BadInput

EVENTS = stage_name("consent events")
LAST = stage_name("consent last")
_FHIR = "fhir consents"
_NUMBERS = stage_name("consent numbers")
_SAYABLE = tuple(state.value for state in ConsentState if state is not ConsentState.SUPERSEDED)
GIVEN_WORDS = (*YES, ConsentState.GIVEN.value, "granted")
OTHER_WORDS = (*NO, *(s for s in _SAYABLE if s != ConsentState.GIVEN.value), "declined")
ABOUT = ("text", "language", "evidence", "recorder")
_OPTIONAL = ("terms", *ABOUT)
_MISSING: tuple[str, ...] = Column.model_fields["missing"].default
_DAY = Column(name="day", type=ColumnType.DATE)
_KEY = "trim(regexp_replace(lower(purpose), '[^a-z0-9]+', '_', 'g'), '_')"


COMBINATIONS = select(
    {"valid_from": '"from day"', "valid_until": '"until day"', "terms": "n.number"},
    f"{EVENTS} LEFT JOIN {_NUMBERS} AS n USING (terms)",
)


def consent_file(cursor: Cursor, dictionary: Dictionary, folder: Path) -> Source | None:
    """The consent file, if there is one in the form of events.

    A declared table may be called `consent` too; its file is this only if it has a state.
    """
    path = find_file(folder, CONSENT)
    fhir = [f for f in (folder / f"{CONSENT}{suffix}" for suffix in FHIR_SUFFIXES) if f.is_file()]
    if len(fhir) > 1 or (fhir and path is not None):
        raise BadInput("two files of consent", where=str(folder), instead="keep one")
    if fhir:
        return _fhir_source(cursor, fhir[0])
    if path is None:
        return None
    source = open_source(cursor, path)
    declared = any(table.name == CONSENT for table in dictionary.tables)
    return None if declared and not {"purpose", "state"} <= source.columns.keys() else source


def _fhir_source(cursor: Cursor, path: Path) -> Source:
    """FHIR Consents as the rows that a consent file would have."""
    names = [name for name in COLUMNS if name != "recorded_at"]
    rows = [row_of(placed.word) for placed in fhir_words(path)]
    rows = [row for row in rows if row["state"] != ConsentState.SUPERSEDED.value]
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
    offer(cursor, _FHIR, table)
    columns = {name: SourceColumn(quote(name), "VARCHAR") for name in names}
    return Source(path.name, quote(_FHIR), columns)


def stage_events(cursor: Cursor, dictionary: Dictionary, source: Source) -> None:
    """Read the consent file's rows: member, purpose key, given, from, until, terms and how it is
    known. Raises BadInput naming the row and the rule."""
    keys = [*dict.fromkeys(table.key for table in dictionary.tables), "member"]
    member = next((key for key in keys if key in source.columns), keys[0])
    try:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS {_statement(source, member)}")
    except duckdb.Error as error:
        raise source.unreadable(error) from None
    _check_events(cursor, source, member)
    _number_terms(cursor, source)


def _statement(source: Source, member: str) -> str:
    key = f"nullif({plain_text(source.column(member))}, '')"
    known = {"row_no": "row_number() OVER ()", "member": key}
    known |= {n: known_text(source.column(n), _MISSING) for n in ("purpose", "state")}
    for name in _OPTIONAL:
        column = source.columns.get(name)
        known[name] = f"coalesce({known_text(column, _MISSING)}, '')" if column else "''"
    days = {name: source.columns.get(name) for name in ("from", "until")}
    known |= {
        name: "CAST(NULL AS VARCHAR)" if day is None else reading(_DAY, day).known
        for name, day in days.items()
    }
    columns = {name: quote(name) for name in known}
    for name, day in days.items():
        read = quote(name) if day is None else reading(_DAY, day).value(quote(name))
        columns[f"{name} day"] = "CAST(NULL AS DATE)" if day is None else read
    return select(columns, f"({select(known, source.relation)})")


def _check_events(cursor: Cursor, source: Source, member: str) -> None:
    words = ", ".join(map(literal, (*GIVEN_WORDS, *OTHER_WORDS)))
    bare = "regexp_matches(lower(purpose), '[a-z0-9]')"
    no_date = "no date", "write it as 2024-12-31"
    rules = [
        (member, "member IS NULL", "the member's key is empty", "fill it in"),
        ("purpose", f"NOT coalesce({bare}, false)", "no purpose", "name it, or write all"),
        ("state", f"NOT lower(state) IN ({words})", "no state", f"write {_listed(_SAYABLE)}"),
        ("from", '"from" IS NOT NULL AND "from day" IS NULL', *no_date),
        ("until", 'until IS NOT NULL AND "until day" IS NULL', *no_date),
        ("until", '"until day" < "from day"', "the last day is before the first", "swap them"),
        *_ABOUT_RULES,
    ]
    firsts = {
        f"rule {number}": f"min(row_no) FILTER (WHERE {condition})"
        for number, (_, condition, _, _) in enumerate(rules)
    }
    rows = cursor.execute(select(firsts, EVENTS)).fetchone()
    broken = [(row, rule) for row, rule in zip(rows, rules, strict=True) if row is not None]
    if broken:
        row, (name, _, what, instead) = min(broken)
        where = f"{source.file}, column {name}, row {row}"
        raise BadInput(what, where=where, instead=instead)


_ABOUT_RULES = [
    (
        "text",
        "text <> '' AND NOT regexp_full_match(text, '[0-9a-f]{64}')",
        "not the SHA-256 of a text",
        "write 64 digits, as `sha256sum` prints them",
    ),
    (
        "language",
        "language <> '' AND NOT regexp_full_match(language, '[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*')",
        "no language",
        "write it as de or de-CH",
    ),
    *(
        (name, f"length({name}) > 512", "longer than 512 letters", "name the place it is kept at")
        for name in ("evidence", "recorder")
    ),
]


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


def _number_terms(cursor: Cursor, source: Source) -> None:
    """Read every spelling of terms once, and give the terms their numbers."""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_NUMBERS} (terms VARCHAR, number INTEGER)")
    spelled = cursor.execute(
        f"SELECT terms, min(row_no) FROM {EVENTS} WHERE terms <> '' GROUP BY 1 ORDER BY 2"  # noqa: S608
    ).fetchall()
    for text, row in spelled:
        terms = parse_terms(text, f"{source.file}, column terms, row {row}")
        cursor.execute(f"INSERT INTO {_NUMBERS} VALUES (?, ?)", [text, number_of(cursor, terms)])  # noqa: S608


def stage_last(cursor: Cursor, keys: Iterable[str]) -> None:
    """One row per member: the last event on each purpose, and when `all` last ended."""
    given = f"lower(state) IN ({', '.join(map(literal, GIVEN_WORDS))})"
    parts = ("given", "state", "from", "until", "terms", *ABOUT)
    event = "{" + ", ".join(f'"{part}": {quote(part)}' for part in parts) + "}"
    columns = {"member": "member", "ended": "max(seq) FILTER (WHERE key = 'all' AND NOT given)"}
    for key in keys:
        only = f"FILTER (WHERE key = {literal(key)})"
        columns |= {
            f"last:{key}": f"arg_max({event}, seq) {only}",
            f"seq:{key}": f"max(seq) {only}",
        }
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE {LAST} AS "
        f"{select(columns, f'({_events(given)}) GROUP BY member')}"
    )


def _events(given: str) -> str:
    other = f"CASE WHEN lower(state) IN ({', '.join(map(literal, _SAYABLE))}) THEN lower(state)"
    columns = {
        "member": "member",
        "key": _KEY,
        "seq": "row_no",
        "given": given,
        "state": f"CASE WHEN {given} THEN 'given' ELSE {other} ELSE 'refused' END END",
        "from": f'CASE WHEN {given} THEN "from day" END',
        "until": f'CASE WHEN {given} THEN "until day" END',
        "terms": f"CASE WHEN {given} THEN n.number END",
        **{name: name for name in ABOUT},
    }
    return select(columns, f"{EVENTS} LEFT JOIN {_NUMBERS} AS n USING (terms)")
