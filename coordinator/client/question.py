"""A question not yet asked: building one sends nothing and spends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Protocol

from coordinator.client.attrition import Attrition
from coordinator.client.errors import BadInput, checking
from coordinator.client.preview import Preview
from coordinator.client.result import Result
from models.aggregates.requests import Analysis
from models.sentences import sentence
from privacy.accounting.conversion import parse_epsilon
from privacy.errors import Code

Epsilon = float | int | str | Decimal | Fraction


@dataclass(frozen=True)
class Terms:
    """What one run may cost and how long to wait for it."""

    epsilon: str
    max_attempts: int
    timeout_seconds: float


class Backend(Protocol):
    """What answers a question: the network, or made-up members."""

    def preview(self, question: Question, epsilon: str, members: int | None) -> Preview: ...

    def run(self, question: Question, terms: Terms) -> Result: ...

    def attrition(self, conditions: Sequence[str]) -> Attrition: ...


@dataclass(frozen=True)
class Question:
    """An analysis of a cohort, checked against the dictionary.

    `cohort` is the canonical text; `analysis` names columns in full.
    """

    study: str
    analysis: Analysis
    cohort: str
    backend: Backend

    def preview(self, *, epsilon: Epsilon, members: int | None = None) -> Preview:
        """Cost, expected error and who can answer; spends nothing.

        `members` is your own guess of the cohort's size, for what depends on it.
        """
        return self.backend.preview(self, epsilon_text(epsilon), members)

    def run(
        self,
        *,
        epsilon: Epsilon,
        max_attempts: int = 1,
        timeout_seconds: float = 120.0,
    ) -> Result:
        """Ask the network. The same analysis asked before is answered at no cost.

        A node lost in the middle costs another attempt, if `max_attempts` allows one.
        Raises BudgetExceeded, Refused, NodeOffline, TimedOut.
        """
        if not 1 <= max_attempts <= 10:
            raise BadInput("max_attempts is 1 to 10", code=Code.TOO_MANY_ATTEMPTS)
        if not 0 < timeout_seconds < float("inf"):
            raise BadInput("timeout_seconds is above 0")
        terms = Terms(epsilon_text(epsilon), max_attempts, timeout_seconds)
        return self.backend.run(self, terms)

    @property
    def sentence(self) -> str:
        """In words, as the organisations will read it in their ledgers."""
        return sentence(self.analysis, self.cohort)

    @property
    def analysis_json(self) -> dict[str, Any]:
        return self.analysis.to_json()

    def __repr__(self) -> str:
        return f"Question({self.study!r}: {self.sentence})"


def epsilon_text(epsilon: Epsilon) -> str:
    """Epsilon as plain decimal text, at the shortest form of a float; raises BadInput."""
    try:
        value = _decimal(epsilon)
        plain = format(value, "f") if value.is_finite() else "nan"
    except (InvalidOperation, ValueError):
        plain = "nan"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    with checking(Code.BAD_EPSILON, "epsilon"):
        parse_epsilon(plain)
    return plain


def _decimal(epsilon: Epsilon) -> Decimal:
    match epsilon:
        case bool():
            raise InvalidOperation
        case Fraction():
            return Decimal(epsilon.numerator) / Decimal(epsilon.denominator)
        case _:
            return Decimal(str(epsilon).strip())
