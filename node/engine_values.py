"""One bounded integer per member, and products of them, as Ibis expressions.

The order of operations on doubles and the rounding of integers are those that
`models.contribution` fixes, whatever database computes them.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, assert_never

from models.contribution import BoundedValue, Monomial, Summary
from node.engine_cohort import Expr, ibis, many_table, number, whole

_NEGLIGIBLE = 2.0**-130  # of the half width: far below half a step of the finest grid


def quantised(shape: BoundedValue, stored: Expr) -> Expr:
    """q of one value, in the order of operations that BoundedValue fixes."""
    distance = _without_underflow(shape, _without_overflow(shape, stored) - number(shape.centre))
    scaled = distance / number(shape.half_width) * number(shape.scale)
    low, high = number(-shape.scale), number(shape.scale)
    return ibis().least(ibis().greatest(scaled + number(0.5), low), high).floor().cast("int64")


def _without_overflow(shape: BoundedValue, stored: Expr) -> Expr:
    """The value, or where it can be so large that doubles end, one that is clamped alike.

    Some databases raise an error where IEEE arithmetic goes on with infinity.
    """
    bounds = shape.column.column.bounds
    if bounds is not None and all(math.isfinite(_steps(shape, bound)) for bound in bounds):
        return stored
    reach = 1.5 * shape.half_width
    low = min(shape.centre - reach, math.nextafter(shape.centre, -math.inf))
    high = max(shape.centre + reach, math.nextafter(shape.centre, math.inf))
    last = math.nextafter(math.inf, 0.0)
    low, high = max(low, -last), min(high, last)
    return ibis().least(ibis().greatest(stored, number(low)), number(high))


def _steps(shape: BoundedValue, value: float) -> float:
    return (value - shape.centre) / shape.half_width * shape.scale + 0.5


def _without_underflow(shape: BoundedValue, distance: Expr) -> Expr:
    """Zero for what rounds to no step at all: only about a centre near zero are there any."""
    if abs(shape.centre) > 1e-200 or shape.half_width <= 1:
        return distance
    negligible = distance.abs() < number(shape.half_width * _NEGLIGIBLE)
    return ibis().ifelse(negligible, number(0.0), distance)


def per_member(shape: BoundedValue) -> Expr:
    """One value per member from many rows."""
    ref = shape.column
    rows = many_table(ref.table, frozenset((ref,)))
    known = rows.filter(rows[ref.name].notnull())
    each = known.select("member_ix", q=quantised(shape, known[ref.name]))
    sums = each.group_by("member_ix").agg(n=each.count(), s=each.q.sum().cast("int64"))
    match shape.summary:
        case Summary.VALUE:
            return sums.select("member_ix", value=sums.s)
        case Summary.SUM:
            step = shape.rows_per_step
            return sums.select("member_ix", value=_rounded(sums.s, step, shape.scale))
        case Summary.MEAN:
            return sums.select("member_ix", value=_rounded(sums.s, sums.n, shape.scale))
        case _:
            assert_never(shape.summary)


def square(shape: BoundedValue, value: Expr) -> Expr:
    """The square component of one member."""
    return floor_divide(value * value, whole(shape.scale)) - whole(shape.scale // 2)


def _rounded(summed: Expr, rows: Expr | int, scale: int) -> Expr:
    """summed / rows to the nearest integer, halves upwards, for |summed| <= rows * scale.

    The offset makes the numerator positive, where division rounds down. Where `rows` is a
    number, all that comes of it is computed here: DuckDB would multiply two literals in 32 bits.
    """
    double, offset = 2 * rows, (1 + 2 * scale) * rows
    if isinstance(rows, int):
        double, offset = whole(double), whole(offset)
    numerator = whole(2) * summed + offset
    return floor_divide(numerator, double) - whole(scale)


@cache
def _division() -> Any:
    def divide(top: int, bottom: int) -> int: ...  # type: ignore[empty-body]

    return ibis().udf.scalar.builtin(divide, signature=(("int64", "int64"), "int64"))


def floor_divide(top: Expr, bottom: Expr) -> Expr:
    """Integer division, exact for non-negative `top` (Ibis' own goes through doubles).

    Every engine has a function `divide` of two 64-bit integers, or makes one.
    """
    return _division()(top, bottom)


def monomial_value(monomial: Monomial, each: Expr, scale: int) -> Expr:
    """One member's integer, as Monomial fixes it, from the columns q0, q1, …"""
    product = each[f"q{monomial.factors[0]}"]
    for factor in monomial.factors[1:]:
        product = _rounded(product * each[f"q{factor}"], scale, scale)
    divided = _rounded(product, monomial.divisor, scale)
    return divided - whole(monomial.centre(scale))
