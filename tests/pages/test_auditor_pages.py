"""The auditor's pages over a real network in one process, by clicking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from coordinator.api import dossiers
from coordinator.api.services import ApiSettings
from coordinator.client import connect
from coordinator.client.audit import Audit
from coordinator.client.errors import Refused
from coordinator.client.network import Network as Client
from coordinator.pages import dossiers as dossier_pages
from coordinator.store.tables import LedgerEntryRow
from privacy.contract.token import Role
from privacy.errors import VerificationFailed
from privacy.ledger.entry import PolicySet
from tests.support.auditor import AUDITOR, let_in
from tests.support.browser import NARROW, WIDE, browser, reader
from tests.support.fake_executor import serve
from tests.support.network import Network, Shape, make_network, make_policy
from tests.support.served import app_of

pytestmark = pytest.mark.processes

NODE = "ms-league"
PAGES = (
    "/audit",
    f"/audit/ledgers/{NODE}",
    f"/audit/ledgers/{NODE}?kind=commit&since=2026-01-01",
    f"/audit/ledgers/{NODE}?kind=left",
    f"/audit/ledgers/{NODE}?since=yesterday",
    f"/audit/ledgers/{NODE}/0",
    "/audit/verify",
    "/audit/dossiers",
    "/audit/dossiers/study-als-progression",
    f"/audit/dossiers/node-{NODE}",
    f"/audit/organisations/{NODE}?old=1&new=2",
    "/audit/withdrawals",
    "/audit/what-if",
    "/audit/what-if?period=0.3",
    "/audit/what-if?period=lots&memberships=x",
)
LATER = ("/audit", "/audit/verify", "/audit/dossiers", "/audit/withdrawals", "/audit/what-if")


@dataclass
class Site:
    """A network with its coordinator served, an auditor, and a browser."""

    network: Network
    url: str
    cookie: tuple[str, str]
    browser: Browser

    @property
    def audit(self) -> Audit:
        """The auditor's own program."""
        made = connect(self.url, AUDITOR.text)
        assert isinstance(made, Client)
        return made.audit

    def seq(self, kind: str) -> int:
        """The newest entry of a kind."""
        return int(self.audit.entries(NODE, kind=kind)["entries"][0]["seq"])

    @contextmanager
    def edited(self, seq: int, old: bytes, new: bytes) -> Iterator[None]:
        """The coordinator's copy with one entry changed, for as long as the block runs."""
        database = self.network.store.ledgers._database
        (before,) = self.network.store.ledgers.entries(NODE, seq, seq + 1)
        assert old in before
        for data in (before.replace(old, new, 1), before):
            with database.write() as session:
                row = session.get(LedgerEntryRow, (NODE, seq))
                assert row is not None
                row.data = data
            if data != before:
                try:
                    yield
                except BaseException:
                    with database.write() as session:
                        session.merge(LedgerEntryRow(node=NODE, seq=seq, data=before))
                    raise


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    network = make_network(tmp_path_factory.mktemp("auditor"), Shape())
    assert network.ask({"kind": "count"}, epsilon="0.5").release
    steward = network.nodes[NODE].steward
    steward.pause()
    steward.resume()
    for limit in ("5", "4"):
        tighter = make_policy(network.shape, NODE).model_copy(update={"question_epsilon": limit})
        changed = PolicySet.of(tighter, "ada", "after the board's meeting")
        network.nodes[NODE].service.ledger.append(changed)
    let_in(network)
    network.settle()
    app = app_of(network, ApiSettings(secure_cookies=False))
    person = next(p for p in network.store.people.all() if p.role is Role.AUDITOR)
    cookie = app.state.services.sessions.open_web(person).cookie
    with serve(app) as url, browser() as chromium:
        made = Site(network, url, ("cairn", cookie), chromium)
        made.audit.verify(pause=lambda _seconds: None)
        yield made
    network.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_every_page_is_for_everybody(site: Site, width: int, dark: bool) -> None:
    with reader(site.browser, site.url, site.cookie, width=width, dark=dark) as seen:
        for path in PAGES:
            seen.go(path)
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
            assert seen.unreadable() == [], path
            name = path.strip("/").replace("/", "-").replace("?", "-").partition("=")[0]
            seen.keep(f"auditor-{name}-{width}-{dark}")
        assert seen.troubles == []


@pytest.mark.parametrize("scripts", [True, False])
def test_an_auditor_verifies_by_clicking(site: Site, scripts: bool) -> None:
    with reader(site.browser, site.url, site.cookie, scripts=scripts) as seen:
        page = seen.go("/audit")
        assert "trust nobody" in page.inner_text("main")
        seen.verify()
        assert page.url == f"{site.url}/audit/verify"
        assert "Everything holds" in page.inner_text("[role=status]")
        assert "on your own machine" in page.inner_text("main")
        assert not scripts or seen.complaints() == []
        page.reload()
        assert "Everything holds" in page.inner_text("[role=status]")
        seen.go("/audit")
        assert "verified in full up to" in page.inner_text("main")
        with page.expect_download() as download:
            page.click("text=Download the bundle")
        assert Path(download.value.path()).stat().st_size > 1000
        assert seen.troubles == []


@pytest.mark.parametrize("scripts", [True, False])
def test_an_edited_ledger_is_named_by_its_entry(site: Site, scripts: bool) -> None:
    seq = site.seq("commit")
    with (
        reader(site.browser, site.url, site.cookie, scripts=scripts, width=NARROW) as seen,
        site.edited(seq, b'"rho":"', b'"rho":"1'),
    ):
        page = seen.go("/audit/verify")
        seen.verify()
        said = page.inner_text("[role=alert]")
        assert f"Entry {seq} of the ledger of {NODE} does not hold" in said
        assert "cairn audit verify" in said
        assert "by telephone" in said
        assert not scripts or seen.complaints() == []
        assert seen.overflow() == 0
        seen.keep(f"auditor-edited-{scripts}")
        page.click(f"text=See entry {seq}")
        assert "No. It is not the entry that the organisation signed" in page.inner_text("main")
        assert not scripts or seen.complaints() == []
        seen.go("/audit")
        assert f"Entry {seq} of the ledger of {NODE}" in page.inner_text("main")
        with pytest.raises(VerificationFailed, match=f"entry {seq}"):
            site.audit.verify(pause=lambda _seconds: None)
        with pytest.raises(VerificationFailed):
            site.audit.entry(NODE, seq).check()
    assert site.audit.verify(pause=lambda _seconds: None)["plans"] == 1


def test_a_coordinator_that_starts_on_an_edited_ledger_says_so(site: Site) -> None:
    seq = site.seq("commit")
    settings = ApiSettings(secure_cookies=False)
    with site.edited(seq, b'"rho":"', b'"rho":"1'), serve(app_of(site.network, settings)) as url:
        audit = connect(url, AUDITOR.text)
        assert isinstance(audit, Client)
        told = {each["node"]: each for each in audit.audit.overview()["nodes"]}
        assert told[NODE]["trouble"]["entry"] == seq
        assert told["als-union"]["trouble"] is None
        with pytest.raises(VerificationFailed):
            audit.audit.entry(NODE, 0).check()


def test_what_is_sought_stands_in_the_address(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie, scripts=False) as seen:
        page = seen.go(f"/audit/ledgers/{NODE}")
        every = page.locator("ul.entries li").count()
        page.select_option("#f-kind", "reserve")
        page.fill("#f-since", "2026-01-01")
        page.click("button:has-text('Show')")
        assert "kind=reserve" in page.url
        assert page.locator("ul.entries li").count() == 1
        assert "Counts members" in page.inner_text("ul.entries")
        assert page.input_value("#f-kind") == "reserve"
        researcher = page.locator("#f-researcher option").nth(1).get_attribute("value")
        assert researcher is not None
        page.select_option("#f-kind", "")
        page.select_option("#f-researcher", researcher)
        page.click("button:has-text('Show')")
        assert 1 < page.locator("ul.entries li").count() < every
        seen.go(f"/audit/ledgers/{NODE}?since=yesterday")
        assert page.input_value("#f-since") == "yesterday"
        assert "2026-11-22" in page.inner_text("#e-since")
        assert seen.troubles == []


def test_an_entry_with_its_proof_is_what_the_client_returns(site: Site) -> None:
    seq = site.seq("commit")
    entry = site.audit.entry(NODE, seq)
    (kept,) = site.network.store.ledgers.entries(NODE, seq, seq + 1)
    key = site.network.store.network.roster.keys[NODE]
    assert entry.text.encode() == kept
    assert entry.check(key) > seq
    with pytest.raises(VerificationFailed):
        entry.check(site.network.store.network.roster.keys["als-union"])
    with reader(site.browser, site.url, site.cookie) as seen:
        page = seen.go(f"/audit/ledgers/{NODE}/{seq}")
        assert entry.words in page.inner_text("main")
        for kind, wanted in (("entry", kept), ("proof", None)):
            with page.expect_download() as download:
                page.click(f"text=Download the {kind}")
            body = Path(download.value.path()).read_bytes()
            assert body == wanted or json.loads(body) == entry.proof_json()
        assert seen.troubles == []


def test_the_overview_is_what_the_client_returns(site: Site) -> None:
    said = site.audit.overview()
    (node,) = [each for each in said["nodes"] if each["node"] == NODE]
    state = site.network.nodes[NODE].service.ledger.state
    assert node["spent"]["rho"] == state.period_charged.text
    assert node["entries"] == state.size
    assert {each["by"] for each in node["witnesses"] if each["cosigned"]} >= {"coordinator"}
    with reader(site.browser, site.url, site.cookie) as seen:
        text = seen.go("/audit").inner_text("main")
        for each in said["nodes"]:
            assert each["name"] in text
            assert each["period"] in text


def test_pages_of_a_long_ledger_are_turned(site: Site) -> None:
    first = site.audit.entries(NODE)
    assert first["page"] == 1
    assert site.audit.entries(NODE, page=99)["page"] == first["pages"]


@pytest.mark.parametrize("path", ["/audit/ledgers/none", "/audit/ledgers/ms-league/99999"])
def test_what_is_not_there_is_told(site: Site, path: str) -> None:
    with reader(site.browser, site.url, site.cookie) as seen:
        assert "not_found" in seen.go(path).inner_text("main")


def test_nobody_else_reads_or_verifies(site: Site) -> None:
    researcher = connect(site.url, site.network.researcher.text)
    assert isinstance(researcher, Client)
    for ask in (researcher.audit.overview, researcher.audit.start_verification):
        with pytest.raises(Refused, match="role"):
            ask()


def test_before_a_verification_every_page_says_what_to_do(site: Site) -> None:
    app = app_of(site.network, ApiSettings(secure_cookies=False))
    with serve(app) as url, reader(site.browser, url, site.cookie, width=NARROW) as seen:
        for path in LATER:
            text = seen.go(path).inner_text("main")
            assert "since the coordinator started" in text, path
            assert seen.page.locator("button:has-text('Verify')").count() == 1
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
        assert seen.troubles == []


@pytest.mark.parametrize("name", ["study-als-progression", f"node-{NODE}"])
def test_a_dossier_is_what_the_report_writes(site: Site, name: str) -> None:
    audit = site.audit
    said = audit.dossier(name)
    assert name in {each["name"] for each in audit.dossiers()["dossiers"]}
    with reader(site.browser, site.url, site.cookie) as seen:
        page = seen.go("/audit/dossiers")
        page.click(f"a[href='/audit/dossiers/{name}']")
        text = page.inner_text("main")
        for section in said["sections"]:
            assert section["title"] in text
        for form, begins in (("PDF", b"%PDF-"), ("HTML", b"<!doctype html>")):
            with page.expect_download() as download:
                page.click(f"text={form} >> nth=0")
            body = Path(download.value.path()).read_bytes()
            assert body.startswith(begins)
            assert body == audit.dossier_file(name, form.lower())
        assert seen.troubles == []


def test_a_long_table_of_a_dossier_shows_its_last_lines_and_where_all_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossier_pages, "_ROWS", 1)
    name, caption = f"node-{NODE}", "What later policies changed"
    (long,) = [each for each in _tables(site.audit.dossier(name)) if each["caption"] == caption]
    (last,) = [each for each in _tables(site.audit.dossier(name, 1)) if each["caption"] == caption]
    assert last["rows"] == long["rows"][-1:]
    assert (long["left_out"], last["left_out"]) == (0, len(long["rows"]) - 1)
    with reader(site.browser, site.url, site.cookie) as seen:
        page = seen.go(f"/audit/dossiers/{name}")
        assert page.locator(f"table:has(caption:text-is('{caption}')) tbody tr").count() == 1
        assert f"The last 1 of {len(long['rows'])} lines." in page.inner_text("main")
        assert seen.complaints() == []
        with page.expect_download() as download:
            page.locator("text=All of them stand in the file").first.click()
        whole = unescape(Path(download.value.path()).read_text("utf-8"))
        assert all(row[4][0]["text"] in whole for row in long["rows"])


def _tables(said: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = [block for section in said["sections"] for block in section["blocks"]]
    return [block for block in blocks if block["kind"] == "table"]


def test_without_typst_a_dossier_says_what_to_install(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossiers, "can_set_paper", lambda: False)
    with reader(site.browser, site.url, site.cookie) as seen:
        text = seen.go(f"/audit/dossiers/node-{NODE}").inner_text("main")
        assert "pip install 'cairn-network[audit]'" in text
        assert seen.complaints() == []
        seen.go(f"/audit/dossiers/node-{NODE}/file.pdf")
        assert "missing_software" in seen.page.inner_text("main")


def test_policies_say_who_changed_what_and_why(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie, scripts=False) as seen:
        page = seen.go(f"/audit/organisations/{NODE}")
        text = page.inner_text("main")
        first, second, _third = site.audit.policies(NODE)["versions"]
        assert "after the board's meeting" in text
        assert "by ada" in text
        assert "in 100 instead of 10 in 100" in text
        assert second["changes"]["one question"] in text.replace("\t", " -> ")
        page.select_option("#f-old", "2")
        page.select_option("#f-new", "1")
        page.click("button:has-text('Compare')")
        assert page.inner_text("ins >> nth=0") == first["words"]["one question"]
        assert page.inner_text("del >> nth=0") == second["words"]["one question"]


def test_what_was_taken_back_is_what_the_client_returns(site: Site) -> None:
    (pause,) = site.audit.withdrawals()["withdrawals"]
    assert (pause["node"], pause["kind"], pause["charged_after"]) == (NODE, "paused", 0)
    with reader(site.browser, site.url, site.cookie) as seen:
        text = seen.go("/audit/withdrawals").inner_text("main")
        assert "paused: every question" in text
        assert "at once" in text


@pytest.mark.parametrize("scripts", [True, False])
def test_other_limits_are_tried_by_clicking(site: Site, scripts: bool) -> None:
    with reader(site.browser, site.url, site.cookie, scripts=scripts) as seen:
        page = seen.go("/audit/what-if")
        page.fill("#f-period", "0.3")
        page.check(f"#n-{NODE}")
        page.click("button:has-text('Replay')")
        assert "1 of 1 question would have been refused" in page.inner_text("main")
        assert page.input_value("#f-period") == "0.3"
        assert page.is_checked(f"#n-{NODE}")
        found = site.audit.replay({"period": "0.3"}, nodes=[NODE])
        assert found["refused"][0]["words"] in page.inner_text("main")
        page.fill("#f-period", "a lot")
        page.fill("#f-noise", "0")
        page.click("button:has-text('Replay')")
        assert "an epsilon above 0, for instance 1." in page.inner_text("#e-period")
        assert page.input_value("#f-period") == "a lot"
        page.fill("#f-period", "")
        page.click("button:has-text('Replay')")
        assert page.inner_text("#e-noise")
        assert page.input_value("#f-noise") == "0"
        assert seen.troubles == []
