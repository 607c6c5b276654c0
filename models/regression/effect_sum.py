"""The streamed contribution of a comparison's own rounds, and their states as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.regression.batch import Batch, Floats
from models.regression.effect_vectors import (
    Arms,
    Influence,
    Slopes,
    Stage,
    stage_length,
    stage_vectors,
)
from models.regression.member_sum import UnitVectors, rows_at_once
from models.regression.states import array_bytes, read_arrays
from models.regression.treated import Propensity
from privacy.contract.dictionary import ColumnRef
from privacy.errors import BadInput


@dataclass(frozen=True, eq=False)
class EffectSum(UnitVectors):
    """What the members add in one of the rounds after the propensity's."""

    model: Propensity
    stage: Stage
    number: int
    delta_grid: int
    sites: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        return stage_length(self.model, self.number)

    @property
    def columns(self) -> frozenset[ColumnRef]:
        return self.model.columns

    @property
    def _rows_at_once(self) -> int:
        return rows_at_once(self.length + 4 * self.model.width)

    def _unit(self, batch: Batch) -> Floats:
        return stage_vectors(self.model, self.stage, batch)


def stage_bytes(stage: Stage) -> bytes:
    """Doubles, little end first, in the order of the fields."""
    return b"".join(array_bytes(part) for part in _parts(stage))


def _parts(stage: Stage) -> Sequence[Floats | float]:
    return [getattr(stage, name) for name in stage.__dataclass_fields__]


def stage_of(model: Propensity, number: int, state: bytes) -> Stage:
    """Stage 0, 1 or 2 as `state` asks it. Raises BadInput for bytes that are no state of it."""
    d = model.width
    match number:
        case 0:
            theta, clips = read_arrays(state, ((d,), (2,)))
            return Arms(theta, *_above_zero(clips))
        case 1:
            theta, mu, share, whiten, clips = read_arrays(state, ((d,), (2,), (2,), (d, d), (2,)))
            return Slopes(theta, mu, share, whiten, *_above_zero(clips))
        case _:
            theta, mu, share, gamma, clips = read_arrays(state, ((d,), (2,), (2,), (2, d), (2,)))
            return Influence(theta, mu, share, gamma, *_above_zero(clips))


def _above_zero(clips: Floats) -> tuple[float, float]:
    if not (clips > 0).all():
        raise BadInput("a bound is above 0", where="state")
    return float(clips[0]), float(clips[1])
