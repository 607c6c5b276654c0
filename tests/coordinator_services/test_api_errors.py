"""Every error is a problem from the catalogue and tells nothing else."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api.problems import CATALOGUE
from coordinator.api.services import ApiSettings
from coordinator.api.waiting import preferred_wait_seconds
from privacy.errors import Code
from tests.support.api_calls import researcher, signed
from tests.support.fake_executor import World, make_world, serve

CANARY = "canary-5f0e"


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body, if it is a well-formed problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "code", "fields"}
    assert body["type"] == f"urn:cairn:{code}"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"] == CATALOGUE[Code(code)][1]
    return body


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(CATALOGUE) == set(Code)
    for status, title in CATALOGUE.values():
        assert 400 <= status < 600
        assert title.endswith(".")


def test_http_errors_are_problems_too(world: World, http: httpx.Client) -> None:
    check_problem(http.get(f"/{CANARY}"), 404, "not_found")
    wrong = http.delete("/v1/studies")
    check_problem(wrong, 405, "bad_request")
    assert wrong.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "body"),
        (b"{", "body.1"),
        (b"[]", "body"),
        (b'{"question": 3}', "body.question"),
        (b'{"question": {}, "canary-5f0e": 1}', "body"),
        (b'{"question": {}, "question": ' + b"[" * 90_000, "body"),
        (b"\xff\xfe", None),
        (b'{"question": NaN}', "body.question"),
    ],
)
def test_a_malformed_body_is_named_and_not_repeated(
    content: bytes, where: str | None, world: World, http: httpx.Client
) -> None:
    headers = researcher(world, **{"Content-Type": "application/json"})
    answer = http.post("/v1/runs", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    body = check_problem(answer, answer.status_code, "bad_request")
    assert CANARY not in answer.text
    if where is not None and answer.status_code == 422:
        assert body["fields"]["where"].startswith(where.split(".")[0])


@pytest.mark.parametrize("depth", [40, 500, 20_000])
def test_a_deeply_nested_question_is_refused(depth: int, world: World, http: httpx.Client) -> None:
    content = b'{"question": {"body": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
    headers = researcher(world, **{"Content-Type": "application/json"})
    answer = http.post("/v1/runs", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == "bad_request"


def test_a_body_that_is_too_large_is_not_read(world: World, http: httpx.Client) -> None:
    large = b"x" * (2**20 + 1)
    body = check_problem(http.post("/v1/join", content=large), 413, "too_large")
    assert body["fields"] == {"max_bytes": 2**20}
    pieces = (b"x" * 2**16 for _ in range(64))
    check_problem(http.post("/v1/join", content=pieces), 413, "too_large")


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 40, "99999999"])
def test_a_length_that_lies_is_refused(length: str, world: World, http: httpx.Client) -> None:
    host, port = http.base_url.host, http.base_url.port
    request = f"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection((host, port or 80), timeout=5) as link:
        link.sendall(request.encode())
        assert re.match(rb"HTTP/1.1 4[0-9]{2}", link.recv(4096))


def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    world = make_world(tmp_path, settings=ApiSettings(max_body_seconds=0.2))
    with serve(world.app) as url:
        found = httpx.URL(url)
        with socket.create_connection((found.host, found.port or 80), timeout=5) as link:
            link.sendall(b"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            assert link.recv(4096).startswith(b"HTTP/1.1 408")
    world.store.close()


def test_an_unexpected_error_tells_nothing(
    world: World, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(world.executor, "execute", broken)
    answer = http.post("/v1/runs", json=signed(world), headers=researcher(world))
    check_problem(answer, 500, "internal")
    assert CANARY not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_safe_headers_are_on_every_answer_and_nothing_invites_other_sites(
    world: World, http: httpx.Client
) -> None:
    origin = {"Origin": "https://example.org"}
    answers = [
        http.get("/health", headers=origin),
        http.get("/none", headers=origin),
        http.post("/v1/join", content=b"x" * 2**21),
        http.get("/v1/me"),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "set-cookie" not in answer.headers
    preflight = http.options(
        "/v1/runs", headers={**origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 405


def test_many_wrong_logins_are_slowed_down_and_a_right_one_still_enters(
    world: World, http: httpx.Client
) -> None:
    wrong = {"Authorization": "Bearer " + "A" * 43}
    codes = [http.get("/v1/me", headers=wrong).status_code for _ in range(25)]
    assert codes == [401] * 20 + [429] * 5
    limited = http.get("/v1/me", headers=wrong)
    check_problem(limited, 429, "rate_limited")
    assert limited.headers["retry-after"] == "3"
    assert http.get("/v1/me", headers=researcher(world)).status_code == 200


def test_requests_at_once_are_answered_each_with_its_own(world: World, http: httpx.Client) -> None:
    failed: list[int] = []

    def ask(number: int) -> None:
        body = signed(world, nonce=str(number), epsilon=f"0.{number + 1:03}")
        answer = http.post("/v1/runs", json=body, headers=researcher(world), timeout=60)
        if answer.status_code != 200 or answer.json()["state"] != "released":
            failed.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("wait=10", 10.0),
        ("respond-async, wait=5", 5.0),
        ("WAIT = 7; foo", 7.0),
        ("await=10", 0.0),
        ("wait=-1", 0.0),
        ("wait=1e9", 0.0),
        ("wait=99999999", 0.0),
    ],
)
def test_the_prefer_header_is_read_strictly(header: str | None, seconds: float) -> None:
    assert preferred_wait_seconds(header) == seconds
