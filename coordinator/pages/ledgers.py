"""A node's ledger for an auditor: its entries in words, one entry with its proof, verifying."""

from __future__ import annotations

import json
import re
from typing import Any

from fastapi import Response

from coordinator.client.audit import LedgerEntry
from coordinator.pages.audits import auditing
from coordinator.pages.visit import KIT, Visit, go
from pages.forms import Form
from pages.kit import HEADERS
from pages.languages import N_
from pages.paging import Around, page_asked
from privacy.errors import Code, Refused, VerificationFailed

SOUGHT = ("kind", "study", "researcher", "since", "until")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNDER_WAY = ("collecting", "verifying")


def one(visit: Visit, node: str) -> Response:
    """A page of a ledger, with what is sought in the address."""
    audit = auditing(visit)
    form = _form(visit)
    sought = dict.fromkeys(SOUGHT, "") if form.wrongs else {n: form.value(n) for n in SOUGHT}
    said = audit.entries(node, **sought, page=page_asked(visit.request))
    return visit.page(
        "ledger.html",
        422 if form.wrongs else 200,
        form=form,
        said=said,
        around=Around.of(said["page"], said["pages"], sought),
        narrowed=any(sought.values()),
        studies=[(study, study) for study in said["studies"]],
        researchers=[(key, key) for key in said["researchers"]],
        kinds=[
            (kind, f"{said['kind_words'][kind]} ({number})")
            for kind, number in sorted(said["kinds"].items(), key=lambda each: -each[1])
        ],
    )


def _form(visit: Visit) -> Form:
    """What is sought, as it was typed."""
    query = visit.request.query_params
    form = Form({name: (query.get(name, "")[:128],) for name in SOUGHT})
    for name in ("since", "until"):
        if form.value(name) and not _DAY.fullmatch(form.value(name)):
            form = form.with_wrong(
                name, N_("A day is written like 2026-11-22. Nothing was sought.")
            )
    return form


def entry(visit: Visit, node: str, seq: str) -> Response:
    """One entry: words, JSON, proof, witnesses."""
    found = _entry(visit, node, seq)
    broken = ""
    try:
        found.check()
    except VerificationFailed as failed:
        broken = failed.what
    pretty = json.dumps(found.value, indent=2, ensure_ascii=False, sort_keys=True)
    return visit.page(
        "entry.html",
        entry=found,
        broken=broken,
        pretty=found.text if found.value is None else pretty,
    )


def entry_file(visit: Visit, node: str, seq: str, kind: str) -> Response:
    """The entry's canonical bytes, or the proof as JSON."""
    found = _entry(visit, node, seq)
    match kind:
        case "entry":
            body = found.text.encode("utf-8", "replace")
        case "proof":
            body = json.dumps(found.proof_json(), indent=2, sort_keys=True).encode() + b"\n"
        case _:
            raise Refused(Code.NOT_FOUND)
    return attachment(body, f"{node}-{found.seq}-{kind}.json", "application/json")


def attachment(body: bytes, name: str, media_type: str) -> Response:
    """A file to keep."""
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=headers, media_type=media_type)


def _entry(visit: Visit, node: str, seq: str) -> LedgerEntry:
    audit = auditing(visit)
    if not seq.isdecimal() or len(seq) > 18:
        raise Refused(Code.NOT_FOUND)
    return audit.entry(node, int(seq))


def verification(visit: Visit) -> Response:
    """How far the verification is, or what it found; the page renews itself until it is over."""
    return visit.page("verify.html", **_state(visit))


def state(visit: Visit) -> Response:
    """The part of that page that changes."""
    text = KIT.text(visit.request, "verify_state.html", csrf=visit.csrf, **_state(visit))
    return Response(text, headers=dict(HEADERS), media_type="text/html")


def verify(visit: Visit) -> Response:
    """Begin a verification."""
    visit.check_form()
    auditing(visit).start_verification()
    return go("/audit/verify")


def _state(visit: Visit) -> dict[str, Any]:
    said = auditing(visit).verification()
    newest = said["newest"]
    under_way = newest is not None and newest["stage"] in _UNDER_WAY
    return {"newest": newest, "held_at": said["held_at"], "under_way": under_way}
