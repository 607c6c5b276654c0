"""`cairn login`, `logout` and `account`: secrets are typed in, and kept where nobody else reads."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from click.testing import Result as Done
from typer.testing import CliRunner

from coordinator.cli import login as login_cli
from coordinator.cli.operator import app as operator
from coordinator.cli.researcher import app
from coordinator.client import NotSignedIn, connect
from coordinator.client.session import KeptSession
from coordinator.client.signing_in import DeviceCode, by_device
from coordinator.home import Home, Settings
from coordinator.login.local import LocalLogin
from coordinator.store.accounts import ResetKind
from coordinator.store.store import Store
from privacy.contract.token import Role
from privacy.errors import BadInput
from tests.support.accounts import PASSWORD, invite
from tests.support.fake_executor import World, make_world, serve
from tests.support.identity_provider import IdentityProvider, identity_provider


@dataclass
class Desk:
    """Somebody at a command line, with a program for codes that shows what it was given."""

    world: World
    url: str
    folder: Path
    secret: str = ""
    shown: list[str] = field(default_factory=list)

    def run(self, *args: str, typed: str = "", **env: str) -> Done:
        given = {"CAIRN_URL": self.url, "CAIRN_SESSIONS": str(self.folder), "CAIRN_TOKEN": ""}
        done = CliRunner().invoke(app, args, input=typed, env={**given, **env})
        self.shown.append(done.stdout + done.stderr)
        return done

    def kept(self) -> KeptSession:
        return KeptSession(self.url, None, self.folder)

    def code(self) -> str:
        """A code that was not used yet: the clock goes on to the next."""
        step = datetime.now(UTC).timestamp() // 30
        made = pyotp.TOTP(self.secret).at(datetime.now(UTC))
        with self.world.store.database.write() as session:
            from coordinator.store.tables import AccountRow

            for row in session.query(AccountRow):
                row.last_step = int(step) - 5
        return made

    def enrol(self, role: Role = Role.RESEARCHER, login: str = "ida") -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(login_cli, "_factor", self._factor)
            typed = f"{login}\n{PASSWORD}\n{PASSWORD}\n"
            code = invite(self.world, role)
            done = self.run("account", "create", typed=typed, CAIRN_INVITATION=code)
        assert done.exit_code == 0, done.stderr
        assert len(done.stdout.split()) == 10

    def _factor(self, offer: dict[str, Any]) -> dict[str, str]:
        self.secret = offer["secret"]
        return {"secret": self.secret, "totp": pyotp.TOTP(self.secret).at(datetime.now(UTC))}

    def sign_in(self, password: str = PASSWORD) -> Done:
        return self.run("login", "--local", typed=f"ida\n{password}\n{self.code()}\n")


@pytest.fixture
def desk(live_world: World, url: str, tmp_path: Path) -> Desk:
    live_world.clock.now = datetime.now(UTC)
    return Desk(live_world, url, tmp_path / "sessions")


def test_a_researcher_signs_in_gets_a_key_and_asks_without_a_token(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.enrol()
    done = desk.sign_in()
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "signed in as Ida Berg, researcher"
    assert "made a key" in done.stdout
    kept = desk.kept()
    own = kept.token()
    assert own is not None
    (person,) = [p for p in desk.world.store.people.all() if p.name == "Ida Berg"]
    assert person.public_key == own.signing_key.public.text
    for path in (kept.file, kept.key_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700
    listed = desk.run("study", "list", "--format", "json")
    assert listed.exit_code == 0, listed.stderr
    monkeypatch.setenv("CAIRN_SESSIONS", str(desk.folder))
    monkeypatch.delenv("CAIRN_TOKEN", raising=False)
    assert connect(desk.url).studies() == []  # no study names the new key yet
    again = desk.sign_in()
    assert "is on this machine" in again.stdout
    kept.key_file.unlink()
    assert "on another machine" in desk.sign_in().stdout


def test_what_is_wrong_is_said_in_a_line_without_secrets(desk: Desk) -> None:
    desk.enrol()
    wrong = desk.sign_in("another phrase entirely")
    assert wrong.exit_code == 3
    said = wrong.stderr.splitlines()[-1]
    assert said == "cairn: Login, password or code is wrong, or no longer good. [not_signed_in]"
    used = desk.run("account", "create", typed="ida\n", CAIRN_INVITATION="used")
    assert "The invitation is unknown, used or expired." in used.stderr
    assert not desk.kept().exists
    for text in desk.shown:
        assert PASSWORD not in text
        assert "another phrase" not in text
    assert desk.run("login", CAIRN_URL="mock:here").exit_code == 2


def test_signing_out_ends_the_session_there_and_forgets_it_here(desk: Desk) -> None:
    desk.enrol(Role.AUDITOR)
    desk.sign_in()
    access = json.loads(desk.kept().file.read_text())["access"]
    headers = {"Authorization": f"Bearer {access}"}
    with httpx.Client(base_url=desk.url, trust_env=False, timeout=60) as http:
        assert http.get("/v1/me", headers=headers).status_code == 200
        assert desk.run("logout").stdout == "signed out\n"
        assert http.get("/v1/me", headers=headers).status_code == 401
    assert not desk.kept().exists
    assert desk.run("logout").exit_code == 0
    refused = desk.run("runs", "list")
    assert refused.exit_code == 3


def test_a_session_is_refreshed_once_whoever_shares_it(desk: Desk) -> None:
    """Twenty processes with one session: the refresh token goes out once, not twenty times."""
    desk.enrol(Role.AUDITOR)
    desk.sign_in()
    later = desk.kept()
    old = json.loads(later.file.read_text())
    said = {**old, "access_expires": "2026-01-01T00:00:00Z"}
    later.file.write_text(json.dumps(said))
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(desk.kept().bearer())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert len(got) == 20
    assert got[0] != old["access"]
    assert stat.S_IMODE(later.file.stat().st_mode) == 0o600


def test_a_copied_session_is_over_for_both_and_says_so(desk: Desk) -> None:
    desk.enrol(Role.AUDITOR)
    desk.sign_in()
    kept = desk.kept()
    copy = json.loads(kept.file.read_text())
    soon = datetime.now(UTC) + timedelta(hours=1)
    kept.clock = lambda: soon
    fresh = kept.bearer()
    kept.file.write_text(json.dumps(copy))
    with pytest.raises(NotSignedIn, match="cairn login"):
        kept.bearer()
    assert not kept.exists
    with httpx.Client(base_url=desk.url, trust_env=False, timeout=60) as http:
        answer = http.get("/v1/me", headers={"Authorization": f"Bearer {fresh}"})
        assert answer.status_code == 401


def test_files_that_are_no_session_are_said_so(desk: Desk) -> None:
    desk.folder.mkdir()
    for text in ("{", "[]", "{}", '{"access": 1}'):
        desk.kept().file.write_text(text)
        with pytest.raises(BadInput):
            desk.kept().bearer()
    desk.kept().forget()
    with pytest.raises(NotSignedIn):
        desk.kept().bearer()
    assert "access" not in repr(desk.kept())


def test_lost_halves_are_replaced_at_the_command_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.enrol()
    login: LocalLogin = desk.world.app.state.services.login
    (person,) = [p for p in desk.world.store.people.all() if p.name == "Ida Berg"]
    reset, _ = login.allow_reset(person.id, ResetKind.PASSWORD, "operator")
    fresh = "seven kettles on the roof"
    typed = f"ida\n{fresh}\n{fresh}\n{desk.code()}\n"
    done = desk.run("account", "replace-password", typed=typed, CAIRN_RESET=reset)
    assert done.exit_code == 0, done.stderr
    assert desk.sign_in(fresh).exit_code == 0
    reset, _ = login.allow_reset(person.id, ResetKind.FACTOR, "operator")
    monkeypatch.setattr(login_cli, "_factor", desk._factor)
    done = desk.run("account", "replace-factor", typed=f"ida\n{fresh}\n", CAIRN_RESET=reset)
    assert done.exit_code == 0, done.stderr
    assert desk.sign_in(fresh).exit_code == 0


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


@pytest.mark.processes
@pytest.mark.xdist_group("oidc")
def test_a_command_signs_in_through_the_identity_provider(
    provider: IdentityProvider, tmp_path: Path
) -> None:
    world = make_world(tmp_path, clock=lambda: datetime.now(UTC), oidc=provider.settings("public"))
    world.clock.now = datetime.now(UTC)
    agreed: list[str] = []

    def show(code: Any) -> None:
        agreed.append(code.code)
        provider.agree(code.whole, "ida")
        services = world.app.state.services
        services.oidc.clock = lambda: datetime.now(UTC) + timedelta(minutes=1)

    with serve(world.app) as url:
        said = by_device(url, None, invite(world), show, lambda _seconds: None)
        assert said["person"]["name"] == "Ida Berg"
        kept = KeptSession(url, None, tmp_path / "sessions")
        kept.keep(said)
        assert connect(url, transport=None) is not None
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            me = http.get("/v1/me", headers={"Authorization": f"Bearer {kept.bearer()}"})
        assert me.json()["name"] == "Ida Berg"
    assert len(agreed) == 1
    world.store.close()


@pytest.mark.processes
@pytest.mark.xdist_group("oidc")
def test_login_shows_a_code_and_goes_on_when_it_was_entered(
    provider: IdentityProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path, clock=lambda: datetime.now(UTC), oidc=provider.settings())
    world.clock.now = datetime.now(UTC)
    shown = login_cli._show

    def show(code: DeviceCode) -> None:
        shown(code)
        provider.agree(str(code.whole), "ida")
        world.app.state.services.oidc.clock = lambda: datetime.now(UTC) + timedelta(minutes=1)

    def at_once(*asked: Any) -> Any:
        return by_device(*asked, lambda _seconds: None)

    monkeypatch.setattr(login_cli, "_show", show)
    monkeypatch.setattr(login_cli, "by_device", at_once)
    with serve(world.app) as url:
        desk = Desk(world, url, tmp_path / "sessions")
        done = desk.run("login", "--invited", CAIRN_INVITATION=invite(world))
        assert done.exit_code == 0, done.stderr
        assert provider.issuer in done.stderr
        assert done.stdout.startswith("signed in as Ida Berg, researcher")
        (person,) = [p for p in world.store.people.all() if p.name == "Ida Berg"]
        own = desk.kept().token()
        assert own is not None
        assert person.public_key == own.signing_key.public.text
        told = desk.run("doctor")
        assert f"public key   {person.public_key}" in told.stdout
        assert "there is a session" in told.stdout
        assert desk.run("logout").exit_code == 0
    world.store.close()


def test_an_operator_invites_resets_revokes_and_reads_what_was_done(tmp_path: Path) -> None:
    from tests.support.fake_executor import DICTIONARY

    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    told = ["net", "--dictionary", f"{tmp_path / 'dictionary.toml'}", "--dir", f"{tmp_path}"]
    assert _operate("init", *told).exit_code == 0
    at = ["--dir", str(tmp_path)]
    code = _operate("invite", "Ida Berg", "--role", "clinician", *at).stdout.strip()
    home = Home(tmp_path)
    store = Store.open(home.database_url(home.settings()))
    assert store.people.invitation(code, datetime.now(UTC)).role is Role.CLINICIAN
    from coordinator.store.people import Credential
    from privacy.contract.token import Token

    token = Token(Role.CLINICIAN, b"t" * 32)
    person = store.people.join(code, Credential.of(token), now=datetime.now(UTC))
    store.close()
    assert _operate("reset", person.id, "--lost", "factor", *at).exit_code == 3
    done = _operate("revoke", person.id, *at)
    assert done.stdout == "revoked; 1 revoked keys in all\n"
    assert _operate("revoke", "p-none", *at).exit_code == 3
    events = [json.loads(line) for line in _operate("events", *at).stdout.splitlines()]
    assert [event["action"] for event in events] == ["invited", "joined", "revoked"]
    assert [event["actor"] for event in events] == ["operator", person.id, "operator"]
    people = json.loads(_operate("people", *at).stdout)
    assert people[0]["revoked_at"]
    assert _operate("invite", "X", "--role", "emperor", *at).exit_code == 2


def test_the_provider_of_the_settings_has_its_secret_in_a_file_of_its_own(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    secret = tmp_path / "oidc.secret"
    secret.write_text("hush\n")
    named = {
        "network": "n",
        "public_url": "https://cairn.example.org/",
        "oidc_issuer": "https://login.example.org",
        "oidc_client_id": "cairn",
        "oidc_secret_file": "oidc.secret",
    }
    secret.chmod(0o644)
    with pytest.raises(BadInput, match="others can read it"):
        home.oidc(Settings(**named))
    secret.chmod(0o600)
    found = home.oidc(Settings(**named))
    assert found is not None
    assert found.client_secret == "hush"
    assert found.redirect_uri == "https://cairn.example.org/v1/oidc/callback"
    assert home.oidc(Settings(network="n")) is None
    with pytest.raises(BadInput, match="missing"):
        home.oidc(Settings(**{**named, "public_url": ""}))
    with pytest.raises(BadInput, match="cannot be read"):
        home.oidc(Settings(**{**named, "oidc_secret_file": "none"}))


def _operate(*args: str) -> Done:
    return CliRunner().invoke(operator, args)
