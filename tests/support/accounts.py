"""Enrolling people in tests: a program for codes that goes by the test's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pyotp

from privacy.contract.token import Role
from tests.support.fake_executor import World

PASSWORD = "a walrus in the third boat"


@dataclass
class Enrolled:
    """A person with a local account, and what is on their telephone and on paper."""

    world: World
    http: httpx.Client
    id: str
    login: str
    password: str
    secret: str
    recovery: list[str]

    def digits(self, seconds: float = 0) -> str:
        """What the telephone shows now, or in some seconds."""
        at = self.world.clock() + timedelta(seconds=seconds)
        return pyotp.TOTP(self.secret).at(at)

    def try_in(self, **changed: Any) -> httpx.Response:
        """Sign in with a code that was not used yet, unless told otherwise."""
        if "code" not in changed:
            self.world.clock.forward(30)
        said = {"login": self.login, "password": self.password, "code": self.digits(), **changed}
        return self.http.post("/v1/login", json=said)

    def sign_in(self, **changed: Any) -> dict[str, Any]:
        answer = self.try_in(**changed)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


def invite(world: World, role: Role = Role.RESEARCHER, name: str = "Ida Berg") -> str:
    """An invitation's code."""
    code = f"invitation of {name} as {role}"
    world.store.people.invite(code, role, name, world.clock(), timedelta(days=1))
    return code


def enrol(
    world: World, http: httpx.Client, role: Role = Role.RESEARCHER, login: str = "ida.berg"
) -> Enrolled:
    """Go through an invitation over HTTP, as a person would."""
    code = invite(world, role, login.title())
    offer = http.post("/v1/accounts/offer", json={"code": code, "login": login}).json()
    now = pyotp.TOTP(offer["secret"]).at(world.clock())
    said = {
        "code": code,
        "login": login,
        "password": PASSWORD,
        "secret": offer["secret"],
        "totp": now,
    }
    answer = http.post("/v1/accounts", json=said)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Enrolled(
        world,
        http,
        made["person"]["id"],
        login,
        PASSWORD,
        offer["secret"],
        made["recovery_codes"],
    )


def bearer_of(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access']}"}
