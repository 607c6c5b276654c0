"""A study as every party signs and approves it: who asks what, of whom, why and how much."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from privacy.accounting.conversion import parse_budget, rho_of_epsilon
from privacy.contract.canonical import parse_rational
from privacy.contract.duo import Country, Disease, Reference, Research, Use
from privacy.contract.facts import Fact
from privacy.contract.signing import PublicKey
from privacy.contract.time import parse_day
from privacy.units import Rho

STUDY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
MAX_PROTOCOL_CHARACTERS = 200_000
WHOLE_TABLE = ".*"


def _key(text: str) -> str:
    PublicKey.from_text(text)
    return text


KeyText = Annotated[str, AfterValidator(_key)]
Line = Annotated[str, StringConstraints(max_length=300)]
Paragraphs = Annotated[str, StringConstraints(max_length=10_000)]


class ConsentRule(StrEnum):
    """Whether a member is counted only with their consent to the study's purpose."""

    REQUIRED = "required"
    NONE = "none"


class Investigator(Fact):
    """A person who may sign the study's questions, by an Ed25519 public key (base64).

    `country` is ISO 3166 in two capitals, "" where it is not said.
    """

    key: KeyText
    name: Line = ""
    affiliation: Line = ""
    country: Country | Literal[""] = ""

    @property
    def words(self) -> str:
        """Name and affiliation as people read them; of somebody nameless, the key's beginning."""
        who = self.name or f"key {self.key[:8]}…"
        return ", ".join(part for part in (who, self.affiliation, self.country) if part)


class ProtocolText(Fact):
    """The study's protocol itself."""

    kind: Literal["text"] = "text"
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROTOCOL_CHARACTERS)]


class ProtocolReference(Fact):
    """Where the protocol stands, and the SHA-256 (hexadecimal) of the bytes that stand there."""

    kind: Literal["reference"] = "reference"
    reference: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    sha256: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]


Protocol = Annotated[ProtocolText | ProtocolReference, Field(discriminator="kind")]


class Study(Fact):
    """A question for approval: purpose, people, cohort, columns, allowance and limits.

    `epsilon_allowance` is decimal text at `delta` (rational text), for one membership;
    `epsilon_per_researcher`, where there is one, is what each investigator may spend of it.
    Only `investigators` may sign its questions. `cohort` (canonical text) restricts every
    question: only members in it are counted. `variables` (`table.column`, or `table.*`) are all
    the columns that a question may name; none named means every column of the dictionary.
    `by_organisation` lets figures of single organisations be estimated, with noise like any:
    whoever approves the study approves that. A `linked` study counts only members who were
    linked, each at one organisation.
    """

    id: str
    version: int = 1
    title: Line
    question: Paragraphs = ""
    summary: Paragraphs = ""  # for people without training
    protocol: Protocol | None = None
    purpose: str
    research: Research = Research.HEALTH
    conditions: tuple[Disease, ...] = ()
    for_profit: bool = False
    commercial: bool = False
    publishes: bool = False
    returns_results: bool = False
    legal_basis: Line = ""
    permit: Reference = ""  # the ethics board's or authority's reference
    consent: ConsentRule
    starts: str
    ends: str
    epsilon_allowance: str
    epsilon_per_researcher: str | None = None
    delta: str
    dictionary: str
    investigators: tuple[Investigator, ...]
    cohort: Paragraphs = ""
    variables: tuple[Line, ...] = ()
    analyses: tuple[str, ...] = ()  # empty: every analysis of the catalogue
    by_organisation: bool = False
    min_cohort: int = 0
    t_drop: int = 0
    t_collude: int = 1
    max_memberships: int = 1
    linked: bool = False

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
        if self.version < 1:
            raise ValueError("versions are counted from 1")
        if not self.first_day <= self.last_day:
            raise ValueError("the period ends before it starts")
        if self.min_cohort < 0 or self.t_drop < 0 or self.t_collude < 1:
            raise ValueError("min_cohort >= 0, t_drop >= 0, t_collude >= 1")
        if not 1 <= self.max_memberships <= 100:
            raise ValueError("max_memberships is 1 to 100")
        return self

    @model_validator(mode="after")
    def _lists(self) -> Self:
        if self.research is Research.DISEASE and not self.conditions:
            raise ValueError("disease research names its conditions")
        for values in (self.conditions, self.variables):
            if list(values) != sorted(set(values)):
                raise ValueError("conditions and variables are sorted and name nothing twice")
        if len(self.keys) != len(self.investigators):
            raise ValueError("two investigators have one key")
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

    @cached_property
    def researcher_rho(self) -> Rho | None:
        """What each investigator may spend of the allowance, rounded down; None: all of it."""
        if self.epsilon_per_researcher is None:
            return None
        return rho_of_epsilon(parse_budget(self.epsilon_per_researcher), self.delta_fraction)

    @cached_property
    def keys(self) -> frozenset[str]:
        """The investigators' public keys."""
        return frozenset(each.key for each in self.investigators)

    @property
    def memberships(self) -> int:
        """How many memberships of one person a question pays for: one, where they are linked."""
        return 1 if self.linked else self.max_memberships

    @property
    def consent_purpose(self) -> str | None:
        """The purpose a member must have consented to, or None where no consent is needed."""
        return self.purpose if self.consent is ConsentRule.REQUIRED else None

    @cached_property
    def use(self) -> Use:
        """What the study says it is, in the terms that consent and policies are written in.

        Countries count only if every investigator names theirs: one who does not may be anywhere.
        """
        named = {each.country for each in self.investigators if each.country}
        whole = all(each.country for each in self.investigators)
        return Use(
            study=self.id,
            research=self.research,
            conditions=self.conditions,
            for_profit=self.for_profit,
            commercial=self.commercial,
            countries=tuple(sorted(named)) if whole else (),
            ethics_approval=self.permit,
            publishes=self.publishes,
            returns_results=self.returns_results,
        )

    def names(self, column: str) -> bool:
        """Whether a question may name `column` (`table.column`)."""
        table = column.partition(".")[0] + WHOLE_TABLE
        return not self.variables or column in self.variables or table in self.variables
