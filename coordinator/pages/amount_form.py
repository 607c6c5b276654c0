"""How much to spend: a number and a slider, kept in step.

The slider is logarithmic, twenty steps to a factor of ten. Whoever moves it since the page was made
(the form carries its place as `slid`) changes the number; otherwise the number counts.
"""

from __future__ import annotations

import math

from models.digits import digits
from pages.forms import Form

LOWEST, HIGHEST = -40, 20  # epsilon 0.01 to 10
PER_TEN = 20
USUAL = "1"


def epsilon_at(place: int) -> str:
    """The epsilon of a place of the slider, as two digits tell it."""
    return digits(10 ** (place / PER_TEN), 2)


def place_of(amount: str) -> int:
    """The nearest place to an epsilon; the middle for what is none."""
    try:
        value = float(amount)
    except ValueError:
        return 0
    if not 0 < value < math.inf:
        return 0
    return min(max(round(PER_TEN * math.log10(value)), LOWEST), HIGHEST)


def stepped(form: Form) -> Form:
    """The form with number and slider in step."""
    place = _place(form.value("slide"))
    if place is None or form.value("slide") == form.value("slid"):
        return form
    return form.with_value("amount", epsilon_at(place)).with_value("aim", "epsilon")


def _place(text: str) -> int | None:
    try:
        place = int(text)
    except ValueError:
        return None
    return place if LOWEST <= place <= HIGHEST else None
