"""One world per test: a store, three made-up nodes, a person of every role, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from coordinator.store.store import Store
from privacy.contract.token import Role
from tests.support.fake_executor import World, make_world, serve
from tests.support.postgres_server import POSTGRESQL, PostgresServer, postgres_server

_TEMPLATE = "template_of_stores"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server with the schema of a store, to be copied."""
    with postgres_server() as server, server.database(_TEMPLATE) as url:
        Store.open(url).close()
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=POSTGRESQL)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database for one test, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database("store_of_a_test", _TEMPLATE) as url:
        yield url


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """An empty store of either kind."""
    made = Store.open(database)
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def live_world(tmp_path: Path) -> Iterator[World]:
    """A world that goes by the real clock, for clients that sign with the time of day."""
    made = make_world(tmp_path, clock=lambda: datetime.now(UTC))
    yield made
    made.store.close()


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def url(live_world: World) -> Iterator[str]:
    with serve(live_world.app) as address:
        yield address


@pytest.fixture
def token(live_world: World) -> str:
    return live_world.tokens[Role.RESEARCHER].text
