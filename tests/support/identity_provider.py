"""A real identity provider for the tests: `oidc-provider` of npm in a process of its own.

It is installed once into a cache folder, by the pinned lock file beside this module. Node.js and
npm come from the system (Debian: `nodejs`, `npm`); without them the tests fail.
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx

from coordinator.login.oidc_settings import OidcSettings
from tests.support.from_npm import installed

_HERE = Path(__file__).parent / "oidc"
REDIRECT = "http://127.0.0.1:9/v1/oidc/callback"  # nothing listens: the test looks at the address
SECRET = "a secret of & = the tests"
_FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"')
_ACTION = re.compile(r'action="([^"]+)"')


@dataclass(frozen=True)
class IdentityProvider:
    """A provider that runs. Whoever names a person there is that person."""

    issuer: str

    def settings(self, client_id: str = "cairn") -> OidcSettings:
        secret = {"cairn": SECRET, "hmac": "x" * 40}.get(client_id, "")
        return OidcSettings(self.issuer, client_id, secret, "Test University", REDIRECT)

    def sign_in(self, url: str, person: str) -> str:
        """Sign in and agree; returns the address at the coordinator that one is sent back to."""
        with _browser() as http:
            return Browser(http).follow(http.get(url), person)

    def agree(self, url: str, person: str, *, deny: bool = False) -> None:
        """Open a device's address, confirm its code, sign in and agree; or deny it."""
        with _browser() as http:
            page = http.get(url)
            form = dict(_FIELD.findall(page.text))
            form |= {"abort": "yes"} if deny else {"confirm": "yes"}
            page = http.post(_target(page), data=form)
            if not deny:
                Browser(http).follow(page, person)


def _browser() -> httpx.Client:
    return httpx.Client(follow_redirects=False, trust_env=False, timeout=20)


@dataclass(frozen=True)
class Browser:
    """A person's browser: keeps cookies, follows redirects, fills in the provider's forms."""

    http: httpx.Client

    def follow(self, page: httpx.Response, person: str) -> str:
        for _ in range(20):
            if page.is_redirect:
                target = urljoin(str(page.url), page.headers["location"])
                if target.startswith(REDIRECT):
                    return target
                page = self.http.get(target)
            elif 'name="prompt"' in page.text:
                form = {name: unescape(value) for name, value in _FIELD.findall(page.text)}
                if form["prompt"] == "login":
                    form |= {"login": person, "password": "any"}
                page = self.http.post(_target(page), data=form)
            else:
                return page.text
        raise AssertionError("the provider goes in a circle")


def _target(page: httpx.Response) -> str:
    found = _ACTION.search(page.text)
    assert found is not None, page.text
    return urljoin(str(page.url), unescape(found[1]))


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider on a free port, for as long as the block runs."""
    port = _free_port()
    command = ["node", str(_HERE / "provider.mjs"), str(installed(_HERE)), str(port), REDIRECT]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"listening\n":
                log.seek(0)
                raise RuntimeError(f"the provider did not start: {log.read().decode()}")
            yield IdentityProvider(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
