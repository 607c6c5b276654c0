"""A study's page asks for the steps of its life, and the researcher's machine signs them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy.contract.study_life import Act, State
from privacy.contract.token import Role
from tests.support.browser import NARROW, Reader, reader
from tests.support.fake_executor import NODES, approve
from tests.support.site import STUDY, Site, open_site
from tests.support.terminal import say, terminal

pytestmark = pytest.mark.processes
FOUND = "Fatigue grows with age.\nBy how much, the chart says."


@pytest.fixture
def draft(tmp_path: Path) -> Iterator[Site]:
    """Of a study that was not proposed yet."""
    with open_site(tmp_path) as made:
        yield made


@pytest.fixture
def site(draft: Site) -> Site:
    """Of a study that every organisation approved."""
    approve(draft.world)
    return draft


def _state(site: Site) -> str:
    said = site.network().transport.get(f"/v1/studies/{STUDY}")
    return str(said["state"])


def _confirm(seen: Reader, process: subprocess.Popen[str], act: str) -> None:
    page = seen.page
    shown, code = page.inner_text("p.words"), page.inner_text("dd.mono")
    assert seen.complaints() == [] if seen.scripts else True
    line = say(process, "y", f"want to {act}")
    assert code in line
    assert shown.startswith(line)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_study_is_closed_and_published_from_its_page(site: Site, scripts: bool) -> None:
    answer = site.network().study(STUDY).mean("severity").run(epsilon=0.3)
    token = site.world.tokens[Role.RESEARCHER].text
    cookie = site.cookie(Role.RESEARCHER)
    with (
        terminal(site.url, token) as process,
        reader(site.browser, site.url, cookie, scripts=scripts) as seen,
    ):
        page = seen.go(f"/studies/{STUDY}")
        page.click("summary:has-text('Close the study')")
        page.click("text=Close on my machine")
        seen.keep("step-waiting")
        _confirm(seen, process, "close")
        page.wait_for_selector("text=Publish on my machine")
        assert _state(site) == State.CLOSED
        page.check("input[name=release]")
        page.click("text=Publish on my machine")
        assert "Say what was found" in page.inner_text("#e-note")
        assert page.is_checked("input[name=release]")
        page.fill("#f-note", FOUND)
        seen.keep("publish")
        page.click("text=Publish on my machine")
        assert "| Fatigue grows with age." in page.inner_text("p.words")
        assert answer.release[:12] in page.inner_text("p.words")
        _confirm(seen, process, "publish")
        page.click("a:has-text('What was published')")
        assert "Fatigue grows with age." in page.inner_text("main")
        assert seen.troubles == []
    said = site.network().insight(STUDY)
    assert said.findings == (FOUND,)
    assert [each.release for each in said.results] == [answer.release]


def test_who_says_no_signs_nothing(site: Site) -> None:
    token = site.world.tokens[Role.RESEARCHER].text
    cookie = site.cookie(Role.RESEARCHER)
    before = _state(site)
    with (
        terminal(site.url, token) as process,
        reader(site.browser, site.url, cookie, width=NARROW) as seen,
    ):
        page = seen.go(f"/studies/{STUDY}")
        page.click("summary:has-text('Close the study')")
        assert seen.complaints() == []
        assert seen.overflow() == 0
        page.click("text=Close on my machine")
        assert seen.overflow() == 0
        say(process, "n", "want to close")
        page.wait_for_selector("text=Nothing was signed")
        assert seen.complaints() == []
        assert seen.troubles == []
    assert _state(site) == before


@pytest.mark.parametrize("asked_back", [True, False])
def test_a_study_is_proposed_and_what_was_asked_is_answered(draft: Site, asked_back: bool) -> None:
    if asked_back:
        approve(draft.world, Act.ASK, NODES[:1])
    before, button = ("asked-back", "Answer") if asked_back else ("draft", "Propose")
    assert _state(draft) == before
    token = draft.world.tokens[Role.RESEARCHER].text
    cookie = draft.cookie(Role.RESEARCHER)
    with (
        terminal(draft.url, token) as process,
        reader(draft.browser, draft.url, cookie, width=NARROW, dark=True) as seen,
    ):
        page = seen.go(f"/studies/{STUDY}")
        assert page.locator("summary:has-text('Close the study')").count() == int(asked_back)
        assert seen.complaints() == []
        assert seen.overflow() == 0
        if asked_back:
            page.fill("#f-note", "For the adjusted model.")
        page.click(f"text={button} on my machine")
        _confirm(seen, process, "propose")
        page.wait_for_url(f"**/studies/{STUDY}")
        assert ("For the adjusted model." in page.inner_text("main")) is asked_back
        assert seen.troubles == []
    assert _state(draft) == State.PROPOSED


def test_only_an_investigator_is_offered_a_step(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.AUDITOR)) as seen:
        page = seen.go(f"/studies/{STUDY}")
        assert page.locator("#h-next").count() == 0
        token = page.locator("input[name=csrf]").first.get_attribute("value")
        form = {"csrf": token or "", "act": "close"}
        answer = page.request.post(f"{site.url}/studies/{STUDY}/step", form=form)
        assert answer.status == 403
