"""The inverse of a preview: the least epsilon whose expected error is small enough.

Guarantee: from public facts alone. The epsilon has three significant digits, its expected
half-width is at most the target, and the next lower number of three digits misses it.
Assumes: an analysis' expected error does not grow with epsilon.
"""

from __future__ import annotations

import math
from decimal import Decimal

from models.aggregates.catalogue import expected_error
from models.aggregates.expected import Expected
from models.aggregates.requests import Analysis
from models.setting import Setting
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput, Code, Refused

_LOWEST, _HIGHEST = -9, 15  # powers of ten
_PER_DECADE = 900  # numbers of three digits
_LAST = (_HIGHEST - _LOWEST) * _PER_DECADE


def parse_target(text: str) -> float:
    """A half-width in the answer's unit: a finite number above 0. Raises BadInput."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf or not text.isascii():
        raise BadInput(
            "a target error is a number above 0",
            where="target_error",
            instead="write the half-width of a 95 % interval, in the answer's unit",
        )
    return value


def epsilon_for(
    analysis: Analysis, dictionary: Dictionary, target: float, setting: Setting, members: int | None
) -> str:
    """The least epsilon (decimal text) that reaches `target`, a half-width at 95 %.

    `analysis` is normalised. Raises Refused(OUT_OF_REACH), with what sampling alone comes to,
    where none does; BadInput where the error depends on a size that nobody said.
    """

    def error(at: int) -> float:
        found = _expected(analysis, dictionary, _epsilon(at), setting, members)
        return math.inf if found is None else found.half_width

    if not error(_LAST) <= target:
        raise _out_of_reach(analysis, dictionary, target, setting, members)
    low, high = -1, _LAST  # low misses the target, high reaches it
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= target else (middle, high)
    return _epsilon(high)


def _epsilon(at: int) -> str:
    """The `at`-th number of three significant digits from 10^-9 on, as plain text."""
    decade, step = divmod(at, _PER_DECADE)
    value = Decimal(100 + step).scaleb(decade + _LOWEST - 2)
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _expected(
    analysis: Analysis, dictionary: Dictionary, epsilon: str, setting: Setting, members: int | None
) -> Expected | None:
    """None for an epsilon too small to carry anything."""
    try:
        law = setting.law(analysis, dictionary, epsilon)
        return expected_error(analysis, dictionary, law, members)
    except Refused as refused:
        if refused.code is not Code.BAD_EPSILON:
            raise
        return None
    except BadInput:
        return None


def _out_of_reach(
    analysis: Analysis, dictionary: Dictionary, target: float, setting: Setting, members: int | None
) -> Refused:
    best = _expected(analysis, dictionary, _epsilon(_LAST), setting, members)
    if best is None:
        return Refused(Code.OUT_OF_REACH, target=target)
    facts: dict[str, str | int | float] = {"target": target}
    if math.isfinite(best.half_sampling):
        facts["sampling"] = float(f"{best.half_sampling:.3g}")
    if members is not None:
        facts["members"] = members
    return Refused(Code.OUT_OF_REACH, **facts)
