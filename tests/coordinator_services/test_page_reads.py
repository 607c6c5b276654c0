"""What a page reads within its own process: little, and only what its reader may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from coordinator.api.services import ApiSettings
from coordinator.auth import Admitted
from coordinator.pages.inside import BASE, Inside
from privacy.contract.token import Role
from privacy.errors import Code
from tests.support.fake_executor import NODES, World, make_world

STUDY = "als-progression"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, settings=ApiSettings(secure_cookies=False))
    yield made
    made.store.close()


def _reader(world: World, role: Role) -> Admitted:
    key = world.tokens[role].signing_key.public.text
    return Admitted(next(each for each in world.store.people.all() if each.public_key == key))


def _page(world: World, role: Role) -> TestClient:
    opened = world.app.state.services.sessions.open_web(_reader(world, role).principal)
    return TestClient(world.app, cookies={"cairn": opened.cookie})


@contextmanager
def _statements() -> Iterator[list[str]]:
    """What the store is asked meanwhile, without the beginnings of transactions."""
    said: list[str] = []

    def hear(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        if not text.startswith("BEGIN"):
            said.append(text)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


@pytest.mark.parametrize(
    ("path", "most"),
    [("/studies", 3), (f"/studies/{STUDY}", 20), (f"/studies/{STUDY}/ask", 16), ("/runs", 5)],
)
def test_a_page_asks_the_store_little(world: World, path: str, most: int) -> None:
    """Whatever it shows, who reads it is found out once, and ledgers are read together."""
    with _page(world, Role.RESEARCHER) as http:
        assert http.get(path).status_code == 200
        with _statements() as said:
            http.get(path)
    assert len(said) <= most
    assert sum("session_tokens" in each for each in said) == 1
    assert sum("FROM ledger_entries" in each for each in said) <= 1


def test_a_reader_who_is_known_reads_only_what_their_role_may(world: World) -> None:
    """And changes nothing by being known: that takes the cookie and its companion."""
    answers: dict[str, httpx.Response] = {}

    @world.app.get("/try")
    def _try() -> str:
        inside = Inside(world.app, {}, "127.0.0.1", _reader(world, Role.RESEARCHER))
        with httpx.Client(base_url=BASE, transport=inside) as http:
            answers["own"] = http.get("/v1/me")
            answers["other"] = http.get("/v1/people")
            answers["change"] = http.post("/v1/delegations/asked", json={})
        return ""

    with TestClient(world.app) as http:
        http.get("/try")
    assert answers["own"].json()["role"] == "researcher"
    assert answers["other"].json()["code"] == Code.NOT_PERMITTED.value
    assert answers["change"].json()["code"] == Code.NOT_SIGNED_IN.value


def test_nobody_names_a_reader_from_outside(world: World) -> None:
    with TestClient(world.app, headers={"cairn.reader": "ada", "cairn-reader": "ada"}) as http:
        assert http.get("/v1/me").json()["code"] == Code.NOT_SIGNED_IN.value


def test_ledgers_that_are_read_together_are_those_that_are_read_alone(world: World) -> None:
    ledgers = world.store.ledgers
    sizes = dict(zip(NODES, (0, 2, 99), strict=True))
    expected = [
        (node, data) for node in sorted(NODES) for data in ledgers.entries(node, sizes[node])
    ]
    assert list(ledgers.grown(sizes)) == expected
    assert ledgers.grown({}) == ()
