"""Signing in through a real identity provider, and everything that must not get anybody in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from coordinator.login.oidc import OidcDesk
from coordinator.login.oidc_settings import OidcSettings
from coordinator.people import revoke
from coordinator.store.events import Action
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import BadInput
from tests.support.accounts import invite
from tests.support.fake_executor import World, make_world, serve
from tests.support.identity_provider import REDIRECT, IdentityProvider, identity_provider

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("oidc")]


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


@dataclass
class Site:
    """A coordinator that knows the provider, and a browser's way through both."""

    world: World
    http: httpx.Client
    provider: IdentityProvider

    def start(self, invitation: str | None = None) -> tuple[str, str]:
        """Where the browser is sent, and the cookie it got."""
        query = {} if invitation is None else {"invitation": invitation}
        answer = self.http.get("/v1/oidc/start", params=query)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"], answer.headers["set-cookie"].split(";")[0]

    def back(self, address: str, cookie: str, **changed: str | None) -> httpx.Response:
        """Come back from the provider, with parts of the answer changed."""
        answer = {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
        for name, value in changed.items():
            answer.pop(name, None)
            if value is not None:
                answer[name] = value
        return self.http.get("/v1/oidc/callback", params=answer, headers={"Cookie": cookie})

    def sign_in(self, person: str, invitation: str | None = None) -> httpx.Response:
        url, cookie = self.start(invitation)
        return self.back(self.provider.sign_in(url, person), cookie)

    def device(self, invitation: str | None = None) -> dict[str, Any]:
        asked = {} if invitation is None else {"invitation": invitation}
        answer = self.http.post("/v1/oidc/device", json=asked)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def poll(self, handle: str) -> httpx.Response:
        return self.http.post("/v1/oidc/device/poll", json={"handle": handle})


def _site(folder: Path, provider: IdentityProvider, settings: OidcSettings) -> Iterator[Site]:
    world = make_world(folder, clock=lambda: datetime.now(UTC), oidc=settings)
    world.clock.now = datetime.now(UTC)
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        yield Site(world, http, provider)
    world.store.close()


@pytest.fixture
def site(tmp_path: Path, provider: IdentityProvider) -> Iterator[Site]:
    yield from _site(tmp_path, provider, provider.settings())


def test_an_invited_person_signs_in_and_is_known_from_then_on(site: Site) -> None:
    assert site.http.get("/v1/login").json() == {"local": True, "oidc": "Test University"}
    code = invite(site.world, Role.AUDITOR)
    first = site.sign_in("ida", code)
    assert first.status_code == 200, first.text
    person = first.json()["person"]
    assert (person["name"], person["role"]) == ("Ida Berg", "auditor")
    again = site.sign_in("ida")
    assert again.json()["person"] == person
    cookie = next(c for c in again.headers.get_list("set-cookie") if c.startswith("__Host-cairn="))
    assert {"HttpOnly", "Secure", "SameSite=strict"} <= {p.strip() for p in cookie.split(";")}
    me = site.http.get("/v1/me", headers={"Cookie": cookie.split(";")[0]})
    assert me.json()["id"] == person["id"]
    events = site.world.store.people_events.all()
    assert [event.action for event in events] == [Action.INVITED, Action.LINKED]


def test_whom_the_provider_knows_and_nobody_invited_is_a_stranger(site: Site) -> None:
    stranger = site.sign_in("olav@example.org")
    assert (stranger.status_code, stranger.json()["code"]) == (401, "not_signed_in")
    code = invite(site.world, name="olav@example.org")
    assert site.sign_in("olav@example.org").status_code == 401
    used = site.sign_in("someone", code)
    assert used.status_code == 200
    assert site.sign_in("other", code).status_code == 403
    assert site.sign_in("x", "no invitation").status_code == 403


def test_the_browser_is_sent_with_a_proof_key_a_state_and_a_nonce(site: Site) -> None:
    urls = [site.start()[0] for _ in range(2)]
    asked = [{n: v[0] for n, v in parse_qs(urlsplit(url).query).items()} for url in urls]
    for each in asked:
        assert each["response_type"] == "code"
        assert each["code_challenge_method"] == "S256"
        assert each["redirect_uri"] == REDIRECT
        assert each["scope"] == "openid"
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name]) == 43


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://login.example.org"},
        {"iss": None},
        {"state": "A" * 43},
        {"state": None},
        {"code": "A" * 43},
        {"code": None},
        {"error": "access_denied"},
    ],
    ids=lambda change: "-".join(f"{n} {str(v)[:5]}" for n, v in change.items()),
)
def test_an_answer_that_is_not_whole_signs_nobody_in(
    change: dict[str, str | None], site: Site
) -> None:
    assert site.sign_in("ida", invite(site.world)).status_code == 200
    url, cookie = site.start()
    address = site.provider.sign_in(url, "ida")
    assert site.back(address, cookie, **change).status_code == 401
    if "state" not in change:
        assert site.back(address, cookie).status_code == 401  # the state was used up


def test_an_answer_belongs_to_one_browser_one_sign_in_and_one_use(site: Site) -> None:
    assert site.sign_in("ida", invite(site.world)).status_code == 200
    url, _ = site.start()
    victim = site.provider.sign_in(url, "ida")
    other_url, other_cookie = site.start()
    assert site.back(victim, other_cookie).status_code == 401
    stolen = parse_qs(urlsplit(victim).query)["code"][0]
    other = site.provider.sign_in(other_url, "mallory")
    assert site.back(other, other_cookie, code=stolen).status_code == 401
    url, cookie = site.start()
    address = site.provider.sign_in(url, "ida")
    assert site.back(address, cookie).status_code == 200
    assert site.back(address, cookie).status_code == 401


def test_a_command_signs_in_by_a_code_that_a_person_enters_elsewhere(site: Site) -> None:
    offer = site.device(invite(site.world))
    assert offer["verification_uri"].startswith(site.provider.issuer)
    early = site.poll(offer["handle"])
    assert early.json() == {"session": None, "interval_seconds": offer["interval_seconds"]}
    site.provider.agree(offer["verification_uri_complete"], "ida")
    session = _until_agreed(site, offer)
    headers = {"Authorization": f"Bearer {session['access']}"}
    assert site.http.get("/v1/me", headers=headers).json()["name"] == "Ida Berg"
    fresh = site.http.post("/v1/login/refresh", json={"refresh": session["refresh"]})
    assert fresh.status_code == 200
    assert site.poll(offer["handle"]).status_code == 401


def test_a_device_that_was_denied_or_that_nobody_knows_gets_nothing(site: Site) -> None:
    offer = site.device()
    site.provider.agree(offer["verification_uri_complete"], "ida", deny=True)
    desk: OidcDesk = site.world.app.state.services.oidc
    desk.clock = lambda: datetime.now(UTC) + timedelta(seconds=offer["interval_seconds"] + 1)
    assert site.poll(offer["handle"]).status_code == 401
    assert site.poll(offer["handle"]).status_code == 401
    assert site.poll("A" * 43).status_code == 401
    stranger = site.device()
    site.provider.agree(stranger["verification_uri_complete"], "uninvited")
    desk.clock = lambda: datetime.now(UTC) + timedelta(seconds=60)
    assert site.poll(stranger["handle"]).status_code == 401


def test_who_is_revoked_here_is_out_whatever_the_provider_says(site: Site) -> None:
    person = site.sign_in("ida", invite(site.world)).json()["person"]
    at = instant_text(datetime.now(UTC))
    revoke(site.world.store, site.world.key, person["id"], at)
    assert site.sign_in("ida").status_code == 401
    assert site.sign_in("ida", invite(site.world, name="Again")).status_code == 409


def test_a_public_client_has_no_secret_and_works_alike(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    for site in _site(tmp_path, provider, provider.settings("public")):
        assert site.sign_in("ida", invite(site.world)).status_code == 200


def test_a_token_that_the_clients_secret_could_have_signed_is_refused(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    """The provider is told to use HS256: whoever knows the client's secret could forge it."""
    for site in _site(tmp_path, provider, provider.settings("hmac")):
        assert site.sign_in("ida", invite(site.world)).status_code == 401


def test_another_clients_secret_or_issuer_signs_nobody_in(
    tmp_path: Path, provider: IdentityProvider
) -> None:
    good = provider.settings()
    wrong = OidcSettings(good.issuer, good.client_id, "wrong", "", REDIRECT)
    for site in _site(tmp_path, provider, wrong):
        assert site.sign_in("ida", invite(site.world)).status_code == 401
    (tmp_path / "second").mkdir()
    mixed = OidcSettings(good.issuer.replace("127.0.0.1", "localhost"), "cairn", "", "", REDIRECT)
    for site in _site(tmp_path / "second", provider, mixed):
        answer = site.http.get("/v1/oidc/start")
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_offline")


def test_a_provider_that_is_away_is_said_so_and_local_accounts_go_on(tmp_path: Path) -> None:
    nobody = IdentityProvider("http://127.0.0.1:1")
    for site in _site(tmp_path, nobody, nobody.settings()):
        for answer in (
            site.http.get("/v1/oidc/start"),
            site.http.post("/v1/oidc/device", json={}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "provider_offline")
        assert site.http.get("/v1/login").json()["local"] is True


def test_a_provider_is_spoken_to_over_tls_alone() -> None:
    for issuer in ("http://login.example.org", "ftp://login.example.org", "login.example.org"):
        with pytest.raises(BadInput):
            OidcSettings(issuer, "cairn")
    with pytest.raises(BadInput):
        OidcSettings("https://login.example.org", "")
    shown = repr(OidcSettings("https://login.example.org", "cairn", "hush"))
    assert "hush" not in shown


def test_the_memory_of_sign_ins_that_were_begun_is_bounded(site: Site) -> None:
    desk: OidcDesk = site.world.app.state.services.oidc
    first = desk.start(None)
    for _ in range(1_000):
        desk.start(None)
    state = parse_qs(urlsplit(first.url).query)["state"][0]
    answer = site.http.get(f"/v1/oidc/callback?{urlencode({'state': state})}")
    assert answer.status_code == 401
    assert len(desk._browsers._held) == 1_000


def _until_agreed(site: Site, offer: dict[str, Any]) -> dict[str, Any]:
    end = time.monotonic() + 30
    desk: OidcDesk = site.world.app.state.services.oidc
    desk.clock = lambda: datetime.now(UTC) + timedelta(seconds=offer["interval_seconds"] + 1)
    while time.monotonic() < end:
        answer = site.poll(offer["handle"])
        assert answer.status_code == 200, answer.text
        if answer.json()["session"]:
            session: dict[str, Any] = answer.json()["session"]
            return session
        time.sleep(0.2)
    raise AssertionError("nobody agreed")
