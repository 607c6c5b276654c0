"""What an identity provider says of a person, believed only in every detail.

Source: OpenID Connect Core 1.0, 3.1.3.7; the checks themselves are Authlib's and joserfc's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from privacy.errors import VerificationFailed

# Signatures with a public key alone: neither "none" nor one that the client's secret could make.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
LEEWAY_SECONDS = 60
OLDEST_SECONDS = 600
_LONGEST = 255


@dataclass(frozen=True)
class Expected:
    """Who must have said it, to whom, and in answer to what. `nonce` is None where the flow has
    none (a device's)."""

    issuer: str
    client_id: str
    nonce: str | None
    access_token: str | None = None


def check_id_token(token: str, keys: KeySet, expected: Expected, now: datetime) -> str:
    """The subject that the provider vouches for; raises VerificationFailed, quoting nothing."""
    seconds = int(now.timestamp())
    try:
        decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": expected.issuer},
                "aud": {"essential": True, "value": expected.client_id},
            },
            params={
                "client_id": expected.client_id,
                "nonce": expected.nonce,
                "access_token": expected.access_token,
            },
        )
        claims.validate(now=seconds, leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise VerificationFailed(f"the id token does not hold: {type(error).__name__}") from None
    _check_rest(claims, expected, seconds)
    return str(claims["sub"])


def _check_rest(claims: CodeIDToken, expected: Expected, now: int) -> None:
    audience = claims["aud"]
    others = [] if isinstance(audience, str) else [a for a in audience if a != expected.client_id]
    subject, issued = claims["sub"], claims["iat"]
    if others:
        raise VerificationFailed("the id token is for others too")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST:
        raise VerificationFailed("the id token names nobody")
    if not isinstance(issued, int | float) or issued < now - OLDEST_SECONDS:
        raise VerificationFailed("the id token is old")
