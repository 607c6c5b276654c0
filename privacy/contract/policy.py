"""What an organisation takes part in: limits, floors and rules, as its steward signs them.

A policy is about studies and questions, never about members. Every rule can be checked from the
study, the question and the ledger alone, so a node, the coordinator and an auditor agree on it.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from privacy.accounting.conversion import parse_budget, rho_of_epsilon
from privacy.contract.canonical import parse_rational
from privacy.contract.duo import Permission, Terms
from privacy.contract.facts import Fact, Sorted
from privacy.contract.study import KeyText, Line
from privacy.units import Rho

MOST_EMBARGO_DAYS = 3650


class Preset(StrEnum):
    """A policy to begin from; `OWN` once anything in it was changed."""

    CAREFUL = "careful"
    BALANCED = "balanced"
    OPEN = "open"
    OWN = "own"


class Automatic(StrEnum):
    """What a node decides without asking its stewards, each with its reason in the ledger."""

    REFUSE_OUTSIDE = "refuse-outside"  # a study outside the rules is refused at once
    APPROVE_KNOWN = "approve-known"  # within the rules, proposed and signed by a known key
    COUNTS = "counts-for-approved-studies"  # a question that only counts needs no look


class Linking(Sorted):
    """With whom, by what and how often an organisation links its members (docs/linkage.md).

    `partners` are ids of nodes; `fields` the dictionary's identifiers by which a person is
    recognised; `room` a number of members never to be exceeded, which everybody sees; `a_year`
    how many linkages may be begun in one period.
    """

    partners: Annotated[tuple[Line, ...], Field(min_length=2, max_length=7)]
    fields: Annotated[tuple[Line, ...], Field(min_length=1, max_length=8)]
    room: Annotated[int, Field(ge=1, lt=2**24)]
    a_year: Annotated[int, Field(ge=1, le=52)] = 4

    @model_validator(mode="after")
    def _lists(self) -> Self:
        for values in (self.partners, self.fields):
            if list(values) != sorted(set(values)):
                raise ValueError("lists are sorted and name nothing twice")
        return self


class Rules(Sorted):
    """The rules beside the figures.

    `analyses` () allows every one of the catalogue. `approvers` is how many different stewards
    have to approve a study. `embargo_days` lie between an organisation's approval and its first
    answer. With `each_question` a steward looks at every question before it is answered, save
    those that `automatic` lets through. `known` are investigators' public keys whose
    fingerprints a steward compared. `names_columns` and `reviewed` refuse studies that do not
    name their columns, and studies without a patient reviewer's sign-off. Without
    `by_organisation` studies are refused in which organisations may be told apart. Without
    `linking` members are linked with nobody's.
    """

    preset: Preset = Preset.OWN
    analyses: tuple[Line, ...] = ()
    terms: Terms = Terms(permission=Permission.GENERAL)
    approvers: Annotated[int, Field(ge=1, le=2)] = 1
    embargo_days: Annotated[int, Field(ge=0, le=MOST_EMBARGO_DAYS)] = 0
    each_question: bool = False
    automatic: tuple[Automatic, ...] = ()
    known: tuple[KeyText, ...] = ()
    names_columns: bool = False
    by_organisation: bool = True
    reviewed: bool = False
    linking: Linking | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for values in (self.analyses, self.automatic, self.known):
            if list(values) != sorted(set(values)):
                raise ValueError("lists are sorted and name nothing twice")
        if Automatic.APPROVE_KNOWN in self.automatic:
            if self.approvers > 1:
                raise ValueError("what two people have to approve is not approved automatically")
            if not self.known:
                raise ValueError("approve-known needs the keys that are known")
        return self


class Policy(Fact):
    """Figures and rules. Floors cannot be lowered by a plan.

    Epsilons are decimal text at `delta` (rational text). Those of a study, of one researcher in
    a study and of one question are limits inside the year's; None is no limit of its own.

    The year's is what a member may lose. Everybody is charged for every question, unless there is
    a `ceiling_epsilon`: then members are charged one by one (`privacy.accounting.individual`), and
    the ceiling is what all questions of a year may cost in public, as if everybody were in each.
    `lifetime_epsilon` is what a member may lose in all years together.
    """

    yearly_epsilon: str
    ceiling_epsilon: str | None = None
    lifetime_epsilon: str | None = None
    study_epsilon: str | None = None
    researcher_epsilon: str | None = None
    question_epsilon: str | None = None
    delta: str
    min_cohort: int = 0
    min_nodes: int = 3
    min_collude: int = 1
    max_drop: int = 0
    max_memberships: int = 1
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if min(self.min_cohort, self.min_nodes, self.min_collude, self.max_drop) < 0:
            raise ValueError("min_cohort, min_nodes, min_collude and max_drop are 0 or more")
        if not 1 <= self.max_memberships <= 100:
            raise ValueError("max_memberships is 1 to 100")
        return self

    @cached_property
    def delta_fraction(self) -> Fraction:
        return parse_rational(self.delta)

    @cached_property
    def yearly_rho(self) -> Rho:
        """The year's budget as zCDP, rounded down."""
        return self._rho(self.yearly_epsilon)

    @property
    def ceiling_rho(self) -> Rho | None:
        return self._limit(self.ceiling_epsilon)

    @property
    def lifetime_rho(self) -> Rho | None:
        return self._limit(self.lifetime_epsilon)

    @property
    def public_rho(self) -> Rho:
        """What all questions of a year may cost: the year's own figure, or the ceiling."""
        return self.ceiling_rho or self.yearly_rho

    @property
    def study_rho(self) -> Rho | None:
        return self._limit(self.study_epsilon)

    @property
    def researcher_rho(self) -> Rho | None:
        return self._limit(self.researcher_epsilon)

    @property
    def question_rho(self) -> Rho | None:
        return self._limit(self.question_epsilon)

    def _limit(self, epsilon: str | None) -> Rho | None:
        return None if epsilon is None else self._rho(epsilon)

    def _rho(self, epsilon: str) -> Rho:
        return rho_of_epsilon(parse_budget(epsilon), self.delta_fraction)
