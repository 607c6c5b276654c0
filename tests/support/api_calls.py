"""Signing questions and calling the API in tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from privacy.contract.plan import Question
from privacy.contract.signing import Envelope
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from tests.support.fake_executor import NOW, World


def bearer(token: Token, **more: str) -> dict[str, str]:
    """Headers of a signed-in caller."""
    return {"Authorization": f"Bearer {token.bearer}", **more}


def researcher(world: World, **more: str) -> dict[str, str]:
    return bearer(world.tokens[Role.RESEARCHER], **more)


def signed(world: World, token: Token | None = None, **changed: Any) -> dict[str, Any]:
    """The body of POST /v1/runs: a count by treatment, unless changed."""
    values: dict[str, Any] = {
        "study": world.study.id,
        "study_digest": world.study.digest,
        "analysis": {"kind": "count", "by": ["treatment"]},
        "cohort": "",
        "epsilon": "0.5",
        "asked_at": instant_text(NOW),
        "expires": instant_text(NOW + timedelta(minutes=10)),
        "nonce": "00",
        **changed,
    }
    key = (token or world.tokens[Role.RESEARCHER]).signing_key
    envelope = Envelope.seal("question", Question(**values).to_json(), key)
    return {"question": envelope.to_json()}


def run(http: httpx.Client, world: World, *, key: str = "", **changed: Any) -> httpx.Response:
    """Start a run as the study's researcher."""
    more = {"Idempotency-Key": key} if key else {}
    return http.post("/v1/runs", json=signed(world, **changed), headers=researcher(world, **more))
