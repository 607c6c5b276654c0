"""Linkage: what the policy agrees to, what is and was in force, its cost, and the end of it."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.signing import FIELD, is_signed, policy_needs_key, signer, to_sign
from node.console.visit import Visit, go
from node.console.words import in_words
from pages.forms import Form
from privacy.errors import BadInput, Refused
from privacy.ledger.entry import PolicySet
from privacy.ledger.steward_entry import Signed, policy_word
from privacy.ledger.stewards import policy_digest

_FORM = ("do", "partner", "field", "room", "a_year", "reason")
ROOM, A_YEAR = "1000", "4"
_MOST_DIGITS = 12


def show(visit: Visit) -> Response:
    """What is agreed, in force and past."""
    return _page(visit)


def change(visit: Visit) -> Response:
    """Agree to link, agree no more, or end the linkage in force."""
    visit.changing()
    form, asked = visit.form, None
    field = FIELD if is_signed(visit) else form.value("do") or "do"
    try:
        if form.value("do") == "end":
            return _end(visit)
        body = _meant(visit)
        sign = to_sign(visit, policy_word(policy_digest(body), form.value("reason")))
        if not is_signed(visit) and policy_needs_key(visit):
            return _page(visit, sign=sign)
        asked = sign if is_signed(visit) else None
        _put(visit, body)
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong(field, str(wrong)), sign=asked)
    except Refused as refused:
        told = form.with_trouble(in_words(refused), refused.code.value)
        return _page(visit, 409, form=told, sign=asked)
    return go("/console/linkage")


def _put(visit: Visit, body: PolicySet) -> None:
    steward = visit.steward
    signed: Signed | None = None
    if is_signed(visit):
        steward, signed = signer(visit)
    steward.put_policy(body, visit.form.value("reason"), signed)


def _end(visit: Visit) -> Response:
    why = visit.form.value("reason")
    if not why:
        raise BadInput("no reason is given", instead="write why: it stands in the ledger")
    visit.steward.end_linkage(why)
    return go("/console/linkage")


def _meant(visit: Visit) -> PolicySet:
    """The policy that the form asks for; raises BadInput."""
    form = visit.form
    if form.value("do") == "none":
        return visit.steward.without_linking()
    partners, fields = form.values("partner"), form.values("field")
    if len(partners) < 2 or not fields:
        raise BadInput("too little is ticked", instead="two partners or more, and a field or more")
    return visit.steward.with_linking(
        partners, fields, _number(form, "room", ROOM), _number(form, "a_year", A_YEAR)
    )


def _number(form: Form, name: str, otherwise: str) -> int:
    text = form.value(name, otherwise).replace(",", "")
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise BadInput(
            f"{text[:40]!r} is no whole number, or too large a one", where=name.replace("_", " ")
        )
    return int(text)


def _page(visit: Visit, status: int = 200, **more: Any) -> Response:
    steward = visit.steward
    form = more.pop("form", visit.form)
    filled = form
    for name, usual in (("room", ROOM), ("a_year", A_YEAR)):
        filled = filled if name in filled.fields else filled.with_value(name, usual)
    return visit.page(
        "linkage.html",
        status,
        linkage=steward.linkage(),
        choices=steward.linkage_choices(),
        form=filled,
        hidden=[(name, said) for name in _FORM for said in form.values(name)],
        **{"sign": None, **more},
    )
