"""What an accelerated failure time model says of a released survival table, as a result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import get_args

import numpy as np

from models.aggregates.accelerated import Fitted, Law, fitted, median_of
from models.aggregates.columns import short_name
from models.aggregates.life_table import Floats
from models.aggregates.survival import Shape, Survival
from models.opening import Opening
from models.result import NO_INFORMATION, Z95, Estimate, Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

TIME_RATIO, MEDIAN, SCALE = "time ratio", "median survival", "scale"
KIND = "aft"
LAWS: tuple[Law, ...] = get_args(Law)
METHOD = (
    "From the same table an accelerated failure time model was fitted, at no further cost: events "
    "of the exposed in a bin are binomial with the law's chance, groups share one scale, and the "
    "likelihood was maximised; the noise of each count is carried into the intervals."
)
_UNBOUNDED = 1e300


def time_ratios(asked: Survival, dictionary: Dictionary, opening: Opening, law: Law) -> Result:
    """Time ratios against the first group, medians and the law's scale, with 95 % intervals.

    Raises BadInput for another law, and for an opening of another length.
    """
    if law not in LAWS:
        raise BadInput(f"{law!r} is no law", where="law", instead="write " + ", ".join(LAWS))
    shape, delta_grid = asked.shape(dictionary), opening.law.mechanism.delta_grid
    counted = asked.contribution(dictionary, delta_grid)
    if len(opening.totals) != counted.length:
        raise BadInput(f"the total has {len(opening.totals)} numbers, not {counted.length}")
    members = np.array(opening.totals, dtype=np.float64) / counted.weight
    tables = shape.life_tables(members, opening.law.sd_grid / counted.weight)
    found = fitted(law, tables, shape.numbers)
    names = [short_name(dictionary, ref) for ref in shape.groups]
    rows = tuple(_rows(shape, found))
    return Result(KIND, ("figure", *names), rows, unit="", notes=_notes(shape, found))


def _rows(shape: Shape, found: Fitted) -> Iterator[Estimate]:
    groups = shape.group_labels
    unit = f" ({shape.time.column.unit})" if shape.time.column.unit else ""
    size = len(found.values)
    for at, group in list(enumerate(groups))[1:]:
        yield _exponential((TIME_RATIO, *group), found, np.eye(size)[at])
    for at, group in enumerate(groups):
        turn = found.centre(at)
        turn[-1] = 0.0
        yield _median((f"{MEDIAN}{unit}", *group), found, turn)
    if found.law != "exponential":
        yield _exponential((SCALE, *("" for _ in shape.groups)), found, np.eye(size)[-1])


def _median(cell: tuple[str, ...], found: Fitted, turn: Floats) -> Estimate:
    """exp(a + b + s times the law's median), which moves with log s too."""
    add = math.exp(min(float(found.values[-1]), 30.0)) * median_of(found.law)
    moved = turn.copy()
    moved[-1] = add
    return _exponential(cell, found, moved, float(turn @ found.values) + add)


def _exponential(
    cell: tuple[str, ...], found: Fitted, turn: Floats, value: float | None = None
) -> Estimate:
    """exp of a line in the values, or of `value` that moves as the line does."""
    middle = float(turn @ found.values) if value is None else value
    sampling, noise = (float(turn @ each @ turn) for each in (found.sampling, found.noise))
    reach = Z95 * math.sqrt(sampling + noise)
    if not found.converged or not abs(middle) + reach < 100:
        return Estimate(cell, 0.0, 0.0, 0.0, -_UNBOUNDED, _UNBOUNDED, NO_INFORMATION)
    size = math.exp(middle)
    errors = size * math.sqrt(sampling), size * math.sqrt(noise)
    return Estimate(cell, size, *errors, size * math.exp(-reach), size * math.exp(reach))


def _notes(shape: Shape, found: Fitted) -> tuple[str, ...]:
    notes = [
        f"Times are taken for {found.law}, with one scale for all groups: compare the medians "
        "with those of the curve.",
        "Members who leave within a bin count for half of it; bins that noise hides are left out.",
    ]
    if shape.groups:
        first = ", ".join(shape.group_labels[0])
        notes.insert(1, f"Time ratios are against {first}: above 1, it takes longer.")
    if not found.converged:
        notes.append("No law of this kind fits the noisy table.")
    return tuple(notes)
