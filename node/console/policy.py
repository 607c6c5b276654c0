"""The policy in words, the presets beside it, and what another would have done last month."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.visit import Visit, go
from privacy.errors import BadInput


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
        if form.value("do") == "set":
            steward.set_policy(content, form.value("reason"))
            return go("/console/policy")
        return _page(visit, form=form, trial=steward.try_policy(content))
    except BadInput as wrong:
        return _page(visit, 422, form=form.with_wrong("content", str(wrong)))


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
        **more,
    )
