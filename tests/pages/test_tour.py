"""The five-minute tour, by clicking, over real processes: a question and its answer, an
organisation that pauses, an auditor who verifies, a spreadsheet that becomes a node's data."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from coordinator.client import connect
from tests.support import net_data
from tests.support.browser import Reader, browser, reader
from tests.support.local_network import Local, local_network

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("tour")]
STUDY = "als-progression"
NODE = "ms-league"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_network(tmp_path_factory.mktemp("tour")) as running:
        connect(running.facts["url"], running.facts["token"]).study(STUDY).count().run(epsilon=1)
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


def _enter(seen: Reader, local: Local, token: str) -> Page:
    """As `cairn browser` says."""
    link = local.cairn(token, "browser")
    assert link.returncode == 0, link.stderr
    seen.go(link.stdout.strip().removeprefix(local.facts["url"]))
    seen.page.click("button:has-text('Open the pages')")
    return seen.page


def _give_leave(local: Local, page: Page) -> None:
    """As the study's page asks for it."""
    page.click("summary:has-text('paste it')")
    command = page.locator("pre code").first.inner_text().split()
    assert command[:3] == ["cairn", "delegate", STUDY]
    printed = local.cairn(local.facts["token"], *command[1:])
    page.fill("#f-delegation", printed.stdout)
    page.click("text=Give leave")


def _console(seen: Reader, local: Local) -> Page:
    """As `cairn-node console` says."""
    with local.steward(NODE) as steward:
        path = steward.post("/v1/console", json={"by": "ada"}).json()["path"]
    seen.go(path)
    seen.page.click("button:has-text('Open the console')")
    return seen.page


def _ask(page: Page, kind: str, columns: str) -> None:
    page.select_option("#f-kind", kind)
    page.fill("#f-columns", columns)
    page.fill("#f-amount", "0.2")
    page.click("button:has-text('Preview')")
    page.wait_for_selector("figure svg[role=img]")
    page.wait_for_selector("#f-sure")
    page.check("#f-sure")
    page.click("button:has-text('Run')")


def test_a_researcher_previews_runs_and_sees_the_interval(local: Local, chromium: Browser) -> None:
    with reader(chromium, local.facts["url"]) as seen:
        page = _enter(seen, local, local.facts["token"])
        page.click(f"a[href='/studies/{STUDY}']")
        _give_leave(local, page)
        _ask(page, "histogram", "age")
        page.wait_for_selector("text=See the answer")
        page.click("text=See the answer")
        assert page.locator("figure svg[role=img]").count() == 1
        shown = page.locator("tbody tr").count()
        client = connect(local.facts["url"], local.facts["token"])
        result = client.study(STUDY).release(page.url.rpartition("/")[2])
        assert shown == len(result.display)
        assert len(result.receipts) == 3
        seen.keep("tour-answer")
        assert seen.troubles == []


def test_an_organisation_pauses_and_the_researcher_sees_the_refusal(
    local: Local, chromium: Browser
) -> None:
    [node] = [each for each in local.facts["nodes"] if each["name"] == NODE]
    with reader(chromium, node["url"]) as seen, reader(chromium, local.facts["url"]) as asking:
        page = _console(seen, local)
        page.click("text=Pause now")
        assert page.inner_text("main .state") == "paused"
        researcher = _enter(asking, local, local.facts["token"])
        asking.go(f"/studies/{STUDY}")
        _give_leave(local, researcher)
        _ask(researcher, "mean", "score")
        researcher.wait_for_selector("main .notice.bad")
        said = researcher.inner_text("main")
        assert "paused" in said or "Fewer nodes than needed" in said
        page.click("text=Answer again")
        assert page.inner_text("main .state") == "running"
        assert seen.troubles == asking.troubles == []


def test_an_auditor_verifies_and_an_edited_ledger_is_named(
    local: Local, chromium: Browser, tmp_path: Path
) -> None:
    token = local.facts["auditor_token"]
    bundle = tmp_path / "bundle"
    pulled = local.cairn(token, "audit", "pull", "--out", str(bundle))
    assert pulled.returncode == 0, pulled.stderr
    checked = local.cairn("", "audit", "verify", str(bundle))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    entries = bundle / "nodes" / NODE / "entries.jsonl"
    seq = next(n for n, e in enumerate(entries.read_bytes().splitlines()) if b'"commit"' in e)
    entries.write_bytes(entries.read_bytes().replace(b'"commit"', b'"Commit"', 1))
    broken = local.cairn("", "audit", "verify", str(bundle))
    assert broken.returncode == 6
    assert f"nodes/{NODE}/entries.jsonl: entry {seq}" in broken.stdout + broken.stderr
    with reader(chromium, local.facts["url"]) as seen:
        page = _enter(seen, local, token)
        page.click("a[href='/audit']")
        assert NODE in page.inner_text("main")
        seen.keep("tour-audit")
        seen.verify()
        assert "Everything holds" in page.inner_text("main [role=status]")
        with _edited(local, seq):
            seen.verify()
            said = page.inner_text("main [role=alert]")
            assert f"Entry {seq} of the ledger of {NODE} does not hold" in said
            seen.keep("tour-audit-edited")
        seen.verify()
        assert "Everything holds" in page.inner_text("main [role=status]")
        assert seen.troubles == []


@contextmanager
def _edited(local: Local, seq: int) -> Iterator[None]:
    """The coordinator's own file with one charge of a ledger changed, while the block runs."""
    where = "WHERE node = ? AND seq = ?"
    with closing(sqlite3.connect(_database(local), timeout=20)) as store:
        (data,) = store.execute(f"SELECT data FROM ledger_entries {where}", (NODE, seq)).fetchone()  # noqa: S608

        def put(value: bytes) -> None:
            with store:
                change = f"UPDATE ledger_entries SET data = ? {where}"  # noqa: S608
                assert store.execute(change, (value, NODE, seq)).rowcount == 1

        put(data.replace(b'"commit"', b'"Commit"', 1))
        try:
            yield
        finally:
            put(data)


def _database(local: Local) -> Path:
    node = Path(local.facts["nodes"][0]["dir"])
    return node.parent.parent / "coordinator" / "store.sqlite"


def test_a_spreadsheet_becomes_a_nodes_data(
    local: Local, chromium: Browser, tmp_path: Path
) -> None:
    [node] = [each for each in local.facts["nodes"] if each["name"] == NODE]
    people = net_data.members(7, 45)
    file = tmp_path / "people.xlsx"
    with pd.ExcelWriter(file) as book:
        people.to_excel(book, sheet_name="members", index=False)
        net_data.symptoms(people, 7).to_excel(book, sheet_name="symptoms", index=False)
    with reader(chromium, node["url"]) as seen:
        page = _console(seen, local)
        seen.go("/console/data")
        page.click("text=Import a spreadsheet")
        page.set_input_files("#f-file", file)
        page.click("text=Look at it")
        page.click("button[value=import]")
        page.wait_for_selector("#state [role=status]")
        assert "45 members" in page.inner_text("[role=status]")
        assert seen.troubles == []
    with local.steward(NODE) as steward:
        assert steward.get("/v1/status").json()["members"] == 45
