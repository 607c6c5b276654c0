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
    decides it instead. Raises BadInput for what is no formula of declared columns.
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

        Args:
            formula: as in R, of declared columns: `a + b`, `a:b`, `a*b`, `- 1`, `log(x)`,
                `C(sex, ref='male')`, `clip(x, 20, 80)`, `bs(x, df=4)`, `offset(log(x))`.
            family: "linear" and so on; "binomial" is logistic, "ordinal" proportional odds.
            happened: of a binomial outcome with levels, the level that is a yes.
            dispersion: of "negative_binomial", if it is known; else it is estimated.
            members: your guess of how many there are; it decides how the fit is made, at no cost.
            way: "gram", "newton" or "gradient" instead of what follows from epsilon and `members`.
            reuse: an earlier answer, as above.

        Returns:
            A question. `.run(epsilon=1)` gives a `Result`: `.summary()` is a table as R prints one,
            `.coefficients` a frame, `.model()` predicts, `.submodel(formula)` drops terms.

        Raises:
            BadInput: a column that is none, or without bounds; a formula outside the grammar.
            Refused: the study does not allow the analysis.

        Example: `study.glm("phq9 ~ age + C(sex) + condition").run(epsilon=1).summary()`
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
        reuse: str | Result = "",
    ) -> Question:
        """Hazard ratios of `event` at `time` by the terms of `formula`.

        With `strata="organisation"` each organisation has a baseline hazard of its own.

        Args:
            time: the numeric column that says when, from its lower bound on.
            event, happened: the column that says whether, and its level of a yes.
            formula: the terms alone, as of `glm`: "age + C(sex)".
            start: the column of entry, of members who were not watched from the beginning.
            grid: the times that events are told apart by; from the declared bins unless written.
            strata: "organisation", or nothing.
            members, way: as of `glm`.
            reuse: refused here; it is of `glm` alone.

        Returns:
            A question; `.run(epsilon=…).summary()` has hazard ratios as R's coxph prints them.

        Raises:
            BadInput: a column that is none, a hazard explained by its own time or event.
            Refused: the study does not allow the analysis.

        Example: `study.cox("survival_days", "status", "age + sex", happened="died").run(epsilon=8)`
        """
        if reuse:
            raise BadInput(
                "hazards learn of covariates and ends in one round of their own",
                where="reuse",
                instead="leave reuse out, or ask glm whether it happened within a time",
            )
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

        Args:
            outcome: a numeric column of a table with several rows per member.
            time: the numeric column of that table that says when.
            formula: the terms that slopes depend on, as of `glm`: "age + C(sex)".
            by, covariates: instead of a formula.
            lower, upper: slopes count within these, in the outcome's unit per unit of time.
            slope_sd, visit_sd: guesses of how much slopes and single visits spread, to weigh by.
            members, way: as of `glm`.

        Returns:
            A question; its result has the slope of everybody and what each term adds to it.

        Raises:
            BadInput: a column that is none, or no slope within the bounds.
            Refused: the study does not allow the analysis.

        Example: `study.progression("alsfrs_r_visit", "months", "age + sex", lower=-3, upper=1)`
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

        Raises BadInput for columns that are none, and for an effect explained by what it compares.

        Example:
            `study.effect("alsfrs_r_loss", "any(treatments: treatment == 'lithium')", "age + sex")`
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
