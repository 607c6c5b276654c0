"""An analysis' answer: estimates with honest intervals, and nothing rounded.

`table` and `display` make pandas frames and import pandas only when called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from privacy.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Z95 = 1.959963984540054  # two-sided 95 % point of the normal law
NO_INFORMATION = "no information"
NUMBERS = ("estimate", "se_sampling", "se_noise", "se", "low", "high", "noise_share")


@dataclass(frozen=True)
class Estimate:
    """One number in the column's unit (or members), with its two sources of error.

    `se_sampling` is 0 where the number speaks of the cohort itself; `se`**2 is the sum of the
    squares of both; `low` and `high` bound the 95 % interval; `noise_share` is the part of
    the variance that is privacy noise. Neither estimate nor interval is clipped, save that
    the interval of a mean stays in the declared range. A regression's coefficient is drawn in as
    far as noise demands, and its interval is not.
    """

    cell: tuple[str, ...]
    estimate: float
    se_sampling: float
    se_noise: float
    low: float
    high: float
    note: str = ""

    @property
    def se(self) -> float:
        return math.hypot(self.se_sampling, self.se_noise)

    @property
    def middle(self) -> float:
        """Of the interval: what was measured, where the estimate is drawn in."""
        return (self.low + self.high) / 2

    @property
    def noise_share(self) -> float:
        return (self.se_noise / self.se) ** 2 if self.se > 0 else 0.0

    def numbers(self) -> dict[str, float]:
        return {name: float(getattr(self, name)) for name in NUMBERS}


def normal_estimate(cell: tuple[str, ...], value: float, se_noise: float) -> Estimate:
    """A number that speaks of the cohort: its only error is Gaussian noise."""
    half = Z95 * se_noise
    return Estimate(cell, value, 0.0, se_noise, value - half, value + half)


@dataclass(frozen=True)
class Result:
    """All numbers of one analysis. `by` names the columns of the cells.

    `floor` and `ceiling` are the legal range of an estimate, for display only.
    """

    kind: str
    by: tuple[str, ...]
    rows: tuple[Estimate, ...]
    unit: str = "members"
    floor: float | None = None
    ceiling: float | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with numbers (not canonical bytes)."""
        whole = {name: getattr(self, name) for name in ("kind", "unit", "floor", "ceiling")}
        rows = [{"cell": list(row.cell), **row.numbers(), "note": row.note} for row in self.rows]
        return {**whole, "by": list(self.by), "notes": list(self.notes), "rows": rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read `to_json`'s form; raises BadInput."""
        try:
            return cls(
                kind=str(value["kind"]),
                by=tuple(map(str, value["by"])),
                rows=tuple(_row(row) for row in value["rows"]),
                unit=str(value["unit"]),
                floor=_optional(value["floor"]),
                ceiling=_optional(value["ceiling"]),
                notes=tuple(map(str, value["notes"])),
            )
        except (KeyError, TypeError, ValueError):
            raise BadInput("not a result", where="result") from None


def _optional(value: float | None) -> float | None:
    return None if value is None else float(value)


def _row(value: Mapping[str, Any]) -> Estimate:
    return Estimate(
        cell=tuple(map(str, value["cell"])),
        estimate=float(value["estimate"]),
        se_sampling=float(value["se_sampling"]),
        se_noise=float(value["se_noise"]),
        low=float(value["low"]),
        high=float(value["high"]),
        note=str(value["note"]),
    )


def _labels(result: Result) -> dict[str, list[Any]]:
    return {name: [row.cell[at] for row in result.rows] for at, name in enumerate(result.by)}


def table(result: Result) -> pd.DataFrame:
    """One line per cell: the by-columns, then NUMBERS, and the note where any line has one."""
    import pandas as pd

    columns = _labels(result)
    for name in NUMBERS:
        columns[name] = [row.numbers()[name] for row in result.rows]
    if any(row.note for row in result.rows):
        columns["note"] = [row.note for row in result.rows]
    return pd.DataFrame(columns)


def display(result: Result) -> pd.DataFrame:
    """For reading, not for computing: clipped to the legal range and rounded to what the
    noise supports (the leading digit of the standard error)."""
    import pandas as pd

    lines = [_shown(result, row) for row in result.rows]
    columns = _labels(result)
    for place, name in enumerate(("estimate", "low", "high")):
        columns[name] = [line[place] for line in lines]
    columns["noise"] = [f"{row.noise_share:.0%}" for row in result.rows]
    if any(row.note for row in result.rows):
        columns["note"] = [row.note for row in result.rows]
    return pd.DataFrame(columns)


def for_reading(result: Result) -> Result:
    """The numbers of `display`: clipped to the legal range and rounded. Not for computing."""
    rows = []
    for row in result.rows:
        estimate, low, high = _shown(result, row)
        rows.append(replace(row, estimate=estimate, low=low, high=high))
    return replace(result, rows=tuple(rows))


def _shown(result: Result, row: Estimate) -> tuple[float, ...]:
    digits = -math.floor(math.log10(row.se)) if row.se > 0 else 12
    low = -math.inf if result.floor is None else result.floor
    high = math.inf if result.ceiling is None else result.ceiling
    return tuple(
        round(min(max(value, low), high), digits) for value in (row.estimate, row.low, row.high)
    )
