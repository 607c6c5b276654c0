"""A question not yet asked: building one sends nothing and spends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Protocol

from coordinator.client.attrition import Attrition
from coordinator.client.errors import BadInput, checking
from coordinator.client.job import Job
from coordinator.client.preview import Preview
from coordinator.client.result import Result
from models.aggregates.requests import Analysis
from models.sentences import sentence
from models.target import parse_target
from privacy import errors
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon
from privacy.errors import Code
from privacy.units import Rho

MOST_MEMBERS = 10**9
_ANY_TIME = 86_400.0  # of a run that is only started
Epsilon = float | int | str | Decimal | Fraction


class Suit(Protocol):
    """From an analysis and epsilon (decimal text) to the analysis as it is asked, and why so."""

    def __call__(self, analysis: Analysis, epsilon: str) -> tuple[Analysis, str]: ...


@dataclass(frozen=True)
class Wanted:
    """What a preview is asked for: decimal text of the one or the other, "" for the other one."""

    epsilon: str
    target_error: str
    members: int | None


@dataclass(frozen=True)
class Terms:
    """What one run may cost and how long to wait for it."""

    epsilon: str
    max_attempts: int
    timeout_seconds: float
    tops_up: tuple[str, ...] = ()  # releases that this one is to be combined with


@dataclass(frozen=True)
class TopUp:
    """`asked` is the price of asking again, `combined` one question of both losses, whose interval
    the combined answer has; None where that is more than one question may cost."""

    asked: Preview
    combined: Preview | None

    @property
    def epsilon(self) -> float:
        """What asking again is charged."""
        return self.asked.planned.epsilon_charged

    @property
    def half_width(self) -> float | None:
        """Expected of the combined answer, of a 95 % interval."""
        return None if self.combined is None else self.combined.half_width


class Backend(Protocol):
    """What answers a question: the network, or made-up members."""

    def preview(self, question: Question, wanted: Wanted) -> Preview: ...

    def run(self, question: Question, terms: Terms) -> Result: ...

    def start(self, question: Question, terms: Terms) -> Job: ...

    def attrition(self, conditions: Sequence[str]) -> Attrition: ...

    def release(self, digest: str) -> Result: ...

    def opened_before(self, question: Question, epsilon: str) -> str | None:
        """The newest release that opened the covariates of a regression, if there is one."""


@dataclass(frozen=True)
class Question:
    """An analysis of a cohort, checked against the dictionary; a study's methods make one.

    Previewed or asked, it raises BadInput for what is no budget, BudgetExceeded where too little is
    left, NodeOffline where too few nodes can answer, and Refused for anything else.

    `cohort` is the canonical text; `analysis` names columns in full.
    """

    study: str
    analysis: Analysis
    cohort: str
    backend: Backend
    suit: Suit | None = None  # fits the analysis to epsilon, where it can be asked in several ways
    why: str = field(default="", compare=False)  # the analysis is asked in this way

    def suited(self, epsilon: str) -> Question:
        """The question as it is sent for `epsilon`."""
        if self.suit is None or not epsilon:
            return self
        analysis, why = self.suit(self.analysis, epsilon)
        return replace(self, analysis=analysis, suit=None, why=why)

    def preview(
        self,
        epsilon: Epsilon | None = None,
        *,
        target_error: Epsilon | None = None,
        members: int | None = None,
    ) -> Preview:
        """Cost, expected error, what is left and what was answered before; spends nothing.

        Asked with `epsilon`, or with a `target_error`: the half-width of a 95 % interval in the
        answer's unit, for which the least epsilon is found (`.epsilon` of the preview).
        `members` is your own guess of the cohort's size, for what depends on it.

        Raises BadInput for a budget that is none, Refused where no epsilon reaches the error.

        Example: `study.count(by="condition").preview(target_error=20)`
        """
        wanted = wanted_of(epsilon, target_error, members)
        return self.backend.preview(self.suited(wanted.epsilon), wanted)

    def run(
        self,
        epsilon: Epsilon,
        *,
        max_attempts: int = 1,
        timeout_seconds: float = 120.0,
    ) -> Result:
        """Ask the network. The same analysis asked before is answered at no cost.

        A node lost in the middle costs another attempt, if `max_attempts` allows one.
        Raises BudgetExceeded, Refused, NodeOffline, TimedOut.

        Example: `study.count(by="condition").run(epsilon=0.3)`
        """
        return self._run(terms_of(epsilon, max_attempts, timeout_seconds))

    def start(
        self, epsilon: Epsilon, *, max_attempts: int = 1, tops_up: Result | None = None
    ) -> Job:
        """Ask the network and go on; the job tells how far the run is, waits for it and stops it.

        Where a run has many rounds, `max_attempts` counts for each of them. With `tops_up` the
        answer is combined with an earlier one; see `Result.top_up`.

        Raises what `run` raises of what is known at once; the job raises the rest.

        Example: `job = study.quantiles("age", [0.5]).start(epsilon=0.5)`
        """
        terms = terms_of(epsilon, max_attempts, _ANY_TIME)
        if tops_up is not None:
            terms = replace(terms, tops_up=self._topped_up(tops_up))
        return self.backend.start(self.suited(terms.epsilon), terms)

    def top_up(
        self,
        earlier: Result,
        epsilon: Epsilon,
        *,
        max_attempts: int = 1,
        timeout_seconds: float = 120.0,
    ) -> Result:
        """Ask again for `epsilon` more and combine with `earlier`; see `Result.top_up`.

        Example: `question.top_up(result, epsilon=0.3)`
        """
        terms = terms_of(epsilon, max_attempts, timeout_seconds)
        return self._run(replace(terms, tops_up=self._topped_up(earlier)))

    def top_up_preview(self, earlier: Result, epsilon: Epsilon) -> TopUp:
        """What topping `earlier` up would cost and bring; spends nothing.

        Example: `question.top_up_preview(result, 0.2).half_width`
        """
        self._topped_up(earlier)
        asked = self.preview(epsilon)
        memberships = asked.planned.memberships**2
        both = (Rho.parse(asked.rho).fraction + earlier.rho) / memberships
        whole = epsilon_of_rho(Rho.round_down(both), earlier.delta)
        try:
            return TopUp(asked, self.preview(f"{whole:.6g}"))
        except errors.BadInput:  # of more than a single question may cost
            return TopUp(asked, None)

    def _topped_up(self, earlier: Result) -> tuple[str, ...]:
        """The releases of a result of this question; raises BadInput for another one's."""
        same = earlier.asked.analysis == self.analysis_json and earlier.asked.cohort == self.cohort
        if earlier.asked.study != self.study or not same:
            raise BadInput("that result answers another question", code=Code.NOT_COMBINABLE)
        return tuple(release.digest for release in earlier.releases)

    def _run(self, terms: Terms) -> Result:
        asked = self.suited(terms.epsilon)
        return replace(self.backend.run(asked, terms), question=asked)

    @property
    def sentence(self) -> str:
        """In words, as the organisations will read it in their ledgers."""
        return sentence(self.analysis, self.cohort)

    @property
    def analysis_json(self) -> dict[str, Any]:
        return self.analysis.to_json()

    def __repr__(self) -> str:
        return f"Question({self.study!r}: {self.sentence})"


def wanted_of(epsilon: Epsilon | None, target: Epsilon | None, members: int | None) -> Wanted:
    """What is asked of a preview, checked; raises BadInput."""
    if (epsilon is None) == (target is None):
        raise BadInput("a preview takes either epsilon or target_error", where="epsilon")
    whole = isinstance(members, int) and not isinstance(members, bool)
    if members is not None and not (whole and 1 <= members <= MOST_MEMBERS):
        raise BadInput("members is a whole number above 0", where="members")
    if epsilon is not None:
        return Wanted(epsilon_text(epsilon), "", members)
    plain = decimal_text(target)
    with checking(Code.BAD_REQUEST, "target_error"):
        parse_target(plain)
    return Wanted("", plain, members)


def terms_of(epsilon: Epsilon, max_attempts: int, timeout_seconds: float) -> Terms:
    """The terms of a run, checked; raises BadInput."""
    if type(max_attempts) is not int or not 1 <= max_attempts <= 10:
        raise BadInput("max_attempts is 1 to 10", code=Code.TOO_MANY_ATTEMPTS)
    if not isinstance(timeout_seconds, int | float) or not 0 < timeout_seconds < float("inf"):
        raise BadInput("timeout_seconds is a number above 0")
    return Terms(epsilon_text(epsilon), max_attempts, timeout_seconds)


def epsilon_text(epsilon: Epsilon) -> str:
    """Epsilon as plain decimal text, at the shortest form of a float; raises BadInput."""
    plain = decimal_text(epsilon)
    with checking(Code.BAD_EPSILON, "epsilon"):
        parse_epsilon(plain)
    return plain


def decimal_text(number: Epsilon | None) -> str:
    """A number as plain decimal text; "nan" for what is none."""
    try:
        value = _decimal(number)
        plain = format(value, "f") if value.is_finite() else "nan"
    except (InvalidOperation, ValueError):
        plain = "nan"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _decimal(number: Epsilon | None) -> Decimal:
    match number:
        case bool() | None:
            raise InvalidOperation
        case Fraction():
            return Decimal(number.numerator) / Decimal(number.denominator)
        case _:
            return Decimal(str(number).strip())
