"""Records at the console: how good they are, what is wrong with files, imports that take long;
and what left, compared with what the coordinator stored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.dictionary_file import load_dictionary
from node.api import create_app
from node.console import home
from node.console.imports import Imports
from node.import_progress import Progress, Told
from node.quality import quality
from node.spreadsheet.mapping import suggested_level
from node.steward import Steward
from privacy.errors import BadInput
from tests.support import net_data
from tests.support.browser import NARROW, reader
from tests.support.console import NODE, Console, opened_console
from tests.support.fake_executor import serve
from tests.support.served import asked_over_http

pytestmark = pytest.mark.processes
CONDITION = load_dictionary(net_data.DICTIONARY, "d.toml").tables[0].columns[0]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("records")) as made:
        yield made


def files(console: Console, folder: Path, **changed: Any) -> Path:
    """The organisation's files, with columns of `members` changed."""
    folder.mkdir()
    shape = console.network.shape
    shape.people(NODE).assign(**changed).to_csv(folder / "members.csv", index=False)
    shape.rows(NODE).to_csv(folder / "symptoms.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("word", "level"),
    [("ALS ", "als"), ("alss", "als"), ("mood disorder", "mood"), ("MS (RR)", "ms"), ("flu", "")],
)
def test_a_word_is_like_a_level_or_like_none(word: str, level: str) -> None:
    assert suggested_level(CONDITION, word) == level


def test_files_that_cannot_be_read_are_told_row_by_row(console: Console, tmp_path: Path) -> None:
    folder = files(console, tmp_path / "wrong", condition="alss")
    with reader(console.browser, console.url, width=NARROW) as seen:
        console.enter(seen)
        page = seen.go("/console/data")
        page.fill("#f-folder", str(folder))
        page.click("text=Check it")
        assert "60 problems" in page.inner_text("[role=status]")
        assert "is 'als' meant?" in page.inner_text("tbody >> nth=0")
        assert page.input_value("#f-folder") == str(folder)
        assert page.locator("button[name=accept]").count() == 0
        assert seen.complaints() == []
        assert seen.overflow() == 0
        assert seen.troubles == []


def test_what_seems_wrong_in_the_records_is_said(console: Console, tmp_path: Path) -> None:
    people = console.network.shape.people(NODE)
    folder = files(
        console,
        tmp_path / "odd",
        condition="als",
        age=people["age"].where(people.index % 2 == 0, 200),
        score=None,
        born="2031-01-01",
    )
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/data")
        page.fill("#f-folder", str(folder))
        page.click("text=Check it")
        page.click("button[name=accept]")
        page.wait_for_selector("#state [role=status]")
        page.click("text=See how good they are")
        said = page.locator("tbody").first.inner_text()
    for words in (
        "never used: ms, mood",
        "30 values at the bound 110",
        "no row has a value: is the column mapped?",
        "some days lie in the future",
        "one value only",
    ):
        assert words in said
    console.steward.import_data(files(console, tmp_path / "back"))
    parts = console.node.parts
    members, symptoms = quality(
        parts.records, parts.service.dictionary(), parts.service.clock().date()
    )
    assert {c.name: c.known for c in members.columns}["condition"] == len(people)
    kept = console.network.shape.rows(NODE).groupby("member").head(2)
    assert (symptoms.rows, symptoms.members) == (len(kept), kept["member"].nunique())


@pytest.mark.parametrize("scripts", [True, False])
def test_a_long_import_shows_how_far_it_is_and_survives_a_reload(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: bool
) -> None:
    go_on = threading.Event()

    def slow(_steward: Steward, _folder: Path, told: Told) -> dict[str, Any]:
        told(Progress(1, 4, "reading and checking symptoms.csv"))
        assert go_on.wait(60)
        return {"members": 60, "warnings": ["a warning"]}

    monkeypatch.setattr(Steward, "import_data", slow)
    folder = files(console, tmp_path / "slow")
    with reader(console.browser, console.url, scripts=scripts) as seen:
        console.enter(seen)
        page = seen.go("/console/data")
        page.fill("#f-folder", str(folder))
        page.click("text=Check it")
        page.click("button[name=accept]")
        page.wait_for_selector("text=Step 2 of 4: reading and checking symptoms.csv")
        if scripts:
            assert seen.complaints() == []
        address = page.url
        page = seen.go("/console/data")
        assert "under way" in page.inner_text("main .notice")
        page.fill("#f-folder", str(folder))
        page.click("text=Check it")
        page.click("button[name=accept]")
        assert "is under way" in page.inner_text("#e-folder"), "one at a time"
        page.goto(address)
        page.wait_for_selector("text=Step 2 of 4")
        go_on.set()
        page.wait_for_selector("#state [role=status]")
        assert "60 members are in the records" in page.inner_text("#state")
        assert "a warning" in page.inner_text("#state")
        assert seen.troubles == []


def test_an_import_that_fails_says_so_and_quotes_no_bug() -> None:
    imports = Imports()

    def wrong(_told: Told) -> dict[str, Any]:
        raise BadInput("row 3 is wrong")

    assert imports.begin("a.csv", "/", "2026-03-10T12:00:00Z", wrong).wrong == "row 3 is wrong"
    newest = imports.newest()
    assert newest is not None
    assert newest.over


def test_what_left_is_shown_page_by_page(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    console.network.ask({"kind": "count", "by": ["treatment"]})
    monkeypatch.setattr(home, "_A_PAGE", 1)
    left = console.steward.left_the_building()
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/activity")
        shown = [page.inner_text("tbody .mono")]
        assert f"page 1 of {len(left)}" in page.inner_text("main")
        assert page.locator("a:has-text('Newer')").count() == 0
        while page.locator("a:has-text('Older')").count():
            page.click("text=Older")
            shown.append(page.inner_text("tbody .mono"))
        assert shown == [f"{each['sha256'][:16]}…" for each in reversed(left)]
        assert len(shown) > 1
        beyond = seen.go("/console/activity?page=999")
        assert beyond.inner_text("tbody .mono") == shown[-1]
        assert seen.complaints() == []


def test_what_left_is_compared_with_what_is_stored_and_downloaded(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/activity")
        page.click("text=Compare with what")
        assert "does not answer" in page.inner_text("[role=alert]")
        with page.expect_download() as download:
            page.click("text=Download")
        written = Path(download.value.path()).read_text()
        assert console.steward.left_the_building()[0]["sha256"] in written
    with asked_over_http(console.network, monkeypatch) as client:
        parts = console.node.parts
        settings = replace(parts.settings, coordinator_url=client.transport.url)
        with serve(create_app(replace(parts, settings=settings), lambda: True)) as url:
            served = replace(console, url=url)
            with reader(console.browser, url, scripts=False) as seen:
                served.enter(seen)
                page = seen.go("/console/activity")
                page.click("text=Compare with what")
                assert "byte by byte" in page.inner_text("[role=status]")
                assert page.inner_text("tbody tr .state") == "same"
