"""A bundle arrives whole or not at all, and a line that breaks is taken up where it broke."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from coordinator.api.shelf import KEPT, KEPT_FOR, BundleShelf
from coordinator.audit.verify import verify_bundle
from coordinator.cli.operator import app as operator
from coordinator.cli.researcher import app as researcher
from coordinator.client.auditing import open_archive, pull_bundle
from coordinator.client.errors import Unreachable
from coordinator.client.transport import Transport
from privacy.contract.token import Role
from privacy.errors import BadInput, VerificationFailed
from tests.support.api_calls import bearer
from tests.support.bundle_factory import Network
from tests.support.fake_executor import DICTIONARY, World
from tests.support.seeded import seeded_entropy

URL = "http://127.0.0.1:1"


def packed(folder: Path) -> bytes:
    """The archive of a whole bundle."""
    network = Network()
    network.ask("0.5")
    made = network.write(folder / "cairn-audit")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(made, arcname="cairn-audit")
    return data.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packed(tmp_path_factory.mktemp("packed"))


@dataclass
class Server(httpx.BaseTransport):
    """Sends an archive, breaking the line after so many bytes; notes which ranges were asked."""

    data: bytes
    breaks: list[int] = field(default_factory=list)
    tag: str = '"one"'
    asked: list[tuple[str, str]] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        wanted, tag = request.headers.get("range", ""), request.headers.get("if-range", "")
        self.asked.append((wanted, tag))
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        start = int(found[1]) if found and tag == self.tag else 0
        rest = self.data[start:]
        headers = {"etag": self.tag, "content-length": str(len(rest))}
        after = self.breaks.pop(0) if self.breaks else len(rest)
        return httpx.Response(206 if start else 200, headers=headers, stream=Line(rest, after))


class Line(httpx.SyncByteStream):
    """Some bytes, and then perhaps a broken line."""

    def __init__(self, data: bytes, after: int) -> None:
        self.data, self.after = data, after

    def __iter__(self) -> Iterator[bytes]:
        yield self.data[: self.after]
        if self.after < len(self.data):
            raise httpx.ReadError("the line broke")


def pull(server: Server, out: Path) -> list[str]:
    said: list[str] = []
    transport = Transport(URL, "x", transport=server)
    pull_bundle(transport, out, said.append, lambda _seconds: None)
    return said


def test_a_broken_line_is_taken_up_where_it_broke(archive: bytes, tmp_path: Path) -> None:
    server = Server(archive, breaks=[1000, 500])
    out = tmp_path / "bundle"
    said = pull(server, out)
    assert server.asked == [("", ""), ("bytes=1000-", '"one"'), ("bytes=1500-", '"one"')]
    assert verify_bundle(out).releases == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    whole = f"{len(archive) / 1e6:.1f}"
    assert said[-1] == f"{whole} of {whole} MB"


def test_a_download_that_was_stopped_goes_on_with_the_next_call(
    archive: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(Unreachable):
        pull(Server(archive, breaks=[700] + [0] * 9), out)
    assert not out.exists()
    server = Server(archive)
    pull(server, out)
    assert server.asked == [("bytes=700-", '"one"')]
    assert verify_bundle(out).releases == 1


def test_another_archive_begins_anew(archive: bytes, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(Unreachable):
        pull(Server(b"x" * 900, breaks=[700] + [0] * 9), out)
    pull(Server(archive, tag='"two"'), out)
    assert verify_bundle(out).releases == 1


def test_what_is_no_bundle_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed):
        pull(Server(b"no archive"), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine").write_text("x")
    with pytest.raises(BadInput):
        pull(Server(archive), tmp_path / "bundle")
    assert (tmp_path / "bundle" / "mine").exists()


def test_an_archive_on_a_stick_is_unpacked_the_same_way(archive: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    file.write_bytes(archive)
    line = ["audit", "pull", "--from", str(file), "--out", str(tmp_path / "bundle")]
    done = CliRunner().invoke(researcher, line, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert verify_bundle(tmp_path / "bundle").releases == 1
    with pytest.raises(BadInput):
        open_archive(tmp_path / "nowhere", tmp_path / "other")
    file.write_bytes(archive[:-100])
    with pytest.raises(VerificationFailed):
        open_archive(file, tmp_path / "other")
    assert not (tmp_path / "other").exists()


# the coordinator's side


def test_an_operator_hands_a_bundle_over_as_a_file(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "bundle.tar.gz"
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    told = ["init", "net", "--dictionary", f"{tmp_path / 'dictionary.toml'}", "--dir", f"{home}"]
    at = ["bundle", str(file), "--dir", str(home)]
    for line, code in ((told, 0), (at, 0), (at, 2)):
        assert CliRunner().invoke(operator, line, catch_exceptions=False).exit_code == code
    open_archive(file, tmp_path / "bundle")
    assert verify_bundle(tmp_path / "bundle").network == "net"
    assert {path.name for path in tmp_path.iterdir()} == {
        "home",
        "dictionary.toml",
        "bundle.tar.gz",
        "bundle",
    }


def test_the_rest_of_an_archive_is_sent_while_it_is_kept(world: World, http: httpx.Client) -> None:
    auditor = bearer(world.tokens[Role.AUDITOR])
    first = http.get("/v1/audit/bundle", headers=auditor)
    again = auditor | {"Range": "bytes=100-", "If-Range": first.headers["etag"]}
    rest = http.get("/v1/audit/bundle", headers=again)
    assert (rest.status_code, rest.content) == (206, first.content[100:])
    assert world.executor.syncs == 1
    other = auditor | {"Range": "bytes=100-", "If-Range": '"another"'}
    anew = http.get("/v1/audit/bundle", headers=other)
    assert (anew.status_code, world.executor.syncs) == (200, 2)
    stranger = bearer(world.tokens[Role.RESEARCHER]) | {
        "Range": "bytes=100-",
        "If-Range": first.headers["etag"],
    }
    assert http.get("/v1/audit/bundle", headers=stranger).status_code == 403


def test_the_shelf_forgets_what_is_old_or_too_much() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    clock = iter([now + timedelta(seconds=n) for n in range(KEPT + 1)] + [now + 2 * KEPT_FOR])
    shelf = BundleShelf(lambda: next(clock), seeded_entropy("shelf"))
    kept = []
    for _ in range(KEPT + 1):
        file = shelf.new_folder() / "archive"
        file.write_bytes(b"x")
        kept.append(shelf.put(file))
    assert shelf.find(kept[0].tag) is None
    assert not kept[0].path.exists()
    assert shelf.find(kept[1].tag) == kept[1]
    file = shelf.new_folder() / "archive"
    file.write_bytes(b"x")
    newest = shelf.put(file)
    assert [each for each in kept if shelf.find(each.tag)] == []
    assert shelf.find(newest.tag) == newest
