"""Consent as organisations write it, read into the consent columns of the member table.

Sources, in order of growing weight: a column `consent` of a one-row table, columns
`consent_PURPOSE`, and the rows of a file of consent (node.import_events). A member
of whom nothing is said consents to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.consent import ALL, CONSENT, MAX_PURPOSES, consent_columns, purpose_key
from node.consent_classes import add_classes
from node.consent_history import note_file_words, note_files_silent
from node.import_events import (
    ABOUT,
    COMBINATIONS,
    EVENTS,
    GIVEN_WORDS,
    LAST,
    OTHER_WORDS,
    consent_file,
    stage_events,
    stage_last,
)
from node.import_source import Source
from node.import_stage import Staged
from node.layout import Cursor, literal, quote, select
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

MAX_WORDS = 1000


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
    source = consent_file(cursor, dictionary, folder)
    if source is not None:
        stage_events(cursor, dictionary, source)
    _check_needed(found, needed, staged, source)
    keys = _purposes(cursor, found, source is not None)
    if source is not None:
        stage_last(cursor, keys)
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


def effective_columns(plan: ConsentPlan, last: str) -> dict[str, str]:
    """SQL of the consent columns, over the staged tables and `last`, the alias of LAST."""
    columns: dict[str, str] = {}
    for key in plan.purposes:
        names = consent_columns(key)
        columns |= dict(zip(names[:-1], _effective(plan, key, last), strict=True))
    return columns


def _effective(plan: ConsentPlan, key: str, last: str) -> tuple[str, str, str, str, str]:
    """given, from, until, own, terms: see node.consent for the order in which sources speak."""
    general, own = plan.base.get(ALL, "false"), plan.base.get(key, "NULL") if key != ALL else "NULL"
    day, number = "CAST(NULL AS DATE)", "CAST(NULL AS INTEGER)"
    if not plan.events:
        given = general if own == "NULL" else f"coalesce({own}, {general})"
        return given, day, day, f"{own} IS NOT NULL", number
    ended, said = f"{last}.ended", f"{last}.{quote(f'last:{key}')}"
    of_all = f"{last}.{quote(f'last:{ALL}')}"
    own_event = f"{last}.{quote(f'seq:{key}')} > coalesce({ended}, -1)" if key != ALL else "false"
    own_column = f"{ended} IS NULL AND {own} IS NOT NULL"

    def first(part: str, column: str, otherwise: str) -> str:
        return (
            f"CASE WHEN {own_event} THEN {said}.{part} WHEN {own_column} THEN {column} "
            f"WHEN {of_all} IS NOT NULL THEN {of_all}.{part} ELSE {otherwise} END"
        )

    mine = f"coalesce({own_event}, false) OR ({own_column})"
    days = first('"from"', day, day), first("until", day, day)
    return first("given", own, general), *days, mine, first("terms", number, number)


def with_classes(cursor: Cursor, plan: ConsentPlan, members: str) -> str:
    """SQL of the member table: the rows of `members`, each with its class of every purpose."""
    none = "SELECT NULL::DATE AS valid_from, NULL::DATE AS valid_until, NULL::INTEGER AS terms"
    add_classes(cursor, f"{none} UNION ALL {COMBINATIONS}" if plan.events else none, [])
    columns, source = {"*": "b.*"}, f"({members}) AS b"
    for at, key in enumerate(plan.purposes):
        given, start, end, _, terms, name = (quote(each) for each in consent_columns(key))
        columns[name] = f"CASE WHEN b.{given} THEN k{at}.number END"
        source += (
            f" LEFT JOIN consent_classes AS k{at} ON k{at}.valid_from IS NOT DISTINCT FROM "
            f"b.{start} AND k{at}.valid_until IS NOT DISTINCT FROM b.{end} "
            f"AND k{at}.terms IS NOT DISTINCT FROM b.{terms}"
        )
    listed = ", ".join(sql if name == "*" else f"{sql} AS {name}" for name, sql in columns.items())
    return f"SELECT {listed} FROM {source}"  # noqa: S608


def note_words(cursor: Cursor, plan: ConsentPlan, at: str) -> None:
    """Keep what the files say now and did not say before, once the member table is built."""
    for key in plan.purposes:
        names = consent_columns(key)
        given, start, end, own, terms, _ = (f"m.{quote(name)}" for name in names)
        own = "true" if key == ALL else own
        said = f"said.{quote(f'last:{key}')}"
        unsaid = "NULL" if key == ALL else "'refused'"  # an own word that is not yes
        about = [unsaid, *["''"] * len(ABOUT)]
        if plan.events:
            known = [f"coalesce({said}.{name}, '')" for name in ABOUT]
            about = [f"coalesce({said}.state, {unsaid})", *known]
        columns = (given, start, end, own, terms, *about)
        note_file_words(cursor, key, columns, at, LAST if plan.events else "")
    note_files_silent(cursor, plan.purposes, at)
