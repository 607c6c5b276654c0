"""The HTTP server of the web process: uvicorn with a limit on what it waits for.

Bodies are limited where they are read (`coordinator.api.limits`). Before that, a request's head is
limited in size by h11, and in time here: a connection on which no whole head arrives is closed.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD_BYTES = 64 * 1024
HANDOVER_SECONDS = 0.0005


def hand_over_quickly() -> None:
    """Let threads of this process take turns ten times as often as Python's usual.

    A page hands its questions to the event loop and back; while other pages are made, each handover
    would wait for a whole turn of theirs.
    """
    sys.setswitchinterval(HANDOVER_SECONDS)


def make_server(
    app: FastAPI,
    *,
    head_seconds: float,
    max_connections: int,
    trusted_proxies: str = "",
) -> uvicorn.Server:
    """A server for `app` that says nothing of itself and believes the named proxies alone."""

    class Patient(HeadTimeout):
        patience_seconds = head_seconds

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Patient,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            limit_concurrency=max_connections,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies,
            ws="none",
        )
    )


class HeadTimeout(H11Protocol):
    """Closes a connection that had no request under way at two looks with none between them.

    A slow head is closed after `patience_seconds`, or twice that on a connection used before.
    """

    patience_seconds = 20.0
    _seen: object = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._timer = self.loop.call_later(self.patience_seconds, self._look)

    def _look(self) -> None:
        under_way = self.cycle is not None and not self.cycle.response_complete
        if not under_way and self.cycle is self._seen:
            self.transport.close()
            return
        self._seen = self.cycle
        self._look_later()
