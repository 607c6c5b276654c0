"""A real browser for the tests: the system's Chromium, which never leaves this machine.

Everything that a page may not do is written down as `troubles`: a violation of its policy, a
request to another host, an error of a script.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from tests.support.from_npm import installed

NAMES = ("chromium", "chromium-browser", "google-chrome")
NARROW, WIDE = 390, 1440
_HERE = Path(__file__).parent
SCREENS = Path(os.environ.get("CAIRN_SCREENS") or _HERE.parents[1] / "artefacts" / "screens")
_EXPECTED = "Failed to load resource: the server responded with a status of 4"  # of a refusal
_SMALL = """[...document.querySelectorAll("figure svg")].flatMap(svg => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return [...svg.querySelectorAll("text")]
        .filter(text => parseFloat(getComputedStyle(text).fontSize) * scale < 10.9)
        .map(text => text.textContent);
})"""
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def chromium() -> str:
    """Where the browser is; without one the tests fail."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("Chromium is missing: apt-get install chromium")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for as long as the block runs."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield made
        finally:
            made.close()


@dataclass
class Reader:
    """One reader's window on a site."""

    context: BrowserContext
    page: Page
    url: str
    scripts: bool = True
    troubles: list[str] = field(default_factory=list)
    heaviest: int = 0  # bytes of the largest page with what it loads

    def go(self, path: str) -> Page:
        """Open a page of the site."""
        self.page.goto(self.url + path)
        return self.page

    def verify(self) -> None:
        """Press an auditor's button, and wait for what the verification finds."""
        with self.page.expect_navigation():
            self.page.click("button:has-text('Verify')")
        self.page.wait_for_selector("main [role=status], main [role=alert]")

    def complaints(self) -> list[str]:
        """What axe finds wrong with the page that is open, one line each."""
        self.page.evaluate(_axe())
        found: list[dict[str, Any]] = self.page.evaluate(
            "options => axe.run(document, options).then(said => said.violations)", _RULES
        )
        return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return max(0, wide)

    def unreadable(self) -> list[str]:
        """What charts of the page that is open say in letters of fewer than 11 pixels."""
        found: list[str] = self.page.evaluate(_SMALL)
        return found

    def keep(self, name: str) -> None:
        """A picture of the whole page among the artefacts of the run."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


@contextmanager
def reader(
    browser: Browser,
    url: str,
    cookie: tuple[str, str] | None = None,
    *,
    width: int = WIDE,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[Reader]:
    """A window on `url`, signed in with `cookie`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    if cookie is not None:
        context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": url}])
    made = Reader(context, context.new_page(), url, scripts)
    host = urlsplit(url).netloc

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_EXPECTED):
            made.troubles.append(f"{message.location.get('url', '')}: {message.text}")

    def see(request: Request) -> None:
        if urlsplit(request.url).netloc != host and not request.url.startswith("data:"):
            made.troubles.append(f"a request to {request.url}")

    made.page.on("console", hear)
    made.page.on("request", see)
    made.page.on("pageerror", lambda error: made.troubles.append(str(error)))
    try:
        yield made
    finally:
        context.close()


@cache
def _axe() -> str:
    folder = installed(_HERE / "axe")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
