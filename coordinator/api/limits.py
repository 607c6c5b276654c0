"""What every request and response passes: a size limit coming in, safe headers going out."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from anyio import move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.api.problems import SAFE_HEADERS, problem
from coordinator.login.limits import RateLimit, address_group
from privacy.errors import Code, Refused

_NO_FRAME = "frame-ancestors 'none'"


@dataclass(frozen=True)
class SafeHeaders:
    """Adds the security headers to every response, errors included."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                if _NO_FRAME not in headers["content-security-policy"]:
                    del headers["x-frame-options"]  # older than the policy, and cannot say whom
            await send(message)

        await self.app(scope, receive, send_with_headers)


@dataclass(frozen=True)
class AddressLimit:
    """Answers no more requests of one address than the settings allow."""

    app: ASGIApp
    limit: RateLimit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            try:
                self.limit.count(address_group(client[0] if client else ""))
            except Refused as refused:
                await problem(refused.code, refused.public_fields)(scope, receive, send)
                return
        await self.app(scope, receive, send)


@dataclass(frozen=True)
class BodyLimit:
    """Reads at most `max_bytes`, for at most `max_seconds`, before anything looks at it."""

    app: ASGIApp
    max_bytes: int
    max_seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        small = declared.isascii() and declared.isdigit() and len(declared) < 16
        body: bytes | None = None
        with move_on_after(self.max_seconds) as patience:
            if small and int(declared) <= self.max_bytes:
                body = await self._body(receive)
        if patience.cancelled_caught:
            await problem(Code.BAD_REQUEST, status=408)(scope, receive, send)
        elif body is None:
            await problem(Code.TOO_LARGE, {"max_bytes": self.max_bytes})(scope, receive, send)
        else:
            await self.app(scope, _Replay(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or None as soon as it is too large."""
        parts: list[bytes] = []
        size = 0
        while True:
            message: MutableMapping[str, Any] = await receive()
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self.max_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _Replay:
    """Hands the body over once, then whatever the server has to say (a disconnect)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}
