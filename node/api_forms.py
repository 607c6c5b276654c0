"""What is sent to the node's own API."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from privacy.ledger.steward_entry import Signed

BY = "steward"


class Form(BaseModel):
    """Nothing but what is named; what is wrong is told without repeating it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class FolderForm(Form):
    """A folder on the node's own machine."""

    folder: Path


class ScoreForm(Form):
    """A saved model and a new file, both on the node's own machine."""

    model: Path
    out: Path
    horizon: float | None = None


class ConfirmForm(Form):
    """A roster and the fingerprints that were compared out of band."""

    digest: str
    fingerprints: list[str]


class ConsentForm(Form):
    """One member's choice for one purpose (or "all")."""

    member: str
    purpose: str
    state: str
    starts: date | None = None
    ends: date | None = None
    terms: str = ""
    text: str = ""
    language: str = ""
    evidence: str = ""


class EndLinkageForm(Form):
    """Why a linkage ends, and who says so."""

    why: str
    by: str = BY


class FileForm(Form):
    """A file on the node's own machine."""

    file: Path


class ProofForm(Form):
    """A month, and one member or (empty) the whole table."""

    epoch: str
    member: str = ""


class TextForm(Form):
    """The text that members are asked with for a purpose."""

    purpose: str
    language: str
    text: str


class LinkForm(Form):
    """A member who may open their own page once, within so many days."""

    member: str
    days: Annotated[int, Field(ge=1, le=90)] = 14


class LayForm(Form):
    """What a release found, in plain words."""

    release: str
    text: str


class PeriodForm(Form):
    """When the next year begins, with a steward's signature on it."""

    starts: str
    by: str = BY
    signed: Signed | None = None


class ReasonForm(Form):
    """Why a steward goes on, and who."""

    reason: str
    by: str = BY


class HistoryForm(ReasonForm):
    """Whose history a steward accepts: the coordinator's log, or a node's ledger."""

    of: str


class RecoverForm(ReasonForm):
    """A copy of the ledger on the node's own machine; without one, the coordinator's."""

    file: Path | None = None


class ConsoleForm(Form):
    """Whose console it is."""

    by: str = BY


class AboutForm(Form):
    """One member, and a reference that names nobody."""

    member: str
    reference: str = ""
