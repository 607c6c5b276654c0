"""Models of an outcome, as methods of whatever names members."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from pydantic import ValidationError

from coordinator.client.derived import reused_from
from coordinator.client.errors import BadInput, checking
from coordinator.client.question import Question
from coordinator.client.result import Result
from coordinator.client.slopes import terms_of, visits
from coordinator.client.usual_names import family_named
from coordinator.client.words import Numbers, decimals, whole
from models.aggregates.requests import Analysis
from models.changed import changed
from models.noise_law import NoiseLaw
from models.regression.choosing import Way
from models.regression.cox import Cox
from models.regression.effect import Effect
from models.regression.formula import SITE
from models.regression.progression import Progression
from models.regression.request import FamilyName, Regression, Reused
from models.regression.rounds import InRounds
from models.regression.weighting import Estimand
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.contract.facts import unlike
from privacy.errors import Code
from privacy.mechanism import plan_mechanism

Made = TypeVar("Made", bound=InRounds)
Numeral = float | int | str | Decimal
AUTO = "auto"
MEMBERS = 1000  # where nobody guesses the cohort's size
_DELTA, _NODES, _MARGIN = Fraction(1, 10**6), 3, 1  # which way is best hardly depends on them


class Reusing(Protocol):
    """From a regression and epsilon (decimal text) to what it may reuse, if there is something."""

    def __call__(self, asked: Regression, epsilon: str) -> Reused | None: ...


@dataclass(frozen=True)
class Suited:
    """Chooses the way of a fit once epsilon is known, unless it is written, how closely members'
    parts are clipped in it, and what is reused; the question that is sent states it all."""

    dictionary: Dictionary
    members: int
    way: Way | None = None
    reusing: Reusing | None = None

    def __call__(self, analysis: Analysis, epsilon: str) -> tuple[Analysis, str]:
        found, why = self._chosen(analysis, epsilon)
        if self.reusing is None or not isinstance(found, Regression):
            return found, why
        reused = self.reusing(found, epsilon)
        if reused is None:
            return found, f"{why}; no release to reuse"
        return changed(found, reuse=reused), f"{why}; {reused.words}"

    def _chosen(self, analysis: Analysis, epsilon: str) -> tuple[Analysis, str]:
        if not isinstance(analysis, InRounds):
            return analysis, ""
        rho = rho_of_epsilon(parse_epsilon(epsilon), _DELTA)
        law = NoiseLaw(plan_mechanism(rho, _NODES, _MARGIN), _NODES)
        with checking(Code.BAD_REQUEST):
            return analysis.chosen(self.dictionary, law, self.members, self.way)


class Fitting(ABC):
    """Each method checks the formula against the dictionary and returns a question.

    How it is fitted follows from epsilon and `members`, a guess of how many there are; `way`
    decides it instead.
    """

    @abstractmethod
    def asked(self, analysis: Analysis) -> Question:
        """The analysis of these members."""

    @abstractmethod
    def declared(self) -> Dictionary:
        """What the study's columns mean."""

    def glm(
        self,
        formula: str,
        family: FamilyName = "linear",
        *,
        happened: str = "",
        dispersion: Numeral | None = None,
        members: int = MEMBERS,
        way: Way | None = None,
        reuse: str | Result = "",
    ) -> Question:
        """`outcome ~ terms`: linear, binomial, poisson, negative_binomial or ordinal.

        `reuse` is an earlier answer of `glm` (or its release) whose covariates hold those of this
        formula, in the same cohort: they are not asked again, which costs less. With "auto" the
        newest such release is looked for.
        """
        asked = _made(
            Regression,
            formula=formula,
            family=family_named(family),
            happened=happened,
            dispersion="" if dispersion is None else str(dispersion),
        )
        if not reuse:
            return self._fitted(asked, members, way)
        return self._reusing(asked, members, way, reuse)

    def cox(
        self,
        time: str,
        event: str,
        formula: str,
        *,
        start: str = "",
        happened: str = "true",
        grid: Numbers | None = None,
        strata: str = "",
        members: int = MEMBERS,
        way: Way | None = None,
    ) -> Question:
        """Hazard ratios of `event` at `time` by the terms of `formula`.

        With `strata="organisation"` each organisation has a baseline hazard of its own.
        """
        if strata not in ("", SITE):
            raise BadInput("no strata", where="strata", instead=f"write {SITE!r}")
        asked = _made(
            Cox,
            time=time,
            event=event,
            formula=formula,
            start=start,
            happened=happened,
            edges=decimals(grid, "grid"),
            strata=bool(strata),
        )
        return self._fitted(asked, members, way)

    def progression(
        self,
        outcome: str,
        time: str = "",
        formula: str = "",
        *,
        by: str = "",
        covariates: str = "",
        lower: Numeral | None = None,
        upper: Numeral | None = None,
        slope_sd: Numeral | None = None,
        visit_sd: Numeral | None = None,
        members: int = MEMBERS,
        way: Way | None = None,
    ) -> Question:
        """How fast `outcome` changes with `time`, by terms; slopes count within the bounds.

        The terms are a `formula`, or `by`, what is compared, and `covariates`, terms it is adjusted
        for. Unless written, `time` is that of the outcome's table, and the bounds are slopes that
        cross the outcome's declared range within that of the time.
        """
        with checking(Code.BAD_REQUEST):
            of = visits(self.declared(), outcome, time, lower, upper)
        asked = _made(
            Progression,
            outcome=of.outcome,
            time=of.time,
            formula=terms_of(formula, by, covariates),
            lower=of.lower,
            upper=of.upper,
            slope_sd="" if slope_sd is None else str(slope_sd),
            visit_sd="" if visit_sd is None else str(visit_sd),
        )
        return self._fitted(asked, members, way)

    def effect(
        self,
        outcome: str,
        treatment: str,
        covariates: str,
        *,
        estimand: Estimand = "overlap",
        treated: str = "",
        happened: str = "",
        trim: Numeral = "0.05",
        members: int = MEMBERS,
        way: Way | None = None,
    ) -> Question:
        """The difference in `outcome` between the treated and others alike in `covariates`.

        `covariates` are terms of a formula for the chance of being treated, by which members are
        weighted. `estimand` says whom the effect is of: "overlap", those whom either might have
        been given to; "ate", everybody; "att", the treated. `treated` and `happened` are the
        levels of a yes.
        """
        asked = _made(
            Effect,
            outcome=outcome,
            treatment=treatment,
            covariates=covariates,
            estimand=estimand,
            treated=treated,
            happened=happened,
            trim=str(trim),
        )
        return self._fitted(asked, members, way)

    def _reusing(
        self, asked: Regression, members: int, way: Way | None, reuse: str | Result
    ) -> Question:
        plain = self.asked(asked if way is None else changed(asked, way=way))
        members = _guessed(members)
        if reuse == AUTO:
            find = partial(_opened_before, plain)
            return replace(plain, suit=Suited(self.declared(), members, way, find))
        earlier = plain.backend.release(reuse) if isinstance(reuse, str) else reuse
        if not isinstance(earlier, Result):
            raise BadInput(
                "neither an answer nor a release", where="reuse", instead=f"write {AUTO!r}"
            )
        known = self.asked(changed(asked, way=way or asked.way, reuse=reused_from(earlier)))
        return replace(known, suit=Suited(self.declared(), members, way))

    def _fitted(self, analysis: Any, members: int, way: Way | None) -> Question:
        if way is not None:
            if way not in WAYS:
                raise BadInput(f"no way {way!r}", where="way", instead="write " + ", ".join(WAYS))
            analysis = analysis.model_copy(update={"way": way})
        return replace(self.asked(analysis), suit=Suited(self.declared(), _guessed(members), way))


def _guessed(members: int) -> int:
    guess = whole(members, "members")
    if guess < 1:
        raise BadInput("at least 1 is guessed", where="members", instead=f"write {MEMBERS}")
    return guess


def _made(kind: type[Made], **fields: Any) -> Made:
    """A request of these fields; raises BadInput naming the first that it does not take."""
    with checking(Code.BAD_REQUEST):
        try:
            return kind(**fields)
        except ValidationError as wrong:
            raise unlike(wrong) from None


def _opened_before(plain: Question, asked: Regression, epsilon: str) -> Reused | None:
    """What the newest release that serves `asked` opened."""
    release = plain.backend.opened_before(replace(plain, analysis=asked), epsilon)
    return None if release is None else reused_from(plain.backend.release(release))


WAYS: tuple[Literal["gradient", "gram", "newton"], ...] = ("gradient", "gram", "newton")
