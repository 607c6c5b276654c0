"""Cohorts that nobody can be in: numbers beyond the declared bounds, or between no two.

Values are clamped to their bounds when they are imported, so what lies beyond is met by nobody,
and a question of it would be paid for nothing. Only what the dictionary says is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from models.cohort.expression import And, Between, Compare, Expression, Op
from models.cohort.text import canonical_text, name_text
from models.figures.types import FigureColumn
from privacy.contract.dictionary import ColumnRef, ColumnType
from privacy.errors import BadInput

_NUMBERS = (ColumnType.INTEGER, ColumnType.NUMBER)


@dataclass(frozen=True)
class _Room:
    """The numbers from `lower` to `upper`; an end may be left out."""

    lower: float
    upper: float
    above: bool = False  # without `lower` itself
    below: bool = False  # without `upper` itself

    def meet(self, other: _Room) -> _Room:
        low = max((self.lower, self.above), (other.lower, other.above))
        high = min((self.upper, not self.below), (other.upper, not other.below))
        return _Room(low[0], high[0], low[1], not high[1])

    def empty(self, *, whole: bool) -> bool:
        if whole:
            low = math.floor(self.lower) + 1 if self.above else math.ceil(self.lower)
            high = math.ceil(self.upper) - 1 if self.below else math.floor(self.upper)
            return low > high
        return self.lower > self.upper or (self.lower == self.upper and (self.above or self.below))


def refuse_empty(expression: Expression) -> None:
    """Raises BadInput where the conditions on one column leave it no declared value.

    Conditions are those joined by `and`. Of a column of many rows each is looked at alone, since
    each may be met by another row. What stands under `or` and `not` is not judged.
    """
    together: dict[str, list[Compare | Between]] = {}
    for number, leaf in enumerate(_joined(expression)):
        if isinstance(leaf, Compare | Between) and _bounded(leaf.column):
            key = f"{leaf.column.name} {number if leaf.column.many else ''}"
            together.setdefault(key, []).append(leaf)
    for leaves in together.values():
        _check(leaves)


def _joined(expression: Expression) -> Iterable[Expression]:
    return expression.operands if isinstance(expression, And) else (expression,)


def _bounded(column: ColumnRef) -> bool:
    declared = column.column.bounds is not None and column.column.type in _NUMBERS
    return declared and not isinstance(column, FigureColumn)


def _check(leaves: list[Compare | Between]) -> None:
    column = leaves[0].column
    bounds = column.column.bounds
    if bounds is None:
        return
    room = _Room(*bounds)
    for leaf in leaves:
        room = room.meet(_room(leaf))
    if room.empty(whole=column.column.type is ColumnType.INTEGER):
        written = " and ".join(map(canonical_text, leaves))
        raise BadInput(
            f"nobody can have {written}",
            instead=f"{name_text(column)} is declared as {column.column.type.value} from "
            f"{column.column.lower} to {column.column.upper}",
        )


def _room(leaf: Compare | Between) -> _Room:
    if isinstance(leaf, Between):
        return _Room(_number(leaf.lower, -math.inf), _number(leaf.upper, math.inf))
    value = _number(leaf.value, math.nan)
    match leaf.op:
        case Op.EQ if math.isfinite(value):
            return _Room(value, value)
        case Op.GT | Op.GE if math.isfinite(value):
            return _Room(value, math.inf, above=leaf.op is Op.GT)
        case Op.LT | Op.LE if math.isfinite(value):
            return _Room(-math.inf, value, below=leaf.op is Op.LT)
        case _:
            return _Room(-math.inf, math.inf)


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise
