"""Every word on consent that this node ever recorded, in order; nothing in it is changed.

    said    recorded at the node: by the steward, by the member, from a consent file
    file    what an import found in the organisation's files, where it differs from the last one

The effective columns of the member table are made of it (node.consent). Only an erasure takes
words out again (node.erasure).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from node.consent_terms import known_terms
from node.layout import MEMBERS, Cursor, literal, select
from node.records import Records
from privacy.contract.consent import ConsentState, Word
from privacy.contract.duo import Terms

_FIELDS = (
    "member, purpose, state, terms, valid_from, valid_until, "
    "text, language, evidence, recorder, recorded_at"
)


class Source(StrEnum):
    SAID = "said"
    FILE = "file"


@dataclass(frozen=True)
class Note:
    """How a word is known: see `privacy.contract.consent.Word`. "" is not known."""

    text: str = ""
    language: str = ""
    evidence: str = ""
    recorder: str = ""
    recorded_at: str = ""


NOTHING_KNOWN = Note()


def write_word(
    cursor: Cursor,
    member: str,
    key: str,
    state: ConsentState,
    days: tuple[date | None, date | None],
    terms: int | None,
    note: Note,
) -> None:
    """Add one word that was said at the node, in the changing transaction."""
    about = (note.text, note.language, note.evidence, note.recorder, note.recorded_at)
    cursor.execute(
        f"INSERT INTO consent_changes ({_FIELDS}, source) VALUES ({', '.join('?' * 12)})",  # noqa: S608
        [member, key, state.value, terms, *days, *about, Source.SAID.value],
    )


def last_state(cursor: Cursor, member: str, key: str, today: date | None) -> ConsentState | None:
    """The state of the newest word on a purpose, on that day; None if nothing was said."""
    row = cursor.execute(
        "SELECT state, valid_until FROM consent_changes WHERE member = ? AND purpose = ? "
        "ORDER BY seq DESC LIMIT 1",
        [member, key],
    ).fetchone()
    if row is None:
        return None
    word = Word(member="", purpose="", state=ConsentState(row[0]), valid_until=_text(row[1]))
    return word.state if today is None else word.state_on(today)


def history(records: Records, member: str) -> tuple[tuple[int, Word], ...]:
    """Every word of one member with its number, oldest first. Stays in the building."""
    with records.snapshot() as cursor:
        terms = known_terms(cursor)
        rows = cursor.execute(
            f"SELECT seq, {_FIELDS} FROM consent_changes WHERE member = ? ORDER BY seq",  # noqa: S608
            [member],
        ).fetchall()
    return tuple((int(row[0]), word_of(row[1:], terms)) for row in rows)


def word_of(row: Any, terms: dict[int, Terms]) -> Word:
    """One row of the history, its columns in the order of `WORD_COLUMNS`."""
    member, purpose, state, number, start, end, *about = row
    text, language, evidence, recorder, recorded_at = about
    return Word(
        member=member,
        purpose=purpose,
        state=ConsentState(state),
        terms=None if number is None else terms[number],
        valid_from=_text(start),
        valid_until=_text(end),
        text=text,
        language=language,
        evidence=evidence,
        recorder=recorder,
        recorded_at=recorded_at,
    )


WORD_COLUMNS = _FIELDS


def _text(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def note_file_words(
    cursor: Cursor, key: str, columns: tuple[str, ...], at: str, events: str
) -> None:
    """Add what the files now say of a purpose and did not before; in the importing transaction.

    `columns` are the SQL of given, from, until, own, terms, state (of an event, or NULL), text,
    language, evidence and recorder over the member table `m` and the staged events `said`;
    `events` is their table, "" where there are none.
    """
    joining = f" LEFT JOIN {events} AS said ON m.member = said.member" if events else ""
    source = f"{MEMBERS} AS m{joining}"
    names = ("given", "valid_from", "valid_until", "own", "terms", "event", *_ABOUT)
    now = select(dict(zip(names, columns, strict=True)) | {"member": "m.member"}, source)
    state = "CASE WHEN own THEN CASE WHEN given THEN 'given' ELSE event END ELSE 'superseded' END"
    listed = {name: name for name in names[1:3]} | {name: name for name in ("terms", *_ABOUT)}
    said = select({"member": "member", "state": state, **listed}, f"({now})")
    former = select(
        {"member": "member", "was": f"arg_max({_COMPARED}, seq)"},
        f"consent_changes WHERE purpose = {literal(key)} AND source = 'file' GROUP BY member",
    )
    added = {
        "member": "said.member",
        "purpose": literal(key),
        "state": "coalesce(said.state, 'withdrawn')",
        **{name: f"said.{name}" for name in ("terms", "valid_from", "valid_until", *_ABOUT)},
        "recorded_at": literal(at),
        "source": "'file'",
    }
    joined = f"({said}) AS said LEFT JOIN ({former}) AS former USING (member)"
    cursor.execute(
        f"INSERT INTO consent_changes ({_FIELDS}, source) "
        f"{select(added, f'{joined} WHERE {_CHANGED} ORDER BY said.member')}"
    )


def note_files_silent(cursor: Cursor, keys: Iterable[str], at: str) -> None:
    """Supersede what the files once said of purposes that they no longer name (not in `keys`)."""
    listed = ", ".join(map(literal, keys))
    last = select(
        {"member": "member", "purpose": "purpose", "state": "arg_max(state, seq)"},
        f"consent_changes WHERE source = 'file' AND purpose NOT IN ({listed}) GROUP BY ALL",
    )
    cursor.execute(
        "INSERT INTO consent_changes (member, purpose, state, recorded_at, source) "  # noqa: S608
        f"SELECT member, purpose, 'superseded', {literal(at)}, 'file' FROM ({last}) "
        "WHERE state <> 'superseded' ORDER BY purpose, member"
    )


_ABOUT = ("text", "language", "evidence", "recorder")
_COMPARED = (
    "{state: state, valid_from: valid_from, valid_until: valid_until, terms: terms, text: text}"
)
_CHANGED = """CASE
    WHEN said.state IS NULL THEN former.was.state = 'given'
    WHEN said.state = 'superseded' THEN former.was.state <> 'superseded'
    WHEN said.state = 'given' THEN
        (said.state, said.valid_from, said.valid_until, said.terms, said.text) IS DISTINCT FROM
        (former.was.state, former.was.valid_from, former.was.valid_until, former.was.terms,
         former.was.text)
    ELSE said.state IS DISTINCT FROM former.was.state END"""
