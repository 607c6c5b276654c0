"""What a replay under other terms found."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from coordinator.audit.supposition import Supposition
from privacy.accounting.conversion import epsilon_of_rho
from privacy.units import Rho


@dataclass(frozen=True)
class Turned:
    """One question that would have ended otherwise: refused now, or refused then.

    `node` and `seq` are the entry at which it is decided. `left` is what the limit still held.
    """

    plan: str
    node: str
    seq: int
    at: str
    study: str
    sentence: str
    why: str
    words: str
    needed: Rho
    delta: Fraction
    left: Rho | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "node": self.node,
            "entry": self.seq,
            "at": self.at,
            "study": self.study,
            "sentence": self.sentence,
            "why": self.why,
            "words": self.words,
            "needed": _loss(self.needed, self.delta),
            "left": None if self.left is None else _loss(self.left, self.delta),
        }


@dataclass(frozen=True)
class Sums:
    """Charged, as rho: of the study or period that it stands at."""

    then: Rho
    supposed: Rho

    def to_json(self, delta: Fraction) -> dict[str, Any]:
        return {"then": _loss(self.then, delta), "supposed": _loss(self.supposed, delta)}


@dataclass(frozen=True)
class NodeOutcome:
    """One organisation: its charges then and under the supposition, and the newest limits."""

    node: str
    delta: Fraction
    total: Sums
    periods: tuple[tuple[str, Rho, Rho, Sums], ...]  # starts, limit then, limit supposed, charged
    studies: tuple[tuple[str, Sums], ...]
    refused: int

    def to_json(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "refused": self.refused,
            "charged": self.total.to_json(self.delta),
            "periods": [
                {
                    "starts": starts,
                    "limit": Sums(then, supposed).to_json(self.delta),
                    "charged": sums.to_json(self.delta),
                }
                for starts, then, supposed, sums in self.periods
            ],
            "studies": {study: sums.to_json(self.delta) for study, sums in self.studies},
        }


@dataclass(frozen=True)
class Replayed:
    """What a supposition changes."""

    suppose: Supposition
    questions: int
    refused: tuple[Turned, ...]
    admitted: tuple[Turned, ...]  # refused for want of budget then, and would have fitted
    looks: int  # questions at which a steward would have had to look first
    nodes: tuple[NodeOutcome, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "supposed": list(self.suppose.words),
            "questions": self.questions,
            "refused": [each.to_json() for each in self.refused],
            "admitted": [each.to_json() for each in self.admitted],
            "looks": self.looks,
            "nodes": [each.to_json() for each in self.nodes],
        }


def _loss(rho: Rho, delta: Fraction) -> dict[str, Any]:
    return {"rho": rho.text, "epsilon": epsilon_of_rho(rho, delta)}
