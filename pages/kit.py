"""Pages made on the server: no inline script, no inline style, nothing from elsewhere.

Every page works without JavaScript; htmx only saves reloading. What a page shows is escaped.
"""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from models.digits import digits, many
from pages.languages import direction, language_of, translated, translations

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
STATIC = ("cairn.css", "cairn.svg", "copy.js", "htmx.min.js")


@dataclass(frozen=True)
class Link:
    """A link of the navigation."""

    address: str
    words: str
    here: bool = False


@dataclass(frozen=True)
class Kit:
    """Renders the templates of one package on top of the shared ones, in the languages that the
    catalogue `domain` is there for."""

    package: str
    domain: str

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A whole page, in the reader's language; of one that htmx asked for it takes its part."""
        text = self.text(request, template, **values)
        return HTMLResponse(text, status, headers=dict(HEADERS))

    def text(self, request: Request, template: str, **values: Any) -> str:
        """The template in the reader's language."""
        return self.said(self.language(request), template, **values)

    def language(self, request: Request) -> str:
        """The reader's, of those that there are."""
        return language_of(request.headers.get("accept-language", ""), self.domain)

    def said(self, language: str, template: str, **values: Any) -> str:
        """The template in this language."""
        found = _environment(self.package, self.domain, language).get_template(template)
        return found.render(language=language, direction=direction(language), **values)


@cache
def _environment(package: str, domain: str, language: str) -> Environment:
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(translations(language, domain), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(digits=digits, minute=minute, translated=translated(language, domain))
    made.globals.update(many=many, static=static_address)
    return made


def minute(instant: str) -> str:
    """An instant as people read it, in UTC: 2024-12-31 09:05."""
    return instant[:16].replace("T", " ")


@dataclass(frozen=True)
class _Static:
    body: bytes
    packed: bytes
    tag: str
    kind: str


@cache
def _static(name: str) -> _Static:
    body = (files("pages") / "static" / name).read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _Static(body, gzip.compress(body, mtime=0), sha256(body).hexdigest()[:16], kind)


def static_text(name: str) -> str:
    """A file of the pages, for a document that carries it within."""
    return _static(name).body.decode("utf-8")


def static_address(name: str) -> str:
    """Where a browser finds a file of the pages; another address once the file is another."""
    return f"/static/{_static(name).tag}/{name}"


def static_router() -> APIRouter:
    """Serves the few files that pages need."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{tag}/{name}")
    def get_static(tag: str, name: str, request: Request) -> Response:
        """One file. It never changes under its address, so a browser keeps it."""
        if name not in STATIC or tag != _static(name).tag:
            return Response(status_code=404)
        found = _static(name)
        small = "gzip" in request.headers.get("accept-encoding", "")
        headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        headers |= {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if small else {})}
        return Response(found.packed if small else found.body, 200, headers, found.kind)

    return router
