"""What regressions share as analyses in rounds: how they go, what is told, what is read."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Self

import numpy as np

from models.aggregates.expected import Expected
from models.aggregates.request import Request
from models.changed import changed
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.by_organisation import ByOrganisation, lost_during
from models.regression.choosing import Way, choose, course_of
from models.regression.fitting import CLUSTERED, Course, next_round, standing
from models.regression.foretelling import foretold
from models.regression.member_sum import MemberSum, UnitVectors, check_memory
from models.regression.member_vectors import Gram, Moments, Newton, Round, Scores, length
from models.regression.newton import Opened, Standing
from models.regression.outcome import Model
from models.regression.states import close, round_of, state_bytes
from models.regression.syntax import Formula
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

MAX_CLIP = 1000.0


class InRounds(Request):
    """`way` and `clip` (decimal text) come from `chosen`, and are stated so that everybody derives
    the same rounds. `organisations` are listed, in order, where a figure is by organisation."""

    by_size: ClassVar[bool] = True
    organisations: tuple[str, ...] = ()
    way: Way = "gram"
    clip: str = "2"

    @abstractmethod
    def model(self, dictionary: Dictionary) -> Model:
        """The compiled model. Raises BadInput."""

    def chosen(
        self, dictionary: Dictionary, law: NoiseLaw, members: int, way: Way | None = None
    ) -> tuple[Self, str]:
        """The same analysis with the best way for about `members`, or with the one that is
        written, and why.

        `law` is that of a single opening for the whole cost. Raises BadInput.
        """
        if members < 1:
            raise BadInput("the number of members is at least 1", where="members")
        unit = law.sd_grid / law.mechanism.delta_grid
        choice = choose(self.model(dictionary), unit, members, way)
        return changed(self, way=choice.way, clip=choice.clip), choice.why

    def check(self) -> None:
        """Raises BadInput for settings that no run can have."""
        decimal(self.clip, "clip", MAX_CLIP)
        if len(set(self.organisations)) < len(self.organisations):
            raise BadInput("an organisation stands twice", where="organisations")

    @abstractmethod
    def terms(self, dictionary: Dictionary) -> Formula:
        """The terms that are fitted. Raises BadInput."""

    def by_organisation(self, dictionary: Dictionary) -> bool:
        """Is something estimated for each organisation? Raises BadInput."""
        return self.terms(dictionary).by_site

    def told_apart(self, dictionary: Dictionary) -> tuple[str, ...]:
        """The organisations, where something is estimated for each; else none."""
        return self.organisations if self.by_organisation(dictionary) else ()

    def told(self, dictionary: Dictionary, opened: Sequence[Opening], result: Result) -> Result:
        """The result, without figures of organisations that were lost in between."""
        lost = lost_during(self.course(dictionary).kinds, opened)
        if not self.organisations or not lost:
            return result
        apart = ByOrganisation(self.terms(dictionary), self.organisations, lost, self.stratified)
        return replace(result, rows=apart.told(result.rows), notes=(*result.notes, apart.note))

    @property
    def stratified(self) -> bool:
        """Has each organisation a baseline of its own?"""
        return False

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> UnitVectors:
        return self.contribution_at(dictionary, delta_grid, 0, b"")

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        raise BadInput("a regression is concluded from all its rounds")

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of a coefficient per standard deviation of its covariate."""
        if members is None:
            return None
        course = self.course(dictionary)
        last = law.sd_grid / law.mechanism.delta_grid
        unit = last * math.sqrt(course.weights[-1] / course.whole)
        return foretold(self.model(dictionary), course, unit, members)

    def method(self) -> str:
        return f"{self.way_said} {_TOLD}"

    @property
    def way_said(self) -> str:
        """What its rounds open, in words."""
        return _METHODS[self.way]

    def course(self, dictionary: Dictionary) -> Course:
        return course_of(self.model(dictionary), self.way, float(self.clip))

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        return self.course(dictionary).weights

    def spared(self, dictionary: Dictionary) -> int:
        return self.course(dictionary).spared

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        model, course = self.model(dictionary), self.course(dictionary)
        return state_bytes(next_round(model, course, self.read(dictionary, opened)))

    def same_state(self, stated: bytes, recomputed: bytes) -> bool:
        return close(stated, recomputed)

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> UnitVectors:
        model = self.model(dictionary)
        asked = round_of(model, self.course(dictionary), number, state)
        return MemberSum(model, asked, delta_grid, self.organisations)

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        model = self.model(dictionary)
        check_memory(model)
        return length(model, empty_round(model, self.course(dictionary).kinds[number]))

    def read(self, dictionary: Dictionary, opened: Sequence[Opening]) -> list[Opened]:
        """Openings in the rounds' own numbers."""
        model, course = self.model(dictionary), self.course(dictionary)
        return [_read(model, course, at, each) for at, each in enumerate(opened)]

    def standing(self, dictionary: Dictionary, opened: Sequence[Opening]) -> tuple[Standing, float]:
        """The fit after `opened`, and the noise on the number of members."""
        model, course = self.model(dictionary), self.course(dictionary)
        read = self.read(dictionary, opened)
        asked, noise = read[-1].asked, read[0].noise
        if isinstance(asked, Newton):
            noise = read[-1].noise * math.sqrt(asked.parts)
        return standing(model, course, read), noise


def empty_round(model: Model, kind: str) -> Round:
    """A round of a kind, for its length alone."""
    theta = np.zeros(model.size)
    match kind:
        case "moments":
            return Moments(1.0)
        case "outcome":
            return Moments(1.0, outcome_alone=True)
        case "gram":
            return Gram(np.eye(model.width), 1.0)
        case "scores":
            return Scores(theta, np.eye(model.size), 1.0)
        case _:
            return Newton(theta, clustered=kind == CLUSTERED)


def _read(model: Model, course: Course, number: int, opening: Opening) -> Opened:
    """One opening in the round's own numbers. Raises BadInput for one of another length."""
    asked = round_of(model, course, number, opening.state)
    if len(opening.totals) != length(model, asked):
        raise BadInput(f"the total has {len(opening.totals)} numbers, not {length(model, asked)}")
    clip = 1.0 if isinstance(asked, Newton) else asked.clip
    unit = clip / opening.law.mechanism.delta_grid
    sums = np.array(opening.totals, dtype=np.float64) * unit
    return Opened(asked, sums, opening.law.sd_grid * unit)


def decimal(text: str, where: str, most: float) -> float:
    """A number above 0. Raises BadInput."""
    try:
        number = float(Decimal(text))
    except (InvalidOperation, ValueError):  # of a signaling NaN too
        raise BadInput("not a number", where=where) from None
    if not 0 < number <= most:
        raise BadInput(f"above 0 and at most {most:g}", where=where)
    return number


_TOLD = (
    "What is told is drawn towards no effect as far as the noise demands; intervals are about what "
    "was measured."
)
_METHODS = {
    "newton": (
        "Coefficients are maximum likelihood estimates by Newton's method; every round opened the "
        "noisy sum of members' scores and information at the last coefficients. Standard errors "
        "add the inverse information and the noise carried through it."
    ),
    "gram": (
        "Noisy means, variances and products of covariates, scaled by public bounds, were opened "
        "first; then, in rounds, noisy sums of members' scores, mapped to have about the identity "
        "for covariance and clipped member by member. Coefficients are the mean of the rounds' "
        "Newton targets, corrected for clipping under a law of the covariates with those moments; "
        "standard errors hold sampling, noise, and how roughly the products are known."
    ),
    "gradient": (
        "Noisy means and variances of covariates, scaled by public bounds, were opened first; "
        "then, in rounds, noisy sums of members' scores, clipped member by member. Predictions "
        "rest on the mean of the rounds' damped Newton targets, which takes covariates for "
        "uncorrelated; nothing is said of single coefficients, unless there is but one."
    ),
}
