"""The documentation as a site: it builds without a complaint and fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

from tests.support.browser import NARROW, WIDE, browser, reader

pytestmark = pytest.mark.processes
ROOT = Path(__file__).resolve().parents[2]
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link|source|video)\b[^>]*(?:src|href)=["']?(?:https?:)?//"""
)
IN_STYLE = re.compile(r"""(?:url\(|@import\s*)["']?(?:https?:)?//""")


def built(config: Path, where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(where)]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=250, check=False, cwd=ROOT, env=env
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("docs") / "site"
    said = built(ROOT / "mkdocs.yml", where)
    assert said.returncode == 0, said.stderr  # warnings are errors
    return where


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


def test_nothing_in_the_site_is_fetched_from_elsewhere(site: Path) -> None:
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 50
    assert styles
    found = [page.name for page in pages if FETCHED.search(page.read_text("utf-8"))]
    found += [style.name for style in styles if IN_STYLE.search(style.read_text("utf-8"))]
    assert found == []


def test_what_is_fetched_would_be_found() -> None:
    assert FETCHED.search('<link rel="preconnect" href="https://fonts.example">')
    assert FETCHED.search("<script defer src=//cdn.example/x.js>")
    assert IN_STYLE.search("@import 'https://fonts.example/css'")
    assert not FETCHED.search('<a href="https://example.org">')


def test_every_document_is_in_the_navigation(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    shown = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert documents <= shown


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_fetches_the_site_from_itself_alone(
    url: str, chromium: Browser, width: int, dark: bool
) -> None:
    with reader(chromium, url, width=width, dark=dark) as seen:
        for path in ("/index.html", "/about.html", "/reference/client.html", "/catalogue/cox.html"):
            page = seen.go(path)
            page.wait_for_load_state("networkidle")
            assert seen.overflow() == 0, path
            seen.keep(f"docs-{path.strip('/').replace('/', '-')}-{width}-{dark}")
        assert page.locator("article img").count() > 0
        assert seen.troubles == []


def test_the_reference_has_what_is_public(site: Path) -> None:
    said = (site / "reference" / "client.html").read_text("utf-8")
    from coordinator import client

    for name in client.__all__:
        assert re.search(rf'id="coordinator\.client[\w.]*\.{name}"', said), name
    said = (site / "reference" / "privacy.html").read_text("utf-8")
    assert 'id="privacy.mechanism.GaussianSum"' in said


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Here\n\n[there](nowhere.md)\n")
    config = (ROOT / "mkdocs.yml").read_text("utf-8").partition("plugins:")[0]
    checks = "validation:" + (ROOT / "mkdocs.yml").read_text("utf-8").partition("validation:")[2]
    kept = config.replace("hooks:\n  - docs/hook.py\n", "") + checks.partition("nav:\n  -")[0]
    (tmp_path / "mkdocs.yml").write_text(kept)
    said = built(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert said.returncode != 0
    assert "nowhere.md" in said.stderr
