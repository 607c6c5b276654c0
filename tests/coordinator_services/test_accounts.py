"""Local accounts: enrolling, signing in, what an attacker learns, and what was lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import httpx
import pyotp
import pytest
from pwdlib import PasswordHash

from coordinator.login import local
from coordinator.login.local import LocalLogin, check_login
from coordinator.login.passwords import Passwords, check_password
from coordinator.login.second_factor import (
    FactorSeal,
    accepted_step,
    check_secret,
    enrolment_uri,
    new_recovery_codes,
    new_secret,
    recovery_hash,
)
from coordinator.store.events import Action
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role
from privacy.errors import BadInput, Refused, VerificationFailed
from tests.support.accounts import PASSWORD, Enrolled, bearer_of, enrol, invite
from tests.support.fake_executor import NOW, World
from tests.support.seeded import seeded_entropy


@pytest.fixture
def ida(world: World, http: httpx.Client) -> Enrolled:
    return enrol(world, http)


def test_an_invited_person_enrols_signs_in_and_is_who_was_invited(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    session = ida.sign_in()
    me = http.get("/v1/me", headers=bearer_of(session)).json()
    assert me == {"id": ida.id, "name": "Ida.Berg", "role": "researcher", "public_key": ""}
    assert len(ida.recovery) == len(set(ida.recovery)) == 10
    assert http.get("/v1/studies", headers=bearer_of(session)).json() == {"studies": []}
    acted = [event.action for event in world.store.people_events.all()]
    assert acted == [Action.INVITED, Action.ENROLLED]


def test_an_invitation_makes_one_account_and_an_offer_uses_nothing_up(
    world: World, http: httpx.Client
) -> None:
    code = invite(world)
    first = http.post("/v1/accounts/offer", json={"code": code, "login": "ida"}).json()
    second = http.post("/v1/accounts/offer", json={"code": code, "login": "ida"}).json()
    assert first["secret"] != second["secret"]
    assert (first["name"], first["role"]) == ("Ida Berg", "researcher")
    said = {"code": code, "login": "ida", "password": PASSWORD, "secret": first["secret"]}
    wrong = http.post("/v1/accounts", json={**said, "totp": "000000"})
    assert (wrong.status_code, wrong.json()["fields"]) == (400, {"where": "code"})
    good = {**said, "totp": pyotp.TOTP(first["secret"]).at(NOW)}
    assert http.post("/v1/accounts", json=good).status_code == 201
    assert http.post("/v1/accounts", json=good).status_code == 403
    other = {**good, "code": invite(world, name="Other")}
    assert http.post("/v1/accounts", json=other).json()["code"] == "conflict"


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "passwordpassword",
        "aaaaaaaaaaaaaaaaaaaa",
        "qwertyuiop123456",
        "ida.berg.ida.berg",
        "test-network!",
        "Ida Berg 1",
        "x" * 129,
    ],
)
def test_passwords_that_are_soon_guessed_are_refused(
    password: str, world: World, http: httpx.Client
) -> None:
    code = invite(world)
    secret = http.post("/v1/accounts/offer", json={"code": code, "login": "ida.berg"}).json()
    said = {
        "code": code,
        "login": "ida.berg",
        "password": password,
        "secret": secret["secret"],
        "totp": pyotp.TOTP(secret["secret"]).at(NOW),
    }
    answer = http.post("/v1/accounts", json=said)
    assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
    assert f'{password}"' not in answer.text
    assert http.post("/v1/accounts/offer", json={"code": code, "login": "ida"}).is_success


@pytest.mark.parametrize("password", [PASSWORD, "x7#kdP0qlM2v", "fjellvatn klokken tre i natt"])
def test_long_phrases_and_random_characters_are_good(password: str) -> None:
    check_password(password, ["ida.berg", "test-network"])


def test_looking_the_same_is_being_the_same_password(world: World, http: httpx.Client) -> None:
    passwords = Passwords(seeded_entropy(1))  # as dear as it is for real
    stored = passwords.hash("Å walrus in the boat")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.verify("A\u030a walrus in the boat", stored)
    assert not passwords.verify("A walrus in the boat", stored)


def test_every_wrong_proof_is_answered_alike(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    gone = enrol(world, http, login="gone")
    world.store.people.revoke(gone.id, "2026-03-01T12:00:00Z")
    world.clock.forward(30)
    used = ida.digits()
    assert ida.try_in(code=used).status_code == 200
    world.clock.forward(30)
    tries = [
        ida.try_in(password="another phrase entirely", code=ida.digits()),
        ida.try_in(code="000000"),
        ida.try_in(code=used),
        ida.try_in(code=ida.digits(-90)),
        ida.try_in(code=ida.digits(90)),
        ida.try_in(code="aaaa-bbbb-cccc-dddd"),
        ida.try_in(code=gone.recovery[0]),
        ida.try_in(login="nobody", code=ida.digits()),
        ida.try_in(login="p-nobody", code=ida.digits()),
        gone.try_in(code=gone.digits()),
        ida.try_in(login="x' or '1'='1", code=ida.digits()),
    ]
    world.clock.forward(3600)
    assert {answer.status_code for answer in tries} == {401}
    assert len({answer.text for answer in tries}) == 1
    heads = [{k: v for k, v in a.headers.items() if k != "date"} for a in tries]
    assert all(each == heads[0] for each in heads)


def test_an_unknown_login_costs_the_same_work_as_a_wrong_password(
    world: World, ida: Enrolled, monkeypatch: pytest.MonkeyPatch
) -> None:
    login: LocalLogin = world.app.state.services.login
    _ = login._nobody
    done: list[str] = []

    def counted(name: str, real: object) -> object:
        def call(*args: object, **more: object) -> object:
            done.append(name)
            return real(*args, **more)  # type: ignore[operator]

        return call

    monkeypatch.setattr(PasswordHash, "verify", counted("argon2", PasswordHash.verify))
    monkeypatch.setattr(PasswordHash, "hash", counted("hash", PasswordHash.hash))
    monkeypatch.setattr(local, "accepted_step", counted("totp", local.accepted_step))
    monkeypatch.setattr(FactorSeal, "open", counted("open", FactorSeal.open))
    accounts = type(world.store.accounts)
    for name in ("by_login", "knows_recovery"):
        monkeypatch.setattr(accounts, name, counted(name, getattr(accounts, name)))
    work = []
    for changed in (
        {"password": "another phrase entirely", "code": "000000"},
        {"login": "nobody", "code": "000000"},
        {"code": "000000"},
        {"login": "nobody", "password": "y" * 500, "code": "aaaa-bbbb"},
    ):
        done.clear()
        assert ida.try_in(**changed).status_code == 401
        work.append(tuple(done))
    assert len(set(work)) == 1
    assert work[0] == ("by_login", "argon2", "open", "totp", "knows_recovery")


def test_a_code_is_good_once_even_when_shown_at_the_same_moment(ida: Enrolled) -> None:
    ida.world.clock.forward(30)
    code = ida.digits()
    assert [ida.try_in(code=code).status_code for _ in range(3)] == [200, 401, 401]
    ahead = ida.digits(30)
    assert ida.try_in(code=ahead).status_code == 200
    ida.world.clock.forward(30)
    assert ida.try_in(code=ida.digits()).status_code == 401


def test_a_recovery_code_opens_once(world: World, ida: Enrolled) -> None:
    code = ida.recovery[3].upper().replace("-", " ")
    assert ida.try_in(code=code).status_code == 200
    assert ida.try_in(code=code).status_code == 401
    assert ida.try_in(code=ida.recovery[4]).status_code == 200
    used = [e for e in world.store.people_events.all() if e.action is Action.RECOVERY_USED]
    assert [event.person for event in used] == [ida.id] * 2


def test_guessing_one_account_is_slowed_from_everywhere_and_never_locks_it(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    login: LocalLogin = world.app.state.services.login
    proof = local.Proof(ida.login, "another phrase entirely", "000000")
    codes = []
    for number in range(40):
        with pytest.raises(Refused) as refused:
            login.sign_in(proof, f"192.0.2.{number}")
        codes.append(refused.value.code.value)
    assert codes == ["not_signed_in"] * 30 + ["rate_limited"] * 10
    limited = ida.try_in(code=ida.digits())
    assert limited.status_code == 429
    world.clock.forward(int(limited.headers["retry-after"]))
    assert ida.try_in().status_code == 200


def test_guessing_many_accounts_from_one_address_is_slowed(
    world: World, http: httpx.Client
) -> None:
    proof = {"password": "another phrase entirely", "code": "000000"}
    codes = [
        http.post("/v1/login", json={"login": f"person{number}", **proof}).status_code
        for number in range(24)
    ]
    assert codes == [401] * 20 + [429] * 4


def test_a_lost_telephone_is_replaced_by_an_administrators_code_and_the_password(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    session = ida.sign_in()
    admin = {"Authorization": f"Bearer {world.tokens[Role.ADMIN].bearer}"}
    reset = http.post(f"/v1/people/{ida.id}/reset", json={"kind": "factor"}, headers=admin).json()
    secret = new_secret(seeded_entropy("telephone"))
    said = {
        "reset": reset["code"],
        "login": ida.login,
        "password": "another phrase entirely",
        "secret": secret,
        "totp": pyotp.TOTP(secret).at(world.clock()),
    }
    assert http.post("/v1/accounts/factor", json=said).status_code == 401
    as_password = {**said, "password": PASSWORD, "code": said["totp"]}
    as_password = {name: as_password[name] for name in ("reset", "login", "password", "code")}
    assert http.post("/v1/accounts/password", json=as_password).status_code == 401
    done = http.post("/v1/accounts/factor", json={**said, "password": PASSWORD})
    assert done.status_code == 200
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 401
    assert ida.try_in().status_code == 401
    assert ida.try_in(code=ida.recovery[0]).status_code == 401
    ida.secret = secret
    assert ida.try_in().status_code == 200
    assert ida.try_in(code=done.json()["recovery_codes"][0]).status_code == 200
    assert http.post("/v1/accounts/factor", json={**said, "password": PASSWORD}).status_code == 401


def test_a_lost_password_is_replaced_by_an_administrators_code_and_the_telephone(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    session = ida.sign_in()
    login: LocalLogin = world.app.state.services.login
    code, _ = login.allow_reset(ida.id, local.ResetKind.PASSWORD, "operator")
    fresh = "seven kettles on the roof"
    said = {"reset": code, "login": ida.login, "password": fresh, "code": "000000"}
    assert http.post("/v1/accounts/password", json=said).status_code == 401
    weak = {**said, "password": "passwordpassword"}
    assert http.post("/v1/accounts/password", json=weak).status_code == 422
    world.clock.forward(30)
    good = {**said, "code": ida.digits()}
    assert http.post("/v1/accounts/password", json={**good, "login": "else"}).status_code == 401
    assert http.post("/v1/accounts/password", json=good).status_code == 200
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 401
    assert ida.try_in().status_code == 401
    assert ida.try_in(password=fresh).status_code == 200
    acted = [event.action for event in world.store.people_events.all(after=2)]
    assert acted == [Action.RESET_ISSUED, Action.PASSWORD_REPLACED]


def test_a_reset_code_is_good_for_a_day_and_for_its_person(
    world: World, http: httpx.Client, ida: Enrolled
) -> None:
    other = enrol(world, http, login="olav")
    login: LocalLogin = world.app.state.services.login
    code, _ = login.allow_reset(ida.id, local.ResetKind.PASSWORD, "operator")
    said = {"reset": code, "password": "seven kettles on the roof"}
    world.clock.forward(30)
    mine = {**said, "login": other.login, "code": other.digits()}
    assert http.post("/v1/accounts/password", json=mine).status_code == 401
    world.clock.forward(25 * 3600)
    late = {**said, "login": ida.login, "code": ida.digits()}
    assert http.post("/v1/accounts/password", json=late).status_code == 401
    with pytest.raises(Refused):
        login.allow_reset("p-nobody", local.ResetKind.FACTOR, "operator")


def test_nothing_secret_of_an_account_is_stored_in_the_clear(
    world: World, ida: Enrolled, tmp_path: Path
) -> None:
    session = ida.sign_in()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("coordinator.db*"))
    secrets = [ida.password, ida.secret, session["access"], session["refresh"], *ida.recovery]
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret.replace("-", "").encode() not in stored
    assert b"$argon2id$" in stored
    with sqlite3.connect(tmp_path / "coordinator.db") as database:
        (sealed,) = database.execute("SELECT factor FROM accounts").fetchone()
    with pytest.raises(VerificationFailed):
        FactorSeal.of(SigningKey(b"x" * 32), seeded_entropy(1)).open(sealed, ida.id)
    seal = FactorSeal.of(world.key, seeded_entropy(1))
    assert seal.open(sealed, ida.id) == ida.secret
    with pytest.raises(VerificationFailed):
        seal.open(sealed, "p-another")


def test_secrets_do_not_print(world: World, ida: Enrolled) -> None:
    account = world.store.accounts.by_login(ida.login)
    proof = local.Proof(ida.login, ida.password, "123456")
    made = world.app.state.services.sessions.open_command(world.store.people.get(ida.id))
    seal = FactorSeal.of(world.key, seeded_entropy(1))
    shown = f"{account!r} {proof!r} {made!r} {seal!r} {local.NewFactor(ida.secret, '1')!r}"
    for secret in (ida.password, ida.secret, made.access, made.refresh, "argon2", repr(seal.key)):
        assert secret not in shown


def test_the_codes_of_the_standard() -> None:
    """RFC 6238, appendix B: the last six of its eight digits."""
    from datetime import UTC, datetime

    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, digits in [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")]:
        now = datetime.fromtimestamp(seconds, UTC)
        assert accepted_step(secret, digits, now) == seconds // 30
        assert accepted_step(secret, digits[::-1], now) is None
    assert "issuer=Cairn%20net" in enrolment_uri(secret, "ida", "net")


@pytest.mark.parametrize("text", ["", "A" * 31, "A" * 33, "a" * 32, "1" * 32, "A" * 32 + "\n"])
def test_other_secrets_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        check_secret(text)


@pytest.mark.parametrize("text", ["", "ab", "Å" * 5, "a b c", "-abc", "abc\n.", "a" * 65 + "!"])
def test_other_logins_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        check_login(text)
    assert check_login(" Ida.Berg@example.org ") == "ida.berg@example.org"


def test_a_recovery_code_is_its_persons_alone() -> None:
    code = new_recovery_codes(seeded_entropy(2))[0]
    assert recovery_hash("p-1", code) != recovery_hash("p-2", code)
    assert recovery_hash("p-1", code) == recovery_hash("p-1", f" {code.upper()} ")
