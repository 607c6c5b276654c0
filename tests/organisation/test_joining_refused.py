"""Who cannot join is told why: the coordinator's code, and words that fit an invitation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from coordinator.api.problems import problem
from node.joining import redeem
from privacy.errors import BadInput, Code

INVITE = {"url": "https://coordinator.example", "code": "abc"}


def refused(monkeypatch: pytest.MonkeyPatch, status: int, content: bytes) -> BadInput:
    def post(url: str, **_given: Any) -> httpx.Response:
        return httpx.Response(status, content=content, request=httpx.Request("POST", url))

    monkeypatch.setattr(httpx, "post", post)
    with pytest.raises(BadInput) as caught:
        redeem(INVITE, {})
    return caught.value


@pytest.mark.parametrize(
    ("code", "why", "instead"),
    [
        (Code.NOT_PERMITTED, "was used before", "ask the coordinator for a new one"),
        (Code.CONFLICT, "a node with this name or key already", "cairn-node rotate-key"),
        (Code.RATE_LIMITED, "too many were tried", "wait some minutes"),
        (Code.BAD_REQUEST, "The request is not well formed", "the coordinator's operator"),
        (Code.INTERNAL, "Something went wrong here", "the coordinator's operator"),
    ],
)
def test_the_coordinators_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, code: Code, why: str, instead: str
) -> None:
    answer = problem(code)
    error = refused(monkeypatch, answer.status_code, bytes(answer.body))
    assert error.what.startswith("the invitation was not accepted: ")
    assert error.what.endswith(f"[{code.value}]")
    assert why in error.what
    assert instead in error.instead


@pytest.mark.parametrize(
    "content", [b"<html>Bad gateway</html>", b"[]", b'{"code": "made-up", "title": "x"}', b"{}"]
)
def test_an_answer_of_something_else_is_told_by_its_status(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    error = refused(monkeypatch, 502, content)
    assert "the answer was 502" in error.what
    assert error.where == "https://coordinator.example/v1/join"
