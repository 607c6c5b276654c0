"""A coordinator that lost its key: the page on which an organisation decides to go by another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy.ledger.coordinator_entry import CoordinatorAccepted
from tests.support.browser import NARROW, reader
from tests.support.console import Console, opened_console
from tests.support.ledger_factory import signing_key
from tests.support.network import COORDINATOR
from tests.support.rotating import rotate
from tests.support.stewards import join_stewards

pytestmark = pytest.mark.processes

PAGE = "/console/coordinator"
STRANGER = signing_key("a stranger")


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A key was lost: the coordinator signs with another one, which nodes were only offered."""
    with opened_console(tmp_path / "console") as made:
        rotate(made.network, tmp_path, lost=True)
        made.network.settle()
        assert made.node.service.coordinator == COORDINATOR.public
        yield made


def accepted(console: Console) -> list[CoordinatorAccepted]:
    return [body for body in console.node.bodies if isinstance(body, CoordinatorAccepted)]


def test_a_fingerprint_that_was_compared_is_gone_by(console: Console) -> None:
    new = console.network.key.public
    with reader(console.browser, console.url, scripts=False, width=NARROW) as seen:
        console.enter(seen)
        seen.page.click("text=Decide about the coordinator's key")
        page = seen.page
        said = page.inner_text("main")
        assert COORDINATOR.public.fingerprint in said
        assert new.fingerprint in said
        assert "cannot be taken back" in said
        page.click("text=Go by this key")
        assert "nothing is written" in page.inner_text("#e-key")
        page.fill("#f-key", new.fingerprint)
        page.click("text=Go by this key")
        assert "what happened" in page.inner_text("#e-reason")
        page.fill("#f-reason", "fire; Kim, by telephone")
        page.fill("#f-key", STRANGER.public.fingerprint)
        page.click("text=Go by this key")
        assert "no key of this fingerprint was offered" in page.inner_text("#e-key")
        assert accepted(console) == []
        page.fill("#f-key", COORDINATOR.public.fingerprint)
        page.click("text=Go by this key")
        assert "in force already" in page.inner_text("[role=alert]")
        page.fill("#f-key", new.fingerprint)
        page.click("text=Go by this key")
        assert seen.overflow() == 0
        assert "no other key" in page.inner_text("main")
    (entry,) = accepted(console)
    assert (entry.key, entry.by, entry.reason) == (new.text, "ada", "fire; Kim, by telephone")
    assert console.node.service.coordinator == new


def test_a_stewards_own_key_signs_where_there_is_one(console: Console) -> None:
    new = console.network.key.public
    (ina,) = join_stewards(console.node, "Ina")
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go(PAGE)
        assert seen.complaints() == []
        seen.keep("console-coordinator")
        page.fill("#f-key", new.fingerprint)
        page.fill("#f-reason", "stolen; Kim, by telephone")
        page.click("text=Go by this key")
        assert accepted(console) == []
        assert "do: accept-coordinator" in page.inner_text("section:has(#h-sign)")
        assert new.fingerprint in page.inner_text("main .notice")
        assert seen.complaints() == []
        seen.keep("console-coordinator-sign")
        console.sign(page, STRANGER)
        assert "no steward's key" in page.inner_text("#e-signature")
        console.sign(page, ina)
        assert "no other key" in page.inner_text("main")
        assert seen.troubles == []
    (entry,) = accepted(console)
    assert (entry.key, entry.by) == (new.text, "Ina")
    assert entry.signed is not None
    assert entry.signed.key == ina.public.text


def test_without_a_session_or_its_token_nothing_is_decided(console: Console) -> None:
    with reader(console.browser, console.url) as seen:
        closed = seen.go(PAGE).inner_text("body")
        assert COORDINATOR.public.fingerprint not in closed
        console.enter(seen)
        answer = seen.page.request.post(
            console.url + PAGE,
            form={"key": console.network.key.public.fingerprint, "reason": "forged", "token": "x"},
        )
        assert answer.status == 409
    assert accepted(console) == []
