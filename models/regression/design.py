"""A formula compiled against the dictionary: rows of numbers with a public bound.

Inside, columns are scaled and centred by public numbers; `Design.back` turns coefficients into
the researcher's units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, product

import numpy as np

from models.regression.batch import Batch, Floats, Mask, many_table
from models.regression.coding import Coded, coded, columns_read, known_rows, number_values
from models.regression.columns import empty
from models.regression.formula import transformed
from models.regression.syntax import (
    Factor,
    Formula,
    Gap,
    Levels,
    Number,
    Site,
    Spline,
    Term,
    factor_text,
)
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput, Code, Refused

MAX_COLUMNS = 200
INTERCEPT = "Intercept"
Key = frozenset[tuple[Factor, str]]
CONSTANT: Key = frozenset()


@dataclass(frozen=True, eq=False, repr=False)
class DesignRows:
    """`x` [rows, d], `offset`, `weight` (at most 1) and `known` per row; zero where not known."""

    x: Floats
    offset: Floats
    weight: Floats
    known: Mask


@dataclass(frozen=True)
class Design:
    """Terms as coded factors, `intercept` first. Equal formulas have equal designs.

    `absorbs` says that a constant is in the model (an intercept, thresholds or a baseline), so
    that numbers may be centred.
    """

    formula: Formula
    terms: tuple[tuple[Coded, ...], ...]
    intercept: bool
    absorbs: bool

    @cached_property
    def columns(self) -> frozenset[ColumnRef]:
        """Everything that is read, without the outcome."""
        read = {ref for term in self.formula.terms for f in term for ref in columns_read(f)}
        extra = (self.formula.offset, self.formula.weight)
        return frozenset(read | {each.column for each in extra if each is not None})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The coefficients' names, the intercept's first."""
        first = (INTERCEPT,) if self.intercept else ()
        return first + tuple(
            ":".join(labels) for term in self.terms for labels in product(*_labels(term))
        )

    @cached_property
    def width(self) -> int:
        """Counted before anything of that size is made."""
        terms = (math.prod(len(each.labels) for each in term) for term in self.terms)
        return self.intercept + sum(terms)

    @cached_property
    def bound_squared(self) -> float:
        """No row of `rows(...).x` has a larger squared L2 norm."""
        parts = (math.prod(each.bound_squared for each in term) for term in self.terms)
        return float(self.intercept) + math.fsum(parts)

    @cached_property
    def largest_weight(self) -> float:
        return 1.0 if self.formula.weight is None else transformed(self.formula.weight)[1]

    @cached_property
    def flat(self) -> tuple[bool, ...]:
        """Per column: has it two values only (or one)? Then its square is a line in it."""
        lines: list[bool] = [True] if self.intercept else []
        for term in self.terms:
            two = len(term) == 1 and isinstance(term[0].factor, Levels | Site | Gap)
            lines += [two] * math.prod(len(each.labels) for each in term)
        return tuple(lines)

    @cached_property
    def shifts(self) -> tuple[float, ...]:
        """Per column: the value of a two-valued column that is not the larger one."""
        lines = [0.0] if self.intercept else []
        for term in self.terms:
            lines += [-term[0].shift] * math.prod(len(each.labels) for each in term)
        return tuple(lines)

    @cached_property
    def exclusive(self) -> tuple[tuple[int, ...], ...]:
        """Groups of columns that stand for levels of one factor: a row has at most one of them."""
        found, at = [], int(self.intercept)
        for term in self.terms:
            count = math.prod(len(each.labels) for each in term)
            if len(term) == 1 and count > 1 and isinstance(term[0].factor, Levels | Site):
                found.append(tuple(range(at, at + count)))
            at += count
        return tuple(found)

    def range_of(self, number: Number) -> tuple[float, float]:
        return transformed(number)

    def rows(self, batch: Batch) -> DesignRows:
        """A row's numbers depend on that row alone."""
        known = self._known(batch)
        x = self._columns(batch)
        offset, weight = np.zeros(batch.rows), np.ones(batch.rows)
        if self.formula.offset is not None:
            offset = number_values(self.formula.offset, batch)
        if self.formula.weight is not None:
            weight = number_values(self.formula.weight, batch) / self.largest_weight
        if not known.all():
            use = known.astype(np.float64)
            x, offset, weight = x * use[:, None], offset * use, weight * use
        return DesignRows(x, offset, weight, known)

    def _columns(self, batch: Batch) -> Floats:
        x, at = empty(batch.rows, self.width), int(self.intercept)
        x[:, :at] = 1.0
        for term in self.terms:
            columns = _term_columns(term, batch)
            x[:, at : at + columns.shape[1]] = columns
            at += columns.shape[1]
        return x

    @cached_property
    def _needed(self) -> tuple[Factor, ...]:
        """The factors without which a row is not known."""
        factors = dict.fromkeys(chain.from_iterable(self.formula.terms))
        gaps = self.formula.gaps
        return tuple(f for f in factors if not {ref.name for ref in columns_read(f)} <= gaps)

    def _known(self, batch: Batch) -> Mask:
        known = np.ones(batch.rows, dtype=bool)
        for factor in self._needed:
            known &= known_rows(factor, batch)
        for extra in (self.formula.offset, self.formula.weight):
            if extra is not None:
                known &= known_rows(extra, batch)
        return known

    @cached_property
    def back(self) -> tuple[Floats, Floats]:
        """(matrix [d, d], constant [d]): coefficients b inside are matrix @ b outside.

        `constant` [d] is what b inside adds to the constant of the predictor, for a model whose
        constant is no column (thresholds, baselines); zero where there is an intercept.
        """
        place = {key: at for at, key in enumerate(self.keys)}
        matrix, constant = np.zeros((self.width, self.width)), np.zeros(self.width)
        inside = [self._expansion(key) for key in self._inside()]
        for column, expansion in enumerate(inside):
            for key, amount in expansion.items():
                if key in place:
                    matrix[place[key], column] += amount
                elif not key:
                    constant[column] += amount
        return matrix, constant

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """What each column is outside: factors with their labels, multiplied."""
        return tuple(
            frozenset((each.factor, label) for each, label in pairs) for pairs in self._inside()
        )

    def _inside(self) -> Iterator[tuple[tuple[Coded, str], ...]]:
        if self.intercept:
            yield ()
        for term in self.terms:
            for labels in product(*_labels(term)):
                yield tuple(zip(term, labels, strict=True))

    def _expansion(self, pairs: tuple[tuple[Coded, str], ...]) -> dict[Key, float]:
        """The product of (x - shift) / size over the factors, multiplied out."""
        terms: dict[Key, float] = {frozenset(): 1.0}
        for each, label in pairs:
            grown: dict[Key, float] = {}
            for key, amount in terms.items():
                with_it = key | {(each.factor, label)}
                grown[with_it] = grown.get(with_it, 0.0) + amount / each.size
                if each.shift:
                    grown[key] = grown.get(key, 0.0) - amount * each.shift / each.size
            terms = grown
        return terms


def compile_design(
    formula: Formula, *, intercept: bool, sites: tuple[str, ...] = (), absorbs: bool = False
) -> Design:
    """`intercept`: has the design a column of ones, if the formula does not say `- 1`?

    Raises BadInput for a formula of columns in two many-row tables, without any column, or by
    organisation without `sites`; Refused(TOO_MANY_CELLS) beyond 200 columns.
    """
    if formula.by_site and len(sites) < 2:
        raise BadInput("organisation is a term, but no organisations are named", where="formula")
    constant = intercept and formula.intercept
    full = _fully_coded(formula) if intercept and not formula.intercept else None
    present = {frozenset(term) for term in formula.terms}
    absorbed = constant or absorbs
    if absorbed:
        _check_splines(formula)
    terms = []
    for term in formula.terms:
        centred = _absorbed(term, present, constant=absorbed)
        terms.append(
            tuple(
                coded(
                    factor,
                    centred=factor in centred,
                    full=full is not None and term == (full,),
                    sites=sites,
                )
                for factor in term
            )
        )
    design = Design(formula, tuple(terms), constant, absorbed)
    many_table(design.columns)
    if design.width > MAX_COLUMNS:
        raise Refused(Code.TOO_MANY_CELLS, cells=design.width, most=MAX_COLUMNS)
    return design


def _check_splines(formula: Formula) -> None:
    """Raises BadInput for a number beside a spline of it, of which it is a part."""
    alone = {term[0] for term in formula.terms if len(term) == 1}
    for factor in alone:
        if isinstance(factor, Spline) and factor.number in alone:
            name = factor_text(factor.number)
            raise BadInput(
                f"a spline of {name} holds {name} itself", where="formula", instead="leave it out"
            )


def _fully_coded(formula: Formula) -> Levels | Site | None:
    """Without an intercept, the first levels that stand alone keep their reference."""
    for term in formula.terms:
        if len(term) == 1 and isinstance(term[0], Levels | Site):
            return term[0]
    return None


def _absorbed(term: Term, present: set[frozenset[Factor]], *, constant: bool) -> frozenset[Factor]:
    """The factors of a term that may be shifted: all that are no spline, if every term that
    multiplying out gives is in the formula too; else none."""
    movable = [factor for factor in term if not isinstance(factor, Spline)]
    for size in range(1, len(movable) + 1):
        for dropped in combinations(movable, size):
            left = frozenset(term) - set(dropped)
            if not (constant if not left else left in present):
                return frozenset()
    return frozenset(movable)


def _labels(term: tuple[Coded, ...]) -> list[tuple[str, ...]]:
    return [each.labels for each in term]


def _term_columns(term: tuple[Coded, ...], batch: Batch) -> Floats:
    """Products of the factors' columns, the last factor's varying fastest."""
    result = term[0].columns(batch)
    for each in term[1:]:
        columns = each.columns(batch)
        result = (result[:, :, None] * columns[:, None, :]).reshape(batch.rows, -1)
    return result
