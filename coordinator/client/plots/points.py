"""The rows of a result as the plain values that a chart draws.

Every value of a chart is one of the result's own numbers, or one of these: the part of the
interval that sampling alone makes up (`low_sampling`, `high_sampling`, which divides the interval
by the standard errors), and labels. Rows without information keep their estimate and lose their
interval, which would stretch the axis over everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.result import NO_INFORMATION, Estimate, Result

Point = dict[str, Any]
"""A row: `by0`, `by1`, … for its cell, `label` for all of it, and the numbers."""

MOST = 60  # rows that one panel of a chart can hold and be read


@dataclass(frozen=True)
class Points:
    """Rows in the order of the result; `dropped` more are in the table alone."""

    rows: tuple[Point, ...]
    dropped: int = 0

    def where(self, keep: Callable[[Point], bool]) -> Points:
        return replace(self, rows=tuple(filter(keep, self.rows)))

    def figure(self, name: str) -> Points:
        """The rows whose first part is `name`."""
        return self.where_is("by0", name)

    def where_is(self, part: str, name: str) -> Points:
        return self.where(lambda row: row[part] == name)

    def largest(self, most: int = MOST) -> Points:
        """The rows of the largest estimates, in the order in which they were."""
        if len(self.rows) <= most:
            return self
        ranked = sorted(self.rows, key=lambda row: -row["estimate"])[:most]
        kept = {row["row"] for row in ranked}
        rows = tuple(row for row in self.rows if row["row"] in kept)
        return Points(rows, self.dropped + len(self.rows) - len(rows))

    def levels(self, part: str) -> list[str]:
        """The different values of one part, in order of appearance."""
        return list(dict.fromkeys(row[part] for row in self.rows))

    @property
    def known(self) -> bool:
        """Is there a row of which anything is known?"""
        return any(row["known"] for row in self.rows)


def points_of(result: Result, *, raw: bool, log: Iterable[str] = ()) -> Points:
    """All rows; unless `raw`, clipped to the legal range and rounded as for reading.

    `log` names the figures (first parts of cells) whose intervals divide on a log scale.
    """
    ratios = set(log)
    made = [
        _point(at, row if raw else shown(result, row), bool(row.cell) and row.cell[0] in ratios)
        for at, row in enumerate(result.rows)
    ]
    return Points(tuple(made))


def shown(result: Result, row: Estimate) -> Estimate:
    """The row as `display` has it: within the legal range, with the digits that it supports."""
    digits = -math.floor(math.log10(row.se)) if row.se > 0 else 12
    floor = -math.inf if result.floor is None else result.floor
    ceiling = math.inf if result.ceiling is None else result.ceiling
    ends = [
        round(min(max(each, floor), ceiling), digits) for each in (row.estimate, row.low, row.high)
    ]
    return replace(row, estimate=ends[0], low=ends[1], high=ends[2])


def _point(at: int, row: Estimate, log: bool) -> Point:
    known = row.note != NO_INFORMATION
    low, high = sampling_part(row, log)
    parts = {f"by{place}": name for place, name in enumerate(row.cell)}
    drawn = {"low": row.low, "high": row.high, "low_sampling": low, "high_sampling": high}
    return {
        "row": at,
        **parts,
        "label": ", ".join(part for part in row.cell if part) or "all",
        "estimate": finite(row.estimate),
        **{name: finite(value) if known else None for name, value in drawn.items()},
        "se_sampling": finite(row.se_sampling),
        "se_noise": finite(row.se_noise),
        "noise_share": round(row.noise_share, 4),
        "note": row.note,
        "known": known,
    }


def sampling_part(row: Estimate, log: bool = False) -> tuple[float, float]:
    """The part of the interval that is sampling: the share of `se_sampling` in `se`, per side."""
    share = row.se_sampling / row.se if row.se > 0 else 0.0
    middle, low, high = row.estimate, row.low, row.high
    if log and min(middle, low, high) > 0:
        ends = tuple(middle * (end / middle) ** share for end in (low, high))
    else:
        ends = tuple(middle + (end - middle) * share for end in (low, high))
    return max(ends[0], low), min(ends[1], high)


def finite(value: float) -> float | None:
    """A number that JSON can hold."""
    return value if math.isfinite(value) else None


def joined(row: Point, parts: Sequence[str]) -> str:
    """Several parts of a row as one label."""
    return ", ".join(str(row[part]) for part in parts)
