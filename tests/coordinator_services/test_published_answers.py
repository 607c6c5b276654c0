"""A public answer is what the coordinator signed and logged, or it is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api.services import ApiSettings
from coordinator.client.network import Network, connect
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.token import Role
from privacy.errors import VerificationFailed
from tests.support.fake_executor import approve, make_world, serve

STUDY = "als-progression"
Change = Callable[[dict[str, Any]], object]


@dataclass
class Published:
    """Where a study is public with two of its three answers."""

    url: str
    kept: str

    def read(self, change: Change = lambda _said: None) -> Network:
        """A reader to whom the register is told with something changed."""
        net = connect(self.url, transport=_Between(change))
        assert isinstance(net, Network)
        return net


class _Between(httpx.HTTPTransport):
    """Hands everything on; what the register says of a study is changed first."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.url.path != f"/api/register/{STUDY}":
            return answer
        said = json.loads(answer.read())
        self.change(said)
        return httpx.Response(answer.status_code, json=said)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder: Path = tmp_path_factory.mktemp("published")
    settings = ApiSettings(secure_cookies=False)
    world = make_world(folder, settings=settings, clock=lambda: datetime.now(UTC))
    with serve(world.app) as url:
        study = connect(url, world.tokens[Role.RESEARCHER].text).study(STUDY)
        asked = [study.mean(each) for each in ("severity", "age")]
        shown = [each.run(epsilon=0.5).release for each in asked]
        kept = study.histogram("severity").run(epsilon=0.5).release
        approve(world)
        study.close()
        study.publish("It helps.", shown)
        yield Published(url, kept)
    world.store.close()


def test_a_public_answer_says_where_it_stands_in_the_log(published: Published) -> None:
    insight = published.read().insight(STUDY)
    assert len(insight.results) == 2
    for result in insight.results:
        assert result.logged is not None
        assert result.logged.size > result.logged.seq


def _other_proof(said: dict[str, Any]) -> None:
    first, second = (each["answer"] for each in said["answers"])
    first["log"] = copy.deepcopy(second["log"])


def _signed_by_another(said: dict[str, Any]) -> None:
    envelope = Envelope.from_json(said["answers"][0]["envelope"])
    said["answers"][0]["envelope"] = envelope.resaid(SigningKey(b"x" * 32)).to_json()


def _hash(said: dict[str, Any]) -> None:
    hashes = said["answers"][0]["answer"]["log"]["hashes"]
    hashes[0] = hashes[0][:-1] + ("0" if hashes[0][-1] != "0" else "1")


def _another_body(said: dict[str, Any]) -> None:
    first, second = said["answers"]
    first["envelope"] = second["envelope"]


def _one_not_named(said: dict[str, Any]) -> None:
    del said["releases"][0]


LIES: dict[str, Change] = {
    "no proof": lambda said: said["answers"][0]["answer"].update(log=None),
    "the proof of another answer": _other_proof,
    "another hash in the proof": _hash,
    "signed by another key": _signed_by_another,
    "the envelope of another answer": _another_body,
    "an answer that was not published": _one_not_named,
    "answers in another order": lambda said: said["answers"].reverse(),
    "a smaller cost": lambda said: said["answers"][0]["answer"].update(rho="0/1"),
    "a smaller epsilon": lambda said: said["answers"][0]["answer"].update(epsilon=0.01),
    "another day": lambda said: said["answers"][0]["answer"].update(
        released_at="2001-01-01T00:00:00Z"
    ),
    "less noise": lambda said: said["answers"][0]["answer"]["rounds"][0]["mechanism"].update(
        log2_sigma=1
    ),
    "fewer organisations": lambda said: said["answers"][0]["answer"]["rounds"][0][
        "survivors"
    ].pop(),
    "another study": lambda said: said["answers"][0].update(study="ms"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_was_not_signed_so_is_refused(published: Published, lie: str) -> None:
    with pytest.raises(VerificationFailed):
        published.read(LIES[lie]).insight(STUDY)
