"""An organisation's console, served for a browser, on a node of a made-up network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from coordinator import operate
from node.api import create_app
from node.signing_text import ToSign
from node.steward import Steward
from privacy.contract.signing import SigningKey
from privacy.contract.study import Study
from tests.support.browser import Reader, browser
from tests.support.fake_executor import serve
from tests.support.network import Network, Node, Shape, make_network

NODE = "als-union"


@dataclass
class Console:
    """One node of a network, with its console's address and a browser."""

    network: Network
    url: str
    token: str
    browser: Browser

    @property
    def node(self) -> Node:
        return self.network.nodes[NODE]

    @property
    def steward(self) -> Steward:
        return self.node.steward

    def link(self) -> str:
        """As `cairn-node console` asks for it."""
        asked = httpx.post(
            f"{self.url}/v1/console",
            json={"by": "ada"},
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
            timeout=60,
        )
        return str(asked.json()["path"])

    def enter(self, seen: Reader) -> None:
        seen.go(self.link())
        seen.page.click("button:has-text('Open the console')")
        seen.page.wait_for_url("**/console/")

    def propose(self, name: str, **changes: Any) -> Study:
        """Another study like the network's, offered to every node."""
        made = self.network.study.model_copy(update={"id": name, "title": name, **changes})
        made = Study.from_json(made.to_json())
        operate.propose(self.network.store, self.network.key, made, now=self.network.clock())
        self.network.settle()
        return made

    def sign(self, page: Page, key: SigningKey) -> None:
        """What a steward does with the line of the page, on a machine of their own."""
        line = page.locator("#h-sign ~ pre code").inner_text()
        assert line.startswith("cairn-node sign cairn-word:")
        asked = ToSign.parse(line.split()[2])
        page.fill("#f-signature", asked.signed(key, self.network.clock()))
        page.click("text=Put it in the ledger")


@contextmanager
def opened_console(folder: Path, shape: Shape | None = None) -> Iterator[Console]:
    """The console of one node of a network in which a question was answered."""
    network = make_network(folder, shape or Shape())
    run = network.ask({"kind": "histogram", "column": "severity"}, epsilon="0.5")
    assert run.release, run.code
    parts = network.nodes[NODE].parts
    with serve(create_app(parts, lambda: True)) as url, browser() as chromium:
        yield Console(network, url, parts.home.steward_token(), chromium)
    network.close()
