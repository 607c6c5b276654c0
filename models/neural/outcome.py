"""What a network predicts: an event, one of several levels, or a bounded number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from models.figures.named import column_named
from models.neural.forward import NUMPY
from models.neural.reading import column_rows, plain_numbers
from models.rows import Rows, is_known
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

Floats = NDArray[np.float32]
MAX_LEVELS = 20


@dataclass(frozen=True)
class Event:
    """Whether the column has the level `event` (the column has two)."""

    column: ColumnRef
    event: int

    outputs = 1


@dataclass(frozen=True)
class Level:
    """Which of the column's levels."""

    column: ColumnRef

    @property
    def outputs(self) -> int:
        return len(self.column.column.levels)


@dataclass(frozen=True)
class Amount:
    """A number, scaled by its declared bounds to [-1, 1]."""

    column: ColumnRef
    centre: float
    half_width: float

    outputs = 1


Outcome = Event | Level | Amount


def outcome_of(dictionary: Dictionary, name: str, event: str | None = None) -> Outcome:
    """Two levels make an event (`event`, or the last declared), more a level, bounds an amount.

    Raises BadInput for a column of a many-row table, and one with neither levels nor bounds.
    """
    ref = column_named(dictionary, name)
    levels = ref.column.levels
    if ref.many:
        raise BadInput(f"{ref.name} has many rows per member", where="outcome")
    if event is not None and (len(levels) != 2 or event not in levels):
        instead = f"write one of {', '.join(levels)}" if len(levels) == 2 else "leave it out"
        what = f"{event!r} is no level of a column with two"
        raise BadInput(what, where="event", instead=instead)
    if len(levels) == 2:
        return Event(ref, 1 if event is None else levels.index(event))
    if 2 < len(levels) <= MAX_LEVELS:
        return Level(ref)
    if levels or ref.column.bounds is None:
        raise BadInput(
            f"{ref.name} has neither bounds nor 2 to {MAX_LEVELS} levels", where="outcome"
        )
    lower, upper = ref.column.bounds
    return Amount(ref, (lower + upper) / 2, (upper - lower) / 2)


def target(outcome: Outcome, rows: Rows) -> tuple[Floats, NDArray[np.bool_]]:
    """Shape [members] each: 0 or 1, the level's place, or the scaled number; and if it is known."""
    table, values = column_rows(rows, outcome.column)
    seen = is_known(values)
    goal = np.zeros(rows.members, dtype=np.float32)
    known = np.zeros(rows.members, dtype=np.bool_)
    known[table.member] = seen
    match outcome:
        case Event():
            found = (values == outcome.event).astype(np.float64)
        case Level():
            found = np.maximum(values, 0).astype(np.float64)
        case Amount():
            filled = np.where(seen, plain_numbers(outcome.column, values), 0.0)
            found = np.clip((filled - outcome.centre) / outcome.half_width, -1.0, 1.0)
        case _:
            assert_never(outcome)
    goal[table.member] = found
    return goal, known


def predictions(outcome: Outcome, shown: NDArray[np.floating]) -> NDArray[np.float64]:
    """From a network's outputs [members, outputs] to risks [members], the levels' probabilities
    [members, levels], or numbers in the column's unit [members]."""
    raw = np.asarray(shown, dtype=np.float64)
    match outcome:
        case Event():
            return np.asarray(NUMPY.sigmoid(raw[:, 0]))
        case Level():
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        case Amount():
            return np.asarray(outcome.centre + outcome.half_width * raw[:, 0])
        case _:
            assert_never(outcome)
