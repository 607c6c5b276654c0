"""Signing in through an organisation's identity provider (OpenID Connect).

In a browser: authorization code with PKCE. At a command line: the device flow, in which the
coordinator asks the provider and the command only waits, so that no token of the provider ever
passes through it. Whom the provider names by issuer and subject is a person here by an
invitation, never by an e-mail address.

Source: OpenID Connect Core 1.0; RFC 7636 (PKCE), RFC 8628 (device), RFC 9207 (issuer).
"""

from __future__ import annotations

import base64
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from coordinator.login.provider import Provider
from coordinator.store.accounts import Accounts
from coordinator.store.facts import Principal
from privacy.contract.canonical import sha256_hex
from privacy.errors import Code, Refused

PATIENCE = timedelta(minutes=10)
MOST = 1_000
LONGEST_WAIT_SECONDS = 60

T = TypeVar("T")


@dataclass
class _Pending(Generic[T]):
    """What was begun and not finished, for ten minutes; the oldest goes when there are too many."""

    clock: Callable[[], datetime]
    _held: OrderedDict[str, tuple[datetime, T]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key: str, value: T) -> None:
        with self._lock:
            self._held[key] = (self.clock() + PATIENCE, value)
            while len(self._held) > MOST:
                self._held.popitem(last=False)

    def take(self, key: str) -> T | None:
        """What is held under `key`, once."""
        with self._lock:
            until, value = self._held.pop(key, (None, None))
        return value if until is not None and self.clock() < until else None


@dataclass(frozen=True)
class _Begun:
    """A sign-in in a browser that was sent to the provider."""

    browser: str  # hash of the cookie that ties it to one browser
    nonce: str
    verifier: str
    invitation: str | None


@dataclass(frozen=True)
class _Device:
    code: str
    invitation: str | None
    interval_seconds: int
    not_before: datetime


@dataclass(frozen=True)
class Redirect:
    """Where to send the browser, and the cookie that it must bring back."""

    url: str
    cookie: str = field(repr=False)


@dataclass(frozen=True)
class DeviceOffer:
    handle: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval_seconds: int
    expires: datetime


@dataclass
class OidcDesk:
    """Begins and ends sign-ins at one provider."""

    provider: Provider
    accounts: Accounts
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]

    def __post_init__(self) -> None:
        self._browsers: _Pending[_Begun] = _Pending(self.clock)
        self._devices: _Pending[_Device] = _Pending(self.clock)

    @property
    def name(self) -> str:
        return self.provider.settings.name or self.provider.settings.issuer

    def start(self, invitation: str | None) -> Redirect:
        """Send a browser to the provider."""
        state, cookie = self._secret(), self._secret()
        begun = _Begun(_hash(cookie), self._secret(), self._secret(), invitation)
        url = add_params_to_uri(
            self.provider.endpoint("authorization_endpoint"),
            {
                "response_type": "code",
                "client_id": self.provider.settings.client_id,
                "redirect_uri": self.provider.settings.redirect_uri,
                "scope": "openid",
                "state": state,
                "nonce": begun.nonce,
                "code_challenge": create_s256_code_challenge(begun.verifier),
                "code_challenge_method": "S256",
            },
        )
        self._browsers.put(state, begun)
        return Redirect(str(url), cookie)

    def finish(self, cookie: str, answer: Mapping[str, str]) -> Principal:
        """The person who comes back from the provider; raises Refused(NOT_SIGNED_IN).

        Only in the browser that was sent there, once, and from the issuer it was sent to.
        """
        begun = self._browsers.take(answer.get("state", ""))
        if begun is None or not hmac.compare_digest(begun.browser, _hash(cookie)):
            raise Refused(Code.NOT_SIGNED_IN)
        self._check_issuer(answer)
        if "code" not in answer or "error" in answer:
            raise Refused(Code.NOT_SIGNED_IN)
        tokens = self.provider.redeem(answer["code"], begun.verifier)
        return self._person(self.provider.subject(tokens, begun.nonce), begun.invitation)

    def begin_device(self, invitation: str | None) -> DeviceOffer:
        """Ask the provider for a code that a person enters in any browser."""
        said = self.provider.ask_device()
        try:
            interval = max(1, min(int(said.get("interval", 5)), LONGEST_WAIT_SECONDS))
            code, user = str(said["device_code"]), str(said["user_code"])
            address = str(said["verification_uri"])
        except (KeyError, TypeError, ValueError):
            raise Refused(Code.PROVIDER_OFFLINE) from None
        now, handle = self.clock(), self._secret()
        whole = said.get("verification_uri_complete")
        later = now + timedelta(seconds=interval)
        self._devices.put(handle, _Device(code, invitation, interval, later))
        return DeviceOffer(handle, user, address, _text_or_none(whole), interval, now + PATIENCE)

    def poll_device(self, handle: str) -> Principal | int:
        """The person once they agreed; before that, after how many seconds to ask again."""
        waiting, now = self._devices.take(handle), self.clock()
        if waiting is None:
            raise Refused(Code.NOT_SIGNED_IN)
        if now < waiting.not_before:
            self._devices.put(handle, waiting)
            return waiting.interval_seconds
        tokens, error = self.provider.poll_device(waiting.code)
        if error in ("authorization_pending", "slow_down"):
            more = 5 if error == "slow_down" else 0
            interval = min(waiting.interval_seconds + more, LONGEST_WAIT_SECONDS)
            later = now + timedelta(seconds=interval)
            self._devices.put(handle, _Device(waiting.code, waiting.invitation, interval, later))
            return interval
        if error:
            raise Refused(Code.NOT_SIGNED_IN)
        return self._person(self.provider.subject(tokens, None), waiting.invitation)

    def _check_issuer(self, answer: Mapping[str, str]) -> None:
        """An answer of another provider, mixed up with this one's, is none (RFC 9207)."""
        metadata = self.provider.metadata()
        required = metadata.get("authorization_response_iss_parameter_supported") is True
        issuer = answer.get("iss")
        if issuer != self.provider.settings.issuer and (required or issuer is not None):
            raise Refused(Code.NOT_SIGNED_IN)

    def _person(self, subject: str, invitation: str | None) -> Principal:
        issuer = self.provider.settings.issuer
        known = self.accounts.linked(issuer, subject)
        if known is not None:
            return known
        if invitation is None:
            raise Refused(Code.NOT_SIGNED_IN)
        principal = f"p-{self.entropy(12).hex()}"
        return self.accounts.link(invitation, principal, issuer, subject, self.clock())

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self.entropy(32)).decode("ascii").rstrip("=")


def _text_or_none(said: object) -> str | None:
    return said if isinstance(said, str) else None


def _hash(cookie: str) -> str:
    return sha256_hex(b"cairn sign-in\n" + cookie.encode("utf-8", "surrogatepass"))
