"""The coordinator's pages of a made-up network, served, with a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser

from coordinator.api.services import ApiSettings
from coordinator.client import connect
from coordinator.client.network import Network
from privacy.contract.token import Role
from tests.support.browser import browser
from tests.support.fake_executor import World, make_world, serve

STUDY = "als-progression"


@dataclass
class Site:
    """A world that is served, with a browser."""

    world: World
    url: str
    browser: Browser

    def cookie(self, role: Role | None) -> tuple[str, str] | None:
        """A session of the world's person of this role."""
        if role is None:
            return None
        key = self.world.tokens[role].signing_key.public.text
        people = self.world.store.people.all()
        person = next(each for each in people if each.public_key == key)
        return "cairn", self.world.app.state.services.sessions.open_web(person).cookie

    def network(self) -> Network:
        """The researcher's own program."""
        made = connect(self.url, self.world.tokens[Role.RESEARCHER].text)
        assert isinstance(made, Network)
        return made

    def give_leave(self, key: str) -> str:
        """What `cairn delegate` prints for the pages' key."""
        return self.network().study(STUDY).delegate("1", 8, key).text


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """A site with a world in `folder`."""
    settings = ApiSettings(secure_cookies=False)
    world = make_world(folder, settings=settings, clock=lambda: datetime.now(UTC))
    with serve(world.app) as url, browser() as chromium:
        yield Site(world, url, chromium)
    world.store.close()
