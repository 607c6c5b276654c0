"""What everybody may read, in a real browser: public results, cards in frames of other sites, and
cards as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser
from typer.testing import CliRunner

from coordinator.api.services import ApiSettings
from coordinator.cli.researcher import app
from coordinator.client.errors import Refused
from coordinator.client.network import Network, connect
from privacy.contract.token import Role
from tests.support.browser import NARROW, WIDE, browser, reader
from tests.support.fake_executor import approve, make_world, serve

pytestmark = pytest.mark.processes
STUDY = "als-progression"
FOUND = "Most people took no riluzole.\n\nWe do not know why."


@dataclass
class Public:
    """A published study with one public answer and one that stays with its researchers."""

    url: str
    browser: Browser
    public: str
    kept: str

    @property
    def net(self) -> Network:
        made = connect(self.url)
        assert isinstance(made, Network)
        return made


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    settings = ApiSettings(secure_cookies=False)
    folder: Path = tmp_path_factory.mktemp("insights")
    world = make_world(folder, settings=settings, clock=lambda: datetime.now(UTC))
    with serve(world.app) as url, browser() as chromium:
        study = connect(url, world.tokens[Role.RESEARCHER].text).study(STUDY)
        shown = study.histogram("severity").run(epsilon=0.5)
        kept = study.mean("age").run(epsilon=0.5)
        approve(world)
        study.close()
        study.publish(FOUND, [shown.release[:12]])
        yield Public(url, chromium, shown.release, kept.release)
    world.store.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_public_pages_are_for_everybody(public: Public, width: int, dark: bool) -> None:
    with reader(public.browser, public.url, width=width, dark=dark) as seen:
        for path in ("/insights", f"/insights/{STUDY}", f"/insights/{STUDY}/card"):
            page = seen.go(path)
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
            seen.keep(f"{path.strip('/').replace('/', '-')}-{width}-{dark}")
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
            assert seen.unreadable() == [], path
        assert seen.troubles == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_study_says_what_it_found_in_words_a_chart_and_a_table(
    public: Public, scripts: bool
) -> None:
    with reader(public.browser, public.url, scripts=scripts) as seen:
        page = seen.go("/insights")
        page.click(f"a[href='/insights/{STUDY}']")
        said = page.inner_text("main")
        assert all(part in said for part in FOUND.split("\n\n"))
        assert "Members of Als-Union, Mood-Circle, Ms-League" in said
        assert "if you take part, at most" in said
        chart = page.locator("figure svg[role=img]")
        assert chart.count() == 1
        assert "severity" in (chart.get_attribute("aria-label") or "")
        page.locator("summary", has_text="table").click()
        rows = page.locator("tbody tr").count()
        assert rows == len(public.net.insight(STUDY).result().display)
        assert seen.troubles == []


def test_nothing_but_what_was_published_can_be_read(public: Public) -> None:
    said = public.net.insight(STUDY)
    assert [each.release for each in said.results] == [public.public]
    for path in (f"/insights/{STUDY}", f"/insights/{STUDY}/card", f"/api/register/{STUDY}"):
        body = httpx.get(public.url + path, trust_env=False).text
        assert public.kept not in body
        assert "mean of" not in body.lower()
    with pytest.raises(Refused):
        public.net.insight("no-such-study")


def test_other_sites_may_frame_a_card_and_nothing_else(public: Public) -> None:
    asked = ("/insights", f"/insights/{STUDY}", "/sign-in", f"/insights/{STUDY}/file.html")
    frames = "".join(f"<iframe src='{public.url}{path}'></iframe>" for path in asked)
    outside = FastAPI()

    @outside.get("/")
    def foreign() -> HTMLResponse:
        card = f"<iframe src='{public.url}/insights/{STUDY}/card?result=1'></iframe>"
        return HTMLResponse(f"<!doctype html><title>Ours</title>{card}{frames}")

    with serve(outside) as there, reader(public.browser, there) as seen:
        page = seen.go("/")
        card = page.frame_locator("iframe >> nth=0")
        card.locator("figure svg[role=img]").wait_for()
        assert FOUND.split("\n\n", maxsplit=1)[0] in card.locator("main").inner_text()
        refused = [each for each in seen.troubles if "frame-ancestors" in each]
        assert len(refused) == 3
        shown = [each.url for each in page.frames if each.url.startswith(public.url)]
        assert shown == [f"{public.url}/insights/{STUDY}/card?result=1"]


def test_a_card_of_ones_own_is_one_file_that_fetches_nothing(
    public: Public, tmp_path: Path
) -> None:
    file = tmp_path / "card.html"
    public.net.insight(STUDY).save(file)
    seen: list[str] = []
    heard: list[str] = []
    context = public.browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.goto(file.as_uri())
    assert seen == [file.as_uri()]
    assert heard == []
    assert page.locator("figure svg[role=img]").count() == 1
    weight = page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize")
    assert weight == "25.6px"  # its own style is applied under its own policy
    context.close()


def test_files_of_the_page_are_what_the_client_writes(public: Public, tmp_path: Path) -> None:
    insight = public.net.insight(STUDY)
    with reader(public.browser, public.url) as seen:
        page = seen.go(f"/insights/{STUDY}")
        page.click("text=Put it on your own site")
        assert f"{public.url}/insights/{STUDY}/card?result=1" in page.inner_text("pre")
        for kind in ("html", "svg", "csv"):
            with page.expect_download() as download:
                page.click(f"a:has-text('({kind.upper()})')")
            insight.save(tmp_path / f"it.{kind}")
            served = Path(download.value.path()).read_text("utf-8")
            assert served == (tmp_path / f"it.{kind}").read_text("utf-8")
    assert "http" not in re.sub(r'xmlns\S*="http://www.w3.org/\S*"', "", insight.svg())


def test_the_command_line_needs_no_token(public: Public, tmp_path: Path) -> None:
    env = {"CAIRN_URL": public.url, "CAIRN_TOKEN": "", "NO_COLOR": "1"}
    told = CliRunner().invoke(app, ["insights", "show", STUDY], env=env)
    assert FOUND in told.stdout
    listed = CliRunner().invoke(app, ["insights", "list", "--format", "csv"], env=env)
    assert "published" in listed.stdout
    out = tmp_path / "card.html"
    made = CliRunner().invoke(app, ["insights", "export", STUDY, "--write", str(out)], env=env)
    assert made.stdout == f"{out}\n"
    assert "<svg" in out.read_text("utf-8")
    wrong = CliRunner().invoke(
        app, ["insights", "export", STUDY, "--write", str(out), "--result", "2"], env=env
    )
    assert wrong.exit_code == 2
    assert "answers published: 1" in wrong.stderr


def test_what_is_not_there_is_said(public: Public) -> None:
    with reader(public.browser, public.url) as seen:
        for path in ("/insights/none", "/insights/none/card", f"/insights/{STUDY}/file.exe"):
            assert "not_found" in seen.go(path).inner_text("main"), path
        assert "bad_request" in seen.go(f"/insights/{STUDY}/card?result=x").inner_text("main")
        assert "answers published" in seen.go(f"/insights/{STUDY}/card?result=9").inner_text("main")
