"""Runs: how far one is, what it ended with, and stopping it."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from coordinator.pages.visit import KIT, Visit, go
from coordinator.pages.words import worded
from pages.kit import HEADERS

_SHOWN = 50
UNDER_WAY = ("queued", "running")


def every(visit: Visit) -> Response:
    """The newest runs of the studies that the reader may see."""
    said = visit.network.transport.get("/v1/runs", limit=_SHOWN)["runs"]
    return visit.page("runs.html", runs=[worded(run) for run in said])


def one(visit: Visit, run: str) -> Response:
    """One run; the page renews itself until the run is over."""
    return visit.page("run.html", **_facts(visit, run))


def state(visit: Visit, run: str) -> Response:
    """The part of a run's page that changes, for a page that is open."""
    text = KIT.text(visit.request, "run_state.html", csrf=visit.csrf, **_facts(visit, run))
    return Response(text, headers=dict(HEADERS), media_type="text/html")


def cancel(visit: Visit, run: str) -> Response:
    """Ask for a run to stop."""
    visit.check_form()
    visit.network.transport.post(f"/v1/runs/{run}/cancel", {})
    return go(f"/runs/{run}")


def _facts(visit: Visit, name: str) -> dict[str, Any]:
    run = worded(visit.network.transport.get(f"/v1/runs/{name}"))
    nodes = visit.network.nodes()
    taking = set(run["participants"])
    return {
        "run": run,
        "under_way": run["state"] in UNDER_WAY,
        "nodes": [node for node in nodes if node.id in taking],
        "release": (run["answer"] or {}).get("release", ""),
    }
