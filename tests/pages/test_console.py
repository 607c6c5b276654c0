"""The organisation's console in a real browser, on a node of a made-up network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from privacy.ledger.entry import Paused, Resumed
from tests.support.browser import NARROW, WIDE, reader
from tests.support.console import Console, opened_console

pytestmark = pytest.mark.processes

PAGES = (
    "/console/",
    "/console/studies",
    "/console/questions",
    "/console/data",
    "/console/policy",
    "/console/consent",
    "/console/activity",
    "/console/network",
    "/console/coordinator",
    "/console/people",
    "/console/linkage",
    "/console/data/quality",
    "/console/data/sheet",
    "/console/people/leave",
)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_every_page_is_for_everybody(console: Console, width: int, dark: bool) -> None:
    with reader(console.browser, console.url, width=width, dark=dark) as seen:
        seen.go("/console/")
        assert seen.complaints() == []
        console.enter(seen)
        study = console.steward.studies()[0]["digest"]
        for path in (*PAGES, f"/console/studies/{study}"):
            seen.go(path)
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
            seen.keep(f"{path.strip('/').replace('/', '-')[:40]}-{width}-{dark}")
        assert seen.troubles == []


def test_a_link_opens_once_and_without_one_nothing_is_told(console: Console) -> None:
    link = console.link()
    with reader(console.browser, console.url) as seen:
        for path in PAGES:
            page = seen.go(path)
            assert "console is closed" in page.inner_text("main")
            assert console.network.nodes["als-union"].service.node not in page.content()
        seen.go(link)
        seen.page.click("button:has-text('Open the console')")
        assert "Pause now" in seen.page.inner_text("main")
    with reader(console.browser, console.url) as seen:
        seen.go(link)
        seen.page.click("button:has-text('Open the console')")
        assert "console is closed" in seen.page.inner_text("main")


@pytest.mark.parametrize("scripts", [True, False])
def test_pausing_is_one_click_and_stands_in_the_ledger(console: Console, scripts: bool) -> None:
    with reader(console.browser, console.url, scripts=scripts) as seen:
        console.enter(seen)
        seen.page.click("text=Pause now")
        assert seen.page.inner_text("main .state") == "paused"
        refused = console.network.ask({"kind": "count"}, epsilon="0.1")
        assert not refused.release
        seen.page.click("text=Answer again")
        assert seen.page.inner_text("main .state") == "running"
    bodies = console.network.nodes["als-union"].bodies
    assert [body.by for body in bodies if isinstance(body, Paused | Resumed)][-2:] == ["ada"] * 2


def test_what_left_is_listed_with_its_hash_and_the_ledger_is_read_again(console: Console) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/activity")
        first = console.steward.left_the_building()[-1]
        row = page.locator("tbody tr").first.inner_text()
        assert first["sentence"] in row
        assert first["sha256"][:16] in row
        page.click("text=Verify the ledger")
        assert "all hold" in page.inner_text("[role=status]")


def test_a_preset_is_tried_before_it_is_put_in_force(console: Console) -> None:
    before = console.steward.policy()
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/policy")
        page.fill("#f-content", "preset = 'none such'")
        page.click("button[value=try]")
        assert "no preset" in page.inner_text("#e-content")
        assert page.input_value("#f-content") == "preset = 'none such'"
        page.click("text=Try careful")
        assert "would have allowed" in page.inner_text("[role=status]")
        assert console.steward.policy() == before
        page.fill("#f-content", 'preset = "open"')
        page.fill("#f-reason", "for a test")
        page.click("button[value=try]")
        page.click("text=Put it in force")
        assert console.steward.policy()["preset"] == "open"
        assert console.steward.policy()["by"] == "ada"


def test_records_are_checked_before_they_are_replaced(console: Console, tmp_path: Path) -> None:
    members = console.network.nodes["als-union"].parts.records.members
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/data")
        page.click("text=Check it")
        assert "Name a folder" in page.inner_text("#e-folder")
        page.fill("#f-folder", str(tmp_path))
        page.click("text=Check it")
        assert page.inner_text("#e-folder")
        assert page.input_value("#f-folder") == str(tmp_path)
        shape, node = console.network.shape, "als-union"
        shape.people(node).to_csv(tmp_path / "members.csv", index=False)
        shape.rows(node).to_csv(tmp_path / "symptoms.csv", index=False)
        page.click("text=Check it")
        assert "Nothing has changed yet" in page.inner_text("[role=status]")
        page.click("text=Replace the records by it")
        page.wait_for_selector("#state [role=status]")
        assert f"{members} members" in page.inner_text("[role=status]")


def test_a_study_is_asked_back_and_shown_to_members(console: Console) -> None:
    study = console.steward.studies()[0]["digest"]
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go(f"/console/studies/{study}")
        page.click("text=Show it to members")
        assert [each["digest"] for each in console.steward.studies_for_members()] == [study]
        page.click("text=Show it no more")
        assert console.steward.studies_for_members() == []


def test_a_form_of_another_site_changes_nothing(console: Console) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        seen.page.evaluate(
            "document.querySelectorAll('input[name=token]').forEach(e => { e.value = 'x' })"
        )
        seen.page.click("text=Pause now")
        assert "not_permitted" in seen.page.inner_text("main")
    assert not console.network.nodes["als-union"].service.ledger.state.paused


def test_what_goes_wrong_is_a_page_too(console: Console) -> None:
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        assert "no such page here" in seen.go("/console/nowhere").inner_text("main")
        assert "not_found" in seen.go("/console/data/import/7").inner_text("main")
        assert "unknown_study" in seen.go(f"/console/studies/{'0' * 64}").inner_text("main")
    headers = {"Authorization": f"Bearer {console.token}"}
    for place, kind in (("/console/data", "text/html"), ("/v1/pause", "application/problem+json")):
        with httpx.Client(base_url=console.url, trust_env=False, headers=headers) as client:
            answer = client.post(place, content=iter([b"of no declared length"]))
        assert answer.status_code == 413
        assert answer.headers["content-type"].startswith(kind)
