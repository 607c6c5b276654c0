"""Each factor of a formula as columns of numbers with a public bound.

Inside, numbers are scaled by their declared bounds, never by data: (x - centre) / half where the
formula can absorb the centre, x / largest where it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from models.regression.batch import Batch, Floats, Mask
from models.regression.formula import transformed
from models.regression.spline import b_splines
from models.regression.syntax import Factor, Formula, Gap, Levels, Number, Scale, Site, Spline
from models.rows import is_known
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput


@dataclass(frozen=True)
class Coded:
    """One factor within one term.

    `labels` name its columns; `shift` and `size` are of a number's (x - shift) / size; `full`
    keeps the reference level; `sites` are the organisations, in order.
    """

    factor: Factor
    labels: tuple[str, ...]
    shift: float = 0.0
    size: float = 1.0
    full: bool = False

    @property
    def bound_squared(self) -> float:
        """No row of `columns` has a larger squared L2 norm."""
        if isinstance(self.factor, Number):
            low, high = transformed(self.factor)
            return max((low - self.shift) ** 2, (high - self.shift) ** 2) / self.size**2
        if isinstance(self.factor, Levels | Site | Gap) and self.shift > 0:
            return self._centred_bound()
        return 1.0

    def _centred_bound(self) -> float:
        """One of k dummies, or none, each less the shift."""
        inside = (1 - self.shift) ** 2 + (len(self.labels) - 1) * self.shift**2
        return max(inside, len(self.labels) * self.shift**2)

    def columns(self, batch: Batch) -> Floats:
        """[rows, len(labels)], whatever the values; a missing one is the middle or reference."""
        match self.factor:
            case Number():
                values = number_values(self.factor, batch)
                return np.asarray((values - self.shift) / self.size)[:, None]
            case Levels(column, reference):
                return self._dummies(batch.of(column), column.column.levels.index(reference))
            case Spline(number, knots, degree):
                values = number_values(number, batch)
                return b_splines(values, *transformed(number), knots, degree)[:, 1:]
            case Gap(column):
                return (~is_known(batch.of(column))).astype(np.float64)[:, None] - self.shift
            case Site():
                return self._dummies(np.full(batch.rows, batch.site), 0)
            case _:
                assert_never(self.factor)

    def _dummies(self, codes: Floats, reference: int) -> Floats:
        count = len(self.labels) + (not self.full)
        kept = [code for code in range(count) if self.full or code != reference]
        chosen = codes[:, None] == np.array(kept)[None, :]
        return np.asarray(chosen, dtype=np.float64) - self.shift


def coded(
    factor: Factor, *, centred: bool, full: bool = False, sites: tuple[str, ...] = ()
) -> Coded:
    """A factor ready to make columns; only centred where the formula absorbs the shift."""
    match factor:
        case Number(column):
            low, high = transformed(factor)
            name = word_of(column)
            label = name if factor.scale is Scale.PLAIN else f"{factor.scale.value}({name})"
            middle, half = (low + high) / 2, (high - low) / 2
            if not centred:
                middle, half = 0.0, max(abs(low), abs(high))
            return Coded(factor, (label,), middle, half)
        case Levels(column, reference):
            levels = column.column.levels
            kept = [level for level in levels if full or level != reference]
            labels = tuple(f"{word_of(column)}[{level}]" for level in kept)
            return Coded(factor, labels, 1 / len(levels) if centred else 0.0, full=full)
        case Site():
            kept = list(sites if full else sites[1:])
            labels = tuple(f"organisation[{site}]" for site in kept)
            return Coded(factor, labels, 1 / len(sites) if centred and sites else 0.0, full=full)
        case Spline(number, knots, degree):
            name = word_of(number.column)
            count = len(knots) + degree
            return Coded(factor, tuple(f"bs({name})[{k}]" for k in range(1, count + 1)))
        case Gap(column):
            return Coded(factor, (f"missing({word_of(column)})",), 0.5 if centred else 0.0)
        case _:
            assert_never(factor)


def word_of(column: ColumnRef) -> str:
    return column.column.name


def number_values(number: Number, batch: Batch) -> Floats:
    """Within the bounds, in the scale in which it enters; the middle where missing."""
    values = np.asarray(batch.of(number.column), dtype=np.float64)
    with np.errstate(invalid="ignore"):
        clamped = np.clip(values, number.lower, number.upper)
    middle = (number.lower + number.upper) / 2
    known = np.where(np.isnan(values), middle, clamped)
    match number.scale:
        case Scale.PLAIN:
            return known
        case Scale.LOG:
            return np.log(known)
        case Scale.LOG1P:
            return np.log1p(known)


def columns_read(factor: Factor) -> tuple[ColumnRef, ...]:
    match factor:
        case Number(column) | Levels(column) | Gap(column):
            return (column,)
        case Spline(number):
            return (number.column,)
        case Site():
            return ()
        case _:
            assert_never(factor)


def check_explaining(tree: Formula, *explained: ColumnRef, where: str = "formula") -> None:
    """Raises BadInput where a term reads a column that the terms are to explain."""
    read = {ref for term in tree.terms for each in term for ref in columns_read(each)}
    for ref in explained:
        if ref in read:
            raise BadInput(
                f"{ref.name!r} is to be explained, and cannot explain itself",
                where=where,
                instead="leave it out of the terms",
            )


def known_rows(factor: Factor, batch: Batch) -> Mask:
    """True where the factor's value is known."""
    if isinstance(factor, Gap):
        return np.ones(batch.rows, dtype=bool)
    known = np.ones(batch.rows, dtype=bool)
    for column in columns_read(factor):
        known &= is_known(batch.of(column))
    return known
