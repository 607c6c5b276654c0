"""Sessions: short, refreshed by tokens that work once, and ended everywhere at once."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from coordinator.api.services import ApiSettings
from coordinator.client.signing_in import proof_of_key
from coordinator.store.events import Action
from privacy.contract.signing import SigningKey
from privacy.contract.token import Role, Token
from tests.support.accounts import Enrolled, bearer_of, enrol
from tests.support.api_calls import bearer
from tests.support.fake_executor import World, make_world, serve
from tests.support.seeded import seeded_entropy


@pytest.fixture
def ida(world: World, http: httpx.Client) -> Enrolled:
    return enrol(world, http)


def test_an_access_token_is_good_for_minutes(http: httpx.Client, ida: Enrolled) -> None:
    session = ida.sign_in()
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 200
    ida.world.clock.forward(10 * 60 - 1)
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 200
    ida.world.clock.forward(1)
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 401


def test_a_refresh_token_gives_new_tokens_once(http: httpx.Client, ida: Enrolled) -> None:
    first = ida.sign_in()
    second = _refresh(http, first).json()
    assert {second["access"], second["refresh"]}.isdisjoint({first["access"], first["refresh"]})
    assert second["expires"] == first["expires"]
    assert http.get("/v1/me", headers=bearer_of(second)).status_code == 200
    third = _refresh(http, second)
    assert third.status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_session_for_both(
    http: httpx.Client, ida: Enrolled
) -> None:
    """Whoever copied it and whoever owns it cannot be told apart: both sign in again."""
    other = ida.sign_in()
    first = ida.sign_in()
    second = _refresh(http, first).json()
    assert _refresh(http, first).status_code == 401
    assert http.get("/v1/me", headers=bearer_of(second)).status_code == 401
    assert _refresh(http, second).status_code == 401
    assert http.get("/v1/me", headers=bearer_of(other)).status_code == 200
    events = ida.world.store.people_events.all()
    assert [event.person for event in events if event.action is Action.SESSION_STOLEN] == [ida.id]


def test_a_session_ends_for_good_after_its_time(http: httpx.Client, ida: Enrolled) -> None:
    session = ida.sign_in()
    for _ in range(2):
        ida.world.clock.forward(14 * 86400)
        session = _refresh(http, session).json()
    ida.world.clock.forward(2 * 86400)
    assert _refresh(http, session).status_code == 401
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 401


@pytest.mark.parametrize("use", ["access", "refresh"])
def test_a_token_is_good_for_its_own_use_alone(use: str, http: httpx.Client, ida: Enrolled) -> None:
    session = ida.sign_in()
    wrong = {"access": session["refresh"], "refresh": session["access"]}[use]
    if use == "access":
        answer = http.get("/v1/me", headers={"Authorization": f"Bearer {wrong}"})
    else:
        answer = http.post("/v1/login/refresh", json={"refresh": wrong})
    assert answer.status_code == 401
    for text in (wrong + "\n", wrong[:-1], "refresh." + "A" * 43, "access." + "é" * 43):
        assert http.post("/v1/login/refresh", json={"refresh": text}).status_code in (401, 429)


def test_signing_out_here_and_everywhere(http: httpx.Client, ida: Enrolled) -> None:
    one, two, three = ida.sign_in(), ida.sign_in(), ida.sign_in()
    gone = http.post("/v1/logout", json={}, headers=bearer_of(one))
    assert gone.json() == {"sessions": 1}
    assert http.get("/v1/me", headers=bearer_of(one)).status_code == 401
    assert _refresh(http, one).status_code == 401
    assert http.get("/v1/me", headers=bearer_of(two)).status_code == 200
    all_gone = http.post("/v1/logout", json={"everywhere": True}, headers=bearer_of(two))
    assert all_gone.json() == {"sessions": 2}
    assert http.get("/v1/me", headers=bearer_of(three)).status_code == 401


def test_who_is_revoked_is_out_at_once_in_every_way(http: httpx.Client, ida: Enrolled) -> None:
    session = ida.sign_in()
    admin = bearer(ida.world.tokens[Role.ADMIN])
    done = http.post(f"/v1/people/{ida.id}/revoke", headers=admin)
    assert done.status_code == 200
    assert done.json()["revoked_at"]
    assert http.get("/v1/me", headers=bearer_of(session)).status_code == 401
    assert _refresh(http, session).status_code == 401
    assert ida.try_in().status_code == 401
    assert http.post("/v1/people/p-none/revoke", headers=admin).status_code == 404


def test_a_browsers_session_is_a_cookie_that_no_script_and_no_other_site_can_use(
    http: httpx.Client, ida: Enrolled
) -> None:
    answer = ida.try_in(web=True)
    said = answer.json()
    assert said["access"] is None
    assert said["refresh"] is None
    (cookie,) = answer.headers.get_list("set-cookie")
    name, value = cookie.split(";")[0].split("=", 1)
    assert name == "__Host-cairn"
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    assert value not in answer.text
    with_cookie = {"Cookie": f"{name}={value}"}
    assert http.get("/v1/me", headers=with_cookie).status_code == 200
    for csrf in ("", "0" * 64, value, "é"):
        sent = {**with_cookie, "X-Cairn-CSRF": csrf.encode("utf-8")}
        refused = http.post("/v1/logout", json={}, headers=sent)
        assert (refused.status_code, refused.json()["fields"]) == (403, {"what": "csrf"})
    good = {**with_cookie, "X-Cairn-CSRF": said["csrf"]}
    assert http.post("/v1/logout", json={}, headers=good).json() == {"sessions": 1}
    assert http.get("/v1/me", headers=with_cookie).status_code == 401


def test_a_cookie_is_good_while_it_is_used_and_half_a_day_at_most(
    http: httpx.Client, ida: Enrolled
) -> None:
    header = {"Cookie": ida.try_in(web=True).headers["set-cookie"].split(";")[0]}
    for _ in range(12 * 6 - 1):
        ida.world.clock.forward(600)
        assert http.get("/v1/me", headers=header).status_code == 200
    ida.world.clock.forward(600)
    assert http.get("/v1/me", headers=header).status_code == 401
    again = {"Cookie": ida.try_in(web=True).headers["set-cookie"].split(";")[0]}
    ida.world.clock.forward(15 * 60)
    assert http.get("/v1/me", headers=again).status_code == 401


def test_a_session_opens_the_door_and_the_key_that_stays_with_the_researcher_signs(
    http: httpx.Client, ida: Enrolled
) -> None:
    headers = bearer_of(ida.sign_in())
    key = Token.new(Role.RESEARCHER, seeded_entropy("ida's machine")).signing_key
    proof = proof_of_key(key, ida.id, "test-network")
    for wrong in (
        proof_of_key(key, "p-another", "test-network"),
        proof_of_key(key, ida.id, "another-network"),
        proof_of_key(SigningKey(b"w" * 32), ida.id, "test-network"),
    ):
        said = {"public_key": key.public.text, "proof": wrong}
        assert http.post("/v1/me/key", json=said, headers=headers).status_code == 403
    said = {"public_key": key.public.text, "proof": proof}
    assert http.post("/v1/me/key", json=said, headers=headers).json()["public_key"]
    again = http.post("/v1/me/key", json=said, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    other = enrol(ida.world, http, login="olav")
    stolen = {"public_key": key.public.text, "proof": proof_of_key(key, other.id, "test-network")}
    taken = http.post("/v1/me/key", json=stolen, headers=bearer_of(other.sign_in()))
    assert taken.status_code == 409


def test_a_clinician_reads_what_was_released_and_nothing_else(
    http: httpx.Client, world: World
) -> None:
    from tests.support.api_calls import run

    released = run(http, world).json()
    doctor = enrol(world, http, Role.CLINICIAN, "doctor")
    headers = bearer_of(doctor.sign_in())
    (found,) = http.get("/v1/releases", headers=headers).json()["releases"]
    assert found["study"] == "als-progression"
    shown = http.get(f"/v1/releases/{found['digest']}", headers=headers).json()
    assert shown["answer"]["result"] == released["answer"]["result"]
    assert http.get("/v1/releases?study=other", headers=headers).json() == {"releases": []}
    for path in ("/v1/runs", "/v1/nodes", "/v1/studies/als-progression", "/v1/audit/bundle"):
        assert http.get(path, headers=headers).status_code == 403


def test_what_was_done_about_people_is_told_in_order_and_without_secrets(
    http: httpx.Client, world: World, ida: Enrolled
) -> None:
    admin = bearer(world.tokens[Role.ADMIN])
    me = http.get("/v1/me", headers=admin).json()["id"]
    code = http.post(
        "/v1/invitations", json={"name": "Olav", "role": "auditor"}, headers=admin
    ).json()["code"]
    reset = http.post(f"/v1/people/{ida.id}/reset", json={"kind": "factor"}, headers=admin).json()
    http.post(f"/v1/people/{ida.id}/revoke", headers=admin)
    http.post(f"/v1/people/{ida.id}/revoke", headers=admin)
    answer = http.get("/v1/people/events?after=2", headers=admin)
    told = [(e["actor"], e["action"], e["person"], e["detail"]) for e in answer.json()["events"]]
    assert told == [
        (me, "invited", "", "auditor: Olav"),
        (me, "reset-issued", ida.id, "factor"),
        (me, "revoked", ida.id, ""),
    ]
    for secret in (code, reset["code"], ida.secret, ida.password):
        assert secret not in answer.text
    people = http.get("/v1/people", headers=admin).json()["people"]
    assert [each["login"] for each in people if each["id"] == ida.id] == ["ida.berg"]


def test_too_many_requests_of_one_person_or_address_wait(tmp_path: Path) -> None:
    world = make_world(tmp_path, settings=ApiSettings(requests_per_person_per_minute=5))
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        headers = bearer(world.tokens[Role.AUDITOR])
        codes = [http.get("/v1/me", headers=headers).status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
        assert http.get("/v1/me", headers=headers).headers["retry-after"] == "12"
        assert http.get("/v1/me", headers=bearer(world.tokens[Role.ADMIN])).status_code == 200
    world.store.close()
    (tmp_path / "second").mkdir()
    other = make_world(tmp_path / "second", settings=ApiSettings(requests_per_address_per_minute=5))
    with serve(other.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        codes = [http.get("/health").status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
        assert re.fullmatch("[0-9]+", http.get("/health").headers["retry-after"])
    other.store.close()


def _refresh(http: httpx.Client, session: dict[str, str]) -> httpx.Response:
    return http.post("/v1/login/refresh", json={"refresh": session["refresh"]})
