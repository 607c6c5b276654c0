"""A member's own page in a real browser, where it runs no script at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser

from node.member.app import create_member_app
from node.steward import Steward
from tests.support.browser import NARROW, WIDE, browser, reader
from tests.support.fake_executor import serve
from tests.support.network import Network, Shape, make_network

pytestmark = pytest.mark.processes
NODE = "ms-league"


@dataclass
class Members:
    network: Network
    app: FastAPI
    steward: Steward
    url: str
    browser: Browser

    def link(self, place: int) -> str:
        people = self.network.shape.people(NODE)
        member = people[people["consent"] == "yes"]["member"].iloc[place]
        return self.steward.member_link(str(member)).removeprefix("http://members")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    network = make_network(tmp_path_factory.mktemp("members"), Shape())
    assert network.ask({"kind": "count"}, epsilon="0.5").release
    parts = network.nodes[NODE].parts
    settings = replace(parts.settings, member_port=1, member_url="http://members")
    parts = replace(parts, settings=settings)
    steward, app = Steward(parts), create_member_app(parts)
    steward.show_to_members(steward.studies()[0]["digest"])
    steward.adopt_text("disease-research", "en", "We count your answers with many others'.")
    with serve(app) as url, browser() as chromium:
        yield Members(network, app, steward, url, chromium)
    network.close()


@pytest.mark.parametrize(("width", "dark"), [(NARROW, True), (NARROW, False), (WIDE, False)])
def test_it_is_for_everybody(members: Members, width: int, dark: bool) -> None:
    with reader(members.browser, members.url, width=width, dark=dark) as seen:
        for path in ("/", members.link(0)):
            seen.go(path)
            assert seen.complaints() == [], path
            assert seen.overflow() == 0
        seen.page.click("text=Open my page")
        assert seen.complaints() == []
        assert seen.overflow() == 0
        seen.keep(f"member-{width}-{dark}")
        assert seen.troubles == []


def test_an_address_that_is_none_says_so_in_words(members: Members) -> None:
    with reader(members.browser, members.url) as seen:
        for path in ("/receipt/first", "/nowhere"):
            assert "There is no such page" in seen.go(path).inner_text("main"), path


@pytest.mark.parametrize("scripts", [True, False])
def test_a_member_withdraws_in_one_step_and_comes_back(members: Members, scripts: bool) -> None:
    with reader(members.browser, members.url, scripts=scripts) as seen:
        page = seen.go(members.link(1 if scripts else 2))
        page.click("text=Open my page")
        assert "Your consent covers it today." in page.inner_text("main")
        page.click("text=Withdraw from everything")
        assert "withdrawn" in page.inner_text("[role=status]")
        assert "Your consent does not cover it today." in page.inner_text("main")
        page.locator("summary:has-text('give consent')").first.click()
        page.click("text=I have read this and I consent")
        assert "recorded" in page.inner_text("[role=status]")
        assert "Your consent covers it today." in page.inner_text("main")
        page.click("text=Close this page")
        seen.go("/")
        assert "Open it again with a new link" in page.inner_text("main")


def test_a_question_that_cannot_be_kept_is_not_lost(members: Members) -> None:
    with reader(members.browser, members.url, width=NARROW) as seen:
        page = seen.go(members.link(3))
        page.click("text=Open my page")
        page.evaluate("document.querySelector('textarea').removeAttribute('maxlength')")
        page.fill("#ask-1", "why? " * 500)
        page.click("button:has-text('Ask')")
        assert page.input_value("#ask-1") == "why? " * 500
        assert page.inner_text("#e-ask-1")
        assert seen.complaints() == []
        page.fill("#ask-1", "Why?")
        page.click("button:has-text('Ask')")
        assert "Thank you" in page.inner_text("[role=status]")
        assert seen.troubles == []


def test_a_member_whose_browser_asks_for_german_reads_german(members: Members) -> None:
    with reader(members.browser, members.url, width=NARROW) as seen:
        seen.page.set_extra_http_headers({"Accept-Language": "de-AT, en;q=0.5"})
        page = seen.go(members.link(4))
        assert page.inner_text("h1") == "Ihre Daten und Ihre Entscheidungen"
        page.click("text=Meine Seite öffnen")
        assert page.get_attribute("html", "lang") == "de"
        page.click("text=Alles widerrufen")
        assert "ist widerrufen" in page.inner_text("[role=status]")
        assert seen.complaints() == []
        assert seen.overflow() == 0
        seen.keep("member-german")
