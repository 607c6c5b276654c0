"""An id token counts only in every detail: each change of a good one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from coordinator.login.id_token import Expected, check_id_token
from coordinator.login.oidc_settings import OidcSettings
from coordinator.login.provider import Provider
from privacy.errors import Code, Refused, VerificationFailed
from tests.support.fake_executor import NOW, Clock

ISSUER = "https://login.example.org"
EXPECTED = Expected(ISSUER, "cairn", "the nonce", "the access token")
KEY = RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one"}, private=True)
KEYS = KeySet.import_key_set(KeySet([KEY]).as_dict(private=False))
AT = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "cairn",
    "sub": "ida",
    "nonce": "the nonce",
    "iat": AT,
    "exp": AT + 300,
    "at_hash": "c-uuESu2t5_DAS0RzKBqfg",
}


def made(header: dict[str, Any] | None = None, key: Any = KEY, **changed: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    head = {"alg": "RS256", "kid": "one"} | (header or {})
    algorithms = [head["alg"]]
    return str(jwt.encode(head, claims, key, algorithms=algorithms))


def unsigned(alg: str) -> str:
    parts = [{"alg": alg, "typ": "JWT"}, CLAIMS]
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*texts, ""])


def hmac_signed(secret: bytes) -> str:
    """By hand: the library does not make such a token."""
    body = unsigned("HS256").removesuffix(".")
    mark = hmac.digest(secret, body.encode(), "sha256")
    return f"{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def test_a_good_token_names_its_subject() -> None:
    hashed = _at_hash("the access token")
    assert check_id_token(made(at_hash=hashed), KEYS, EXPECTED, NOW) == "ida"
    assert check_id_token(made(at_hash=None), KEYS, EXPECTED, NOW) == "ida"
    assert check_id_token(made(at_hash=None, aud=["cairn"]), KEYS, EXPECTED, NOW) == "ida"
    without = replace(EXPECTED, nonce=None)
    assert check_id_token(made(at_hash=None, nonce=None), KEYS, without, NOW) == "ida"


FORGED: dict[str, Callable[[], str]] = {
    "no signature": lambda: unsigned("none"),
    "no signature, said otherwise": lambda: unsigned("RS256"),
    "None": lambda: unsigned("None"),
    "signed with the public key as a secret": lambda: hmac_signed(KEY.as_pem(private=False)),
    "signed with the client's secret": lambda: made(
        {"alg": "HS256"}, OctKey.import_key("x" * 40), at_hash=None
    ),
    "another key of the same name": lambda: made(key=OTHER, at_hash=None),
    "a key that it brings along": lambda: made(
        {"jwk": OTHER.as_dict(private=False)}, OTHER, at_hash=None
    ),
    "another issuer": lambda: made(iss="https://login.example.com", at_hash=None),
    "no issuer": lambda: made(iss=None, at_hash=None),
    "another audience": lambda: made(aud="other", at_hash=None),
    "others as audience too": lambda: made(aud=["cairn", "other"], azp="cairn", at_hash=None),
    "no audience": lambda: made(aud=None, at_hash=None),
    "authorized for another": lambda: made(azp="other", at_hash=None),
    "another nonce": lambda: made(nonce="another", at_hash=None),
    "no nonce": lambda: made(nonce=None, at_hash=None),
    "over": lambda: made(exp=AT - 61, at_hash=None),
    "no end": lambda: made(exp=None, at_hash=None),
    "an end that is no time": lambda: made(exp="never", at_hash=None),
    "old": lambda: made(iat=AT - 601, exp=AT + 10**6, at_hash=None),
    "from the future": lambda: made(iat=AT + 600, at_hash=None),
    "not yet": lambda: made(nbf=AT + 600, at_hash=None),
    "no subject": lambda: made(sub=None, at_hash=None),
    "an empty subject": lambda: made(sub="", at_hash=None),
    "a subject that is no text": lambda: made(sub=7, at_hash=None),
    "a long subject": lambda: made(sub="x" * 256, at_hash=None),
    "for another access token": lambda: made(at_hash=_at_hash("another")),
    "a list": lambda: str(jwt.encode({"alg": "RS256"}, CLAIMS, KEY)).replace(".", "!", 1),
    "nothing": lambda: "",
}


@pytest.mark.parametrize("name", FORGED)
def test_every_change_of_a_good_token_is_refused(name: str) -> None:
    with pytest.raises(VerificationFailed) as refused:
        check_id_token(FORGED[name](), KEYS, EXPECTED, NOW)
    assert "ida" not in str(refused.value)


def test_an_elliptic_key_is_as_good() -> None:
    key = ECKey.generate_key("P-256", parameters={"kid": "two"}, private=True)
    keys = KeySet.import_key_set(KeySet([key]).as_dict(private=False))
    token = made({"alg": "ES256", "kid": "two"}, key, at_hash=None)
    assert check_id_token(token, keys, EXPECTED, NOW) == "ida"


class Far:
    """A provider on paper: its documents, how often each was asked for."""

    def __init__(self) -> None:
        self.keys = KeySet([KEY]).as_dict(private=False)
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path == "/keys":
            return httpx.Response(200, json=self.keys)
        said = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", "token_endpoint": f"{ISSUER}/t"}
        return httpx.Response(200, json=said)


def test_new_keys_of_the_provider_are_fetched_once_a_minute_at_most() -> None:
    far, clock = Far(), Clock()
    http = httpx.Client(transport=httpx.MockTransport(far))
    provider = Provider(OidcSettings(ISSUER, "cairn"), clock, http)
    tokens = {"id_token": made(at_hash=None)}
    assert provider.subject(tokens, "the nonce") == "ida"
    new = RSAKey.generate_key(2048, parameters={"kid": "two"}, private=True)
    signed = {"id_token": made({"kid": "two"}, new, at_hash=None)}
    far.keys = KeySet([new]).as_dict(private=False)
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            provider.subject(signed, "the nonce")
        assert refused.value.code is Code.NOT_SIGNED_IN
    assert far.asked.count("/keys") == 1
    clock.now += timedelta(seconds=61)
    again = {"id_token": made({"kid": "two"}, new, at_hash=None, iat=AT + 61)}
    assert provider.subject(again, "the nonce") == "ida"
    assert far.asked.count("/keys") == 2


@pytest.mark.parametrize("said", [b"[]", b"{", b'{"keys": 3}', b'{"keys": [{"kty": 1}]}', b"{}"])
def test_keys_that_are_no_keys_are_a_provider_that_is_away(said: bytes) -> None:
    far = Far()

    def answer(request: httpx.Request) -> httpx.Response:
        good = far(request)
        return httpx.Response(200, content=said) if request.url.path == "/keys" else good

    http = httpx.Client(transport=httpx.MockTransport(answer))
    provider = Provider(OidcSettings(ISSUER, "cairn"), Clock(), http)
    with pytest.raises(Refused) as refused:
        provider.subject({"id_token": made(at_hash=None)}, "the nonce")
    assert refused.value.code in (Code.PROVIDER_OFFLINE, Code.NOT_SIGNED_IN)


def _at_hash(access: str) -> str:
    half = hashlib.sha256(access.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")
