"""Which members consent to what: kept as columns of the member table, changed in one transaction.

For every purpose that any file or change has named, and for `all` (any other purpose):

    consent:KEY        does the member consent?
    consent-from:KEY   first day, or NULL        consent-until:KEY   last day, or NULL
    consent-own:KEY    did the member say so for this purpose, and not by `all`?
    consent-terms:KEY  the number of the terms they consent under, or NULL (node.consent_terms)
    consent-class:KEY  all of this as one number, NULL for no consent (node.consent_classes):
                       the one column that a question reads

A purpose that was never named has no columns of its own; there `all` speaks. What a member says
about one purpose goes before what they say about `all`, except that ending `all` ends every
purpose. Every word is kept, in order, in `consent_changes` (node.consent_history).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from node.consent_classes import class_number
from node.consent_history import NOTHING_KNOWN, Note, Source, last_state, write_word
from node.consent_terms import known_terms, number_of
from node.engines.embedded import columns_of
from node.layout import MEMBERS, Cursor, quote, select
from node.linked import LINKAGE, unlink
from node.records import Records, leave_mark
from privacy.contract.consent import ConsentState, check_follows
from privacy.contract.duo import Terms
from privacy.errors import BadInput

ALL = "all"
CONSENT = "consent"
MAX_PURPOSES = 100
_PARTS = (
    "consent",
    "consent-from",
    "consent-until",
    "consent-own",
    "consent-terms",
    "consent-class",
)
_TYPES = ("BOOLEAN", "DATE", "DATE", "BOOLEAN", "INTEGER", "INTEGER")


@dataclass(frozen=True)
class Consent:
    """What is recorded of one member for one purpose. `valid_until` is the last day."""

    given: bool
    valid_from: date | None = None
    valid_until: date | None = None
    terms: Terms | None = None  # None: for all that the purpose says

    def holds(self, today: date) -> bool:
        """Does the member consent on this day?"""
        begun = self.valid_from is None or self.valid_from <= today
        return self.given and begun and (self.valid_until is None or today <= self.valid_until)


def purpose_key(purpose: str) -> str:
    """A purpose as a column is named after it: `ALS progression` and `als-progression` agree."""
    return re.sub(r"[^a-z0-9]+", "_", purpose.lower()).strip("_")


def consent_columns(key: str) -> tuple[str, str, str, str, str, str]:
    """Names of a purpose's columns: given, from, until, own, terms, class."""
    given, start, end, own, terms, number = (f"{part}:{key}" for part in _PARTS)
    return given, start, end, own, terms, number


def class_column(key: str) -> str:
    """The name of the column with the number of a member's class of consent."""
    return consent_columns(key)[-1]


def purposes_in(columns: Iterable[str]) -> tuple[str, ...]:
    """Keys of the purposes that have columns of their own, `all` included."""
    head = class_column("")
    return tuple(name.removeprefix(head) for name in columns if name.startswith(head))


def key_in_force(columns: Iterable[str], purpose: str) -> str:
    """The purpose's own key if it has columns, else `all`."""
    key = purpose_key(purpose)
    return key if key in purposes_in(columns) else ALL


def set_consent(
    records: Records,
    member: str,
    purpose: str,
    state: ConsentState,
    *,
    valid_from: date | None = None,
    valid_until: date | None = None,
    terms: Terms | None = None,
    note: Note = NOTHING_KNOWN,
    today: date | None = None,
) -> None:
    """Record one member's word on one purpose, or on "all", and make it effective at once.

    What is refused or withdrawn here stays so when files are imported again, until it is given
    here again; from then on the files speak. Raises BadInput for a member who is not there, and
    for a state that cannot follow what was said before.
    """
    given = state is ConsentState.GIVEN
    days = (valid_from, valid_until) if given else (None, None)
    change = Consent(given, *days, terms if given else None)
    with records.transaction() as cursor:
        apply_word(cursor, member, purpose, state, change, note, today)
        leave_mark(cursor)


def apply_word(
    cursor: Cursor,
    member: str,
    purpose: str,
    state: ConsentState,
    change: Consent,
    note: Note,
    today: date | None,
) -> None:
    """The same inside a transaction."""
    key = _checked_key(purpose)
    columns = columns_of(cursor, MEMBERS)
    _check_member(cursor, columns, member)
    _check_state(cursor, member, key, state, today)
    known = purposes_in(columns)
    if key not in known:
        add_purpose(cursor, known, key)
    if not change.given and key in (ALL, LINKAGE):
        unlink(cursor, member)
    number = number_of(cursor, change.terms)
    for target, own in _reach(cursor, member, key, change.given, (*known, key)):
        _write(cursor, target, change, number, member, own=own)
    days = (change.valid_from, change.valid_until)
    write_word(cursor, member, key, state, days, number, note)


def _check_state(
    cursor: Cursor, member: str, key: str, state: ConsentState, today: date | None
) -> None:
    if state is ConsentState.SUPERSEDED:
        raise BadInput("a word is superseded by another", instead="record the other")
    check_follows(last_state(cursor, member, key, today), state)


def _checked_key(purpose: str) -> str:
    key = purpose_key(purpose)
    if not key:
        raise BadInput(f"{purpose!r} is no purpose", instead="write its name, or all")
    return key


def _check_member(cursor: Cursor, columns: tuple[str, ...], member: str) -> None:
    if columns:
        found = cursor.execute("SELECT count(*) FROM members WHERE member = ?", [member])
        if found.fetchone()[0] == 1:
            return
    raise BadInput(f"no member {member!r}", instead="write the key as in the imported files")


def add_purpose(cursor: Cursor, known: tuple[str, ...], key: str) -> None:
    """Give a purpose, beside the `known`, columns of its own, which begin as what `all` says."""
    if len(known) >= MAX_PURPOSES:
        raise BadInput(f"more than {MAX_PURPOSES} purposes", instead="use one of those that exist")
    for name, general, kind in zip(consent_columns(key), consent_columns(ALL), _TYPES, strict=True):
        cursor.execute(f"ALTER TABLE members ADD COLUMN {quote(name)} {kind}")
        source = "false" if kind == "BOOLEAN" and name.startswith(_PARTS[3]) else quote(general)
        _update(cursor, {name: source}, "true", [])


def _reach(
    cursor: Cursor, member: str, key: str, given: bool, known: Iterable[str]
) -> list[tuple[str, bool]]:
    """Which purposes a word on `key` changes, and whether it is their own afterwards."""
    if key != ALL:
        return [(key, True)]
    every = list(dict.fromkeys(known))
    if not given:
        return [(each, False) for each in every]
    own = {each: quote(consent_columns(each)[3]) for each in every}
    row = cursor.execute(select(own, f"{MEMBERS} WHERE member = ?"), [member]).fetchone()
    return [(each, False) for each, said in zip(every, row, strict=True) if not said]


def _write(
    cursor: Cursor, key: str, change: Consent, terms: int | None, member: str, *, own: bool
) -> None:
    names = consent_columns(key)
    days = (change.valid_from, change.valid_until)
    number = class_number(cursor, *days, terms) if change.given else None
    values = [change.given, *days, own, terms, number]
    _update(cursor, dict.fromkeys(names, "?"), "member = ?", [*values, member])


def _update(
    cursor: Cursor, values: Mapping[str, str], condition: str, parameters: list[object]
) -> None:
    changes = ", ".join(f"{quote(name)} = {sql}" for name, sql in values.items())
    cursor.execute(f"UPDATE {MEMBERS} SET {changes} WHERE {condition}", parameters)  # noqa: S608


def consent_of(records: Records, member: str) -> dict[str, Consent]:
    """What is in force for one member, by purpose key. Stays in the building.

    Consent to all is none to being linked: that takes a word of its own. Raises BadInput for a
    member who is not there.
    """
    with records.snapshot() as cursor:
        columns = columns_of(cursor, MEMBERS)
        _check_member(cursor, columns, member)
        keys = purposes_in(columns)
        wanted = {name: quote(name) for key in keys for name in consent_columns(key)}
        row = cursor.execute(select(wanted, f"{MEMBERS} WHERE member = ?"), [member]).fetchone()
        terms = known_terms(cursor)
    parts = [row[len(_PARTS) * i :][: len(_PARTS)] for i in range(len(keys))]
    return {
        key: Consent(
            given and (key != LINKAGE or bool(own)),
            start,
            end,
            None if number is None else terms[number],
        )
        for key, (given, start, end, own, number, _) in zip(keys, parts, strict=True)
    }


def consent_counts(records: Records) -> dict[str, dict[str, int]]:
    """How many members said yes, no or nothing, by purpose key. Exact: stays in the building."""
    found: dict[str, dict[str, int]] = {}
    with records.snapshot() as cursor:
        for key in purposes_in(columns_of(cursor, MEMBERS)):
            given, _, _, own, *_ = map(quote, consent_columns(key))
            if key == LINKAGE:
                given = f"CASE WHEN {own} THEN {given} END"
            counted = cursor.execute(
                f"SELECT {given}, count(*) FROM {MEMBERS} GROUP BY ALL"  # noqa: S608 - quoted
            ).fetchall()
            by = {said: int(count) for said, count in counted}
            found[key] = {"yes": by.get(True, 0), "no": by.get(False, 0), "": by.get(None, 0)}
    return found


def reapply_refusals(cursor: Cursor) -> None:
    """After an import, in its transaction: what was refused or withdrawn at the node stays so."""
    known = purposes_in(columns_of(cursor, MEMBERS))
    words = cursor.execute(_LAST_WORDS.format(source=Source.SAID)).fetchall()
    for key in sorted({key for _, key, *_ in words} - set(known)):
        add_purpose(cursor, known, key)
        known = (*known, key)
    refusals = _refusals(words, known)
    for key, own in sorted({(key, own) for _, key, own in refusals}):
        members = sorted(who for who, *what in refusals if what == [key, own])
        _refuse(cursor, key, members, own=own)


_LAST_WORDS = """
SELECT member, purpose, arg_max(state, seq) = 'given', max(seq),
       coalesce(max(seq) FILTER (WHERE state <> 'given'), -1)
FROM consent_changes WHERE source = '{source}' GROUP BY member, purpose
"""
_Word = tuple[str, str, bool, int, int]  # member, purpose, given?, its order, last ended


def _refusals(words: Iterable[_Word], known: Iterable[str]) -> set[tuple[str, str, bool]]:
    """(member, purpose, own) for all that the changes at the node leave refused."""
    members: dict[str, dict[str, _Word]] = {}
    for word in words:
        members.setdefault(word[0], {})[word[1]] = word
    refused: set[tuple[str, str, bool]] = set()
    for member, said in members.items():
        ended = said[ALL][4] if ALL in said else -1
        own = {key: word[2] for key, word in said.items() if key != ALL and word[3] > ended}
        general = ALL in said and not said[ALL][2]
        refused |= {(member, key, key in own) for key in known if not own.get(key, not general)}
    return refused


def _refuse(cursor: Cursor, key: str, members: list[str], *, own: bool) -> None:
    names = consent_columns(key)
    parameters: list[object] = [False, None, None, own, None, None, members]
    listed = "member IN (SELECT unnest(CAST(? AS VARCHAR[])))"
    _update(cursor, dict.fromkeys(names, "?"), listed, parameters)
