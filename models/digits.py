"""Numbers as people read them: a few digits, thousands in full."""

from __future__ import annotations

_IN_FULL = 1e15  # beyond it digits are no longer exact
_NO_BOUND = 1e300


def digits(value: float, figures: int = 3) -> str:
    """`figures` significant digits, or more where there are more before the point.

    999.96 is 1,000 and not 1e+03; a bound that no number reaches is "without bound".
    """
    if abs(value) >= _NO_BOUND:
        return "without bound"
    text = f"{value:,.{figures}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < _IN_FULL else text


def many(number: int, noun: str) -> str:
    """1 member, 2,000 members."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
