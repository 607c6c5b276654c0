"""Signing in from a program: what is sent, and what stays here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.client.errors import NotSignedIn
from coordinator.client.session import KeptSession
from coordinator.client.transport import Transport
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.token import Role, Token
from privacy.errors import Code

_LONGEST_SECONDS = 900.0


@dataclass(frozen=True)
class DeviceCode:
    """What a person does in any browser: open `address` and enter `code`."""

    address: str
    code: str
    whole: str | None  # an address with the code in it


def by_password(
    url: str, ca: str | None, login: str, password: str, code: str
) -> Mapping[str, Any]:
    """Sign in with a local account; raises NotSignedIn."""
    asked = {"login": login, "password": password, "code": code}
    said: Mapping[str, Any] = Transport(url, None, ca).post("/v1/login", asked)
    return said


def by_device(
    url: str,
    ca: str | None,
    invitation: str | None,
    show: Callable[[DeviceCode], object],
    sleep: Callable[[float], object] = time.sleep,
) -> Mapping[str, Any]:
    """Sign in through the identity provider: `show` what to do, and wait until it was done."""
    transport = Transport(url, None, ca)
    offer = transport.post("/v1/oidc/device", {"invitation": invitation} if invitation else {})
    whole = offer["verification_uri_complete"]
    show(DeviceCode(offer["verification_uri"], offer["user_code"], whole))
    wait, waited = float(offer["interval_seconds"]), 0.0
    while waited < _LONGEST_SECONDS:
        sleep(wait)
        waited += wait
        said = transport.post("/v1/oidc/device/poll", {"handle": offer["handle"]})
        if said["session"] is not None:
            session: Mapping[str, Any] = said["session"]
            return session
        wait = float(said["interval_seconds"])
    raise NotSignedIn(Code.NOT_SIGNED_IN, "Nobody agreed in time.")


def settle(kept: KeptSession, said: Mapping[str, Any], entropy: Callable[[int], bytes]) -> str:
    """Keep a session. A researcher who has no signing key yet gets one, made here; returns what
    became of the key: "made", "here", "elsewhere" or "" for who signs nothing."""
    kept.keep(said)
    person = said["person"]
    if person["role"] != Role.RESEARCHER.value:
        return ""
    own = kept.token()
    if person["public_key"]:
        mine = own is not None and own.signing_key.public.text == person["public_key"]
        return "here" if mine else "elsewhere"
    if own is None:
        own = Token.new(Role.RESEARCHER, entropy)
        kept.keep_token(own)
    transport = Transport(kept.url, kept.bearer, kept.ca)
    network = str(transport.get("/v1/network")["id"])
    key = own.signing_key
    asked = {"public_key": key.public.text, "proof": proof_of_key(key, person["id"], network)}
    transport.post("/v1/me/key", asked)
    return "made"


def proof_of_key(key: SigningKey, person: str, network: str) -> dict[str, Any]:
    """Proof that whoever registers a public key holds its other half."""
    return Envelope.seal("key", {"person": person, "network": network}, key).to_json()
