"""Consent as organisations write it, read into the consent columns of the member table.

Sources, in order of growing weight: a column `consent` of a one-row table, columns
`consent_PURPOSE`, and the rows of a file `consent.csv`. A member of whom nothing is said
consents to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from node.consent import (
    ALL,
    CONSENT,
    MAX_PURPOSES,
    ConsentState,
    consent_columns,
    purpose_key,
)
from node.import_source import Source, find_file, open_source
from node.import_stage import Staged, stage_name
from node.import_values import NO, YES, known_text, plain_text, reading
from node.layout import literal, quote, select
from node.records import Cursor
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput

EVENTS = stage_name("consent events")
LAST = stage_name("consent last")
GIVEN_WORDS = (*YES, ConsentState.GIVEN.value, "granted")
OTHER_WORDS = (*NO, *(s.value for s in ConsentState if s is not ConsentState.GIVEN), "declined")
MAX_WORDS = 1000
_MISSING: tuple[str, ...] = Column.model_fields["missing"].default
_DAY = Column(name="day", type=ColumnType.DATE)


@dataclass(frozen=True)
class _Word:
    """What one spelling in a consent column says: of `all`, and of single purposes."""

    text: str
    everything: bool
    purposes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConsentPlan:
    """All that an import knows of consent, as SQL over the staged tables.

    `base` has the SQL (true, false or NULL) of what the columns say of each purpose; `events`
    tells whether a consent file was staged in EVENTS.
    """

    base: Mapping[str, str]
    events: bool
    purposes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass
class _Found:
    base: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)


def plan_consent(
    cursor: Cursor,
    dictionary: Dictionary,
    staged: Sequence[Staged],
    folder: Path,
    needed: Collection[str],
) -> ConsentPlan:
    """Read every source of consent. `needed` are the purposes that studies ask consent for.

    Raises BadInput for a word that is no consent, and where a needed purpose has no source.
    """
    found = _Found()
    for table in staged:
        for key in table.consent:
            _read_column(cursor, found, table, key, needed)
    path = find_file(folder, CONSENT)
    source = _consent_file(cursor, dictionary, path)
    if source is not None:
        _stage_events(cursor, dictionary, source)
    _check_needed(found, needed, staged, source)
    keys = _purposes(cursor, found, source is not None)
    if source is not None:
        _stage_last(cursor, keys)
    return ConsentPlan(dict(found.base), source is not None, keys, tuple(found.warnings))


def _read_column(
    cursor: Cursor, found: _Found, table: Staged, key: str, needed: Collection[str]
) -> None:
    where = f"{table.source.file}, column {table.consent[key]}"
    if key in found.columns:
        raise BadInput("two tables record the same consent", where=where, instead="keep one")
    found.columns.add(key)
    words = _words(cursor, table, key, where)
    said = f"{quote(table.table.name)}.{quote(f'{CONSENT}:{key}')}"
    if key == ALL:
        _read_general(found, said, words, where, needed)
        return
    known = {purpose_key(purpose) for purpose in needed}
    for word, row in words:
        if word.lower() in (*GIVEN_WORDS, *OTHER_WORDS):
            continue
        if key in known:
            raise _unknown_word(word, f"{where}, row {row}", ())
        found.warnings.append(f"{where}: {word!r} is not read as consent")
        break
    found.base[key] = _is_one_of(said, [w for w, _ in words if w.lower() in GIVEN_WORDS])


def _words(cursor: Cursor, table: Staged, key: str, where: str) -> list[tuple[str, int]]:
    """Every spelling in a consent column with its first row."""
    column = quote(f"{CONSENT}:{key}")
    grouped = f"{table.sql} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 LIMIT {MAX_WORDS + 1}"
    words = cursor.execute(select({"word": column, "row": "min(row_no)"}, grouped)).fetchall()
    if len(words) > MAX_WORDS:
        raise BadInput("more than 1000 different words", where=where, instead="write yes or no")
    return [(str(word), int(row)) for word, row in words]


def _read_general(
    found: _Found,
    said: str,
    words: Sequence[tuple[str, int]],
    where: str,
    needed: Collection[str],
) -> None:
    """The column `consent`: yes or no, or a list of purposes."""
    parsed = [_parse_word(word, f"{where}, row {row}") for word, row in words]
    listed = {key for word in parsed if len(word.purposes) > 1 for key in word.purposes}
    known = listed | {purpose_key(purpose) for purpose in needed}
    for word, (_, row) in zip(parsed, words, strict=True):
        if needed and not known.issuperset(word.purposes):
            raise _unknown_word(word.text, f"{where}, row {row}", needed)
    found.base[ALL] = _is_one_of(said, [word.text for word in parsed if word.everything])
    for key in sorted({key for word in parsed for key in word.purposes}):
        naming = [word.text for word in parsed if key in word.purposes]
        found.base.setdefault(key, f"CASE WHEN {_is_one_of(said, naming)} THEN true END")
        if not needed:
            found.warnings.append(f"{where}: {key!r} is read as a purpose")


def _parse_word(text: str, where: str) -> _Word:
    word = text.lower()
    if word in (*GIVEN_WORDS, ALL):
        return _Word(text, True)
    if word in OTHER_WORDS:
        return _Word(text, False)
    keys = [purpose_key(part) for part in text.split(";") if part.strip()]
    if not all(keys) or {*GIVEN_WORDS, *OTHER_WORDS} & set(keys):
        raise _unknown_word(text, where, ())
    named = tuple(dict.fromkeys(key for key in keys if key != ALL))
    return _Word(text, ALL in keys, named)


def _unknown_word(text: str, where: str, needed: Iterable[str]) -> BadInput:
    named = ", ".join(sorted(needed))
    instead = "write yes or no" + (f", or purposes as {named} separated by ;" if named else "")
    return BadInput(f"{text[:60]!r} is no consent", where=where, instead=instead)


def _is_one_of(said: str, words: Sequence[str]) -> str:
    listed = ", ".join(map(literal, words))
    return f"coalesce({said} IN ({listed}), false)" if words else "false"


def _consent_file(cursor: Cursor, dictionary: Dictionary, path: Path | None) -> Source | None:
    """The consent file, if there is one in the form of events.

    A declared table may be called `consent` too; its file is this only if it has a state.
    """
    if path is None:
        return None
    source = open_source(cursor, path)
    declared = any(table.name == CONSENT for table in dictionary.tables)
    return None if declared and not {"purpose", "state"} <= source.columns.keys() else source


def _stage_events(cursor: Cursor, dictionary: Dictionary, source: Source) -> None:
    """Read the consent file's rows: member, purpose key, given, from and until."""
    keys = [*dict.fromkeys(table.key for table in dictionary.tables), "member"]
    member = next((key for key in keys if key in source.columns), keys[0])
    key = f"nullif({plain_text(source.column(member))}, '')"
    known = {"row_no": "row_number() OVER ()", "member": key}
    known |= {n: known_text(source.column(n), _MISSING) for n in ("purpose", "state")}
    days = {name: source.columns.get(name) for name in ("from", "until")}
    known |= {
        name: "CAST(NULL AS VARCHAR)" if day is None else reading(_DAY, day).known
        for name, day in days.items()
    }
    columns = {name: quote(name) for name in known}
    for name, day in days.items():
        read = quote(name) if day is None else reading(_DAY, day).value(quote(name))
        columns[f"{name} day"] = "CAST(NULL AS DATE)" if day is None else read
    try:
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS "
            f"{select(columns, f'({select(known, source.relation)})')}"
        )
    except duckdb.Error as error:
        raise source.unreadable(error) from None
    _check_events(cursor, source, member)


def _check_events(cursor: Cursor, source: Source, member: str) -> None:
    words = ", ".join(map(literal, (*GIVEN_WORDS, *OTHER_WORDS)))
    bare = "regexp_matches(lower(purpose), '[a-z0-9]')"
    no_date = "no date", "write it as 2024-12-31"
    rules = [
        (member, "member IS NULL", "the member's key is empty", "fill it in"),
        ("purpose", f"NOT coalesce({bare}, false)", "no purpose", "name it, or write all"),
        (
            "state",
            f"NOT lower(state) IN ({words})",
            "no state",
            "write given, refused, withdrawn, expired or requested",
        ),
        ("from", '"from" IS NOT NULL AND "from day" IS NULL', *no_date),
        ("until", 'until IS NOT NULL AND "until day" IS NULL', *no_date),
        ("until", '"until day" < "from day"', "the last day is before the first", "swap them"),
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


def _check_needed(
    found: _Found, needed: Collection[str], staged: Sequence[Staged], source: Source | None
) -> None:
    """Every purpose that a study asks consent for must be spoken of somewhere."""
    if source is not None or ALL in found.base:
        return
    for purpose in sorted(needed):
        key = purpose_key(purpose)
        if key not in found.base:
            files = [table.source.file for table in staged if table.table.max_rows_per_member == 1]
            raise BadInput(
                f"no consent column, and a study asks for consent to {purpose!r}",
                where=f"{files[0] if files else staged[0].source.file}, column {CONSENT}",
                instead=f"add a column {CONSENT} (yes or no) or {CONSENT}_{key}",
            )


def _purposes(cursor: Cursor, found: _Found, events: bool) -> tuple[str, ...]:
    keys = {ALL, *found.base}
    if events:
        spelled = cursor.execute(f"FROM (SELECT DISTINCT purpose FROM {EVENTS}) LIMIT 10000")  # noqa: S608
        keys |= {purpose_key(purpose) for (purpose,) in spelled.fetchall()}
    if len(keys) > MAX_PURPOSES:
        raise BadInput(f"consent names more than {MAX_PURPOSES} purposes", where=CONSENT)
    return tuple(sorted(keys))


_KEY = "trim(regexp_replace(lower(purpose), '[^a-z0-9]+', '_', 'g'), '_')"


def _stage_last(cursor: Cursor, keys: Iterable[str]) -> None:
    """One row per member: the last event on each purpose, and when `all` last ended."""
    given = f"lower(state) IN ({', '.join(map(literal, GIVEN_WORDS))})"
    event = '{"given": given, "from": "from day", "until": "until day"}'
    events = select(
        {
            "member": "member",
            "key": _KEY,
            "seq": "row_no",
            "given": given,
            "from day": f'CASE WHEN {given} THEN "from day" END',
            "until day": f'CASE WHEN {given} THEN "until day" END',
        },
        EVENTS,
    )
    columns = {"member": "member", "ended": "max(seq) FILTER (WHERE key = 'all' AND NOT given)"}
    for key in keys:
        only = f"FILTER (WHERE key = {literal(key)})"
        columns |= {
            f"last:{key}": f"arg_max({event}, seq) {only}",
            f"seq:{key}": f"max(seq) {only}",
        }
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE {LAST} AS {select(columns, f'({events}) GROUP BY member')}"
    )


def effective_columns(plan: ConsentPlan, last: str) -> dict[str, str]:
    """SQL of the consent columns, over the staged tables and `last`, the alias of LAST."""
    columns: dict[str, str] = {}
    for key in plan.purposes:
        names = consent_columns(key)
        columns |= dict(zip(names, _effective(plan, key, last), strict=True))
    return columns


def _effective(plan: ConsentPlan, key: str, last: str) -> tuple[str, str, str, str]:
    """given, from, until, own: see node.consent for the order in which sources speak."""
    general, own = plan.base.get(ALL, "false"), plan.base.get(key, "NULL") if key != ALL else "NULL"
    if not plan.events:
        given = general if own == "NULL" else f"coalesce({own}, {general})"
        return given, "CAST(NULL AS DATE)", "CAST(NULL AS DATE)", f"{own} IS NOT NULL"
    ended, said = f"{last}.ended", f"{last}.{quote(f'last:{key}')}"
    of_all = f"{last}.{quote(f'last:{ALL}')}"
    own_event = f"{last}.{quote(f'seq:{key}')} > coalesce({ended}, -1)" if key != ALL else "false"
    own_column = f"{ended} IS NULL AND {own} IS NOT NULL"

    def first(part: str, column: str, otherwise: str) -> str:
        return (
            f"CASE WHEN {own_event} THEN {said}.{part} WHEN {own_column} THEN {column} "
            f"WHEN {of_all} IS NOT NULL THEN {of_all}.{part} ELSE {otherwise} END"
        )

    day = "CAST(NULL AS DATE)"
    mine = f"coalesce({own_event}, false) OR ({own_column})"
    return first("given", own, general), first('"from"', day, day), first("until", day, day), mine
