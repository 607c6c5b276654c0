"""`cairn`: data on stdout, the rest on stderr, exit codes a script can read."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.outcome import Exit, exit_code
from coordinator.cli.researcher import app
from coordinator.client.auditing import unpack
from coordinator.client.errors import Refused as ClientRefused
from models.result import NUMBERS
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, Code, ProtocolError, Refused, VerificationFailed
from privacy.units import Rho
from tests.support.api_calls import bearer
from tests.support.fake_executor import DICTIONARY, NODES, World, budget_refusal

STUDY = "als-progression"
COUNT = ["query", "run", STUDY, "count", "--by", "treatment", "--epsilon", "0.3"]

Cairn = Callable[..., Result]


@pytest.fixture
def cairn(url: str, live_world: World) -> Cairn:
    """Run a command as a researcher, or in another `role`."""

    def run(*args: str, role: Role = Role.RESEARCHER, **env: str) -> Result:
        token = live_world.tokens[role].text
        values = {"CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1", **env}
        return CliRunner().invoke(app, list(args), env=values, catch_exceptions=False)

    return run


def test_studies_are_listed_and_shown(cairn: Cairn) -> None:
    listed = cairn("study", "list", "--format", "json")
    assert [row["id"] for row in json.loads(listed.stdout)] == [STUDY]
    shown = cairn("study", "show", STUDY)
    assert "left of 10" in shown.stdout
    assert "riluzole" in shown.stdout
    about = json.loads(cairn("study", "show", STUDY, "--format", "json").stdout)
    assert about["approvals"] == dict.fromkeys(NODES, "approved")
    assert about["budget"]["left"]["epsilon"] > 9.9


def test_an_answer_is_the_same_in_every_format(cairn: Cairn) -> None:
    shown = cairn(*COUNT, "--format", "json")
    assert shown.exit_code == 0
    rows = json.loads(shown.stdout)["result"]["rows"]
    written = list(csv.DictReader(io.StringIO(cairn(*COUNT, "--format", "csv").stdout)))
    assert list(written[0]) == ["treatment", *NUMBERS]
    for row, line in zip(rows, written, strict=True):
        assert line["treatment"] == row["cell"][0]
        assert all(float(line[name]) == row[name] for name in NUMBERS)
    table = cairn(*COUNT).stdout
    assert "riluzole" in table
    assert "a stored answer, at no cost" in table
    assert table.count("receipt:") == 4
    assert "receipt: coordinator's log: line" in table


def test_a_preview_and_a_dry_run_spend_nothing(cairn: Cairn, live_world: World) -> None:
    asked = ["query", "preview", STUDY, "mean", "severity", "--epsilon", "1"]
    shown = cairn(*asked, "--where", "age >= 18", "--members", "500")
    assert shown.exit_code == 0
    assert "95 %" in shown.stdout
    assert json.loads(cairn(*asked, "--format", "json").stdout)["affordable"]
    assert "epsilon_charged" in cairn(*asked, "--format", "csv").stdout
    assert cairn(*COUNT, "--dry-run").exit_code == 0
    assert cairn(*COUNT, "--mock").exit_code == 0
    assert live_world.executor.executed == []


def test_mock_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    (tmp_path / "study.toml").write_text('[[study]]\nid = "s"\nepsilon_allowance = 1\n')
    env = {"CAIRN_URL": f"mock:{tmp_path}", "CAIRN_TOKEN": ""}
    args = ["query", "run", "s", "histogram", "severity", "--epsilon", "1"]
    shown = CliRunner().invoke(app, args, env=env)
    assert shown.exit_code == 0
    assert "MOCK DATA" in shown.stdout
    pulled = CliRunner().invoke(app, ["audit", "pull", "--out", str(tmp_path / "b")], env=env)
    assert pulled.exit_code == 2


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["query", "run", "none", "count", "--epsilon", "1"], 2, "unknown_study"),
        (["query", "run", STUDY, "count", "--by", "tretment", "--epsilon", "1"], 2, "'treatment'"),
        (["query", "run", STUDY, "count", "age", "--epsilon", "1"], 2, "--by age"),
        (["query", "run", STUDY, "mean", "--epsilon", "1"], 2, "needs a column"),
        (["query", "run", STUDY, "mean", "age", "--by", "age", "--epsilon", "1"], 2, "no --by"),
        (["query", "run", STUDY, "mean", "age", "--epsilon", "lots"], 2, "decimal number"),
        (["query", "run", STUDY, "count", "--where", "1 ==", "--epsilon", "1"], 2, "cairn:"),
        (["query", "run", STUDY, "median", "age", "--epsilon", "1"], 2, "median"),
        (["query", "run", STUDY, "count"], 2, "--epsilon"),
        (["query", "run", STUDY, "count", "--epsilon", "1", "--token", "x"], 2, "--token"),
        (["audit", "verify", "/nowhere"], 2, "not a folder"),
        (["audit", "pull", "--out", "bundle"], 3, "not_permitted"),
    ],
)
def test_wrong_use_says_what_to_write(
    args: list[str], code: int, says: str, cairn: Cairn, live_world: World
) -> None:
    done = cairn(*args)
    assert done.exit_code == code
    assert says in re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    assert done.stdout == ""
    assert live_world.executor.executed == []


def test_over_budget_is_four_and_offline_is_five(cairn: Cairn, live_world: World) -> None:
    live_world.executor.refuse = budget_refusal(Rho(2**52), Rho(2**58))
    over = cairn(*COUNT)
    assert over.exit_code == 4
    assert "would fit" in over.stderr
    live_world.executor.refuse = Refused(Code.POLICY_FLOOR, floor="min_nodes")
    assert cairn(*COUNT).exit_code == 3
    live_world.executor.refuse = Refused(Code.NODE_OFFLINE)
    assert cairn(*COUNT).exit_code == 5
    away = cairn("study", "list", CAIRN_URL="http://127.0.0.1:9")
    assert away.exit_code == 5
    assert "does not answer" in away.stderr
    live_world.executor.hold = True
    late = cairn(*COUNT, "--timeout", "0.2")
    assert late.exit_code == 5
    assert "run-" in late.stderr


def test_every_error_has_its_exit_code() -> None:
    assert exit_code(VerificationFailed("x")) is Exit.UNVERIFIED
    assert exit_code(ProtocolError("x")) is Exit.UNVERIFIED
    assert exit_code(BadInput("x")) is Exit.USAGE
    assert exit_code(Refused(Code.STUDY_BUDGET_EXCEEDED)) is Exit.BUDGET
    assert exit_code(Refused(Code.INTERNAL)) is Exit.BUG
    for code in Code:
        assert exit_code(ClientRefused(code)) is not Exit.OK


def test_the_token_comes_from_a_file_or_the_environment(
    cairn: Cairn, live_world: World, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(live_world.tokens[Role.RESEARCHER].text + "\n")
    assert cairn("--token-file", str(file), "study", "list", CAIRN_TOKEN="").exit_code == 0
    assert cairn("study", "list", CAIRN_TOKEN="").exit_code == 3
    missing = cairn("--token-file", str(tmp_path / "none"), "study", "list")
    assert missing.exit_code == 2
    wrong = cairn("study", "list", CAIRN_TOKEN="cairn_r_my-secret")
    assert wrong.exit_code == 2
    assert "my-secret" not in wrong.stderr


def test_a_diagnosis_holds_no_secret(cairn: Cairn, live_world: World, url: str) -> None:
    done = cairn("doctor")
    token = live_world.tokens[Role.RESEARCHER]
    assert done.exit_code == 0
    assert "signed in" in done.stdout
    assert "roster epoch 1" in done.stdout
    for secret in (token.text[8:], token.bearer):
        assert secret not in done.stdout + done.stderr
    address = url.replace("http://", "http://user:hunter2@") + "?key=hunter2"
    assert "hunter2" not in cairn("doctor", CAIRN_URL=address).output
    away = cairn("doctor", CAIRN_URL="http://127.0.0.1:9")
    assert away.exit_code == 5
    assert "coordinator" in away.stdout


def test_an_invitation_is_redeemed_into_a_private_file(
    cairn: Cairn, live_world: World, url: str, tmp_path: Path
) -> None:
    admin = bearer(live_world.tokens[Role.ADMIN])
    ask = {"role": "auditor", "name": "Ada"}
    code = httpx.post(f"{url}/v1/invitations", json=ask, headers=admin, timeout=60).json()["code"]
    file = tmp_path / "token"
    failed = cairn("join", "--write", str(file), CAIRN_INVITATION="cairn_i_wrong")
    assert failed.exit_code == 3
    assert not file.exists()
    assert cairn("join", "--write", str(file), CAIRN_INVITATION=code).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert Token.parse(file.read_text()).role is Role.AUDITOR
    assert cairn("join", "--write", str(file), CAIRN_INVITATION=code).exit_code == 2


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "a/..", "a\\..\\evil"],
)
def test_an_archive_cannot_write_elsewhere(name: str, tmp_path: Path) -> None:
    archive = _archive(tmp_path, tarfile.TarInfo(name))
    with pytest.raises(VerificationFailed):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_an_archive_holds_plain_files_only(kind: bytes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("top/link")
    link.type = kind
    link.linkname = "/etc/passwd"
    with pytest.raises(VerificationFailed):
        unpack(_archive(tmp_path, link), tmp_path / "out")


def test_an_archive_that_unpacks_too_large_or_twice_is_refused(tmp_path: Path) -> None:
    large = tarfile.TarInfo("top/large")
    large.size = 2000
    with pytest.raises(VerificationFailed, match="larger"):
        unpack(_archive(tmp_path, large), tmp_path / "out", max_bytes=1999)
    twice = _archive(tmp_path, tarfile.TarInfo("top/a"), tarfile.TarInfo("top/a"))
    with pytest.raises(VerificationFailed):
        unpack(twice, tmp_path / "again")
    (tmp_path / "no.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(VerificationFailed):
        unpack(tmp_path / "no.tar.gz", tmp_path / "third")


def test_the_command_itself_keeps_data_and_progress_apart(url: str, live_world: World) -> None:
    token = live_world.tokens[Role.RESEARCHER].text
    env = {**os.environ, "CAIRN_URL": url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}
    program = "from coordinator.cli.researcher import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *COUNT],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "riluzole" in done.stdout


def _archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "bundle.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path
