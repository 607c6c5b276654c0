"""Pages of the coordinator under 50 readers at a time, and charts that are drawn again."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

READERS = 50
STUDY = "/studies/als-progression"
PAGES = (
    "/studies",
    STUDY,
    f"{STUDY}/ask",
    "/catalogue",
    "/runs",
    "/runs/RUN",
    "/releases",
    f"{STUDY}/releases/RELEASE",
    "/models",
    f"{STUDY}/releases/FIT/model",
    "/organisations",
    "/insights",
)
AUDIT = (
    "/audit",
    "/audit/verify",
    "/audit/dossiers",
    "/audit/dossiers/study-als-progression",
    "/audit/dossiers/node-als-union",
    "/audit/organisations/als-union",
    "/audit/withdrawals",
    "/audit/what-if",
    "/audit/what-if?period=0.3",
    "/audit/ledgers/als-union",
    "/audit/ledgers/als-union?kind=paused&page=3",
    "/audit/ledgers/als-union/1234",
)
CHART = f"{STUDY}/ask?kind=histogram&columns=severity&amount="
MOST, MOST_CHART, MOST_BYTES = 0.150, 0.300, 200_000
_SERVER = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from coordinator.api.services import ApiSettings
from coordinator.client import connect
from coordinator.http_server import hand_over_quickly
from coordinator.pages.drawing import CHARTS
from privacy.contract.token import Role
from privacy.ledger.entry import Paused, Resumed
from tests.support.fake_executor import make_world, serve
from tests.support.fake_nodes import append_entries
settings = ApiSettings(secure_cookies=False, requests_per_person_per_minute=10**6,
                       requests_per_address_per_minute=10**6)
world = make_world(Path(sys.argv[1]), settings=settings, epsilon_allowance="1000",
                   clock=lambda: datetime.now(UTC))
append_entries(world.store, "als-union", "2026-03-01T12:00:00Z",
               *[Paused(by="ada"), Resumed(by="ada")] * 1000)
def cookie(role):
    key = world.tokens[role].signing_key.public.text
    person = next(each for each in world.store.people.all() if each.public_key == key)
    return world.app.state.services.sessions.open_web(person).cookie
def asked(network):
    study = network.study("als-progression")
    release = study.mean("severity").run(epsilon=0.3).release
    for age in range(18, 48):
        study.where(f"age >= {age}").histogram("severity").run(epsilon=1)
    fit = study.glm("severity ~ age + treatment", members=600).run(epsilon=5).release
    return network.runs()[0].id, release, fit
hand_over_quickly()
CHARTS.warm()
with serve(world.app) as url:
    connect(url, world.tokens[Role.AUDITOR].text).audit.verify()
    made = asked(connect(url, world.tokens[Role.RESEARCHER].text))
    print(url, cookie(Role.RESEARCHER), cookie(Role.AUDITOR), *made, flush=True)
    sys.stdin.read()
"""


def run(*, quick: bool) -> list[dict[str, Any]]:
    """Seconds from a request to its last byte; every page's size as it is sent."""
    rounds = 2 if quick else 10
    with tempfile.TemporaryDirectory() as folder, _served(folder) as served:
        url, cookie, auditor, names = served
        times: dict[str, list[float]] = {}
        for who, pages in ((cookie, PAGES), (auditor, AUDIT)):
            _loaded(served, who, pages, 1)  # templates and statements are compiled once
            times |= _loaded(served, who, pages, rounds)
        charts = [_seconds(url, cookie, f"{CHART}{1 + n / 100}") for n in range(4 * rounds)]
        sizes = {page: _bytes(url, cookie, _named(page, names)) for page in (*PAGES, f"{CHART}1")}
        sizes |= {page: _bytes(url, auditor, page) for page in AUDIT}
    rows: list[dict[str, Any]] = []
    for page, seconds in times.items():
        slow = statistics.quantiles(seconds, n=20)[-1]
        what = f"{page}, {READERS} readers at a time: 95th percentile"
        rows.append(_row(what, slow, MOST, "s"))
        rows.append({"what": f"{page}: median", "value": statistics.median(seconds), "unit": "s"})
    what = "the planner with its chart, another each time: median"
    rows.append(_row(what, statistics.median(charts), MOST_CHART, "s"))
    heaviest = max(sizes.values())
    rows.append(_row("largest page, without files kept by the browser", heaviest, MOST_BYTES, "B"))
    return rows


def _row(what: str, value: float, most: float, unit: str) -> dict[str, Any]:
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "target": f"≤ {most:g} {unit}",
        "ok": value <= most,
    }


_NAMES = ("RUN", "RELEASE", "FIT")


class _Served(NamedTuple):
    """Its address, sessions of a researcher and of an auditor, and what it answered."""

    url: str
    cookie: str
    auditor: str
    names: Mapping[str, str]


def _named(page: str, names: Mapping[str, str]) -> str:
    for word, name in names.items():
        page = page.replace(word, name)
    return page


@contextmanager
def _served(folder: str) -> Iterator[_Served]:
    """A coordinator with made-up nodes in a process of its own."""
    command = [sys.executable, "-c", _SERVER, folder]
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        try:
            url, cookie, auditor, *names = process.stdout.readline().split()
            yield _Served(url, cookie, auditor, dict(zip(_NAMES, names, strict=True)))
        finally:
            process.communicate("")


def _loaded(
    served: _Served, cookie: str, pages: Sequence[str], rounds: int
) -> dict[str, list[float]]:
    """Every reader opens every page so often, all at once; seconds by page."""
    times: dict[str, list[float]] = {page: [] for page in pages}
    start = threading.Barrier(READERS)

    def read(number: int) -> None:
        with _client(served.url, cookie) as http:
            start.wait()
            for turn in range(rounds * len(pages)):
                page = pages[(turn + number) % len(pages)]
                began = time.perf_counter()
                http.get(_named(page, served.names)).raise_for_status()
                times[page].append(time.perf_counter() - began)
                time.sleep(1.0)  # somebody reads it

    readers = [threading.Thread(target=read, args=(n,)) for n in range(READERS)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    return times


def _client(url: str, cookie: str) -> httpx.Client:
    return httpx.Client(base_url=url, cookies={"cairn": cookie}, trust_env=False, timeout=60)


def _seconds(url: str, cookie: str, page: str) -> float:
    with _client(url, cookie) as http:
        began = time.perf_counter()
        http.get(page).raise_for_status()
        return time.perf_counter() - began


def _bytes(url: str, cookie: str, page: str) -> int:
    with _client(url, cookie) as http:
        return len(http.get(page).content)
