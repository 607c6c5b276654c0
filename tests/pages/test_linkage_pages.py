"""Linkage at the console and on members' own pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from node.consent import consent_counts, consent_of, set_consent
from node.linkage_records import opted_in
from node.linked import LINKAGE
from node.member.app import create_member_app
from node.steward import Steward
from privacy.contract.consent import ConsentState
from privacy.ledger.link_entry import LinkBegun
from tests.support.browser import NARROW, WIDE, reader
from tests.support.console import Console, opened_console
from tests.support.fake_executor import serve
from tests.support.linked_clinic import (
    DICTIONARY,
    FIELDS,
    agreed,
    linking,
    overlapping,
    symptoms,
)
from tests.support.network import Shape

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("few_dummies")]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    frames = overlapping()
    shape = Shape(dictionary=DICTIONARY, frames=frames, symptoms=symptoms(frames), linking=agreed())
    with opened_console(tmp_path_factory.mktemp("linkage"), shape) as made:
        yield made


def test_an_agreement_is_made_and_ended_with_what_was_typed_kept(console: Console) -> None:
    with reader(console.browser, console.url, width=NARROW) as seen:
        console.enter(seen)
        page = seen.go("/console/linkage")
        assert "mood-circle, ms-league" in page.inner_text("dl.facts")
        page.click("text=Agree no more")
        assert "links with nobody" in page.inner_text("main")
        assert console.steward.linkage()["agreed"] is None
        page.get_by_label("Mood-Circle").check()
        page.fill("#f-room", "many")
        page.get_by_role("button", name="Agree", exact=True).click()
        assert "too little is ticked" in page.inner_text("#e-agree")
        assert page.get_by_label("Mood-Circle").is_checked()
        page.get_by_label("Ms-League").check()
        for name in FIELDS:
            page.get_by_label(name).check()
        page.get_by_role("button", name="Agree", exact=True).click()
        assert "'many' is no whole number" in page.inner_text("#e-agree")
        page.fill("#f-room", "24")
        page.fill("#f-reason", "as all three wrote")
        assert seen.complaints() == []
        page.get_by_role("button", name="Agree", exact=True).click()
        assert "at most 24 members" in page.inner_text("dl.facts")
        assert seen.troubles == []
    assert console.steward.linkage()["agreed"] == linking("als-union").to_json()
    assert console.steward.policy()["reason"] == "as all three wrote"


def test_a_linkage_is_seen_while_it_holds_and_ended_with_a_reason(console: Console) -> None:
    console.network.link_members(FIELDS)
    with reader(console.browser, console.url, width=WIDE, dark=True) as seen:
        console.enter(seen)
        page = seen.go("/console/linkage")
        counts = console.steward.linkage()
        assert f"{counts['linked']} members here are linked" in page.inner_text("main")
        assert page.locator("tbody tr").first.inner_text().endswith("linked")
        assert seen.complaints() == []
        seen.keep("console-linkage")
        page.click("text=End the linkage")
        assert "no reason" in page.inner_text("#e-end")
        page.fill("#f-end", "a partner left")
        page.click("text=End the linkage")
        assert "Nobody is linked" in page.inner_text("main")
        assert "ended: a partner left (ada)" in page.locator("tbody tr").first.inner_text()
        assert seen.troubles == []
    begun = [body for body in console.node.bodies if isinstance(body, LinkBegun)]
    told = console.steward.linkage_choices()
    assert [each["session"] for each in told["past"]] == [body.session for body in begun]
    assert all(each["epsilon"] > 0 for each in told["past"])


def test_consent_to_all_is_no_word_on_linkage(console: Console) -> None:
    records = console.node.parts.records
    today = console.node.clock().date()
    before, counts = opted_in(records, today), consent_counts(records)[LINKAGE]
    assert counts["yes"] == before
    set_consent(records, "n0-003", LINKAGE, ConsentState.WITHDRAWN, today=today)
    set_consent(records, "n0-003", "all", ConsentState.GIVEN, today=today)
    assert not consent_of(records, "n0-003")[LINKAGE].holds(today)
    assert opted_in(records, today) == before - 1


@pytest.mark.parametrize("dark", [True, False])
def test_a_member_reads_what_linkage_means_and_says_their_own_word(
    console: Console, dark: bool
) -> None:
    parts = console.node.parts
    settings = replace(parts.settings, member_port=1, member_url="http://members")
    parts = replace(parts, settings=settings)
    steward = Steward(parts)
    steward.adopt_text(LINKAGE, "en", "May we find out whether another organisation counts you?")
    member = f"n0-00{1 + dark}"
    link = steward.member_link(member).removeprefix("http://members")
    with (
        serve(create_member_app(parts)) as url,
        reader(console.browser, url, width=NARROW, dark=dark) as seen,
    ):
        page = seen.go(link)
        page.click("text=Open my page")
        section = page.locator("section[aria-labelledby=linkage]")
        assert "With whom: Mood-Circle, Ms-League" in section.inner_text()
        assert "link code" in section.inner_text()
        assert "You consent" in section.inner_text()
        assert seen.complaints() == []
        assert seen.overflow() == 0
        seen.keep(f"member-linkage-{dark}")
        section.locator("text=Withdraw my consent").click()
        assert "withdrawn" in page.inner_text("[role=status]")
        assert "You do not consent" in section.inner_text()
        assert "You consent" in page.inner_text("section[aria-labelledby=choices]")
        section.locator("summary").click()
        section.locator("text=I have read this").click()
        assert "You consent" in section.inner_text()
        assert seen.troubles == []
