"""Words on consent as files: FHIR R4 (a Bundle in JSON, or a Consent on every line) and CSV.

Written, they hold every word that the node recorded, in order. Read, each word is recorded at
the node as if the steward had said it, all of them or none.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from node.consent import Consent, apply_word, purpose_key
from node.consent_history import WORD_COLUMNS, Note, word_of
from node.consent_terms import known_terms
from node.home import write_private
from node.records import Records, leave_mark
from privacy.contract.consent import ConsentState, Word
from privacy.contract.duo_text import parse_terms, terms_text
from privacy.contract.fhir_consent import from_fhir, to_fhir
from privacy.contract.shown import as_cell, of_cell
from privacy.contract.time import parse_day
from privacy.errors import BadInput

FHIR_SUFFIXES = (".json", ".ndjson")
SUFFIXES = (".csv", *FHIR_SUFFIXES)
MAX_WORDS = 200_000
COLUMNS = (
    "member", "purpose", "state", "from", "until", "terms", "text", "language", "evidence",
    "recorder", "recorded_at",
)  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A word with its place in a file, for people."""

    where: str
    word: Word


# reading


def read_words(path: Path) -> list[Placed]:
    """Every word of a file. Raises BadInput naming file, row and rule."""
    try:
        match path.suffix:
            case ".csv":
                found = list(_csv_words(path))
            case ".json" | ".ndjson":
                found = list(fhir_words(path))
            case _:
                raise BadInput(
                    "no such form", where=path.name, instead=f"name it {', '.join(SUFFIXES)}"
                )
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read", where=str(path), instead="save it as UTF-8") from None
    if len(found) > MAX_WORDS:
        raise BadInput(
            f"more than {MAX_WORDS} words", where=path.name, instead="import them with the data"
        )
    return found


def fhir_words(path: Path) -> Iterator[Placed]:
    """Consents of a Bundle, or one on every line; other resources are passed over."""
    for where, value in _resources(path):
        if not isinstance(value, dict) or "resourceType" not in value:
            raise BadInput("no FHIR resource", where=where)
        if value["resourceType"] == "Consent":
            yield Placed(where, from_fhir(value, where))


def _resources(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".ndjson":
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    where = f"{path.name}, line {number}"
                    yield where, _json(line, where)
        return
    value = _json(path.read_text("utf-8-sig"), path.name)
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        yield f"{path.name}, entry 1", value
        return
    for number, entry in enumerate(value.get("entry") or [], 1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        yield f"{path.name}, entry {number}", resource


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BadInput("not JSON", where=where) from None


def _csv_words(path: Path) -> Iterator[Placed]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        missing = {"member", "purpose", "state"} - set(reader.fieldnames or ())
        unknown = set(reader.fieldnames or ()) - set(COLUMNS)
        for name in sorted(missing | unknown):
            what = "the column is missing" if name in missing else "no such column"
            raise BadInput(what, where=f"{path.name}, column {name}")
        for number, row in enumerate(_rows(reader, path.name), 1):
            where = f"{path.name}, row {number}"
            yield Placed(where, _csv_word(row, where))


def _rows(reader: Iterable[dict[str, Any]], name: str) -> Iterator[dict[str, str]]:
    try:
        for row in reader:
            told = {key: (value or "").strip() for key, value in row.items() if key is not None}
            yield {k: v if k == "member" else of_cell(v) for k, v in told.items()}
    except csv.Error:
        raise BadInput("not CSV", where=name, instead="save it again") from None


def _csv_word(row: dict[str, str], where: str) -> Word:
    terms = row.get("terms", "")
    document = {
        "member": row["member"],
        "purpose": row["purpose"],
        "state": row["state"].lower(),
        "terms": parse_terms(terms, f"{where}, terms").to_json() if terms else None,
        "valid_from": row.get("from", ""),
        "valid_until": row.get("until", ""),
    }
    document |= {name: row.get(name, "") for name in COLUMNS[6:]}
    try:
        return Word.from_json(document)
    except BadInput as error:
        field = error.where.removeprefix("Word").removeprefix(".")
        place = f"{where}, {field}".rstrip(", ")
        raise BadInput(error.what, where=place, instead=error.instead) from None


def record_words(records: Records, words: Iterable[Placed], *, at: str, today: date) -> int:
    """Record words at the node, all or none; how many.

    Passed over are words that are recorded already, at the same instant, and what is superseded:
    the word that did it stands in the file, too. Raises BadInput naming the place.
    """
    count = 0
    with records.transaction() as cursor:
        for placed in words:
            word = placed.word
            if word.state is ConsentState.SUPERSEDED or _is_known(cursor, word):
                continue
            try:
                _record(cursor, word, at, today)
            except BadInput as error:
                raise BadInput(error.what, where=placed.where, instead=error.instead) from None
            count += 1
        leave_mark(cursor)
    return count


def _is_known(cursor: Any, word: Word) -> bool:
    """Is this the very word, of this instant, that was recorded before?"""
    if not word.recorded_at:
        return False
    terms = known_terms(cursor)
    rows = cursor.execute(
        f"SELECT {WORD_COLUMNS} FROM consent_changes WHERE member = ? AND recorded_at = ?",  # noqa: S608
        [word.member, word.recorded_at],
    ).fetchall()
    keyed = word.model_copy(update={"purpose": purpose_key(word.purpose)})
    return any(word_of(row, terms) == keyed for row in rows)


def _record(cursor: Any, word: Word, at: str, today: date) -> None:
    given = word.state is ConsentState.GIVEN
    days = (_date(word.valid_from), _date(word.valid_until))
    change = Consent(given, *(days if given else (None, None)), word.terms if given else None)
    about = (word.text, word.language, word.evidence, word.recorder, word.recorded_at or at)
    apply_word(cursor, word.member, word.purpose, word.state, change, Note(*about), today)


def _date(text: str) -> date | None:
    return parse_day(text) if text else None


# writing


def write_words(records: Records, path: Path) -> int:
    """Write every word ever recorded to a new file; how many. For the organisation alone."""
    words = list(all_words(records))
    match path.suffix:
        case ".csv":
            write_private(path, _as_csv(words))
        case ".ndjson":
            write_private(path, b"".join(_line(to_fhir(word)) for word in words))
        case ".json":
            entries = [{"resource": to_fhir(word)} for word in words]
            bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
            write_private(path, _line(bundle))
        case _:
            raise BadInput(
                "no such form", where=path.name, instead=f"name it {', '.join(SUFFIXES)}"
            )
    return len(words)


def all_words(records: Records) -> Iterator[Word]:
    """Every word of every member, in the order in which they were recorded."""
    with records.snapshot() as cursor:
        terms = known_terms(cursor)
        rows = cursor.execute(f"SELECT {WORD_COLUMNS} FROM consent_changes ORDER BY seq").fetchall()  # noqa: S608
    for row in rows:
        yield word_of(row, terms)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _as_csv(words: Iterable[Word]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for word in words:
        row = row_of(word)  # a member's key joins files, and stays as it is
        writer.writerow({n: v if n == "member" else as_cell(v) for n, v in row.items()})
    return text.getvalue().encode()


def row_of(word: Word) -> dict[str, str]:
    """A word as a row of a consent file."""
    return {
        "member": word.member,
        "purpose": word.purpose,
        "state": word.state.value,
        "from": word.valid_from,
        "until": word.valid_until,
        "terms": terms_text(word.terms) if word.terms else "",
        "text": word.text,
        "language": word.language,
        "evidence": word.evidence,
        "recorder": word.recorder,
        "recorded_at": word.recorded_at,
    }
