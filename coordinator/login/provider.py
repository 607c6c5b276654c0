"""The identity provider of an organisation: its metadata, its keys, and what is asked of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
from authlib.oidc.discovery import get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from coordinator.login.id_token import Expected, check_id_token
from coordinator.login.oidc_settings import OidcSettings
from privacy.errors import Code, Refused, VerificationFailed

TIMEOUT_SECONDS = 10.0
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_KEYS_AGAIN = timedelta(minutes=1)
_METADATA_AGAIN = timedelta(hours=1)


@dataclass
class Provider:
    """Speaks to one provider. What it answers is believed only over TLS and by signature."""

    settings: OidcSettings
    clock: Callable[[], datetime]
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
    )
    _metadata: tuple[datetime, Mapping[str, Any]] | None = None
    _keys: tuple[datetime, KeySet] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.http.close)

    def metadata(self) -> Mapping[str, Any]:
        """The provider's description of itself; it has to name the very issuer of the settings."""
        with self._lock:
            if self._metadata and self.clock() - self._metadata[0] < _METADATA_AGAIN:
                return self._metadata[1]
            said = self._json(str(get_well_known_url(self.settings.issuer, True)))
            if said.get("issuer") != self.settings.issuer:
                raise Refused(Code.PROVIDER_OFFLINE, what="issuer")
            self._metadata = (self.clock(), said)
            return said

    def endpoint(self, name: str) -> str:
        """One of the provider's addresses; raises Refused(NOT_FOUND) where it has none."""
        found = self.metadata().get(name)
        if not isinstance(found, str):
            raise Refused(Code.NOT_FOUND, what=name)
        return found

    def redeem(self, code: str, verifier: str) -> Mapping[str, Any]:
        """Tokens for an authorization code; raises Refused(NOT_SIGNED_IN)."""
        said, status = self._post(
            "token_endpoint",
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri=self.settings.redirect_uri,
        )
        if status != 200:
            raise Refused(Code.NOT_SIGNED_IN)
        return said

    def ask_device(self) -> Mapping[str, Any]:
        """A code for a person to enter in a browser elsewhere."""
        said, status = self._post("device_authorization_endpoint", scope="openid")
        if status != 200:
            raise Refused(Code.PROVIDER_OFFLINE)
        return said

    def poll_device(self, device_code: str) -> tuple[Mapping[str, Any], str]:
        """Tokens, or the provider's word for why there are none yet."""
        said, status = self._post(
            "token_endpoint", grant_type=DEVICE_GRANT, device_code=device_code
        )
        return said, "" if status == 200 else str(said.get("error", "invalid_request"))

    def subject(self, tokens: Mapping[str, Any], nonce: str | None) -> str:
        """Whom the provider vouches for; raises Refused(NOT_SIGNED_IN)."""
        token, access = tokens.get("id_token"), tokens.get("access_token")
        expected = Expected(
            self.settings.issuer,
            self.settings.client_id,
            nonce,
            access if isinstance(access, str) else None,
        )
        try:
            return self._checked(str(token), expected)
        except VerificationFailed:
            raise Refused(Code.NOT_SIGNED_IN) from None

    def _checked(self, token: str, expected: Expected) -> str:
        now = self.clock()
        try:
            return check_id_token(token, self._key_set(), expected, now)
        except VerificationFailed:
            if not self._forget_keys(now):
                raise
        return check_id_token(token, self._key_set(), expected, now)

    def _key_set(self) -> KeySet:
        address = self.endpoint("jwks_uri")
        with self._lock:
            if self._keys is None:
                try:
                    known = KeySet.import_key_set({"keys": list(self._json(address)["keys"])})
                except (JoseError, KeyError, TypeError, ValueError):
                    raise Refused(Code.PROVIDER_OFFLINE) from None
                self._keys = (self.clock(), known)
            return self._keys[1]

    def _forget_keys(self, now: datetime) -> bool:
        """Keys are exchanged now and then: whether they may be fetched again already."""
        with self._lock:
            if self._keys is not None and now - self._keys[0] < _KEYS_AGAIN:
                return False
            self._keys = None
            return True

    def _post(self, endpoint: str, **form: str) -> tuple[Mapping[str, Any], int]:
        """A client with a secret shows it (RFC 6749 2.3.1); one without names itself."""
        known, secret = self.settings.client_id, self.settings.client_secret
        auth = httpx.BasicAuth(quote_plus(known), quote_plus(secret)) if secret else httpx.Auth()
        body = form if secret else {**form, "client_id": known}
        try:
            response = self.http.post(self.endpoint(endpoint), data=body, auth=auth)
            return _object(response), response.status_code
        except (httpx.HTTPError, ValueError):
            raise Refused(Code.PROVIDER_OFFLINE) from None

    def _json(self, address: str) -> Mapping[str, Any]:
        try:
            response = self.http.get(address)
            response.raise_for_status()
            return _object(response)
        except (httpx.HTTPError, ValueError):
            raise Refused(Code.PROVIDER_OFFLINE) from None


def _object(response: httpx.Response) -> Mapping[str, Any]:
    said = response.json()
    if not isinstance(said, dict):
        raise ValueError("not an object")
    return said
