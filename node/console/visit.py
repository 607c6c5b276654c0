"""One request for a page of the console: whose it is, and the node as its steward sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from node.console.door import ConsoleDoor
from node.console.kept import Kept
from node.member.links import MemberSession
from node.parts import Parts
from node.steward import Steward
from pages.forms import Form
from pages.kit import HEADERS, Kit, Link
from pages.languages import N_
from privacy.errors import Code, Refused

KIT = Kit("node.console", "console")
_PLACES = (
    ("/console/", N_("Home")),
    ("/console/studies", N_("Requests")),
    ("/console/questions", N_("Questions")),
    ("/console/data", N_("Data")),
    ("/console/policy", N_("Policy")),
    ("/console/consent", N_("Members")),
    ("/console/activity", N_("What left")),
    ("/console/network", N_("Network")),
    ("/console/linkage", N_("Linkage")),
    ("/console/people", N_("People and keys")),
)


@dataclass(frozen=True)
class Visit:
    """A request with its form, if it posts one."""

    request: Request
    parts: Parts
    door: ConsoleDoor
    connected: bool
    kept: Kept
    form: Form = field(default_factory=Form)

    @property
    def session(self) -> MemberSession:
        """Raises Refused(NOT_SIGNED_IN)."""
        found = self.door.session(self.request)
        if found is None:
            raise Refused(Code.NOT_SIGNED_IN)
        return found

    @property
    def steward(self) -> Steward:
        """The node, in the name of whoever opened the console."""
        return Steward(self.parts, self.session.member)

    def changing(self) -> Steward:
        """The same, for a form of a page of this session; raises Refused."""
        self.door.check_form(self.session, self.form.value("token"))
        return self.steward

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with the console's navigation."""
        session = self.door.session(self.request)
        return KIT.page(
            self.request,
            template,
            status,
            links=self._links() if session else [],
            by=session.member if session else "",
            token=session.form_token if session else "",
            form=values.pop("form", self.form),
            **values,
        )

    def _links(self) -> list[Link]:
        here = self.request.url.path
        return [
            Link(to, words, here == to or (to != "/console/" and here.startswith(to)))
            for to, words in _PLACES
        ]


def trouble_page(request: Request, status: int, code: Code, words: str) -> Response:
    """A page that says what went wrong, for whoever has a session or none."""
    nobody = {"links": [], "by": "", "token": "", "form": Form()}
    return KIT.page(request, "trouble.html", status, words=words, code=code.value, **nobody)


def go(address: str) -> Response:
    """See another page, by GET."""
    return RedirectResponse(address, 303, headers=dict(HEADERS))
