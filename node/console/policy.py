"""The policy in words, the presets beside it, and what another would have done last month."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.signing import FIELD, is_signed, policy_needs_key, signer, to_sign
from node.console.visit import Visit, go
from node.console.words import in_words
from privacy.errors import BadInput, Refused
from privacy.ledger.steward_entry import Signed, policy_word


def show(visit: Visit) -> Response:
    """The policy in force and the presets, spelled out."""
    return _page(visit)


def change(visit: Visit) -> Response:
    """Try a policy on last month's questions; put it in force when that was asked."""
    steward, form = visit.changing(), visit.form
    content = form.value("content")
    if form.value("preset"):
        content = f'preset = "{form.value("preset")}"\n'
        form = form.with_value("content", content)
    try:
        if not content:
            raise BadInput("nothing is written", instead="write a policy, or try a preset below")
        if form.value("do") == "set":
            return _set(visit, content)
        return _page(visit, form=form, trial=steward.try_policy(content))
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong("content", str(wrong)))
    except Refused as refused:
        return _page(visit, 409, form=form.with_trouble(in_words(refused), refused.code.value))


def _set(visit: Visit, content: str) -> Response:
    """Put a policy in force; one that asks for two stewards is changed by a key alone."""
    steward, form = visit.steward, visit.form
    reason = form.value("reason")
    trial = steward.try_policy(content)
    sign = to_sign(visit, policy_word(trial["digest"], reason))
    if not is_signed(visit) and policy_needs_key(visit):
        return _page(visit, form=form, trial=trial, sign=sign)
    signed: Signed | None = None
    if is_signed(visit):
        try:
            steward, signed = signer(visit)
        except BadInput as wrong:
            told = form.with_wrong(FIELD, str(wrong))
            return _page(visit, 422, form=told, trial=trial, sign=sign)
    steward.set_policy(content, reason, signed=signed)
    return go("/console/policy")


def renew(visit: Visit) -> Response:
    """Open the next year's budget, once the current one is over, by a steward's signature."""
    steward, form = visit.changing(), visit.form
    year = steward.next_period(form.value("starts"))
    asked: dict[str, Any] = {"year": year, "sign": to_sign(visit, year)}
    if not is_signed(visit):
        return _page(visit, **asked)
    try:
        steward, signed = signer(visit)
        steward.open_period(year["starts"], signed)
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong(FIELD, str(wrong)), **asked)
    except Refused as refused:
        told = form.with_trouble(in_words(refused), refused.code.value)
        return _page(visit, 409, form=told, **asked)
    return go("/console/policy")


def _page(
    visit: Visit, status: int = 200, trial: dict[str, Any] | None = None, **more: Any
) -> Response:
    steward = visit.steward
    return visit.page(
        "policy.html",
        status,
        policy=steward.policy(),
        presets=steward.presets(),
        trial=trial,
        period=visit.parts.service.ledger.state.period,
        over=steward.period_is_over(),
        **{"sign": None, "year": None, **more},
    )
