"""One request for a page: who is reading, what they may open, and how their changes are told
from those that another site made their browser send."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from coordinator.api.services import CSRF_HEADER, Services, address_of, cookie_name
from coordinator.auth import Admitted, Shown
from coordinator.client.delegating import Delegated
from coordinator.client.network import Network
from coordinator.client.study import Study
from coordinator.client.transport import Transport
from coordinator.login.sessions import csrf_of
from coordinator.page_key import page_key
from coordinator.pages.inside import BASE, Inside
from coordinator.store.facts import Principal
from coordinator.store.network import revoked_in
from pages.forms import Form, form_of_text
from pages.kit import HEADERS, Kit, Link
from pages.languages import N_
from privacy.contract.signing import SigningKey
from privacy.contract.time import parse_instant
from privacy.contract.token import Role
from privacy.errors import Code, Refused

KIT = Kit("coordinator.pages", "coordinator")
_EVERY = frozenset(Role)
_PLACES = (
    ("/studies", N_("Studies"), _EVERY - {Role.CLINICIAN}),
    ("/catalogue", N_("Catalogue"), frozenset({Role.RESEARCHER, Role.AUDITOR, Role.CLINICIAN})),
    ("/runs", N_("Runs"), frozenset({Role.RESEARCHER, Role.AUDITOR, Role.ADMIN})),
    ("/releases", N_("Releases"), frozenset({Role.RESEARCHER, Role.AUDITOR, Role.CLINICIAN})),
    ("/models", N_("Models"), frozenset({Role.RESEARCHER, Role.AUDITOR})),
    ("/organisations", N_("Organisations"), _EVERY - {Role.CLINICIAN}),
    ("/audit", N_("Audit"), frozenset({Role.AUDITOR, Role.ADMIN})),
    ("/insights", N_("Public results"), _EVERY),
)


@dataclass(frozen=True)
class Visit:
    """A request with its form, if it posts one; `opened` is the cookie of a session that this
    very request opened."""

    request: Request
    services: Services
    form: Form = field(default_factory=Form)
    opened: str | None = None

    @cached_property
    def admitted(self) -> Admitted | None:
        """The reader, if signed in."""
        shown = Shown(cookie=self._cookie, changes=False)
        if self._cookie is None:
            return None
        try:
            return self.services.gatekeeper.admit(shown, self.address, _EVERY)
        except Refused as refused:
            if refused.code is Code.NOT_SIGNED_IN:
                return None
            raise

    @property
    def person(self) -> Principal:
        """Who is reading; raises Refused(NOT_SIGNED_IN)."""
        if self.admitted is None:
            raise Refused(Code.NOT_SIGNED_IN)
        return self.admitted.principal

    @property
    def address(self) -> str:
        return address_of(self.request)

    @property
    def asked(self) -> Form:
        """What stands in the address, as a form that was sent by GET."""
        return form_of_text(self.request.url.query)

    @property
    def here(self) -> str:
        """The address of this page with what was typed, to come back to it."""
        return f"{self.request.url.path}?{self.request.url.query or self.form.query}"

    @property
    def csrf(self) -> str:
        """What a form here carries to show that it is from a page of this site."""
        return csrf_of(self._cookie) if self._cookie else ""

    def check_form(self) -> None:
        """Raises Refused(NOT_SIGNED_IN) where there is no session, and NOT_PERMITTED for a form
        that is not from a page of this one."""
        if self.admitted is None:
            raise Refused(Code.NOT_SIGNED_IN)
        sent = self.form.value("csrf").encode()
        if not self.csrf or not hmac.compare_digest(self.csrf.encode(), sent):
            raise Refused(Code.NOT_PERMITTED, what="csrf")

    @cached_property
    def network(self) -> Network:
        """The network as the reader's programs would see it."""
        headers = {}
        if self._cookie:
            name = cookie_name(self.services.settings)
            headers = {"cookie": f"{name}={self._cookie}", CSRF_HEADER: self.csrf}
        inside = Inside(self.request.app, headers, self.address, self.admitted)
        return Network(Transport(BASE, None, transport=inside), None)

    def study(self, study: str) -> Study:
        """A study; asked under the reader's delegation, if there is one that holds."""
        found = self.network.study(study)
        delegated = self.delegated(found)
        return found if delegated is None else found.under(delegated)

    @property
    def delegate_key(self) -> SigningKey:
        """The key that signs what this reader asks here, under a delegation of theirs."""
        return page_key(self.services.key, self.person.id)

    def delegated(self, study: Study) -> Delegated | None:
        """The newest delegation of this study that its reader registered and that still holds."""
        envelope = self.services.store.delegations.newest(self.person.id, study.facts.digest)
        listed = self.services.store.network.revocation_envelope
        ended = frozenset[str]() if listed is None else revoked_in(listed)
        if envelope is None or envelope.digest in ended:
            return None
        made = Delegated(envelope, self.delegate_key)
        return made if self.services.clock() < parse_instant(made.terms.expires) else None

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with the navigation of its reader."""
        person = self._reader
        return KIT.page(
            self.request,
            template,
            status,
            person=person,
            csrf=self.csrf,
            links=self._links(person),
            form=values.pop("form", self.form),
            **values,
        )

    @property
    def _reader(self) -> Principal | None:
        """Who is reading, for a page that says why they may not."""
        try:
            return None if self.admitted is None else self.admitted.principal
        except Refused:
            return None

    def _links(self, person: Principal | None) -> list[Link]:
        here = self.request.url.path
        allowed = frozenset[Role]() if person is None else {person.role}
        return [
            Link(address, words, here.startswith(address))
            for address, words, roles in _PLACES
            if roles & allowed or address == "/insights"
        ]

    @property
    def _cookie(self) -> str | None:
        return self.opened or self.request.cookies.get(cookie_name(self.services.settings))


def go(address: str) -> Response:
    """See another page, by GET."""
    return RedirectResponse(address, 303, headers=dict(HEADERS))


def go_on(request: Request, address: str) -> Response:
    """See another page from one that renews itself: the whole page goes, not its part."""
    if "hx-request" not in request.headers:
        return go(address)
    return Response(status_code=204, headers={**HEADERS, "HX-Redirect": address})


def inside(to: str, otherwise: str = "/") -> str:
    """An address of this site; anything else is `otherwise`."""
    plain = to.startswith("/") and not to.startswith("//") and "\\" not in to
    return to if plain and to.isprintable() else otherwise
