"""A form that was posted after its session was over: shown again with what was typed, once its
reader is signed in.

What was typed goes back to the browser within the form for signing in, and comes here again with
it. Nothing is kept here, and nothing that was typed is done: whoever typed it decides anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from re import Pattern
from urllib.parse import urlencode

from fastapi import Response
from starlette.routing import compile_path

from coordinator.pages import studies
from coordinator.pages.visit import Visit, go
from pages.forms import MAX_BYTES, Form, from_here
from privacy.errors import Code, Refused

MOST_KEPT = MAX_BYTES * 3 // 4  # of what is sent along with a sign-in, as browsers write it
_PREFIX = "typed-"

Shown = Callable[..., Response]


@dataclass(frozen=True)
class Kept:
    """A form by the address to which it was posted, with what was typed, for hidden fields."""

    address: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    too_long: bool = False

    @classmethod
    def of_post(cls, visit: Visit) -> Kept:
        """Of a form as it was posted."""
        fields = visit.form.typed.items()
        typed = tuple((_PREFIX + name, value) for name, values in fields for value in values)
        too_long = len(urlencode(typed)) > MOST_KEPT
        return cls(visit.request.url.path, () if too_long else typed, too_long)

    @classmethod
    def of_sign_in(cls, form: Form) -> Kept:
        """Of a sign-in that brings one along; without an address, of one that brings none."""
        address = form.value("again")
        if _found(address) is None:
            return cls()
        brought = (each for each in form.fields.items() if each[0].startswith(_PREFIX))
        return cls(address, tuple((name, value) for name, values in brought for value in values))

    @property
    def form(self) -> Form:
        """What was typed, under its own names."""
        fields: dict[str, tuple[str, ...]] = {}
        for name, value in self.fields:
            own = name.removeprefix(_PREFIX)
            fields[own] = (*fields.get(own, ()), value)
        return Form(fields)


def kept(visit: Visit, refused: Refused) -> Response | None:
    """What a form is answered that was posted without a session, or with a page of a former one.

    None where it was refused for another reason, or another site had the browser send it.
    """
    former = refused.code is Code.NOT_PERMITTED and refused.public_fields.get("what") == "csrf"
    if not former and refused.code is not Code.NOT_SIGNED_IN:
        return None
    if _found(visit.request.url.path) is None or not from_here(visit.request):
        return None
    return sign_in_page(visit, 403 if former else 401, Kept.of_post(visit), Form())


def sign_in_page(visit: Visit, status: int, brought: Kept, form: Form, to: str = "/") -> Response:
    """The form for signing in, with a form that is shown after it, if there is one."""
    oidc = visit.services.oidc.name if visit.services.oidc else ""
    signed_in = visit.admitted is not None
    return visit.page(
        "sign_in.html", status, form=form, to=to, oidc=oidc, kept=brought, signed_in=signed_in
    )


def shown(visit: Visit, brought: Kept, cookie: str | None = None) -> Response:
    """The page of the form, as it was typed. `cookie` is of a session that was just opened."""
    found = _found(brought.address)
    if found is None:
        raise Refused(Code.NOT_FOUND)
    page, path = found
    return page(replace(visit, form=brought.form, opened=cookie), **path)


def _question(visit: Visit, study: str) -> Response:
    return go(f"/studies/{study}/ask?{visit.form.query}")


def _answer(visit: Visit, study: str, release: str) -> Response:
    return go(f"/studies/{study}/releases/{release}?{visit.form.query}#more")


def _run(_visit: Visit, run: str) -> Response:
    return go(f"/runs/{run}")


def _verification(_visit: Visit) -> Response:
    return go("/audit/verify")


# The page on which each form stands. What would have stood in an address anyway goes there.
_PAGES: tuple[tuple[str, Shown], ...] = (
    ("/studies/{study}/ask", _question),
    ("/studies/{study}/releases/{release}", _answer),
    ("/studies/{study}/leave", studies.one),
    ("/studies/{study}/delegation", studies.one),
    ("/studies/{study}/step", studies.one),
    ("/runs/{run}/cancel", _run),
    ("/audit/verify", _verification),
)


@cache
def _patterns() -> tuple[tuple[Pattern[str], Shown], ...]:
    return tuple((compile_path(address)[0], page) for address, page in _PAGES)


def _found(address: str) -> tuple[Shown, dict[str, str]] | None:
    for pattern, page in _patterns():
        match = pattern.fullmatch(address)
        if match is not None:
            return page, match.groupdict()
    return None
