"""What is typed wrong at the console: told in plain words, kept, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.support.browser import reader
from tests.support.console import Console, opened_console

pytestmark = pytest.mark.processes
LONG = "why " * 2_000


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("input")) as made:
        yield made


def test_a_reason_that_no_ledger_holds_is_told_and_kept(console: Console) -> None:
    study = console.propose("long-reason").digest
    before = len(console.node.bodies)
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go(f"/console/studies/{study}")
        for button in ("approved", "asked", "refused"):
            page.fill("#f-reason", LONG)
            page.click(f"button[value={button}]")
            assert "more than 4,096 characters" in page.inner_text("#e-reason"), button
            assert page.input_value("#f-reason") == LONG.strip()
        page = seen.go("/console/people/leave")
        page.fill("#f-name", console.node.service.node)
        page.fill("#f-reason", LONG)
        page.click("text=Leave for good")
        assert "more than 4,096 characters" in page.inner_text("#e-reason")
        page = seen.go("/console/people")
        page.fill("#f-name", "x" * 200)
        page.click("button:has-text('Invite')")
        assert "1 to 128 characters" in page.inner_text("#e-name")
        assert page.input_value("#f-name") == "x" * 200
        page = seen.go("/console/data")
        page.fill("#f-folder", "x" * 5_000)
        page.click("text=Check it")
        assert "no such folder" in page.inner_text("#e-folder")
    assert len(console.node.bodies) == before


def test_the_api_says_what_is_too_long_as_well(console: Console) -> None:
    study = console.propose("long-reason-2").digest
    said = httpx.post(
        f"{console.url}/v1/studies/{study}/decision",
        json={"decision": "refused", "reason": LONG},
        headers={"Authorization": f"Bearer {console.token}"},
        trust_env=False,
    )
    assert said.status_code == 422
    assert "more than 4,096 characters" in said.json()["detail"]


def test_an_entry_that_was_edited_is_named_where_the_ledger_is_verified(console: Console) -> None:
    with closing(sqlite3.connect(console.node.home.ledger_file)) as file:
        every = file.execute("SELECT seq, data FROM entries ORDER BY seq").fetchall()
        seq, data = next((seq, data) for seq, data in every if b'"kind":"commit"' in data)
        change = "UPDATE entries SET data = ? WHERE seq = ?"
        try:
            file.execute(change, (data.replace(b"commit", b"Commit", 1), seq))
            file.commit()
            with reader(console.browser, console.url, scripts=False) as seen:
                console.enter(seen)
                page = seen.go("/console/activity")
                page.click("text=Verify the ledger")
                assert f"entry {seq}" in page.inner_text("[role=alert]")
        finally:
            file.execute(change, (data, seq))
            file.commit()


def test_an_empty_policy_is_not_tried_and_rules_say_what_they_need(console: Console) -> None:
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/policy")
        page.click("button[value=try]")
        assert "nothing is written" in page.inner_text("#e-content")
        assert not page.locator("text=Put it in force").count()
        page = seen.go("/console/studies")
        page.click("button[aria-label^='Begin: approve what known']")
        assert page.inner_text("#e-rule").startswith("nobody who proposes studies is known here")


def test_a_refusal_is_a_sentence_with_its_code(console: Console) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        text = seen.go(f"/console/studies/{'0' * 64}").inner_text("main")
        assert "There is no such study here." in text
        assert "unknown_study" in text
        assert seen.complaints() == []
        console.propose("with-a-space")
        text = seen.go("/console/studies").inner_text("main")
        assert "Your policy allows it. It waits for you" in text
