"""A coordinator that takes each step by hand, so that a test can misbehave between any two.

It holds the coordinator's real key: what stops it is what the nodes check, not a signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.key_stock import Margin, PreparedSet
from coordinator.node_link import Answer, Body, Declined
from coordinator.planning import Compiled
from coordinator.rounds import NO_STATE, contribute_body
from privacy.contract.messages import Ask
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.errors import Code
from privacy.secure_sum.aggregator import open_total
from privacy.secure_sum.attempt import Attempt
from tests.support.network import Network

TIMEOUT = 1.0


def code(answer: Answer) -> Code | None:
    """Why a node declined; None if it answered."""
    return answer.code if isinstance(answer, Declined) else None


def codes(answers: Mapping[str, Answer]) -> set[Code | None]:
    return {code(answer) for answer in answers.values()}


def field(answers: Mapping[str, Answer], name: str) -> dict[str, Envelope]:
    """What each node signed, of those that answered."""
    return {
        node: Envelope.from_json(answer.payload[name])
        for node, answer in answers.items()
        if isinstance(answer, Body)
    }


@dataclass
class Steps:
    """One plan, one step at a time. `nodes` limits a step to some of the participants."""

    network: Network
    compiled: Compiled

    @property
    def plan(self) -> Plan:
        return self.compiled.plan

    @property
    def digest(self) -> str:
        return self.compiled.envelope.digest

    def say(
        self, ask: Ask, payload: Mapping[str, Any], nodes: Iterable[str] | None = None
    ) -> dict[str, Answer]:
        to = tuple(self.plan.participants if nodes is None else nodes)
        return self.network.link.ask_all(ask, to, dict(payload), TIMEOUT)

    def reserve(self, nodes: Iterable[str] | None = None) -> dict[str, Answer]:
        return self.say(Ask.RESERVE, {"plan": self.compiled.envelope.to_json()}, nodes)

    def keys(self) -> PreparedSet:
        plan = self.plan
        margin = Margin(plan.roster, plan.t_drop, plan.t_collude)
        return self.network.stock.take(plan.participants, margin)

    def attempt(self, keys: PreparedSet, number: int = 0, **changes: Any) -> Attempt:
        plan = self.plan
        planned = plan.rounds[min(changes.get("round", 0), len(plan.rounds) - 1)]
        facts: dict[str, Any] = {
            "plan": self.digest,
            "round": 0,
            "attempt": number,
            "state": NO_STATE,
            "participants": plan.participants,
            "sessions": keys.sessions,
            "roster": plan.roster,
            "set_index": keys.index,
            "t_drop": plan.t_drop,
            "t_collude": plan.t_collude,
            "length": planned.length,
        }
        return Attempt(**{**facts, **changes})

    def contribute(
        self,
        attempt: Attempt,
        keys: PreparedSet,
        nodes: Iterable[str] | None = None,
        state: bytes = b"",
    ) -> dict[str, Answer]:
        to = self.plan.participants if nodes is None else nodes
        bodies = {node: contribute_body(attempt, keys, node, state) for node in to}
        return self.network.link.ask(Ask.CONTRIBUTE, bodies, TIMEOUT)

    def sign(
        self,
        attempt: Attempt,
        claims: Mapping[str, Envelope],
        nodes: Iterable[str] | None = None,
    ) -> dict[str, Answer]:
        payload = {
            "attempt": attempt.to_json(),
            "claims": {node: claim.to_json() for node, claim in claims.items()},
        }
        return self.say(Ask.SIGN_SURVIVORS, payload, claims if nodes is None else nodes)

    def reveal(
        self, attempt: Attempt, lists: Iterable[Envelope], nodes: Iterable[str] | None = None
    ) -> dict[str, Answer]:
        payload = {"attempt": attempt.to_json(), "lists": [one.to_json() for one in lists]}
        return self.say(Ask.REVEAL, payload, nodes)

    def outcome(self, nodes: Iterable[str] | None = None, **what: Any) -> dict[str, Answer]:
        return self.say(Ask.OUTCOME, {"plan": self.digest, **what}, nodes)

    def open(
        self,
        attempt: Attempt,
        keys: PreparedSet,
        given: Mapping[str, Answer],
        lists: Mapping[str, Envelope],
        reveals: Mapping[str, Envelope],
    ) -> NDArray[np.int64]:
        """The total, from what the nodes gave."""
        masked = {
            node: np.frombuffer(body.blob, dtype="<u8")
            for node, body in given.items()
            if isinstance(body, Body)
        }
        total, _ = open_total(
            attempt,
            masked,
            adverts=keys.adverts,
            claims=field(given, "claim"),
            lists=list(lists.values()),
            reveals=reveals,
            keys=self.network.store.network.roster.keys,
        )
        return total
