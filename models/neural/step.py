"""What a member adds in one round of training: a clipped vector of integers.

Clipping, rounding and the check of the norm are done here in numpy, whoever took the gradient.

Guarantee: each member adds an integer vector of exact L2 norm at most `delta_grid`, for every
state and whatever the gradients hold; one that is not finite adds the zero vector.
Assumes: nothing of weights or records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.neural.architecture import Architecture, Parameter
from models.rowwise import squared_norms
from privacy.errors import BadInput
from privacy.grid import to_grid
from privacy.mechanism import MAX_DELTA_GRID

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Loss = Literal["event", "level", "amount"]

_BLOCK = 2**16  # numbers of one block: it stays in a core's cache from rounding to adding
_EXACT = 2**26  # up to here a sum of squares is below 2^53, where doubles hold every integer


@dataclass(frozen=True)
class Local:
    """Steps of a member's own descent, its rate, and the weight that holds it near the start."""

    steps: int
    rate: float
    proximal: float = 0.0


@dataclass(frozen=True)
class Step:
    """How a member's vector is made. `clip`: its largest L2 norm, in units of the loss."""

    network: Architecture
    layout: tuple[Parameter, ...]
    loss: Loss
    clip: float
    local: Local | None = None

    @property
    def length(self) -> int:
        return sum(each.count for each in self.layout)


@dataclass(frozen=True, repr=False, eq=False)
class Outer:
    """[members, outputs, inputs]: of each member `slope` [outputs] times `given` [inputs].

    A layer's gradient is of this kind where the layer is used once; so it need not be written out.
    """

    slope: Floats
    given: Floats

    @property
    def whole(self) -> NDArray[np.float64]:
        return self.slope[:, :, None].astype(np.float64) * self.given[:, None, :]


def unit(clip: float, delta_grid: int, length: int) -> float:
    """What one grid unit stands for.

    The ball is filled up to what rounding may add: a vector of `length` numbers, each moved by
    1/2 at most, grows by at most sqrt(length) / 2. Where that would take half the ball or more,
    half is filled, and what rounding puts outside is shrunk.
    Raises BadInput unless 1 <= delta_grid <= 2^30.
    """
    if not 1 <= delta_grid <= MAX_DELTA_GRID:
        raise BadInput(f"delta_grid is a whole number from 1 to {MAX_DELTA_GRID}")
    room = math.sqrt(length) / 2 + 1
    return clip / max(delta_grid - room, delta_grid / 2)


def clipped_total(
    vectors: Sequence[Floats | Outer], use: NDArray[np.bool_], clip: float, delta_grid: int
) -> Integers:
    """Shape [length]: the sum of the members' clipped integer vectors.

    `vectors`: one array [members, ...] per parameter; `use`: [members]. A member with a vector
    of norm at most `clip` adds it, a longer one is scaled to that norm. Raises BadInput unless
    1 <= delta_grid <= 2^30.
    """
    flat = [each if isinstance(each, Outer) else each.reshape(len(use), -1) for each in vectors]
    scale, flat = _scales(flat, use, clip, delta_grid)
    if delta_grid > _EXACT:
        return _carefully(flat, scale, delta_grid)
    total, squares = _rounded(flat, scale)
    outside = squares > float(delta_grid) ** 2
    if outside.any():  # rounding alone put them there, if anything did
        inside, _ = _rounded(_chosen(flat, ~outside), scale[~outside])
        return inside + _carefully(_chosen(flat, outside), scale[outside], delta_grid)
    return total


def _chosen(flat: Sequence[Floats | Outer], members: NDArray[np.bool_]) -> list[Floats | Outer]:
    return [
        Outer(each.slope[members], each.given[members])
        if isinstance(each, Outer)
        else each[members]
        for each in flat
    ]


def _scales(
    flat: Sequence[Floats | Outer], use: NDArray[np.bool_], clip: float, delta_grid: int
) -> tuple[NDArray[np.float64], list[Floats | Outer]]:
    """Grid units per unit of each member's vector, and the vectors: zeros for one that is not
    used or not finite.

    The norm need not be exact here, since that of the integers is checked; in single precision
    it is not finite from about 1e19 either.
    """
    squares = np.zeros(len(use), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for each in flat:
            squares += _squared_length(each)
    norm = np.sqrt(squares)
    finite = np.isfinite(norm) & use
    kept = list(flat) if finite.all() else [_without(each, finite) for each in flat]
    length = sum(_width(each) for each in flat)
    shrink = clip / np.maximum(np.where(finite, norm, clip), clip)
    return np.where(finite, shrink / unit(clip, delta_grid, length), 0.0), kept


def _squared_length(each: Floats | Outer) -> NDArray[np.floating]:
    if isinstance(each, Outer):
        parts = (squared_norms(one.astype(np.float64)) for one in (each.slope, each.given))
        return np.asarray(math.prod(parts))
    return np.asarray(squared_norms(each))


def _without(each: Floats | Outer, finite: NDArray[np.bool_]) -> Floats | Outer:
    if isinstance(each, Outer):
        return Outer(_zeroed(each.slope, finite), _zeroed(each.given, finite))
    return _zeroed(each, finite)


def _zeroed(array: Floats, finite: NDArray[np.bool_]) -> Floats:
    return np.where(finite[:, None], array, np.float32(0.0))


def _width(each: Floats | Outer) -> int:
    if isinstance(each, Outer):
        return int(each.slope.shape[1] * each.given.shape[1])
    return int(each.shape[1])


def _rounded(
    flat: Sequence[Floats | Outer], scale: NDArray[np.float64]
) -> tuple[Integers, NDArray[np.float64]]:
    """The sum of the rounded rows, and the squared norm of each.

    Every number is an integer in a double and so is every partial sum below 2^53: exact. A
    squared norm that is larger may be off, but not below 2^53.
    """
    sums, squares = [], np.zeros(len(scale), dtype=np.float64)
    for each in flat:
        for block in _blocks(each, scale):
            np.rint(block, out=block)
            sums.append(block.sum(axis=0))
            squares += _squares(block)
    return np.concatenate(sums).astype(np.int64), squares


def _blocks(each: Floats | Outer, scale: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Some columns of the scaled rows at a time, in one place that is written over."""
    members = max(len(scale), 1)
    if isinstance(each, Outer):
        slope, given = each.slope * scale[:, None], each.given.astype(np.float64)
        width = given.shape[1]
        step = max(_BLOCK // (members * width), 1)
        room = np.empty((len(scale), step, width))
        for start in range(0, slope.shape[1], step):
            part = slope[:, start : start + step, None]
            block = np.multiply(part, given[:, None, :], out=room[:, : part.shape[1]])
            yield block.reshape(len(scale), -1)
        return
    step = max(_BLOCK // members, 1)
    flat_room = np.empty((len(scale), step))
    for start in range(0, each.shape[1], step):
        columns = each[:, start : start + step]
        yield np.multiply(columns, scale[:, None], out=flat_room[:, : columns.shape[1]])


def _squares(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Shape [members]: the squared norm of each row of whole numbers."""
    products = np.matmul(rows[:, None, :], rows[:, :, None])
    return np.asarray(products[:, 0, 0], dtype=np.float64)


def _carefully(
    flat: Sequence[Floats | Outer], scale: NDArray[np.float64], delta_grid: int
) -> Integers:
    """The same by the arithmetic of `privacy.grid`, which is exact for every size."""
    whole = [
        each.whole.reshape(len(scale), -1) if isinstance(each, Outer) else each for each in flat
    ]
    rows = np.concatenate(whole, axis=1).astype(np.float64) * (scale[:, None] / delta_grid)
    return np.asarray(to_grid(rows, delta_grid).sum(axis=0), dtype=np.int64)
