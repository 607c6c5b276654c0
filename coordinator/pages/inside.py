"""The client's way to the operations of the same process: no socket, the reader's session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from anyio import from_thread
from starlette.types import ASGIApp

BASE = "http://localhost"


@dataclass
class Inside(httpx.BaseTransport):
    """Hands requests to `app` as if they came from `address` with `headers`.

    Called from a worker thread of the event loop that serves `app`.
    """

    app: ASGIApp
    headers: Mapping[str, str]
    address: str

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of the client."""
        return from_thread.run(self._answer, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        request.headers.update(self.headers)
        inside = httpx.ASGITransport(app=self.app, client=(self.address, 0))
        said = await inside.handle_async_request(request)
        return httpx.Response(said.status_code, headers=said.headers, content=await said.aread())
