"""One budget divided over several questions by weight, so that together they cost no more.

Losses add up in rho, not in epsilon: each question's epsilon is the largest of nine significant
digits whose rho is at most its part of the whole.

Guarantee: sum over questions of rho_of_epsilon(part) <= rho_of_epsilon(whole), exactly; so is
what the mechanisms charge, which is never above that, memberships and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput
from privacy.units import Rho

MOST_WEIGHT = 10**6
_DIGITS = 9


def shares_of(whole: Rho, weights: Sequence[Fraction]) -> tuple[Rho, ...]:
    """`whole` in parts by weight, each rounded down to a unit of rho.

    Raises BadInput for no weights, and for one that is not above 0 or beyond 10^6.
    """
    if not weights:
        raise BadInput("nothing to divide a budget over", instead="add a question")
    for weight in weights:
        if not 0 < weight <= MOST_WEIGHT:
            raise BadInput("a weight is a number above 0, at most a million", where="weight")
    total = sum(weights, Fraction(0))
    return tuple(Rho.round_down(whole.fraction * weight / total) for weight in weights)


def divide(epsilon: str, weights: Sequence[Fraction], delta: Fraction) -> tuple[str, ...]:
    """The epsilon of each question, as decimal text; raises BadInput, also for a part so small
    that it pays for nothing."""
    whole = rho_of_epsilon(parse_epsilon(epsilon), delta)
    return tuple(largest_epsilon(part, delta) for part in shares_of(whole, weights))


def largest_epsilon(rho: Rho, delta: Fraction) -> str:
    """The largest epsilon of nine significant digits that costs at most `rho`, as plain text.

    Guarantee: rho_of_epsilon(result) <= rho. Raises BadInput where there is none.
    """
    about = Decimal(epsilon_of_rho(rho, delta))
    for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR):
        found = Context(prec=_DIGITS, rounding=rounding).create_decimal(about)
        if found > 0 and rho_of_epsilon(Fraction(found), delta) <= rho:
            return _plain(found)
    # the conversion rounds up, so that what floats say may be a digit too much
    found -= Decimal(1).scaleb(found.adjusted() - _DIGITS + 1) if found > 0 else 0
    if found > 0 and rho_of_epsilon(Fraction(found), delta) <= rho:
        return _plain(found)
    raise BadInput("a part of the budget is too small", instead="more epsilon or fewer questions")


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
