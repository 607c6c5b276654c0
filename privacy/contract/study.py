"""A study as every party signs and approves it, and an organisation's policy."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Self

from pydantic import field_validator, model_validator

from privacy.accounting.conversion import parse_budget, rho_of_epsilon
from privacy.contract.canonical import parse_rational
from privacy.contract.facts import Fact
from privacy.contract.time import parse_day
from privacy.units import Rho

STUDY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class ConsentRule(StrEnum):
    """Whether a member is counted only with their consent to the study's purpose."""

    REQUIRED = "required"
    NONE = "none"


class Study(Fact):
    """An approved question: purpose, period, allowance, investigators and limits.

    `epsilon_allowance` is decimal text at `delta` (rational text), for one membership.
    `investigators` are Ed25519 public keys (base64): only they may sign its questions.
    `by_organisation` lets figures of single organisations be estimated, with noise like any:
    whoever approves the study approves that.
    """

    id: str
    version: int = 1
    title: str
    purpose: str
    consent: ConsentRule
    starts: str
    ends: str
    epsilon_allowance: str
    delta: str
    dictionary: str
    investigators: tuple[str, ...]
    analyses: tuple[str, ...] = ()  # empty: every analysis of the catalogue
    by_organisation: bool = False
    min_cohort: int = 0
    t_drop: int = 0
    t_collude: int = 1
    max_memberships: int = 1

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not STUDY_ID.fullmatch(value):
            raise ValueError("a study id has lower-case letters, digits and hyphens")
        return value

    @field_validator("purpose")
    @classmethod
    def _purpose(cls, value: str) -> str:
        if not PURPOSE.fullmatch(value):
            raise ValueError("a purpose has lower-case letters, digits, hyphens and underscores")
        return value

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if not self.first_day <= self.last_day:
            raise ValueError("the period ends before it starts")
        if self.min_cohort < 0 or self.t_drop < 0 or self.t_collude < 1:
            raise ValueError("min_cohort >= 0, t_drop >= 0, t_collude >= 1")
        if not 1 <= self.max_memberships <= 100:
            raise ValueError("max_memberships is 1 to 100")
        return self

    @cached_property
    def first_day(self) -> date:
        return parse_day(self.starts)

    @cached_property
    def last_day(self) -> date:
        return parse_day(self.ends)

    @cached_property
    def delta_fraction(self) -> Fraction:
        return parse_rational(self.delta)

    @cached_property
    def rho(self) -> Rho:
        """The allowance as zCDP, rounded down: what the study may lose in all."""
        return rho_of_epsilon(parse_budget(self.epsilon_allowance), self.delta_fraction)

    @property
    def consent_purpose(self) -> str | None:
        """The purpose a member must have consented to, or None where no consent is needed."""
        return self.purpose if self.consent is ConsentRule.REQUIRED else None


class Policy(Fact):
    """What an organisation's node takes part in. Floors cannot be lowered by a plan.

    With `by_organisation` false no figure may be of this organisation by itself, whatever the
    studies say that are approved here.
    """

    yearly_epsilon: str
    delta: str
    min_cohort: int = 0
    min_nodes: int = 3
    min_collude: int = 1
    max_drop: int = 0
    max_memberships: int = 1
    by_organisation: bool = True

    @cached_property
    def delta_fraction(self) -> Fraction:
        return parse_rational(self.delta)

    @cached_property
    def yearly_rho(self) -> Rho:
        """The year's budget as zCDP, rounded down."""
        return rho_of_epsilon(parse_budget(self.yearly_epsilon), self.delta_fraction)
