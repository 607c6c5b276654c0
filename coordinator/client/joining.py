"""Redeeming an invitation: the token is made here, and its secret never leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.client.errors import Refused
from coordinator.client.transport import Transport
from privacy.contract.token import Role, Token
from privacy.errors import Code


def join(
    url: str, code: str, *, entropy: Callable[[int], bytes], ca: str | Path | None = None
) -> Token:
    """A new token for the role that the invitation is for; raises Refused for a used code."""
    made = Token.new(Role.RESEARCHER, entropy)
    person = {"public_key": made.signing_key.public.text, "bearer_sha256": made.bearer_sha256}
    try:
        said = Transport(url, None, ca).post("/v1/join", {"code": code, "person": person})
    except Refused as refused:
        if refused.code is not Code.NOT_PERMITTED:
            raise
        raise Refused(refused.code, "The invitation is unknown, used or expired.") from None
    return Token(Role(said["person"]["role"]), made.secret)
