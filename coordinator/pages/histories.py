"""What changed at organisations, for an auditor: policies and promise, withdrawals, what-if."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from fastapi import Response

from coordinator.audit.supposition import Limit, supposition
from coordinator.client.audit import Audit
from coordinator.pages.audits import auditing, held
from coordinator.pages.visit import Visit
from pages.forms import Form
from pages.languages import N_
from pages.paging import Around, page_asked
from privacy.contract.policy import Preset
from privacy.errors import BadInput

LIMITS = tuple(limit.value for limit in Limit)
_FIELDS = (*LIMITS, "preset", "margin", "memberships", "noise")
_PERIOD = N_("Write an epsilon above 0, for instance 1.")
_LIMIT = N_("Write an epsilon above 0, for instance 1, or none for no limit of its own.")
_MOST = 200  # lines of what would have been refused


def policies(visit: Visit, node: str) -> Response:
    """The promise of an organisation, and every policy with what it changed."""
    said = auditing(visit).policies(node)
    query = visit.request.query_params
    form = Form({name: (query.get(name, ""),) for name in ("old", "new")})
    versions = {str(each["number"]): each for each in said["versions"]}
    pair = versions.get(form.value("old")), versions.get(form.value("new"))
    return visit.page(
        "policies.html",
        said=said,
        form=form,
        numbers=[(number, f"{number}, {each['at'][:10]}") for number, each in versions.items()],
        compared=_compared(*pair),
        steps=_steps(said["versions"]),
    )


def _steps(versions: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Any]]:
    """Every policy, the newest first, with where it differs from the one before; the first with
    None."""
    later = [(new, differing(old["words"], new["words"])) for old, new in pairwise(versions)]
    return [*reversed(later), *((first, None) for first in versions[:1])]


def _compared(old: Any, new: Any) -> list[tuple[str, str, str]] | None:
    """(what, before, after) where two policies differ; None unless two were chosen."""
    if old is None or new is None:
        return None
    return differing(old["words"], new["words"])


def differing(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str, str]]:
    """(what, before, after) where two policies in words differ."""
    return [(what, old.get(what, ""), said) for what, said in new.items() if old.get(what) != said]


def withdrawals(visit: Visit) -> Response:
    """What was taken back, and whether it held from then on, the newest first."""
    audit = auditing(visit)
    said = held(lambda: audit.withdrawals(page_asked(visit.request)))
    around = Around.of(said["page"], said["pages"], {}) if said else None
    shown = said["withdrawals"][::-1] if said else []
    return visit.page("withdrawals.html", said=said, shown=shown, around=around)


def what_if(visit: Visit) -> Response:
    """Other limits tried on what was asked; what is supposed stands in the address."""
    audit, query = auditing(visit), visit.request.query_params
    form = Form({name: tuple(query.getlist(name))[:100] or ("",) for name in (*_FIELDS, "node")})
    seen = audit.overview()
    known = [(each["node"], each["name"]) for each in seen["nodes"]]
    found = None
    if any(form.value(name) for name in _FIELDS):
        form, found = _tried(audit, form)
    elif query:
        form = form.with_trouble(N_("Nothing is supposed. Write another limit, for instance 1."))
    return visit.page(
        "what_if.html",
        422 if form.trouble or form.wrongs else 200,
        form=form,
        found=found,
        nodes=known,
        chosen=form.values("node"),
        presets=[("", "as it was"), *((p.value, p.value) for p in Preset if p is not Preset.OWN)],
        ready=bool(seen["verification"]["held_at"]),
        most=_MOST,
    )


def _tried(audit: Audit, form: Form) -> tuple[Form, dict[str, Any] | None]:
    limits = {name: form.value(name) for name in LIMITS if form.value(name)}
    for name, text in limits.items():
        try:
            supposition([f"{name}={text}"])
        except BadInput:
            form = form.with_wrong(name, _PERIOD if name == Limit.PERIOD else _LIMIT)
    members = form.value("memberships")
    if members and not (members.isdecimal() and len(members) < 4):
        form = form.with_wrong("memberships", N_("Write a whole number, from 1 to 100."))
    if form.wrongs:
        return form, None
    try:
        found = held(
            lambda: audit.replay(
                limits,
                preset=form.value("preset"),
                margin=form.value("margin"),
                memberships=int(members) if members else None,
                noise=form.value("noise"),
                nodes=form.values("node"),
            )
        )
    except BadInput as wrong:
        return _placed(form, wrong), None
    return form, found


def _placed(form: Form, wrong: BadInput) -> Form:
    """What cannot be supposed, beside the field in which it stands."""
    name, words = wrong.where.removeprefix("--"), str(BadInput(wrong.what, instead=wrong.instead))
    return form.with_wrong(name, words) if name in _FIELDS else form.with_trouble(words)
