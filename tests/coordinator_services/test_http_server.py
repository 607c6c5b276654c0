"""The server itself: slow and endless heads, too many connections, and whom it believes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from coordinator.api.services import ApiSettings, with_limits
from coordinator.fleet_tls import create_authority
from coordinator.home import Home, Settings
from coordinator.http_server import MAX_HEAD_BYTES, make_server
from coordinator.web import api_settings
from privacy.errors import BadInput
from tests.support.fake_executor import NOW, World, make_world


@contextmanager
def _served(
    world: World, *, head_seconds: float = 20, most: int = 100, proxies: str = ""
) -> Iterator[tuple[str, int]]:
    server = make_server(
        world.app, head_seconds=head_seconds, max_connections=most, trusted_proxies=proxies
    )
    server.config.lifespan = "off"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)


def _ended(link: socket.socket) -> bool:
    """Whether the server closed the connection, with an error or without a word."""
    try:
        said = link.recv(4096)
        return not said or b" 400 " in said
    except ConnectionError:
        return True


def test_a_head_that_never_ends_is_given_up(world: World) -> None:
    with _served(world, head_seconds=0.3) as place:
        with socket.create_connection(place, timeout=5) as link:
            link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
            assert _ended(link)
        with socket.create_connection(place, timeout=5) as link:
            assert _ended(link)  # nothing was sent at all
        with socket.create_connection(place, timeout=5) as link:
            link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 200")
            link.sendall(b"GET /health HTTP/1.1\r\nHo")
            assert _ended(link)


def test_a_request_that_is_answered_slowly_is_not_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.api_calls import researcher

    people = type(world.store.people)
    quick = people.by_bearer

    def slow(self: object, mark: str) -> object:
        time.sleep(1)
        return quick(self, mark)  # type: ignore[arg-type]

    monkeypatch.setattr(people, "by_bearer", slow)
    with _served(world, head_seconds=0.2) as (host, port):
        answer = httpx.get(f"http://{host}:{port}/v1/me", headers=researcher(world), timeout=60)
    assert answer.status_code == 200


def test_a_head_that_is_too_large_is_not_kept(world: World) -> None:
    with _served(world) as place, socket.create_connection(place, timeout=5) as link:
        link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        sent = 0
        with suppress(OSError):  # reset or broken pipe, as it happens
            while sent < 100 * MAX_HEAD_BYTES:
                sent += link.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")
                time.sleep(0)
        assert sent < 100 * MAX_HEAD_BYTES


def test_no_more_connections_than_the_settings_allow_are_served(world: World) -> None:
    with _served(world, most=3) as place:
        held = [socket.create_connection(place, timeout=5) for _ in range(3)]
        with socket.create_connection(place, timeout=5) as link:
            link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 503")
        for each in held:
            each.close()
        time.sleep(0.2)
        host, port = place
        assert httpx.get(f"http://{host}:{port}/health", timeout=60).status_code == 200


@pytest.mark.parametrize(("proxies", "seen"), [("", "127.0.0.1"), ("127.0.0.1", "192.0.2.7")])
def test_a_forwarded_address_is_believed_of_named_proxies_alone(
    proxies: str, seen: str, world: World
) -> None:
    with _served(world, proxies=proxies) as (host, port):
        wrong = {"Authorization": "Bearer " + "A" * 43, "X-Forwarded-For": "192.0.2.7"}
        assert (
            httpx.get(f"http://{host}:{port}/v1/me", headers=wrong, timeout=60).status_code == 401
        )
    failures = world.app.state.services.gatekeeper.failures
    assert list(failures._due) == [seen]


def test_the_server_says_nothing_of_itself(world: World) -> None:
    with _served(world) as (host, port):
        answer = httpx.get(f"http://{host}:{port}/health", timeout=60)
    assert "server" not in answer.headers


def test_limits_are_named_in_the_settings(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "tls").mkdir()
    create_authority(home.tls, "net", NOW)
    limits = {"max_connections": 7, "max_body_seconds": 1.5, "access_minutes": 5}
    home.write_settings(Settings(network="net", limits=limits))
    found = api_settings(home, home.settings())
    assert (found.max_connections, found.max_body_seconds) == (7, 1.5)
    assert found.access_minutes == 5
    assert not found.secure_cookies
    assert found.max_wait_seconds == ApiSettings().max_wait_seconds
    home.write_settings(Settings(network="net", limits={"max_conections": 7}))
    with pytest.raises(BadInput, match="max_conections"):
        api_settings(home, home.settings())


@pytest.mark.parametrize(
    "limits",
    [
        {"secure_cookies": 1},
        {"fleet_address": 1},
        {"max_connections": 0},
        {"max_connections": -1},
        {"max_connections": 1.5},
        {"max_connections": True},
        {"max_connections": "many"},
        {"max_body_seconds": float("nan")},
        {"__class__": 1},
    ],
)
def test_what_is_no_limit_is_refused(limits: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        with_limits(ApiSettings(), limits)


def test_a_world_by_any_limits_still_works(tmp_path: Path) -> None:
    world = make_world(tmp_path, settings=with_limits(ApiSettings(), {"max_waiting": 3}))
    assert world.app.state.services.waiting.total_tokens == 3
    world.store.close()
