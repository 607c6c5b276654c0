"""The client's way to the operations of the same process: no socket, the reader's session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from anyio import from_thread
from starlette.types import ASGIApp

BASE = "http://localhost"


@dataclass
class Inside(httpx.BaseTransport):
    """Hands requests to `app` as if they came from `address` with `headers`.

    Called from a worker thread of the event loop that serves `app`, and made anew for every page:
    what was read is not asked again until something is changed.
    """

    app: ASGIApp
    headers: Mapping[str, str]
    address: str
    _read: dict[str, httpx.Response] = field(default_factory=dict)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of the client."""
        if request.method != "GET":
            self._read.clear()
            return from_thread.run(self._answer, request)
        asked = str(request.url)
        if asked not in self._read:
            self._read[asked] = from_thread.run(self._answer, request)
        known = self._read[asked]
        return httpx.Response(known.status_code, headers=known.headers, content=known.content)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        request.headers.update(self.headers)
        inside = httpx.ASGITransport(app=self.app, client=(self.address, 0))
        said = await inside.handle_async_request(request)
        return httpx.Response(said.status_code, headers=said.headers, content=await said.aread())
