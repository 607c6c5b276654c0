"""People and keys at the console: who joins, whose key ends, and an organisation that leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from node.cli import app
from node.home import write_private
from node.steward_keys import read_key_file
from privacy.ledger.steward_entry import StewardInvited
from privacy.ledger.upkeep_entry import Leaving, Left
from tests.support.browser import NARROW, reader
from tests.support.console import NODE, Console, opened_console

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("people")) as made:
        yield made


def accept(page: Page, folder: Path, name: str) -> Path:
    """What an invited person does on a machine of their own with what the page shows once."""
    invitation, key = folder / f"{name}.invitation", folder / f"{name}.key"
    write_private(invitation, page.inner_text("[role=status] pre code").encode())
    args = ["steward", "join", str(invitation), "--key", str(key), "--away"]
    printed = CliRunner().invoke(app, args)
    assert printed.exit_code == 0, printed.stderr
    page.fill("#f-joined", printed.stdout)
    page.click("text=Enter their key")
    return key


def test_stewards_join_and_end_by_signature(console: Console, tmp_path: Path) -> None:
    with reader(console.browser, console.url, width=NARROW, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/people")
        assert console.node.service.key.public.fingerprint in page.inner_text("main")
        page.get_by_role("button", name="Invite", exact=True).click()
        assert "nobody is named" in page.inner_text("#e-name")
        page.fill("#f-name", "Ina")
        page.get_by_role("button", name="Invite", exact=True).click()
        ina = accept(page, tmp_path, "ina")
        fingerprint = read_key_file(ina).public.fingerprint
        assert fingerprint in page.inner_text("main tbody")
        page.fill("#f-joined", "cairn-joined:abc")
        page.click("text=Enter their key")
        assert "cut off" in page.inner_text("#e-joined")
        assert page.input_value("#f-joined") == "cairn-joined:abc"
        page.fill("#f-name", "Tom")
        page.get_by_role("button", name="Invite", exact=True).click()
        assert "do: invite" in page.inner_text("section:has(#h-sign)")
        page.fill("#f-signature", "x")
        page.click("text=Put it in the ledger")
        assert "begin with" in page.inner_text("#e-signature")
        console.sign(page, read_key_file(ina))
        tom = accept(page, tmp_path, "tom")
        page = seen.go("/console/people")
        page.get_by_label("End the key of Tom").click()
        assert "no reason" in page.inner_text("td .wrong")
        page.get_by_label("Why the key of Tom").fill("lost it")
        page.get_by_label("End the key of Tom").click()
        assert "do: end" in page.inner_text("section:has(#h-sign)")
        console.sign(page, read_key_file(ina))
        assert page.locator("main tbody tr").count() == 1
        assert read_key_file(tom).public.fingerprint in page.content()
        assert seen.troubles == []
    invited = [body for body in console.node.bodies if isinstance(body, StewardInvited)]
    assert [(body.name, body.by) for body in invited] == [("Ina", "ada"), ("Tom", "Ina")]


def test_an_invitation_is_shown_once_and_to_one_session(console: Console) -> None:
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/people")
        page.fill("#f-name", "Eve")
        page.click("text=Every steward's key is lost")
        page.check("#f-recovery")
        page.get_by_role("button", name="Invite", exact=True).click()
        assert "no reason" in page.inner_text("#e-name")
        assert page.input_value("#f-name") == "Eve"
        page.fill("#f-why", "a fire")
        page.get_by_role("button", name="Invite", exact=True).click()
        secret = page.inner_text("[role=status] pre code")
        assert secret.startswith("cairn_")
        assert secret not in seen.go("/console/people").content()
        assert "Eve" in seen.page.inner_text("main")


def test_leaving_is_one_entry_after_the_name_was_written(console: Console) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/people/leave")
        page.fill("#f-name", "another")
        page.fill("#f-reason", "merged with the others")
        page.click("text=Leave for good")
        assert "not the node's name" in page.inner_text("#e-name")
        assert page.input_value("#f-reason") == "merged with the others"
        assert not console.node.service.ledger.state.leaving
        page.fill("#f-name", NODE)
        page.click("text=Leave for good")
        assert "has left" in page.inner_text("[role=status]")
        assert seen.complaints() == []
        home = seen.go("/console/")
        assert home.inner_text("main .state") == "left"
        assert home.locator("text=Pause now").count() == 0
        assert seen.complaints() == []
        assert seen.troubles == []
    last = console.node.bodies[-2:]
    assert last == [Leaving(by="ada", reason="merged with the others"), Left()]
