"""Members whose every field is a token found nowhere else: none of them may leave, in any form.

The tokens are looked for in all bytes on the wire, in everything written to logs or the
terminal, in problem documents and in what the node's objects print.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pandas as pd
import pytest
import structlog
from fastapi.testclient import TestClient

from node.api import create_app
from privacy.errors import Code
from service.logs import without_texts
from tests.support import net_data
from tests.support.network import Network

TOKENS: dict[str, str] = {
    "member": "QXV7KEY{n}Z",
    "age": "37.{n}4719265",
    "score": "-11.{n}8823647",
    "born": "1951-0{n}-17",
    "story": 'WQJ7 story {n}, \\"quoted\\" ü',
    "email": "kzq{n}@zzyzx.example",
}
NODE = "ms-league"


def _people() -> dict[str, pd.DataFrame]:
    frames = {name: net_data.members(1 + i, 20) for i, name in enumerate(net_data.NODES)}
    canaries = {
        column: [shape.format(n=n) for n in range(1, 6)] for column, shape in TOKENS.items()
    }
    fixed = {"condition": "als", "treatment": "riluzole", "consent": "yes"}
    frames[NODE] = pd.DataFrame({**canaries, **fixed})[list(frames[NODE].columns)]
    return frames


def _rows(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    rows = {name: net_data.symptoms(frame, 3) for name, frame in frames.items()}
    rows[NODE]["severity"] = 7.31964428
    return rows


def forms(token: str) -> set[bytes]:
    """The spellings in which a value could travel."""
    raw = token.encode()
    inside = json.dumps(token)[1:-1].encode()
    found = {raw, raw.hex().encode(), inside, repr(token)[1:-1].encode(), token.lower().encode()}
    for shift in range(3):  # base64 depends on what stands before
        text = base64.b64encode(b"\0" * shift + raw)
        found.add(text[4 if shift else 0 : len(text) // 4 * 4 - 4])
    try:
        value = float(token)
    except ValueError:
        pass
    else:
        found |= {struct.pack("<d", value), struct.pack(">d", value)}
    return {form for form in found if len(form) >= 6}


def _needles() -> list[bytes]:
    texts = [shape.format(n=n) for shape in TOKENS.values() for n in range(1, 6)]
    return sorted({form for text in [*texts, "7.31964428"] for form in forms(text)})


NEEDLES = re.compile(b"|".join(map(re.escape, _needles())))


def _assert_clean(what: str, data: bytes) -> None:
    found = NEEDLES.search(data)
    assert found is None, f"{what} holds {found.group()!r} of a member" if found else ""


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """Everything that goes to logs, through either logging system, as the program sets it up."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(without_texts)
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=stream))
    yield stream
    structlog.reset_defaults()
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def network(make: Callable[..., Network], heard: io.StringIO) -> Network:
    frames = _people()
    return make(frames=frames, symptoms=_rows(frames))


def _wire(network: Network) -> bytes:
    parts = [p for x in network.wire.log for p in (x.request, x.reply) if p is not None]
    return b"\n".join(part.header + b"\n" + part.blob for part in parts)


def _outside(network: Network, heard: io.StringIO) -> dict[str, bytes]:
    """All that a stranger could get to see."""
    service = network.nodes[NODE].service
    printed = "\n".join(map(repr, _objects(network)))
    return {
        "the wire": _wire(network),
        "a log": heard.getvalue().encode(),
        "a repr": printed.encode(),
        "the ledger": b"\n".join(service.ledger.lines()),
        "a run": repr(network.store.runs.newest(studies=None, limit=100)).encode(),
    }


def _objects(network: Network) -> list[Any]:
    parts = network.nodes[NODE].parts
    service = parts.service
    runner = service.runner
    live = list(runner._live.values())
    sessions = [prepared.session for prepared in runner._sessions.values()]
    return [parts, service, runner, parts.records, service.ledger, *live, *sessions]


def _check(network: Network, heard: io.StringIO) -> None:
    assert network.wire.log
    for what, data in _outside(network, heard).items():
        _assert_clean(what, data)


QUESTIONS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "count"}, ""),
    ({"kind": "count", "by": ["treatment"]}, "age > 30"),
    ({"kind": "histogram", "column": "age"}, ""),
    ({"kind": "mean", "column": "score"}, ""),
    ({"kind": "sum", "column": "severity"}, "condition == 'als'"),
]


def test_the_tokens_would_be_found(network: Network) -> None:
    """The search itself: a stand-in that quotes a value is caught in every form."""
    for text in ("QXV7KEY3Z", "37.34719265", 'WQJ7 story 2, \\"quoted\\" ü', "7.31964428"):
        for data in (
            text.encode(),
            text.encode().hex().encode(),
            base64.b64encode(b"xy" + text.encode() + b"pad"),
            json.dumps({"e": text}).encode(),
            repr(ValueError(text)).encode(),
        ):
            assert NEEDLES.search(data), (text, data)
    with network.nodes[NODE].parts.records.snapshot() as cursor:
        inside = repr(cursor.execute("SELECT * FROM members").fetchall()).encode()
    assert NEEDLES.search(inside)


def test_after_answers(network: Network, heard: io.StringIO) -> None:
    for analysis, cohort in QUESTIONS:
        assert network.ask(analysis, cohort).release
    _check(network, heard)


def test_in_the_middle_of_a_question(network: Network, heard: io.StringIO) -> None:
    from tests.support.net_steps import Steps

    steps = Steps(network, network.plan(network.question({"kind": "count"})))
    steps.reserve()
    keys = steps.keys()
    steps.contribute(steps.attempt(keys), keys)
    assert network.nodes[NODE].service.runner._live
    _check(network, heard)


def test_after_refusals(network: Network, heard: io.StringIO) -> None:
    network.nodes[NODE].steward.pause()
    assert network.ask({"kind": "count"}).code == Code.PAUSED.value
    network.nodes[NODE].steward.resume()
    assert network.ask({"kind": "count"}, epsilon="11").code == Code.STUDY_BUDGET_EXCEEDED.value
    network.clock.forward(days=300)
    assert network.ask({"kind": "count"}, nonce="late").code == Code.NOT_IN_PERIOD.value
    _check(network, heard)


def _quoting(network: Network) -> str:
    """An error text as a database writes it: with the value that it could not convert."""
    with network.nodes[NODE].parts.records.snapshot() as cursor:
        try:
            cursor.execute("SELECT CAST(story AS INTEGER) FROM (SELECT 'WQJ7 story 1' AS story)")
            cursor.fetchall()
        except duckdb.Error as error:
            return str(error)
    raise AssertionError


@pytest.mark.parametrize("kind", [ValueError, KeyError, duckdb.ConversionException, RuntimeError])
def test_after_a_crash_that_quotes_a_value(
    network: Network, heard: io.StringIO, kind: type[Exception]
) -> None:
    text = _quoting(network)
    assert "WQJ7 story 1" in text

    def crash(*_: Any) -> Any:
        raise kind(text + " QXV7KEY1Z 37.14719265 " + repr(_people()[NODE].iloc[0].to_dict()))

    network.nodes[NODE].service.runner.engine = crash
    assert network.ask({"kind": "count"}).code == Code.ATTEMPT_LOST.value
    assert "contribution failed" in heard.getvalue()
    _check(network, heard)


def test_a_crash_anywhere_behind_the_door_is_a_code(network: Network, heard: io.StringIO) -> None:
    def crash(*_: Any) -> Any:
        raise RuntimeError("QXV7KEY1Z kzq1@zzyzx.example")

    network.nodes[NODE].service.runner.reserve = crash  # type: ignore[method-assign]
    assert network.ask({"kind": "count"}).code == Code.INTERNAL.value
    _check(network, heard)


def test_after_malformed_requests(network: Network, heard: io.StringIO) -> None:
    from privacy.contract.messages import Ask
    from tests.support.net_steps import codes

    for ask in Ask:
        for payload in ({}, {"plan": {"body": "QXV7"}, "attempt": 1}, {"from": -1, "group": []}):
            answers = network.link.ask_all(ask, (NODE,), dict(payload), 1.0)
            assert len(codes(answers)) == 1
    _check(network, heard)


# The organisation's own door: a problem document may name a value only to the file's owner


def _client(network: Network) -> TestClient:
    parts = network.nodes[NODE].parts
    token = parts.home.steward_token()
    client = TestClient(create_app(parts, lambda: True), raise_server_exceptions=False)
    client.headers["authorization"] = f"Bearer {token}"
    return client


def test_problem_documents_of_the_nodes_api(network: Network, heard: io.StringIO) -> None:
    client = _client(network)
    parts = network.nodes[NODE].parts

    def crash() -> Any:
        raise RuntimeError("QXV7KEY1Z 37.14719265")

    said = [
        client.get("/v1/status"),
        client.get("/v1/ledger"),
        client.get("/v1/left"),
        client.get("/v1/studies"),
        client.get("/nowhere"),
        client.post("/v1/consent", content=b'{"member": "QXV7KEY1Z", "purpose": 7}'),
        client.post("/v1/import", json={"folder": 1, "QXV7KEY1Z": "37.14719265"}),
    ]
    object.__setattr__(parts.service, "ledger", _Crashing(parts.service.ledger, crash))
    said.append(client.get("/v1/left"))
    assert said[-1].status_code == 500
    assert said[-1].json()["code"] == "internal"
    object.__setattr__(parts.service, "ledger", parts.service.ledger.inner)
    for answer in said:
        _assert_clean("a problem document", answer.content)
    _check(network, heard)


class _Crashing:
    def __init__(self, inner: Any, crash: Callable[[], Any]) -> None:
        self.inner, self._crash = inner, crash

    def __getattr__(self, name: str) -> Any:
        return self._crash() if name in ("lines", "state") else getattr(self.inner, name)


def test_an_exception_in_a_log_keeps_its_class_and_line_only() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(without_texts)
    logger = logging.getLogger("some.dependency")
    logger.addHandler(handler)
    try:
        raise ValueError("QXV7KEY1Z")
    except ValueError:
        logger.exception("could not handle %s", "this")
    logger.removeHandler(handler)
    assert "QXV7KEY1Z" not in stream.getvalue()
    assert "ValueError at " in stream.getvalue()
