"""Who is counted in a linked study, on every engine alike."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from models.cohort.expression import Everyone
from models.contribution import CellCounts
from models.dictionary_file import load_dictionary
from node import linkage_records
from node.consent import set_consent
from node.engine import total
from node.engines.protocol import Engine, NotLinkedError
from node.engines.published import PublishedRecords
from node.erasure import erase_member
from node.importer import import_folder
from node.records import Records
from privacy.contract.consent import ConsentState
from privacy.linkage.session import LinkSession
from tests.support.data_factory import TODAY
from tests.support.engines import Engines
from tests.support.seeded import seeded_entropy

DICTIONARY = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns]
    code = { type = "text", identifier = true }
    born = { type = "date", identifier = true }
    """,
    "dictionary.toml",
)
FIELDS = ("people.born", "people.code")
REFS = tuple(DICTIONARY.refs[name] for name in FIELDS)
COUNT = CellCounts((), 1, 1)


def session(nonce: str) -> LinkSession:
    return LinkSession(
        network="test",
        roster="0" * 64,
        dictionary=DICTIONARY.digest,
        nodes=("a", "b", "c"),
        fields=FIELDS,
        starts=TODAY.isoformat(),
        ends=(TODAY + timedelta(days=90)).isoformat(),
        created="2026-01-01T00:00:00Z",
        expires="2026-01-01T01:00:00Z",
        nonce=nonce,
    )


def load(records: Records, folder: Path, rows: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "people.csv").write_text("who,code,born,consent,consent_linkage\n" + rows)
    import_folder(records, DICTIONARY, folder, consent_purposes=["research"])


PEOPLE = """\
a1,one,1970-01-01,yes,yes
a2,two,1970-01-02,yes,yes
a3,three,1970-01-03,yes,yes
a4,four,1970-01-04,no,yes
a5,five,1970-01-05,yes,no
a6,six,1970-01-06,yes,
a7,,1970-01-07,yes,yes
a8,twice,1970-01-08,yes,yes
a9,Twice,1970-01-08,yes,yes
"""


def counted(engine: Engine, linkage: str) -> int:
    if isinstance(engine, PublishedRecords):
        engine.publish()
    found = total(engine, COUNT, Everyone(), purpose="research", today=TODAY, linkage=linkage)
    return int(found[0])


@pytest.fixture
def records(tmp_path: Path) -> Records:
    opened = Records.open(tmp_path / "records.duckdb")
    load(opened, tmp_path / "files", PEOPLE)
    return opened


def link(records: Records, nonce: str = "1") -> str:
    """a1, a2 and a4 are counted here, a3 elsewhere."""
    one = session(nonce)
    found = linkage_records.persons(records, REFS, TODAY)
    here = {member: member != "a3" for member in found.values()}
    linkage_records.stage(records, one, "0" * 64, here)
    linkage_records.apply(records, one.digest)
    return one.digest


def test_only_who_said_so_and_can_be_told_apart_is_on_the_list(records: Records) -> None:
    found = linkage_records.persons(records, REFS, TODAY)
    assert sorted(found.values()) == ["a1", "a2", "a3", "a4"]
    assert linkage_records.opted_in(records, TODAY) == 7
    assert not any(b"one" in name and b"a1" in name for name in found)  # no key of a member


def test_linked_members_count_where_they_are_counted_and_nobody_else_does(
    records: Records, engines: Engines
) -> None:
    first = link(records)
    engine = engines.holding(records)
    assert counted(engine, first) == 2  # a1 and a2; a3 elsewhere, a4 does not consent to research
    set_consent(records, "a1", "linkage", ConsentState.WITHDRAWN)
    assert counted(engine, first) == 1
    set_consent(records, "a1", "linkage", ConsentState.GIVEN)  # counts from the next linkage on
    second = link(records, "2")
    assert counted(engine, second) == 2
    with pytest.raises(NotLinkedError):
        counted(engine, first)


def test_one_members_word_reaches_a_copy_with_their_place(
    records: Records, remote_engines: Engines
) -> None:
    first = link(records)
    engine = remote_engines.holding(records)
    assert isinstance(engine, PublishedRecords)
    assert counted(engine, first) == 2
    set_consent(records, "a2", "linkage", ConsentState.WITHDRAWN)
    engine.publish("a2")
    set_consent(records, "a2", "linkage", ConsentState.GIVEN)
    engine.publish("a2")
    asked = total(engine, COUNT, Everyone(), purpose="research", today=TODAY, linkage=first)
    assert int(asked[0]) == 1


def test_a_consent_to_linkage_that_ran_out_does_not_count(records: Records) -> None:
    first = link(records)
    last = TODAY - timedelta(days=1)
    set_consent(records, "a1", "linkage", ConsentState.GIVEN, valid_until=last)
    assert counted(records, first) == 1


def test_imports_and_erasures_keep_nobody_they_should_not(records: Records, tmp_path: Path) -> None:
    first = link(records)
    other = PEOPLE.replace("a1,one", "a1,another").replace("a2,two,1970-01-02,yes,yes\n", "")
    load(records, tmp_path / "other", other)
    assert counted(records, first) == 0
    assert linkage_records.linked_numbers(records) == {"linked": 2, "counted_here": 1}  # a3, a4
    erase_member(
        records, "a4", by="s", at="2026-01-01T00:00:00Z", reference="", entropy=seeded_entropy(1)
    )
    assert linkage_records.linked_numbers(records) == {"linked": 1, "counted_here": 0}
    load(records, tmp_path / "back", PEOPLE)
    assert counted(records, first) == 0  # who came back waits for the next linkage
    linkage_records.forget(records)
    with pytest.raises(NotLinkedError):
        counted(records, first)


def test_a_filter_that_forgets_who_is_elsewhere_is_caught(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = link(records)
    from node import engine_members

    everybody = engine_members.consenting
    monkeypatch.setattr(
        engine_members,
        "counted_here",
        lambda members, _linkage, classes: everybody(members, "linkage", classes),
    )
    assert counted(records, first) != 2
