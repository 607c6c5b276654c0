"""Slopes of an outcome after an index date, of treated members and of others like them before it.

Members are matched by public strata: parts of the slope before the index, parts of the last
score before it, and groups. A member is in one cell of strata and arm, and in one of the arms.

Guarantee: one member's vector is a count and a number in one cell of the first part; half a count,
a number and its square in one cell of the second.
Coverage: `models.aggregates.weighted_difference`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates.columns import (
    bounds_of,
    celled,
    checked_cells,
    gridded,
    narrowed,
    numeric,
    short_name,
)
from models.aggregates.expected import Expected
from models.aggregates.moments import largest, variable
from models.aggregates.request import Labels, Request
from models.aggregates.weighted_difference import Arm, Floats, compared
from models.aggregates.wording import word
from models.changed import changed
from models.cohort.text import name_text
from models.contribution import Monomial, Products, Stack
from models.figures.clock import is_time
from models.figures.named import column_named
from models.noise_law import NoiseLaw
from models.result import Z95, Estimate, Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

Refs = tuple[ColumnRef, ...]
FIGURES = ("difference", "treated", "others, weighted as the treated", "others")
MOST_STRATA = 400
MOST_MONTHS = 240
DAYS_PER_MONTH = 30.4375
SLOPE_PARTS, SCORE_PARTS, MOST_BINS = 4, 3, 6
_SQUARE = Monomial((0, 0), 2)
_ASSUMED_SHARE = 0.25


class Compare(Request):
    """The difference in slope between treated members and others of the same strata.

    `outcome` is a bounded number of a many-row table with times; `treated` a one-row column or
    figure with levels, of which `exposed` means treated; `index` a date of the member. Slopes
    are of the `before` months up to the index and the `months` after it, each from `rows`
    values over `days` at least; per month of 30.4375 days, clamped to `slopes` (lower, upper).
    `slope_cuts` and `score_cuts` part slope and last score before the index; `by` are further
    columns to match on.
    """

    by_size: ClassVar[bool] = True
    kind: Literal["compare"] = "compare"
    outcome: str
    treated: str
    index: str
    exposed: str = "true"
    months: int = 12
    before: int = 12
    slopes: tuple[str, ...] = ()
    slope_cuts: tuple[str, ...] = ()
    score_cuts: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    rows: int = 3
    days: int = 90

    def normalised(self, dictionary: Dictionary) -> Self:
        _check_windows(self)
        outcome = dictionary.resolve(self.outcome)
        if not outcome.many:
            raise BadInput(
                f"{outcome.name!r} is one value per member, and has no slope",
                where="outcome",
                instead="use a column of a table with many rows per member and a time",
            )
        numeric(outcome)
        treated = _one_row(celled(column_named(dictionary, self.treated)), "treated")
        _check_arms(treated, self.exposed)
        index = _one_row(column_named(dictionary, self.index), "index")
        if not is_time(index.column):
            raise BadInput(
                f"{index.name!r} is no date", where="index", instead="use a date of each member"
            )
        groups = tuple(_one_row(celled(column_named(dictionary, each)), "by") for each in self.by)
        named = changed(
            self,
            outcome=outcome.name,
            treated=treated.name,
            index=index.name,
            by=tuple(each.name for each in groups),
        )
        design = named.design(dictionary)
        checked_cells((*design.strata, *design.groups, design.treated), MOST_STRATA)
        return changed(
            named,
            slopes=tuple(_bounds(design.after)),
            slope_cuts=design.strata[0].column.bins[1:-1],
            score_cuts=design.strata[1].column.bins[1:-1],
        )

    def design(self, dictionary: Dictionary) -> Design:
        """The figures and strata that a member is seen by. Raises BadInput."""
        outcome = dictionary.resolve(self.outcome)
        name, index = name_text(outcome), name_text(column_named(dictionary, self.index))
        past = f"within 0 to {_days(self.before)} days before {index}"
        future = f"within {_days(self.months)} days after {index}"
        need = f"needing {self.rows} rows over {self.days} days"

        def slope(window: str) -> ColumnRef:
            found = column_named(dictionary, f"slope({name} {window} {need})")
            return narrowed(found, self.slopes)

        earlier, score = slope(past), column_named(dictionary, f"last({name} {past})")
        return Design(
            after=slope(future),
            strata=(
                _parted(earlier, self.slope_cuts, (), SLOPE_PARTS),
                _parted(score, self.score_cuts, outcome.column.bins, SCORE_PARTS),
            ),
            groups=tuple(column_named(dictionary, each) for each in self.by),
            treated=column_named(dictionary, self.treated),
            exposed=self.exposed,
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((figure,) for figure in FIGURES)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Stack:
        return largest(self.design(dictionary).contribution, delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        design = self.design(dictionary)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        others, treated = design.arms(shape, totals, law)
        found = compared(others, treated)
        middle, half = design.scaling
        rows = (
            _scaled(found.difference, 0.0, half),
            *(
                _scaled(each, middle, half)
                for each in (found.treated, found.expected, found.others)
            ),
        )
        return Result(
            self.kind,
            ("figure",),
            rows,
            unit=design.after.column.unit,
            notes=_notes(dictionary, design, (others, treated), found.thin),
        )

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of the difference, where a quarter are treated and members fall evenly into strata."""
        if members is None:
            return None
        design = self.design(dictionary)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        empty = design.arms(shape, (0,) * shape.length, law)
        shares = (1 - _ASSUMED_SHARE, _ASSUMED_SHARE)
        found = compared(
            *(_evenly(arm, share * members) for arm, share in zip(empty, shares, strict=True))
        )
        unit, row = design.after.column.unit, _scaled(found.difference, 0.0, design.scaling[1])
        assumption = (
            f"{members:,} members evenly in {len(empty[0].counts)} strata, a quarter of them "
            "treated, slopes with a deviation of a sixth of their range"
        )
        if row.note:
            return Expected(math.inf, math.inf, unit, assumption, FIGURES[0])
        return Expected(Z95 * row.se_noise, Z95 * row.se_sampling, unit, assumption, FIGURES[0])

    def words(self) -> str:
        exposed = "" if self.exposed == "true" else f" {self.exposed}"
        return (
            f"Compares the slope of {word(self.outcome)} over {self.months} months between members "
            f"with {word(self.treated)}{exposed} and others alike"
        )

    def method(self) -> str:
        return (
            "Least-squares slopes after an index date were compared between treated members and "
            "others within public strata of the slope and the last score before it, weighted as "
            "the treated are; slopes were clamped to public bounds. The interval is Fieller's "
            "set, with sampling error within strata and the noise of every sum."
        )


@dataclass(frozen=True)
class Design:
    """What is known of a member: the slope after, the strata before, groups, and the arm."""

    after: ColumnRef
    strata: tuple[ColumnRef, ColumnRef]
    groups: Refs
    treated: ColumnRef
    exposed: str

    @property
    def scaling(self) -> tuple[float, float]:
        """Middle and half of the range of a slope."""
        lower, upper = bounds_of(self.after.column)
        return (lower + upper) / 2, (upper - lower) / 2

    def contribution(self, scale: int) -> Stack:
        """Count and slope by strata and arm; half a count, slope and its square by arm.

        The strata stand in the second part as variables that no monomial uses: who is in no
        stratum is in no arm either.
        """
        dims = (*self.strata, *self.groups, self.treated)
        after = variable(self.after, scale)
        known = tuple(variable(each, scale) for each in self.strata)
        cells = Products(dims, (after,), scale, (Monomial((0,)),))
        arm = (*self.groups, self.treated)
        half = (scale + 1) // 2
        whole = Products(arm, (after, *known), half, (Monomial((0,)), _SQUARE))
        return Stack((cells, whole))

    def arms(self, shape: Stack, totals: Sequence[int], law: NoiseLaw) -> tuple[Arm, Arm]:
        """Others and treated, in units of half the range of a slope."""
        cells, whole = (part for part in shape.parts if isinstance(part, Products))
        levels = self.treated.column.cell_labels
        seen = np.array(totals, dtype=np.float64)
        by_cell = seen[: cells.length].reshape(-1, len(levels), 2)
        by_arm = seen[cells.length :].reshape(-1, len(levels), 3).sum(axis=0)
        at = levels.index(self.exposed)
        rest = [each for each in range(len(levels)) if each != at]
        groups = whole.cells // len(levels)
        return (
            _arm(by_cell[:, rest], by_arm[rest], whole, law.sd_grid * math.sqrt(groups)),
            _arm(by_cell[:, [at]], by_arm[[at]], whole, law.sd_grid * math.sqrt(groups)),
        )


def _arm(cells: Floats, seen: Floats, whole: Products, spread: float) -> Arm:
    """From cells of shape [strata, levels, 2] and totals of shape [levels, 3], in grid units.

    `spread` is the noise of one level's total, added up over the groups.
    """
    levels, scale = len(seen), whole.scale
    counts, sums = cells.sum(axis=1).T / scale
    number, total, square = seen.sum(axis=0)
    members = number / whole.count_weight
    tau = math.sqrt(levels) * spread
    groups = whole.cells // len(whole.dims[-1].column.cell_labels)
    return Arm(
        counts=counts,
        sums=sums,
        members=members,
        total=total / scale,
        square=_SQUARE.divisor * (square + members * _SQUARE.centre(scale)) / scale,
        sd=tau / math.sqrt(groups) / scale,
        sd_members=tau / whole.count_weight,
        sd_total=tau / scale,
    )


def _evenly(arm: Arm, members: float) -> Arm:
    """The same arm with members spread over its strata, slopes about the middle."""
    counts = np.full(arm.strata, members / arm.strata)
    return replace(arm, counts=counts, sums=0 * counts, members=members, square=members / 9)


def _check_windows(asked: Compare) -> None:
    for where, months in (("months", asked.months), ("before", asked.before)):
        if not 1 <= months <= MOST_MONTHS:
            raise BadInput(
                f"a window of {months} months ends before it starts"
                if months < 1
                else f"a window of {months} months",
                where=where,
                instead=f"write 1 to {MOST_MONTHS} months",
            )
    if asked.rows < 2 or asked.days < 1:
        raise BadInput(
            "a slope needs at least 2 rows over 1 day",
            where="rows",
            instead="write needing=[3, 90]",
        )
    shortest = min(asked.months, asked.before)
    if asked.days > _days(shortest):
        raise BadInput(
            f"{asked.days} days do not fit into {shortest} months",
            where="days",
            instead=f"write needing=[{asked.rows}, {_days(shortest) // 2}]",
        )


def _check_arms(treated: ColumnRef, exposed: str) -> None:
    levels = treated.column.cell_labels
    if exposed not in levels:
        raise BadInput(
            f"{treated.name!r} has no level {exposed!r}",
            where="exposed",
            instead="write one of " + ", ".join(levels),
        )
    if len(levels) < 2:
        raise BadInput(f"{treated.name!r} has one level: there is nobody to compare with")


def _one_row(ref: ColumnRef, where: str) -> ColumnRef:
    if ref.many:
        raise BadInput(
            f"{ref.name!r} has many rows per member",
            where=where,
            instead=f"use a figure of them: any({ref.table.name}: …), first({ref.name})",
        )
    return ref


def _parted(
    ref: ColumnRef, cuts: tuple[str, ...], declared: tuple[str, ...], parts: int
) -> ColumnRef:
    """The column cut into strata: as written, by its declared bins, or into equal parts."""
    lower, upper = _bounds(ref)
    inner = cuts or (declared[1:-1] if 2 < len(declared) <= MOST_BINS + 1 else ())
    if not inner:
        low, high = bounds_of(ref.column)
        inner = tuple(f"{low + (high - low) * at / parts:.12g}" for at in range(1, parts))
    return gridded(ref, (lower, *inner, upper))


def _bounds(ref: ColumnRef) -> tuple[str, str]:
    return str(ref.column.lower), str(ref.column.upper)


def _days(months: int) -> int:
    return math.floor(months * DAYS_PER_MONTH + 0.5)


def _scaled(row: Estimate, middle: float, half: float) -> Estimate:
    return Estimate(
        row.cell,
        middle + half * row.estimate,
        half * row.se_sampling,
        half * row.se_noise,
        middle + half * row.low,
        middle + half * row.high,
        row.note,
    )


def _notes(
    dictionary: Dictionary, design: Design, arms: tuple[Arm, Arm], thin: int
) -> tuple[str, ...]:
    others, treated = (max(0.0, arm.number) for arm in arms)
    lower, upper = _bounds(design.after)
    notes = [
        f"About {treated:.0f} treated members and {others:.0f} others (noisy counts) have slopes "
        "before and after.",
        f"Slopes are clamped to {lower} to {upper}; clamping draws both arms to the middle.",
        f"Matched in {arms[0].strata} strata of earlier slope and score"
        + "".join(f", {short_name(dictionary, each)}" for each in design.groups)
        + "; no other difference between the arms is corrected.",
    ]
    if thin:
        notes.append(
            f"{thin} strata hold too few others to be told from noise: all others stand in."
        )
    return tuple(notes)
