"""The tutorials, walked as they are written: every command and sample runs, every button is
pressed, over the network that `python -m deploy.local --example` makes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from coordinator.client import connect
from deploy.example import write_example
from deploy.example.workbook import write_workbook
from node.member.app import create_member_app
from node.steward import Steward
from tests.support.browser import Reader, browser, reader
from tests.support.fake_executor import serve
from tests.support.local_network import Local, local_network
from tests.support.network import Shape, make_network
from tests.support.terminal import say, terminal
from tests.support.tutorial import DOCS, PICTURE, PICTURES, Walk, walking

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]  # real processes, many commands
TUTORIALS = sorted(path.stem for path in (DOCS / "tutorials").glob("*.md"))
LARGEST = 60_000  # bytes of a picture
NODE = "als-forum"


@dataclass
class Practice:
    """The practice network, in a folder where the tutorials' commands are typed."""

    local: Local
    folder: Path
    browser: Browser

    @contextmanager
    def console(self, link: str) -> Iterator[Reader]:
        [node] = [each for each in self.local.facts["nodes"] if each["name"] == NODE]
        assert link.startswith(node["url"])
        with reader(self.browser, node["url"]) as seen:
            seen.go(link.strip().removeprefix(node["url"]))
            yield seen
            assert seen.troubles == []

    @contextmanager
    def pages(self, link: str) -> Iterator[Reader]:
        url = self.local.facts["url"]
        with reader(self.browser, url) as seen:
            seen.go(link.strip().removeprefix(url))
            yield seen
            assert seen.troubles == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Practice]:
    folder = tmp_path_factory.mktemp("practice")
    write_example(folder / "practice")
    write_workbook(folder / "practice")
    with local_network(folder, data=folder / "practice", state=folder / "state") as local:
        yield Practice(local, folder, chromium)


@pytest.fixture
def at(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As whoever copied the two lines that the network prints."""
    monkeypatch.setenv("CAIRN_URL", practice.local.facts["url"])
    monkeypatch.setenv("CAIRN_TOKEN", practice.local.facts["token"])
    return monkeypatch


def press(walk: Walk, seen: Reader, words: str) -> Page:
    """Press a button or follow a link that says these words; the page before and after is seen."""
    walk.look(seen)
    seen.page.locator(f"main >> :is(button, a):has-text('{words}')").first.click()
    seen.page.wait_for_load_state()
    walk.look(seen)
    return seen.page


def test_an_organisation_from_nothing_to_the_first_answer(
    practice: Practice, at: pytest.MonkeyPatch
) -> None:
    with walking("organisation", practice.folder, at) as walk:
        walk.section("")
        walk.section("Open your console")
        with practice.console(walk.said) as seen:
            press(walk, seen, "Open the console")
            walk.look(seen, "console-home")
            _bring_records(walk, seen)
            _choose_a_policy(walk, seen)
            _decide(walk, seen)
            walk.section("See what leaves")
            page = seen.go("/console/activity")
            assert "Counts members in each bin of edss" in page.inner_text("main")
            press(walk, seen, "Verify the ledger")
            assert "all hold" in page.inner_text("[role=status]")
            seen.go("/console/")
            press(walk, seen, "Pause now")
            walk.section("Stop")
            press(walk, seen, "Answer again")
        walk.section("With a real network")


def _until(seen: Reader, path: str, words: str) -> None:
    """Load a page again until it says these words: news comes with the node's next contact."""
    for _ in range(240):
        if words in seen.go(path).inner_text("main"):
            return
        time.sleep(0.5)
    raise AssertionError(f"{path} never said {words!r}")


def _bring_records(walk: Walk, seen: Reader) -> None:
    seen.go("/console/data")
    page = press(walk, seen, "Import a spreadsheet")
    page.set_input_files("#f-file", "practice/als-forum.xlsx")
    press(walk, seen, "Look at it")
    assert page.locator("button[value=import]").count() == 0
    walk.look(seen, "console-mapping", near="th:has-text('years_since_onset')")
    page.get_by_label("Motor neurone disease").select_option("als")
    press(walk, seen, "Look again")
    press(walk, seen, "Replace the records by it")
    page.wait_for_selector("[role=status]:has-text('2,400 members')")
    walk.look(seen)
    walk.section("Bring your records")


def _choose_a_policy(walk: Walk, seen: Reader) -> None:
    walk.section("Choose a policy")
    page = seen.go("/console/policy")
    press(walk, seen, "Try careful")
    page.fill("#f-content", Path("policy.toml").read_text("utf-8"))
    page.fill("#f-reason", "as the tutorial says")
    press(walk, seen, "Try it")
    press(walk, seen, "Put it in force")
    page.wait_for_selector("text=as the tutorial says")


def _decide(walk: Walk, seen: Reader) -> None:
    steps = walk.steps("Decide on a study")
    for sample in steps:
        if "cairn-node decide" in sample:
            break
    _until(seen, "/console/", "Sleep and fatigue in multiple sclerosis")
    page = press(walk, seen, "Sleep and fatigue in multiple sclerosis")
    walk.look(seen, "console-study")
    page.click("button:has-text('Approve') >> nth=0")
    for _ in steps:
        pass


def test_a_researcher_from_an_invitation_to_a_published_result(
    practice: Practice, at: pytest.MonkeyPatch
) -> None:
    with walking("researcher", practice.folder, at) as walk:
        for title in list(walk.sections)[:6]:
            walk.section(title)
            if title == "Propose a study":
                _approved()
        walk.section("The same on pages")
        with practice.pages(walk.said) as seen:
            press(walk, seen, "Open the pages")
            press(walk, seen, "Age, years with MS and disability")
            page = press(walk, seen, "Plan a question")
            page.goto(f"{page.url}?kind=histogram&columns=members.age&amount=0.2")
            press(walk, seen, "Preview")
            page.wait_for_selector("figure svg[role=img]")
            walk.look(seen, "planner")
            _give_leave(walk, seen)
            page.check("#f-sure")
            press(walk, seen, "Run")
            page.wait_for_selector("text=See the answer", timeout=60_000)
            press(walk, seen, "See the answer")
            walk.look(seen, "answer")
            _library(walk, seen)
        walk.section("Publish")
        assert "hardly with age" in Path("card.html").read_text("utf-8")
        with practice.pages(f"{practice.local.facts['url']}/insights/ms-disability") as seen:
            walk.look(seen, "insight")
        assert len(connect().insight("ms-disability").results) == 1  # type: ignore[union-attr]


def _give_leave(walk: Walk, seen: Reader) -> None:
    """The page asks, and the terminal that stayed signs."""
    with terminal(seen.url, _token()) as process:
        page = press(walk, seen, "Ask on my machine")
        walk.look(seen, "leave")
        assert page.inner_text("dd.mono") in say(process, "y")
        page.wait_for_selector("#f-sure")


def _library(walk: Walk, seen: Reader) -> None:
    page = seen.go("/releases")
    page.fill("#f-text", "edss")
    press(walk, seen, "Search")
    walk.look(seen, "library")
    seen.go("/models")
    page = press(walk, seen, "edss")
    assert page.url.endswith("/model")
    walk.look(seen, "model")


def _approved() -> None:
    """The log of the study says so, as the tutorial tells to wait for."""
    for _ in range(240):
        if len(connect().study("ms-disability").approvals) == 3:
            return
        time.sleep(0.5)
    raise AssertionError("the study was never approved")


def _token() -> str:
    return Path("ada.token").read_text("ascii").strip()


def test_an_auditor_trusts_nobody(practice: Practice, at: pytest.MonkeyPatch) -> None:
    token = practice.local.facts["auditor_token"]
    with walking("auditor", practice.folder, at, AUDITOR=token) as walk:
        for title in list(walk.sections)[:-1]:
            walk.section(title)
        walk.section("The same on pages")
        with practice.pages(walk.said) as seen:
            press(walk, seen, "Open the pages")
            seen.go("/audit")
            walk.look(seen, "audit")
            seen.page.click("button:has-text('Verify')")
            seen.page.wait_for_selector("main [role=status]", timeout=120_000)
            walk.look(seen, "verify")
            press(walk, seen, "Dossiers")
            press(walk, seen, "What people with ALS take")
            walk.look(seen, "dossier")
            press(walk, seen, "Dossiers")
            press(walk, seen, "als-forum")
            seen.go("/audit")
            press(walk, seen, "Taken back")
            press(walk, seen, "What if")


def test_a_member_opens_withdraws_and_comes_back(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(tmp_path / "members", Shape())
    release = network.ask({"kind": "count"}, epsilon="0.5").release
    assert release
    parts = network.nodes["ms-league"].parts
    settings = replace(parts.settings, member_port=1, member_url="http://members")
    parts = replace(parts, settings=settings)
    steward = Steward(parts)
    steward.adopt_text("disease-research", "en", "We count your answers with many others'.")
    steward.lay_result(release, "About six hundred of us took part.")
    people = network.shape.people("ms-league")
    link = steward.member_link(str(people[people["consent"] == "yes"]["member"].iloc[0]))
    with (
        walking("member", tmp_path, monkeypatch) as walk,
        serve(create_member_app(parts)) as url,
        reader(chromium, url) as seen,
    ):
        seen.go(link.removeprefix("http://members"))
        page = press(walk, seen, "Open my page")
        walk.look(seen, "member")
        assert "About six hundred of us took part." in page.content()
        press(walk, seen, "Withdraw from everything")
        page.locator("summary:has-text('give consent')").first.click()
        press(walk, seen, "I have read this and I consent")
        assert "Your consent covers it today." in page.inner_text("main")
        press(walk, seen, "Close this page")
        assert seen.troubles == []
        for title in walk.sections:
            walk.section(title)
    network.close()


def test_the_practice_network_is_started_as_the_tutorial_says() -> None:
    said = (DOCS / "tutorials" / "practice.md").read_text("utf-8")
    assert "\n    python -m deploy.local --example practice\n" in said
    assert "\n    python -m deploy.local practice --state state\n" in said


@pytest.mark.parametrize("name", TUTORIALS)
def test_pictures_are_there_and_small(name: str) -> None:
    for picture in PICTURE.findall((DOCS / "tutorials" / f"{name}.md").read_text("utf-8")):
        assert 1_000 < (PICTURES / f"{picture}.webp").stat().st_size <= LARGEST, picture


def test_every_picture_is_shown() -> None:
    texts = [(DOCS / "tutorials" / f"{name}.md").read_text("utf-8") for name in TUTORIALS]
    shown = {picture for text in texts for picture in PICTURE.findall(text)}
    assert {path.stem for path in PICTURES.iterdir()} == shown
