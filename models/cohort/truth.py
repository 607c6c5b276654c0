"""Conditions on values in memory: one leaf against many values, and Kleene's and, or, not."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from models.cohort.expression import (
    And,
    Between,
    Compare,
    Everyone,
    Expression,
    Leaf,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Value,
)
from models.rows import Values
from privacy.contract.dictionary import ColumnRef

Mask = NDArray[np.bool_]
Truth = NDArray[np.int8]  # Kleene: 0 false, 1 unknown, 2 true; and = min, or = max, not = 2 - x

_OPS: dict[Op, Callable[[Any, Any], Any]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


def truth(expression: Expression, size: int, leaf: Callable[[Leaf], Truth]) -> Truth:
    """Shape [size]: the tree, with `leaf` for its leaves."""
    match expression:
        case Everyone():
            return np.full(size, 2, dtype=np.int8)
        case Not(operand):
            return (2 - truth(operand, size, leaf)).astype(np.int8)
        case And(operands):
            return np.asarray(np.stack([truth(each, size, leaf) for each in operands]).min(axis=0))
        case Or(operands):
            return np.asarray(np.stack([truth(each, size, leaf) for each in operands]).max(axis=0))
        case _:
            return leaf(expression)


def holds(leaf: Compare | Between | OneOf, values: Values) -> Mask:
    """Value by value, for known ones; anything elsewhere."""
    match leaf:
        case Compare(column, op, value):
            return np.asarray(_OPS[op](values, _coded(column, value)))
        case Between(column, lower, upper):
            return np.asarray((values >= _coded(column, lower)) & (values <= _coded(column, upper)))
        case OneOf(column, allowed, negated):
            inside = np.isin(values, [_coded(column, value) for value in allowed])
            return np.asarray(~inside if negated else inside)
        case _:
            assert_never(leaf)


def leaf_truth(leaf: Leaf, values: Values, known: Mask) -> Truth:
    """One value each: unknown where it is not known, save `Missing`, which always is."""
    if isinstance(leaf, Missing):
        return np.where(known, 0, 2).astype(np.int8)
    return np.where(known, np.where(holds(leaf, values), 2, 0), 1).astype(np.int8)


def _coded(column: ColumnRef, value: Value) -> Any:
    match value:
        case str():
            return column.column.levels.index(value)
        case date():
            return np.datetime64(value, "D")
        case _:
            return value
