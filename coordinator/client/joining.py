"""Redeeming an invitation: the token is made here, and its secret never leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.client.transport import Transport
from privacy.contract.token import Role, Token


def join(
    url: str, code: str, *, entropy: Callable[[int], bytes], ca: str | Path | None = None
) -> Token:
    """A new token for the role that the invitation is for; raises Refused for a used code."""
    made = Token.new(Role.RESEARCHER, entropy)
    person = {"public_key": made.signing_key.public.text, "bearer_sha256": made.bearer_sha256}
    said = Transport(url, None, ca).post("/v1/join", {"code": code, "person": person})
    return Token(Role(said["person"]["role"]), made.secret)
