"""What is left to do at a node, each with the command that does it.

Made of what the organisation itself may see; nothing of it is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.digits import many
from node.parts import Parts
from privacy.contract.time import parse_instant
from privacy.ledger.state import LedgerState

SILENT = timedelta(minutes=10)
BACKUP_DAYS = 7
PERIOD_DAYS = 30
DATA = "/console/data"


@dataclass(frozen=True)
class Step:
    """One thing to see to. `command` is "" where there is nothing to do; `page` is the console's
    page on which it is done, "" for none."""

    what: str
    done: bool
    command: str = ""
    page: str = ""

    def to_json(self) -> dict[str, str | bool]:
        return dict(vars(self))


def checklist(parts: Parts) -> list[Step]:
    """Every step of setting a node up and keeping it, in the order in which to take them."""
    now = parts.service.clock()
    return [*_setting_up(parts, now), *_deciding(parts), *_keeping(parts, now)]


def _setting_up(parts: Parts, now: datetime) -> Iterator[Step]:
    service, state = parts.service, parts.service.ledger.state
    imported = parts.records.members > 0
    yield _step("records are imported", imported, "cairn-node import FOLDER", DATA)
    if parts.guard.set_back:
        old = "records are those of before a restore"
        yield _step(old, False, "cairn-node import FOLDER", DATA)
    heard = service.last_contact
    near = heard is not None and now - heard < SILENT
    yield _step("the coordinator was heard in the last minutes", near, "cairn-node start")
    offered = service.documents.rosters()
    newest = bool(offered) and state.roster == offered[-1].digest
    confirm = "cairn-node rosters, then cairn-node confirm DIGEST FINGERPRINT …"
    yield _step("the newest roster is confirmed", newest, confirm, "/console/network")
    waits = "start the node, and wait until enough of the other organisations' nodes run"
    yield _step("peers confirmed that the ledger is whole", service.witnessing.done, waits)
    needed = service.policy.rules.approvers
    yield _step(
        f"{many(needed, 'steward')} {'has' if needed == 1 else 'have'} a key of their own",
        len(state.stewards) >= needed,
        "cairn-node steward invite NAME --out FILE",
        "/console/people",
    )


def _deciding(parts: Parts) -> Iterator[Step]:
    service, state = parts.service, parts.service.ledger.state
    waiting = [
        study
        for study in service.documents.studies()
        if study.digest not in state.decisions or study.digest in state.endorsed
    ]
    for study in waiting:
        decide = f"cairn-node studies, then cairn-node decide {study.digest} DECISION"
        page = f"/console/studies/{study.digest}"
        yield _step(f"the study {study.id!r} is decided on", False, decide, page)
    if not waiting:
        yield _step("every study that was offered is decided on", True)
    asks = [s for d in state.approvals if (s := service.documents.study(d)).consent_purpose]
    if asks:
        purpose = asks[0].consent_purpose
        text = f"cairn-node consent-text {purpose} LANGUAGE FILE"
        yield _step("the ledger names a text that members were asked with", bool(state.texts), text)


def _keeping(parts: Parts, now: datetime) -> Iterator[Step]:
    state = parts.service.ledger.state
    recent = _within(state.backed_up, now, timedelta(days=BACKUP_DAYS))
    backup = f"a backup of the last {BACKUP_DAYS} days"
    yield _step(backup, recent, "cairn-node backup FILE", "/console/people")
    over, soon = _period(state, now)
    if over:
        yield _step("a period is open", False, "cairn-node open-period", "/console/policy")
    elif soon:
        yield _step(
            f"the period ends on {soon}: then open the next",
            False,
            "cairn-node open-period",
            "/console/policy",
        )
    if state.paused:
        yield _step("the node answers", False, "cairn-node resume", "/console/")


def _step(what: str, done: bool, command: str = "", page: str = "") -> Step:
    return Step(what, done, "" if done else command, "" if done else page)


def _within(at: str, now: datetime, span: timedelta) -> bool:
    return bool(at) and now - parse_instant(at) <= span


def _period(state: LedgerState, now: datetime) -> tuple[bool, str]:
    """Whether no period is open, and the day it ends on if that is soon."""
    if state.period is None or state.leaving:
        return state.period is None and not state.leaving, ""
    ends = parse_instant(state.period.ends)
    soon = ends - now < timedelta(days=PERIOD_DAYS)
    return ends <= now, state.period.ends[:10] if soon else ""
