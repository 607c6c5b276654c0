"""The part of a node's own API that keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import Field

from node.api_forms import BY, Form
from node.parts import Parts
from node.steward import Steward
from privacy.ledger.steward_entry import Signed, StewardBody


class BackupForm(Form):
    """A new file on the node's own machine, and the passphrase that it is sealed with."""

    file: Path
    passphrase: str
    by: str = BY


class LeaveForm(Form):
    """Why the organisation leaves, in words for everybody."""

    reason: str = ""
    by: str = BY


class NamedForm(Form):
    """A key of the coordinator, or its fingerprint; "" for none."""

    named: str = ""


class AcceptForm(Form):
    """A key of the coordinator that a steward compared, with why it is another one."""

    key: str
    reason: str
    by: str = BY
    signed: Signed | None = None


def add_upkeep_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    """Add every route of this module."""

    @app.post("/v1/backup", operation_id="backup", dependencies=guard)
    def backup(form: BackupForm) -> dict[str, Any]:
        return Steward(parts, form.by).backup(form.file, form.passphrase)

    @app.get("/v1/doctor", operation_id="doctor", dependencies=guard)
    def doctor() -> list[dict[str, str | bool]]:
        return Steward(parts).doctor()

    @app.post("/v1/leave", operation_id="leave", dependencies=guard)
    def leave(form: LeaveForm) -> dict[str, Any]:
        return Steward(parts, form.by).leave(form.reason)

    @app.get("/v1/stewards", operation_id="list_stewards", dependencies=guard)
    def stewards() -> list[dict[str, str]]:
        return Steward(parts).stewards()

    @app.post("/v1/stewards", operation_id="change_stewards", dependencies=guard)
    def change_stewards(
        body: Annotated[StewardBody, Field(discriminator="kind")],
    ) -> dict[str, str]:
        Steward(parts).change_stewards(body)
        return {"status": "entered"}

    @app.post("/v1/coordinator", operation_id="coordinator_key", dependencies=guard)
    def coordinator(form: NamedForm) -> dict[str, Any]:
        return Steward(parts).coordinator(form.named)

    @app.post("/v1/coordinator/accept", operation_id="accept_coordinator", dependencies=guard)
    def accept_coordinator(form: AcceptForm) -> dict[str, str]:
        Steward(parts, form.by).accept_coordinator(form.key, form.reason, form.signed)
        return {"accepted": form.key}

    @app.get("/v1/backups", operation_id="list_backups", dependencies=guard)
    def backups() -> list[dict[str, str]]:
        return Steward(parts).backups()
