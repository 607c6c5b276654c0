"""The catalogue: what there is to ask about, in bands, with a way to the planner."""

from __future__ import annotations

from fastapi import Response

from coordinator.pages.visit import Visit
from privacy.contract.token import Role


def show(visit: Visit) -> Response:
    """Variables by condition, or by another column with levels."""
    _ = visit.person
    asked = visit.request.query_params
    found = visit.network.catalogue(asked.get("by", ""))
    researcher = visit.person.role is Role.RESEARCHER
    studies = visit.network.transport.get("/v1/studies")["studies"] if researcher else []
    chosen = [each for each in studies if each["id"] == asked.get("study", "")] or studies
    return visit.page(
        "catalogue.html",
        catalogue=found,
        choices=[(name, name.rpartition(".")[2]) for name in found.choices],
        variables=found.named(asked.get("named", "")),
        studies=[(each["id"], each["title"]) for each in studies],
        study=chosen[0]["id"] if chosen else "",
        form=visit.asked,
    )
