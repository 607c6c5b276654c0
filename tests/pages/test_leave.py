"""A page asks for leave and the researcher's machine gives it: what the terminal shows is signed,
and nothing else is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy.contract.token import Role
from tests.support.browser import NARROW, Reader, reader
from tests.support.site import STUDY, Site, open_site
from tests.support.terminal import say, terminal

pytestmark = pytest.mark.processes
ASK = f"/studies/{STUDY}/ask?kind=histogram&columns=severity&amount="


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as made:
        yield made


def _token(site: Site) -> str:
    return site.world.tokens[Role.RESEARCHER].text


def _enter(seen: Reader, process: subprocess.Popen[str], site: Site) -> None:
    assert process.stdout is not None
    seen.go(process.stdout.readline().strip().removeprefix(site.url))
    seen.page.click("button:has-text('Open the pages')")


@pytest.mark.parametrize("scripts", [True, False])
def test_leave_is_given_in_the_terminal_and_the_question_runs(site: Site, scripts: bool) -> None:
    with (
        terminal(site.url, _token(site)) as process,
        reader(site.browser, site.url, scripts=scripts) as seen,
    ):
        _enter(seen, process, site)
        page = seen.go(ASK + "0.3")
        page.fill("#f-epsilon", "much")
        page.click("text=Ask on my machine")
        assert page.input_value("#f-epsilon") == "much"
        assert page.locator("#e-epsilon").count() == 1
        page.fill("#f-epsilon", "0.7")
        page.click("text=Ask on my machine")
        said = page.inner_text("#leave strong")
        assert page.inner_text("dd.mono") in said
        shown = say(process, "y")
        assert _but_time(shown) == _but_time(said)
        assert "epsilon 0.7 at most" in shown
        page.wait_for_selector("#f-sure")
        page.check("#f-sure")
        page.click("button:has-text('Run')")
        page.click("a:has-text('See the answer')")
        page.fill("#f-more", "nothing")
        page.click("button:has-text('Price')")
        assert page.input_value("#f-more") == "nothing"
        page.wait_for_selector("#e-more")
        page.fill("#f-more", "0.25")
        page.click("button:has-text('Price')")
        page.wait_for_selector("#more dd:has-text('epsilon 0.25')")
        page.click("button:has-text('Top up')")
        assert "mean it" in page.inner_text("#e-sure")
        page.check("#f-sure")
        page.click("button:has-text('Top up')")
        assert page.locator(".chips li").count() == 3
        page.wait_for_selector("a:has-text('See the answer')")
        assert set(page.locator(".chips li").all_inner_texts()) == {
            "Als-Union: done",
            "Ms-League: done",
            "Mood-Circle: done",
        }
        page.click("a:has-text('See the answer')")
        assert "Combined of 2 releases" in page.inner_text("main")
        assert seen.troubles == []


def test_who_says_no_is_believed(site: Site) -> None:
    with (
        terminal(site.url, _token(site)) as process,
        reader(site.browser, site.url, width=NARROW) as seen,
    ):
        _enter(seen, process, site)
        page = seen.go(f"/studies/{STUDY}")
        page.fill("#f-epsilon", "0.5")
        page.click("text=Ask on my machine")
        assert seen.complaints() == []
        seen.keep("leave-waiting")
        say(process, "n")
        page.wait_for_selector("text=You said no")
        assert seen.complaints() == []
        assert seen.go(ASK + "0.3").locator("#f-sure").count() == 0
        assert seen.troubles == []


def _but_time(words: str) -> str:
    return re.sub(r"until \S+", "until", words)
