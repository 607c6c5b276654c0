"""The one currency: zCDP, counted in exact multiples of 2^-60.

A loss is a whole number of units, so that two nodes, a coordinator and an auditor who add the
same charges in any order hold the same balance to the last bit. What is allotted is rounded
down to a unit; what is charged is rounded up.

Source: Bun and Steinke 2016 (arXiv 1605.02065), zero-concentrated differential privacy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from privacy.contract.canonical import parse_rational, rational
from privacy.errors import BadInput

UNITS_PER_RHO = 2**60


@dataclass(frozen=True, order=True)
class Rho:
    """A zCDP loss, cost or budget of `units` * 2^-60. Never negative.

    Guarantee: sums are exact; nothing is rounded but by `round_down` and `round_up`.
    Raises BadInput for anything but a non-negative integer number of units.
    """

    units: int
    ZERO: ClassVar[Rho]

    def __post_init__(self) -> None:
        if type(self.units) is not int or not self.units >= 0:
            raise BadInput("rho is a non-negative whole number of units of 2^-60")

    @classmethod
    def round_down(cls, value: Fraction) -> Self:
        """The largest rho not above `value`: for what is allotted."""
        return cls(value.numerator * UNITS_PER_RHO // value.denominator)

    @classmethod
    def round_up(cls, value: Fraction) -> Self:
        """The smallest rho not below `value`: for what is charged."""
        return cls(-(-value.numerator * UNITS_PER_RHO // value.denominator))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote; raises BadInput for any other spelling or a finer value."""
        value = parse_rational(text)
        units = value * UNITS_PER_RHO
        if units.denominator != 1:
            raise BadInput("rho is not a multiple of 2^-60")
        return cls(units.numerator)

    @classmethod
    def total(cls, parts: Iterable[Rho]) -> Self:
        """The exact sum of `parts`; zero for none."""
        return cls(sum(part.units for part in parts))

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.units, UNITS_PER_RHO)

    @property
    def text(self) -> str:
        """`numerator/denominator` in lowest terms: the form that is signed and recorded."""
        return rational(self.fraction)

    def __add__(self, other: Rho) -> Rho:
        return _made(self.units + other.units)

    def __sub__(self, other: Rho) -> Rho:
        if other.units > self.units:
            raise BadInput("rho cannot become negative")
        return _made(self.units - other.units)

    def __mul__(self, times: int) -> Rho:
        if type(times) is not int:
            raise BadInput("rho is multiplied by whole numbers only")
        return Rho(self.units * times)


def _made(units: int) -> Rho:
    """A Rho of what is a non-negative whole number already, for sums at every entry."""
    rho = object.__new__(Rho)
    vars(rho)["units"] = units
    return rho


Rho.ZERO = Rho(0)
