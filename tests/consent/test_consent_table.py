"""The consent table's root: hides everything, opens exactly, and is dated by the calendar."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from node import consent_table
from node.consent import set_consent
from node.consent_table import open_table, take_root
from node.erasure import erase_member
from node.records import Records
from privacy.consent_table import erased, leaf_of, parse_opening, verify_opening, words_of
from privacy.contract.canonical import b64, unb64
from privacy.contract.consent import ConsentState
from privacy.errors import BadInput, VerificationFailed
from tests.support.consent_world import HEALTH, START, counted, load
from tests.support.seeded import seeded_entropy

PEOPLE = "who,n,consent\na,1,yes\nb,1,no\nc,1,yes\n"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    opened = Records.open(":memory:")
    load(opened, tmp_path, PEOPLE)
    set_consent(opened, "b", "research", ConsentState.GIVEN)
    return opened


def root(records: Records, epoch: str, seed: str = "salt") -> str:
    return take_root(records, "node-a", "net", epoch, seeded_entropy(seed + epoch))


def opening(records: Records, epoch: str, member: str | None = None) -> Any:
    return open_table(records, "node-a", "net", epoch, member)


def test_the_whole_and_one_member_open_the_root(records: Records) -> None:
    taken = root(records, "2026-03")
    whole = parse_opening(json.loads(json.dumps(opening(records, "2026-03").to_json())))
    verify_opening(whole, taken)
    said = [(w["member"], w["purpose"], w["state"]) for w in words_of(whole.records)]
    assert said == [("a", "all", "given"), ("c", "all", "given"), ("b", "research", "given")]
    one = opening(records, "2026-03", "b")
    verify_opening(one, taken)
    assert len(one.records) == 1
    assert not one.leaves
    assert "'a'" not in str(one.to_json())


def test_a_root_is_the_same_when_asked_again_and_new_every_month(records: Records) -> None:
    first = root(records, "2026-03")
    assert root(records, "2026-03", "another") == first
    second = root(records, "2026-04")  # nothing was said in between
    assert second != first
    verify_opening(opening(records, "2026-03"), first)
    verify_opening(opening(records, "2026-04"), second)


def test_a_root_taken_in_parts_and_stopped_in_between_opens_as_a_whole(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent_table, "_CHUNK", 1)
    left = iter(range(3))  # for the table's own note and two words; then it stops

    def stopping(size: int) -> bytes:
        found = next(left, None)
        if found is None:
            raise RuntimeError
        return bytes([found]) * size

    with pytest.raises(RuntimeError):
        take_root(records, "node-a", "net", "2026-03", stopping)
    set_consent(records, "a", "research", ConsentState.WITHDRAWN)
    taken = root(records, "2026-03")
    whole = opening(records, "2026-03")
    verify_opening(whole, taken)
    said = [word["member"] for word in words_of(whole.records)]
    assert said == ["a", "c", "b", "a"]
    assert [record.index for record in whole.records] == list(range(6))


def test_the_root_of_an_empty_table_is_random_too() -> None:
    empty = [root(Records.open(":memory:"), "2026-03", seed) for seed in ("one", "two")]
    assert empty[0] != empty[1]


def test_a_guess_of_every_word_is_not_confirmed_without_the_salt(records: Records) -> None:
    """The mutant has no salt: there the leaf of a guessed word is the stored one."""
    root(records, "2026-03")
    whole = opening(records, "2026-03")
    guessed = words_of(whole.records)[0]
    assert leaf_of(bytes(32), guessed) not in whole.leaves
    unsalted = take_root(records, "node-a", "net", "2026-04", bytes)
    set_consent(records, "c", "all", ConsentState.WITHDRAWN)
    take_root(records, "node-a", "net", "2026-05", bytes)
    last = opening(records, "2026-05")
    assert leaf_of(bytes(32), words_of(last.records)[-1]) in last.leaves
    assert unsalted


@pytest.mark.parametrize("part", ["state", "member", "index", "salt", "proof", "size", "twice"])
@pytest.mark.parametrize("member", [None, "b"])
def test_a_changed_opening_does_not_hold(records: Records, part: str, member: str | None) -> None:
    taken = root(records, "2026-03")
    value = copy.deepcopy(opening(records, "2026-03", member).to_json())
    record = value["records"][-2 if member is None else 0]
    match part:
        case "state":
            record["record"]["state"] = "withdrawn"
        case "member":
            record["record"]["member"] = "x"
        case "index":
            record["index"] -= 1
        case "salt":
            record["salt"] = b64(bytes([unb64(record["salt"])[0] ^ 1]) + unb64(record["salt"])[1:])
        case "proof" if member is None:
            value["leaves"][0], value["leaves"][1] = value["leaves"][1], value["leaves"][0]
        case "proof":
            record["proof"] = record["proof"][:-1]
        case "size":
            value["size"] += 8
        case _:
            value["records"].append(record)
    with pytest.raises(VerificationFailed):
        verify_opening(parse_opening(value), taken)


def test_erasing_takes_everything_and_leaves_the_root_provable(
    records: Records, tmp_path: Path
) -> None:
    taken = root(records, "2026-03")
    before = records.members
    erase = {"by": "steward", "at": "2026-03-05T00:00:00Z", "reference": "file 9"}
    erase_member(records, "c", entropy=seeded_entropy("erase"), **erase)  # type: ignore[arg-type]
    assert records.members == before - 1
    assert counted(records, "research", START, HEALTH) == 2
    whole = opening(records, "2026-03")
    verify_opening(whole, taken)
    assert len(erased(whole)) == 1
    assert all(word["member"] != "c" for word in words_of(whole.records))
    with pytest.raises(BadInput, match="no word of 'c'"):
        opening(records, "2026-03", "c")
    later = root(records, "2026-04")
    notes = [r.record for r in opening(records, "2026-04").records if "by" in r.record]
    assert notes == [{"kind": "erasure", **erase}]
    verify_opening(opening(records, "2026-04"), later)
    load(records, tmp_path, PEOPLE)  # the organisation's files still name them
    assert records.members == before - 1
    with pytest.raises(BadInput, match="no member 'c'"):
        erase_member(records, "c", entropy=seeded_entropy("again"), **erase)  # type: ignore[arg-type]


def test_no_trace_of_an_erased_member_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records.duckdb"
    stored = Records.open(path)
    token = "QXV7ERASEDMEMBER"
    load(stored, tmp_path, f"who,n,consent\na,1,yes\n{token},1,yes\n")
    root(stored, "2026-03")
    assert len(tables_with(stored, token)) > 1, "the search finds who is there"
    erase = {"by": "steward", "at": "2026-03-05T00:00:00Z", "reference": ""}
    erase_member(stored, token, entropy=seeded_entropy("erase"), **erase)  # type: ignore[arg-type]
    assert tables_with(stored, token) == []


def tables_with(stored: Records, token: str) -> list[str]:
    """The tables in which a token stands anywhere."""
    with stored.snapshot() as cursor:
        names = [
            name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        ]
        every = {name: cursor.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}  # noqa: S608
    return [name for name, rows in every.items() if token in str(rows)]
