"""Runs: how far one is, what it ended with, and stopping it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from coordinator.client.errors import BUDGET_CODES
from coordinator.client.network import NodeInfo
from coordinator.pages.visit import KIT, Visit, go
from coordinator.pages.words import worded
from coordinator.store.facts import NodeState
from pages.kit import HEADERS
from pages.languages import N_

_SHOWN = 50
UNDER_WAY = ("queued", "running")
_AWAY = {
    NodeState.JOINING.value: N_("joining"),
    NodeState.OFFLINE.value: N_("offline"),
    NodeState.PAUSED.value: N_("paused"),
    NodeState.LEFT.value: N_("left"),
    NodeState.NEEDS_STEWARD.value: N_("needs-steward"),
}
_OVER_BUDGET = {code.value for code in BUDGET_CODES}


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
    taking = set(run["participants"])
    study = visit.network.transport.get(f"/v1/studies/{run['study']}")
    nodes = [node for node in visit.network.nodes() if node.id in taking]
    return {
        "run": run,
        "under_way": run["state"] in UNDER_WAY,
        "chips": [(node.name, *_chip(run, node)) for node in nodes],
        "declining": study["declining"],
        "release": (run["answer"] or {}).get("release", ""),
    }


def _chip(run: Mapping[str, Any], node: NodeInfo) -> tuple[str, str]:
    """What everybody may know of a node in this run, and how it is shown. Whether its policy or
    its members' consent kept it away is in no chip."""
    if run["state"] == "released":
        return N_("done"), "good"
    if node.state != NodeState.ONLINE.value:
        return _AWAY.get(node.state, node.state), "wait"
    match run["state"]:
        case "queued":
            return N_("waiting"), ""
        case "running":
            return N_("running"), "good"
        case _:
            return _ended(run, node)


def _ended(run: Mapping[str, Any], node: NodeInfo) -> tuple[str, str]:
    """Of a run without an answer: only a budget that is used up has a name."""
    named = run["fields"].get("node") == node.id
    if named and run["code"] in _OVER_BUDGET:
        return N_("over budget"), "bad"
    return N_("stopped"), "wait"
