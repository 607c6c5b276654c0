"""A regression formula as a tree, and the one text of it.

Source: the notation of Wilkinson and Rogers (1973), Applied Statistics 22, 392-399, of which
this is a small closed part.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from models.cohort.text import name_text, number_text, quoted
from privacy.contract.dictionary import ColumnRef


class Scale(StrEnum):
    """How a number enters: as it is, or as its logarithm."""

    PLAIN = "plain"
    LOG = "log"
    LOG1P = "log1p"


@dataclass(frozen=True)
class Number:
    """A bounded number. Values beyond `lower` and `upper` count as the bound."""

    column: ColumnRef
    lower: float
    upper: float
    scale: Scale = Scale.PLAIN

    @property
    def narrowed(self) -> bool:
        """Are the bounds closer than those of the dictionary?"""
        return (self.lower, self.upper) != self.column.column.bounds


@dataclass(frozen=True)
class Levels:
    """A column with levels, one of which is what the others are compared with."""

    column: ColumnRef
    reference: str


@dataclass(frozen=True)
class Spline:
    """A B-spline of a number, with its inner knots (in the number's own scale)."""

    number: Number
    knots: tuple[float, ...]
    degree: int = 3


@dataclass(frozen=True)
class Gap:
    """1 where the column's value is missing; with it in a formula such members take part."""

    column: ColumnRef


@dataclass(frozen=True)
class Site:
    """The organisation whose member it is."""


Factor = Number | Levels | Spline | Gap | Site
Term = tuple[Factor, ...]  # the product of its factors
Outcome = Number | Levels


@dataclass(frozen=True)
class Formula:
    """`outcome ~ terms`. Every term stands once; no term has a factor twice."""

    outcome: Outcome | None
    terms: tuple[Term, ...]
    intercept: bool = True
    offset: Number | None = None
    weight: Number | None = None

    @property
    def gaps(self) -> frozenset[str]:
        """Names of the columns whose missing values are a level of their own."""
        factors = (factor for term in self.terms for factor in term)
        return frozenset(each.column.name for each in factors if isinstance(each, Gap))

    @property
    def by_site(self) -> bool:
        return any(isinstance(factor, Site) for term in self.terms for factor in term)


def formula_text(formula: Formula) -> str:
    """`parse_formula` of it gives the same tree."""
    parts = [":".join(map(factor_text, term)) for term in formula.terms]
    if not formula.intercept:
        parts.append("0")
    if formula.offset is not None:
        parts.append(f"offset({factor_text(formula.offset)})")
    if formula.weight is not None:
        parts.append(f"weights({factor_text(formula.weight)})")
    right = " + ".join(parts) if parts else "1"
    if formula.outcome is None:
        return right
    return f"{_outcome_text(formula.outcome)} ~ {right}"


def _outcome_text(outcome: Outcome) -> str:
    return name_text(outcome.column) if isinstance(outcome, Levels) else factor_text(outcome)


def factor_text(factor: Factor) -> str:
    match factor:
        case Number():
            return _number_text(factor)
        case Levels(column, reference):
            first = column.column.levels[0] == reference
            ref = "" if first else f", ref={quoted(reference)}"
            return f"C({name_text(column)}{ref})"
        case Spline(number, knots, degree):
            listed = ", ".join(map(number_text, knots))
            more = "" if degree == 3 else f", degree={degree}"
            return f"bs({_number_text(number)}, knots=[{listed}]{more})"
        case Gap(column):
            return f"missing({name_text(column)})"
        case Site():
            return "organisation"
        case _:
            assert_never(factor)


def _number_text(number: Number) -> str:
    inner = name_text(number.column)
    if number.narrowed:
        inner = f"clip({inner}, {number_text(number.lower)}, {number_text(number.upper)})"
    return inner if number.scale is Scale.PLAIN else f"{number.scale.value}({inner})"
