"""Waiting for nodes without keeping anyone else waiting.

A wait holds one thread of a pool of its own; the operations use another. When even that pool
is full, a wait ends at its time like any other, and the caller asks again.
"""

from __future__ import annotations

import re

from anyio import move_on_after, to_thread

from coordinator.api.services import Services

_PREFER = re.compile(r"(?:^|[,;])\s*wait\s*=\s*([0-9]{1,6})\s*(?=$|[,;])", re.IGNORECASE)


def preferred_wait_seconds(prefer: str | None) -> float:
    """What `Prefer: wait=N` (RFC 7240) asks for; 0 without one."""
    found = _PREFER.search(prefer or "")
    return float(found[1]) if found else 0.0


async def wait_for_run(services: Services, run_id: str, wanted_seconds: float) -> None:
    """Return when the run is finished or the time (limited by the settings) is up."""
    seconds = min(wanted_seconds, services.settings.max_wait_seconds)
    if not seconds > 0:
        return
    with move_on_after(seconds):
        await to_thread.run_sync(
            services.executor.wait,
            run_id,
            seconds,
            limiter=services.waiting,
            abandon_on_cancel=True,
        )


async def sync_ledgers(services: Services) -> None:
    """Fetch the nodes' newest entries, for as long as the settings allow."""
    seconds = services.settings.sync_seconds
    with move_on_after(seconds):
        await to_thread.run_sync(
            services.executor.sync, seconds, limiter=services.waiting, abandon_on_cancel=True
        )
