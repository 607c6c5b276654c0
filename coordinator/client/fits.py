"""Models of an outcome, as methods of whatever names members."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from coordinator.client.errors import BadInput, checking
from coordinator.client.question import Question
from models.aggregates.requests import Analysis
from models.noise_law import NoiseLaw
from models.regression.choosing import Way
from models.regression.cox import Cox
from models.regression.effect import Effect
from models.regression.formula import SITE
from models.regression.progression import Progression
from models.regression.request import FamilyName, Regression
from models.regression.rounds import InRounds
from models.regression.weighting import Estimand
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code
from privacy.mechanism import plan_mechanism

Numeral = float | int | str | Decimal
MEMBERS = 1000  # where nobody guesses the cohort's size
_DELTA, _NODES, _MARGIN = Fraction(1, 10**6), 3, 1  # which way is best hardly depends on them


@dataclass(frozen=True)
class Suited:
    """Chooses the way of a fit once epsilon is known; the question that is sent states it."""

    dictionary: Dictionary
    members: int

    def __call__(self, analysis: Analysis, epsilon: str) -> tuple[Analysis, str]:
        if not isinstance(analysis, InRounds):
            return analysis, ""
        rho = rho_of_epsilon(parse_epsilon(epsilon), _DELTA)
        law = NoiseLaw(plan_mechanism(rho, _NODES, _MARGIN), _NODES)
        with checking(Code.BAD_REQUEST):
            return analysis.chosen(self.dictionary, law, self.members)


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
    ) -> Question:
        """`outcome ~ terms`: linear, binomial, poisson, negative_binomial or ordinal."""
        asked = Regression(
            formula=formula,
            family=family,
            happened=happened,
            dispersion="" if dispersion is None else str(dispersion),
        )
        return self._fitted(asked, members, way)

    def cox(
        self,
        time: str,
        event: str,
        formula: str,
        *,
        start: str = "",
        happened: str = "true",
        grid: Sequence[Numeral] | None = None,
        strata: str = "",
        members: int = MEMBERS,
        way: Way | None = None,
    ) -> Question:
        """Hazard ratios of `event` at `time` by the terms of `formula`.

        With `strata="organisation"` each organisation has a baseline hazard of its own.
        """
        if strata not in ("", SITE):
            raise BadInput("no strata", where="strata", instead=f"write {SITE!r}")
        asked = Cox(
            time=time,
            event=event,
            formula=formula,
            start=start,
            happened=happened,
            edges=tuple(map(str, grid or ())),
            strata=bool(strata),
        )
        return self._fitted(asked, members, way)

    def progression(
        self,
        outcome: str,
        time: str,
        formula: str,
        *,
        lower: Numeral,
        upper: Numeral,
        slope_sd: Numeral | None = None,
        visit_sd: Numeral | None = None,
        members: int = MEMBERS,
        way: Way | None = None,
    ) -> Question:
        """How fast `outcome` changes with `time`, by terms; slopes count within the bounds."""
        asked = Progression(
            outcome=outcome,
            time=time,
            formula=formula,
            lower=str(lower),
            upper=str(upper),
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
        asked = Effect(
            outcome=outcome,
            treatment=treatment,
            covariates=covariates,
            estimand=estimand,
            treated=treated,
            happened=happened,
            trim=str(trim),
        )
        return self._fitted(asked, members, way)

    def _fitted(self, analysis: Any, members: int, way: Way | None) -> Question:
        if way is not None:
            return self.asked(analysis.model_copy(update={"way": way}))
        return replace(self.asked(analysis), suit=Suited(self.declared(), members))


WAYS: tuple[Literal["gradient", "gram", "newton"], ...] = ("gradient", "gram", "newton")
