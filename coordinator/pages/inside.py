"""The client's way to the operations of the same process: no socket, the reader's session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from anyio import from_thread
from starlette.types import ASGIApp, Message, Scope

from coordinator.api.services import READER
from coordinator.auth import Admitted

BASE = "http://localhost"


@dataclass
class Inside(httpx.BaseTransport):
    """Hands requests to `app` as if they came from `address` with `headers`.

    Called from a worker thread of the event loop that serves `app`, and made anew for every page:
    what was read is not asked again until something is changed. Who `reader` is was found out
    for the page, and is not found out again for what it reads; a change passes the whole door.
    """

    app: ASGIApp
    headers: Mapping[str, str]
    address: str
    reader: Admitted | None = None
    _read: dict[str, httpx.Response] = field(default_factory=dict)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of the client."""
        request.headers.update(self.headers)
        if request.method != "GET":
            self._read.clear()
            return from_thread.run(self._answer, request)
        asked = str(request.url)
        if asked not in self._read:
            self._read[asked] = from_thread.run(self._answer, request)
        known = self._read[asked]
        return httpx.Response(known.status_code, headers=known.headers, content=known.content)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request.read())
        await self.app(self._scope(request), exchange.receive, exchange.send)
        exchange.over.set()
        return httpx.Response(
            exchange.status, headers=exchange.headers, content=b"".join(exchange.parts)
        )

    def _scope(self, request: httpx.Request) -> Scope:
        url, reader = request.url, self.reader if request.method == "GET" else None
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": (self.address, 0),
            "root_path": "",
            READER: reader,
        }


@dataclass
class _Exchange:
    """What an application is given of one request, and what it says."""

    body: bytes | None
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> Message:
        """The body once; after it, nobody leaves before the answer is whole."""
        if self.body is None:
            await self.over.wait()
            return {"type": "http.disconnect"}
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        else:
            self.parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self.over.set()
