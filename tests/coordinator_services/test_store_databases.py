"""What both databases have to do below the store: migrations, writers at once, addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from typer.testing import CliRunner

from coordinator.cli.operator import app as operator
from coordinator.home import Home, Settings
from coordinator.store.database import migration_config, open_engine
from coordinator.store.people import Credential
from coordinator.store.store import Store
from coordinator.store.tables import DocumentRow, Table
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, Code, Refused
from tests.support.fake_executor import DICTIONARY, NOW
from tests.support.postgres_server import PostgresServer

WRITERS = 12


def test_migrations_make_exactly_the_tables_of_the_models(database: str) -> None:
    Store.open(database).close()
    Store.open(database).close()  # a second start changes nothing
    engine = open_engine(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        assert set(Table.metadata.tables) < set(inspect(connection).get_table_names())
    engine.dispose()


def test_every_migration_can_be_taken_back_and_made_again(database: str) -> None:
    store = Store.open(database)
    engine = open_engine(database)
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(migration_config(connection))
        revisions = [each.revision for each in scripts.walk_revisions()]
    for revision in [*revisions[1:], "base"]:
        store.database.downgrade(revision)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    store.database.upgrade()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()
    store.close()


def test_processes_that_start_together_upgrade_once(database: str) -> None:
    first = Store.open(database)
    first.database.downgrade("base")
    first.close()
    opened: list[Store] = []
    _together(lambda _number: opened.append(Store.open(database)))
    assert len(opened) == WRITERS
    for store in opened:
        assert store.people.all() == ()
        store.close()


def test_of_many_who_redeem_one_invitation_one_enters(store: Store) -> None:
    store.people.invite("code", Role.RESEARCHER, "Ida", NOW, timedelta(days=1))
    refused: list[Code] = []

    def redeem(number: int) -> None:
        credential = Credential.of(Token(Role.RESEARCHER, bytes([number]) * 32))
        try:
            store.people.join("code", credential, now=NOW)
        except Refused as error:
            refused.append(error.code)

    _together(redeem)
    assert len(store.people.all()) == 1
    assert refused == [Code.NOT_PERMITTED] * (WRITERS - 1)


def test_of_many_who_bring_one_credential_one_enters(store: Store) -> None:
    credential = Credential.of(Token(Role.AUDITOR, b"a" * 32))
    refused: list[Code] = []

    def enter(_number: int) -> None:
        try:
            store.people.add("Ann", Role.AUDITOR, credential, "2026-03-01T12:00:00Z")
        except Refused as error:
            refused.append(error.code)

    _together(enter)
    assert refused == [Code.CONFLICT] * (WRITERS - 1)


def test_two_mirrors_of_one_ledger_keep_one_copy(store: Store) -> None:
    _together(lambda _number: store.ledgers.append("a", 0, [b"0", b"1", b"2"]))
    assert store.ledgers.entries("a") == (b"0", b"1", b"2")


def test_what_a_transaction_read_still_holds_when_it_writes(store: Store) -> None:
    """Counting up by reading and writing loses no step, whoever else counts."""
    store.network.put("count", 0)

    def step(_number: int) -> None:
        with store.database.write() as session:
            row = session.get(DocumentRow, "count")
            assert row is not None
            row.value = str(int(row.value) + 1).encode()

    _together(step)
    assert store.network.get("count") == WRITERS


def test_a_reader_sees_one_moment(store: Store) -> None:
    store.network.put("a", 1)
    with store.database.read() as session:
        assert session.get(DocumentRow, "b") is None
        store.network.put("b", 2)
        assert session.get(DocumentRow, "b") is None
    assert store.network.get("b") == 2


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    with suppress(ZeroDivisionError), store.database.write() as session:
        session.add(DocumentRow(name="half", value=b"1"))
        session.flush()
        raise ZeroDivisionError
    assert store.network.get("half") is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://cairn:secret@db/cairn", "passfile"),
        ("postgresql+psycopg://cairn@db/cairn?password=secret", "passfile"),
        ("postgresql://cairn@db/cairn", "postgresql+psycopg"),
        ("mysql://secret@db/cairn", "postgresql+psycopg"),
        ("secret", "postgresql+psycopg"),
    ],
)
def test_an_address_with_a_password_or_of_another_kind_is_refused(url: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        open_engine(url)
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_database_that_does_not_answer_is_said_in_a_line() -> None:
    with pytest.raises(BadInput) as refused:
        Store.open("postgresql+psycopg://cairn@127.0.0.1:1/cairn?connect_timeout=2")
    assert "cairn@127.0.0.1:1" in refused.value.where
    assert "\n" not in str(refused.value)


def test_the_settings_name_either_database(tmp_path: Path) -> None:
    home = Home(tmp_path)
    url = "postgresql+psycopg://cairn@db.example.org/cairn?passfile=/srv/cairn/keys/store.pass"
    home.write_settings(Settings(network="n", database=url))
    assert home.database_url(home.settings()) == url
    assert home.database_url(Settings(network="n")) == f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.mark.processes
@pytest.mark.xdist_group("postgresql")
def test_a_network_is_founded_in_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    with postgres.database("founded") as url:
        told = ["net", "--dictionary", f"{tmp_path / 'dictionary.toml'}", "--dir", f"{tmp_path}"]
        done = CliRunner().invoke(operator, ["init", *told, "--database", url])
        assert done.exit_code == 0, done.stderr
        store = Store.open(url)
        assert store.network.roster.epoch == 0
        store.close()
    assert not (tmp_path / "store.sqlite").exists()


def _together(act: Callable[[int], object]) -> None:
    """Call `act` from many threads at the same time; raises what one of them raised."""
    barrier = threading.Barrier(WRITERS)

    def run(number: int) -> None:
        barrier.wait()
        act(number)

    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(run, number) for number in range(WRITERS)]:
            done.result()
