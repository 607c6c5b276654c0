"""Pages that take long keep no reader waiting: auditors', files and what is asked for go apart."""

from __future__ import annotations

import threading

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from coordinator.pages import routes

PATIENCE_SECONDS = 60


@pytest.mark.parametrize(
    ("method", "address"), [("GET", "/audit/long"), ("POST", "/long"), ("GET", "/long.{kind}")]
)
def test_what_takes_long_keeps_no_page_waiting(
    monkeypatch: pytest.MonkeyPatch, method: str, address: str
) -> None:
    over, begun = threading.Event(), threading.Semaphore(0)

    def long(_visit: object, **_named: str) -> Response:
        begun.release()
        over.wait(PATIENCE_SECONDS)
        return PlainTextResponse("long")

    def short(_visit: object) -> Response:
        return PlainTextResponse("short")

    pages = ((method, address, long), ("GET", "/short", short))
    monkeypatch.setattr(routes, "ADDRESSES", pages)
    app = FastAPI()
    app.state.services = None
    app.include_router(routes.page_router())
    said: list[str] = []

    async def ask(http: httpx.AsyncClient, how: str, where: str) -> None:
        said.append((await http.request(how, where)).text)

    async def readers() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
            anyio.create_task_group() as group,
        ):
            for _ in range(routes.AT_ONCE):
                group.start_soon(ask, http, method, address.replace("{kind}", "csv"))
            for _ in range(routes.AT_ONCE):
                assert await anyio.to_thread.run_sync(begun.acquire, True, PATIENCE_SECONDS)
            await ask(http, "GET", "/short")
            over.set()

    anyio.run(readers)
    assert said == ["short", *["long"] * routes.AT_ONCE]
