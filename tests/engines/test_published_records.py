"""A copy of the records beside the node: whole, of the newest change, or not asked at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.cohort.expression import Everyone
from models.contribution import BoundedValue, CellCounts, Summary
from models.dictionary_file import load_dictionary
from node.consent import set_consent
from node.engine import total
from node.engines.choice import EngineKind, open_remote
from node.engines.copied import copied_tables
from node.engines.postgresql import PostgreSQL
from node.engines.protocol import Engine, EngineError, Remote
from node.engines.published import PublishedRecords, StaleCopyError
from node.importer import import_folder
from node.records import Records
from privacy.contract.consent import ConsentState
from privacy.errors import BadInput, Code
from tests.support.data_factory import TODAY
from tests.support.engines import Engines, settings_with
from tests.support.network import Network, Node, Shape, make_network

DICTIONARY = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns]
    n = { type = "number", lower = 0, upper = 10 }
    story = { type = "text" }
    [tables.visits]
    key = "who"
    rows = "many"
    max_rows_per_member = 2
    [tables.visits.columns]
    dose = { type = "number", lower = 0, upper = 10 }
    """,
    "dictionary.toml",
)
COUNT = CellCounts((), 1, 1)
DOSES = BoundedValue(DICTIONARY.resolve("dose"), Summary.SUM, 5.0, 5.0, 100, 1, False)


def load(records: Records, folder: Path, members: str) -> None:
    people = "".join(f"{who},1,a story of {who},yes\n" for who in members)
    (folder / "people.csv").write_text("who,n,story,consent\n" + people)
    (folder / "visits.csv").write_text("who,dose\n" + "".join(f"{who},9\n" for who in members))
    import_folder(records, DICTIONARY, folder, consent_purposes=["research"])


def counted(engine: Engine, purpose: str | None = "research") -> int:
    doses = total(engine, DOSES, Everyone(), purpose=purpose, today=TODAY)[0]
    count = total(engine, COUNT, Everyone(), purpose=purpose, today=TODAY)[0]
    assert doses == count
    return int(count)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    records = Records.open(":memory:")
    load(records, tmp_path, "abcd")
    return records


def test_what_no_question_reads_is_not_copied(records: Records) -> None:
    with records.snapshot() as cursor:
        columns = {table.name: list(table.columns) for table in copied_tables(cursor)}
    assert columns["rows:visits"] == ["member_ix", "row_rank", "visits.dose"]
    assert columns["members"][:2] == ["member_ix", "people.n"]
    assert all(name.startswith("consent") for name in columns["members"][2:])


def test_a_withdrawal_counts_from_the_next_question_on(
    remote_engines: Engines, records: Records
) -> None:
    engine = PublishedRecords.open(records, remote_engines.remote())
    assert counted(engine) == 4
    set_consent(records, "b", "all", ConsentState.WITHDRAWN)
    with pytest.raises(StaleCopyError):
        counted(engine)
    engine.publish("b")
    assert counted(engine) == 3
    set_consent(records, "c", "another purpose", ConsentState.REFUSED)
    engine.publish("c")
    assert (counted(engine), counted(engine, "another purpose")) == (3, 2)
    set_consent(records, "b", "all", ConsentState.GIVEN)
    set_consent(records, "a", "research", ConsentState.WITHDRAWN)
    engine.publish("a")  # the change before was never published, and is now
    assert (counted(engine), counted(engine, None)) == (3, 4)


def test_an_import_replaces_the_copy_and_one_that_stays_behind_is_not_asked(
    remote_engines: Engines, records: Records, tmp_path: Path
) -> None:
    remote = remote_engines.remote()
    engine = PublishedRecords.open(records, remote)
    load(records, tmp_path, "xy")
    with pytest.raises(StaleCopyError):  # stopped between the import and its publication
        counted(engine)
    assert not engine.current
    again = PublishedRecords.open(records, remote)
    assert again.current
    assert counted(again) == 2


def test_the_copy_of_other_records_is_not_asked(
    remote_engines: Engines, records: Records, tmp_path: Path
) -> None:
    place = remote_engines.place()
    first = PublishedRecords.open(records, remote_engines.remote(place))
    other = Records.open(":memory:")
    load(other, tmp_path, "xyz")
    second = PublishedRecords.open(other, remote_engines.remote(place))
    assert counted(second) == 3
    assert first.current, "as far as it knows"
    with pytest.raises(StaleCopyError):
        counted(first)
    first.publish()
    assert counted(first) == 4


def test_a_reading_stays_with_the_copy_it_began_with(
    remote_engines: Engines, records: Records, tmp_path: Path
) -> None:
    remote = remote_engines.remote()
    engine = PublishedRecords.open(records, remote)
    with remote.reading() as reading:
        load(records, tmp_path, "xy")
        publishing = threading.Thread(target=engine.publish)
        publishing.start()
        publishing.join(1.0)
        assert counted(_Held(reading, engine)) == 4
        assert len(reading.columns_of("rows:visits")) == 3
    publishing.join(30)
    assert not publishing.is_alive()
    assert counted(engine) == 2


@pytest.mark.processes
@pytest.mark.xdist_group("postgresql")
def test_a_question_that_waits_for_a_publication_sees_it_whole(
    started: Callable[[EngineKind], Engines], records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a snapshot from before it would find new tables without rows, and the same mark."""
    engine = PublishedRecords.open(records, started(EngineKind.POSTGRESQL).remote())
    locked, go = threading.Event(), threading.Event()
    replace_tables = PostgreSQL._replace

    def slowly(self: PostgreSQL, cursor: Any, tables: Any) -> None:
        locked.set()
        assert go.wait(30)
        replace_tables(self, cursor, tables)

    monkeypatch.setattr(PostgreSQL, "_replace", slowly)
    with ThreadPoolExecutor(2) as pool:
        publishing = pool.submit(engine.publish)
        assert locked.wait(30)
        asked = pool.submit(counted, engine)
        time.sleep(1.0)
        assert not asked.done()
        go.set()
        publishing.result(30)
        assert asked.result(30) == 4


class _Held:
    """An engine whose every reading is one that is open already."""

    def __init__(self, reading: Any, engine: Any) -> None:
        self._reading = reading
        self.classes = engine.classes

    def reading(self) -> Any:
        return self

    def __enter__(self) -> Any:
        return self._reading

    def __exit__(self, *_: object) -> None:
        return None


class _Broken:
    """A database that takes nothing, or breaks off in the middle."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remote, name)

    def publish(self, records: Any, mark: str) -> None:
        raise EngineError("it broke off")

    def publish_member(self, records: Any, member: str, before: str, mark: str) -> bool:
        raise EngineError("it broke off")


def test_what_the_database_does_not_take_stops_questions_and_is_said(
    remote_engines: Engines, records: Records
) -> None:
    remote = remote_engines.remote()
    PublishedRecords.open(records, remote)
    broken = PublishedRecords.open(records, _Broken(remote))
    assert counted(broken) == 4
    set_consent(records, "a", "all", ConsentState.WITHDRAWN)
    with pytest.raises(BadInput, match="cairn-node publish"):
        broken.publish("a")
    with pytest.raises(StaleCopyError):
        counted(broken)
    assert not PublishedRecords.open(records, _Broken(remote)).current


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"engine": "oracle"}, "no engine 'oracle'"),
        ({"engine": "postgresql", "engine_address": "postgresql:///x"}, "engine_place"),
        (
            {
                "engine": "postgresql",
                "engine_address": "postgresql://me:secret@host/x",
                "engine_place": "s",
            },
            "holds a password",
        ),
        (
            {
                "engine": "postgresql",
                "engine_address": "postgresql:///x?password=secret",
                "engine_place": "s",
            },
            "holds a password",
        ),
        (
            {"engine": "postgresql", "engine_address": "mysql://x", "engine_place": "s"},
            "no address of PostgreSQL",
        ),
    ],
)
def test_settings_that_name_no_engine_are_refused(chosen: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        open_remote(settings_with(chosen))
    assert "secret" not in str(refused.value)


def test_names_longer_than_a_database_keeps_are_told_apart(
    remote_engines: Engines, records: Records
) -> None:
    engine = PublishedRecords.open(records, remote_engines.remote())
    purpose = "a purpose of many words " * 4
    for member, last in (("a", "one"), ("b", "one"), ("c", "two")):
        set_consent(records, member, purpose + last, ConsentState.REFUSED)
        engine.publish(member)
    assert [counted(engine, purpose + last) for last in ("one", "two", "three")] == [2, 3, 4]


def test_a_database_that_does_not_answer_keeps_no_node_from_starting(records: Records) -> None:
    address = "postgresql:///x?host=/nonexistent&user=u"
    chosen = {"engine": "postgresql", "engine_address": address, "engine_place": "s"}
    remote = open_remote(settings_with(chosen))
    assert remote is not None
    engine = PublishedRecords.open(records, remote)
    assert not engine.current
    with pytest.raises(EngineError):
        counted(engine)


ASKED = {"kind": "count", "by": ["treatment"]}


def on_engine(node: Node, chosen: dict[str, str]) -> None:
    """Stop the node, write its settings, start it."""
    node.stop()
    node.home.write_settings(replace(node.home.settings(), **chosen))
    node.start()


def test_a_node_answers_by_its_engine_and_refuses_without_its_copy(
    remote_engines: Engines, tmp_path: Path
) -> None:
    network = make_network(tmp_path, Shape())
    try:
        _ask_and_withdraw(network, remote_engines)
    finally:
        network.close()


def _ask_and_withdraw(network: Network, engines: Engines) -> None:
    node = network.nodes["als-union"]
    place = engines.place()
    on_engine(node, engines.settings(place))
    network.settle()
    assert node.steward.status()["state"] == "running"
    assert network.ask(ASKED).release
    people = network.shape.people("als-union")
    member = str(people[people["consent"] == "yes"]["member"].iloc[0])
    node.steward.consent(member, "all", "withdrawn", None, None)
    assert network.ask(ASKED, "age > 20").release
    set_consent(node.parts.records, member, "all", ConsentState.GIVEN)  # and no publication
    assert "not published" in node.steward.status()["state"]
    assert network.ask(ASKED, "age > 21").code == Code.LEDGER_STOPPED.value
    assert node.steward.publish() == {"engine": engines.kind.value}
    assert network.ask(ASKED, "age > 22").release
    charged = node.kinds("commit")
    other = PublishedRecords.open(Records.open(":memory:"), engines.remote(place))
    other_records = other._records
    _import_something(other_records, node)
    other.publish()  # somebody's records in the place of this node's: it cannot know beforehand
    assert network.ask(ASKED, "age > 23").release is None
    assert len(node.kinds("commit")) == len(charged) + 1, "what failed after reserving is charged"


def _import_something(records: Records, node: Node) -> None:
    files = node.home.root.parent.parent / "files" / "als-union"
    import_folder(records, node.service.dictionary(), files, consent_purposes=["disease-research"])
