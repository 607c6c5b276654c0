"""A form that is sent after its session ended does nothing, and is there again as it was typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

import httpx
import pytest

from coordinator.api.services import ApiSettings
from coordinator.pages.again import MOST_KEPT
from privacy.contract.token import Role
from tests.support.accounts import Enrolled, enrol
from tests.support.browser import NARROW, Reader, reader
from tests.support.fake_executor import approve, make_world, serve
from tests.support.site import STUDY, Site, open_site

pytestmark = pytest.mark.processes
STEP = f"/studies/{STUDY}/step"
ASK = f"/studies/{STUDY}/ask"
TYPED = 'Fatigue "grows" <script>alert(1)</script>\nwith age & weight. Ünfälle'
QUESTION = {"kind": "histogram", "columns": "severity", "where": "condition == 'als'"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("again")) as made:
        approve(made.world)
        made.network().study(STUDY).mean("severity").run(epsilon=0.3)
        made.network().study(STUDY).close()
        yield made


def _asked(site: Site) -> int:
    """How many steps wait for the researcher's machine."""
    return len(site.network().steps_asked())


def _typed(seen: Reader) -> None:
    page = seen.go(f"/studies/{STUDY}")
    page.fill("#f-note", TYPED)
    page.check("input[name=release]")


def _there_again(seen: Reader) -> None:
    page = seen.page
    assert page.input_value("#f-note") == TYPED
    assert page.is_checked("input[name=release]")
    assert seen.troubles == []


def _enter(seen: Reader, site: Site) -> None:
    """A session that was opened in another tab."""
    cookie = site.cookie(Role.RESEARCHER)
    assert cookie is not None
    named = {"name": cookie[0], "value": cookie[1], "url": site.url}
    seen.context.add_cookies([named])  # type: ignore[list-item]


@pytest.mark.parametrize("scripts", [True, False])
def test_results_outlive_their_session(site: Site, scripts: bool) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=scripts) as seen:
        _typed(seen)
        seen.context.clear_cookies()
        page = seen.page
        page.click("text=Publish on my machine")
        assert "Your session was over" in page.inner_text("main")
        assert "Fatigue" not in page.inner_text("main")
        if scripts:
            assert seen.complaints() == []
            seen.keep("session-over")
        page.click("text=Show the form again")
        assert "not signed in yet" in page.inner_text("main")
        _enter(seen, site)
        page.click("text=Show the form again")
        _there_again(seen)
        assert _asked(site) == 0


def test_a_page_of_a_former_session_is_shown_again(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), width=NARROW) as seen:
        _typed(seen)
        assert seen.complaints() == []
        assert seen.overflow() == 0
        _enter(seen, site)
        seen.page.click("text=Publish on my machine")
        assert "You signed in anew" in seen.page.inner_text("h1")
        assert seen.complaints() == []
        assert seen.overflow() == 0
        seen.page.click("text=Show the form again")
        _there_again(seen)
        assert _asked(site) == 0


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Enrolled]:
    """An auditor with an account, who may read a planner and every study."""
    world = make_world(tmp_path, settings=ApiSettings(secure_cookies=False))
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield enrol(world, http, Role.AUDITOR)
    world.store.close()


def test_signing_in_leads_to_the_question_as_it_was_typed(account: Enrolled) -> None:
    """At the second try."""
    http = account.http
    over = http.post(ASK, data=QUESTION)
    assert over.status_code == 401
    brought = _hidden(over.text)
    assert brought["typed-where"] == QUESTION["where"]
    said = {**brought, "login": account.login, "code": account.recovery[0]}
    wrong = http.post("/sign-in", data={**said, "password": "a password of nobody"})
    assert wrong.status_code == 403
    assert _hidden(wrong.text) == brought
    said = {**said, "password": account.password, "code": account.recovery[1]}
    right = http.post("/sign-in", data=said)
    assert right.status_code == 303
    assert right.headers["location"].startswith(f"{ASK}?")
    page = http.get(right.headers["location"])
    assert 'value="histogram" selected' in page.text
    assert escape(QUESTION["where"]) in page.text.replace("&#39;", "&#x27;")


def test_signing_in_shows_a_page_of_that_very_session(account: Enrolled) -> None:
    http = account.http
    brought = _hidden(http.post(STEP, data={"note": TYPED}).text)
    said = {"login": account.login, "password": account.password, "code": account.recovery[0]}
    shown = http.post("/sign-in", data={**brought, **said})
    assert shown.status_code == 200
    assert "Sign out" in shown.text
    assert _hidden(shown.text)["csrf"] == _hidden(http.get("/studies").text)["csrf"]


def _hidden(page: str) -> dict[str, str]:
    """The fields that a page carries."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def test_an_open_planner_leads_to_signing_in_and_back(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        page = seen.go(f"{ASK}?columns=severity")
        seen.context.clear_cookies()
        page.select_option("#f-kind", "histogram")
        page.wait_for_selector("#f-login")
        to = page.get_attribute("input[name=to]", "value") or ""
        assert to.startswith(ASK)
        _enter(seen, site)
        seen.go(to)
        assert page.input_value("#f-kind") == "histogram"
        assert page.input_value("#f-columns") == "severity"


def _post(site: Site, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
    with httpx.Client(base_url=site.url, trust_env=False) as http:
        return http.post(path, data=form, headers={"accept": "text/html", **headers})


def test_what_was_typed_is_text_and_nothing_else(site: Site) -> None:
    said = _post(site, STEP, {"act": "publish", "note": TYPED, "sure": "yes", "csrf": "0"})
    assert said.status_code == 401
    assert "typed-note" in said.text
    assert "<script>alert" not in said.text
    assert "typed-sure" not in said.text
    assert "typed-csrf" not in said.text
    assert "set-cookie" not in said.headers


def test_another_site_fills_no_form(site: Site) -> None:
    said = _post(site, STEP, {"note": TYPED}, **{"sec-fetch-site": "cross-site"})
    assert said.status_code == 401
    assert "Fatigue" not in said.text
    cookie = site.cookie(Role.RESEARCHER)
    assert cookie is not None
    brought = {"again": STEP, "typed-act": "publish", "typed-note": TYPED}
    said = _post(
        site,
        "/sign-in",
        brought,
        **{"sec-fetch-site": "cross-site", "cookie": f"{cookie[0]}={cookie[1]}"},
    )
    assert said.status_code == 403
    assert "Fatigue" not in said.text
    assert _asked(site) == 0


@pytest.mark.parametrize("again", ["https://example.org/", "//example.org", "/v1/runs", "/open"])
def test_only_forms_of_these_pages_come_back(site: Site, again: str) -> None:
    said = _post(site, "/sign-in", {"again": again, "typed-note": "Fatigue"})
    assert said.status_code == 403
    assert "Fatigue" not in said.text
    assert "example.org" not in said.text


def test_what_is_too_long_is_said_to_be(site: Site) -> None:
    for more, kept in ((-2_000, True), (1, False)):
        said = _post(site, STEP, {"note": "x" * (MOST_KEPT + more)})
        assert said.status_code == 401
        assert ("typed-note" in said.text) is kept
        assert ("too long" in said.text) is not kept
