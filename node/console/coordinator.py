"""The coordinator's key: which one counts here, which is offered, and going by another one."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.signing import FIELD, has_stewards, is_signed, signer, to_sign
from node.console.visit import Visit, go
from node.console.words import in_words
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, Refused
from privacy.ledger.coordinator_entry import accept_word
from privacy.ledger.steward_entry import Signed


def show(visit: Visit) -> Response:
    """Which key the coordinator's word counts with here, and what was refused."""
    return _page(visit)


def accept(visit: Visit) -> Response:
    """Go by the key whose fingerprint was compared; signed, where stewards have keys."""
    steward, form = visit.changing(), visit.form
    asked: dict[str, Any] = {}
    try:
        key = _compared(visit)
        reason = form.value("reason")
        signed: Signed | None = None
        if has_stewards(visit):
            asked = {"sign": to_sign(visit, accept_word(key, reason)), "named": key}
            if not is_signed(visit):
                return _page(visit, **asked)
            steward, signed = signer(visit)
        steward.accept_coordinator(key, reason, signed)
    except BadInput as wrong:
        field = FIELD if asked else wrong.where
        told = form.with_wrong(field, str(BadInput(wrong.what, instead=wrong.instead)))
        return _page(visit, 422, form=told, **asked)
    except Refused as refused:
        told = form.with_trouble(in_words(refused), refused.code.value)
        return _page(visit, 409, form=told, **asked)
    return go("/console/coordinator")


def _compared(visit: Visit) -> str:
    """The key that the form names by its fingerprint; raises BadInput, `where` the field is."""
    form = visit.form
    for field, instead in (
        ("key", "write the fingerprint that the operator told you"),
        ("reason", "write what happened, and whom you asked how"),
    ):
        if not form.value(field):
            raise BadInput("nothing is written", where=field, instead=instead)
    try:
        return str(visit.steward.coordinator(form.value("key"))["named"])
    except BadInput as wrong:
        raise BadInput(wrong.what, where="key", instead=wrong.instead) from None


def _page(visit: Visit, status: int = 200, named: str = "", **more: Any) -> Response:
    state = visit.parts.service.ledger.state
    forked = PublicKey.from_text(state.forked).fingerprint if state.forked else ""
    return visit.page(
        "coordinator.html",
        status,
        coordinator=visit.steward.coordinator(),
        forked=forked,
        fingerprint=PublicKey.from_text(named).fingerprint if named else "",
        needs_key=has_stewards(visit),
        hidden=[(name, visit.form.value(name)) for name in ("key", "reason")],
        **{"sign": None, **more},
    )
