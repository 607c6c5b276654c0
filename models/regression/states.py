"""What nodes are told before a round, as bytes; and bytes back into a round.

Numbers are IEEE doubles, little end first, one array after another. Bytes of another length, or
with a number that is not finite, are no state.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np

from models.regression.batch import Floats
from models.regression.fitting import CLUSTERED, Course
from models.regression.member_vectors import Gram, Moments, Newton, Round, Scores
from models.regression.outcome import Model
from privacy.errors import BadInput

_CLOSE = 1e-6


def state_bytes(asked: Round) -> bytes:
    match asked:
        case Moments():
            return b""
        case Gram(linear):
            return array_bytes(linear)
        case Scores(theta, whiten):
            return array_bytes(theta) + array_bytes(whiten)
        case Newton(theta):
            return array_bytes(theta)
        case _:
            assert_never(asked)


def round_of(model: Model, course: Course, number: int, state: bytes) -> Round:
    """Round `number` as `state` asks it. Raises BadInput for bytes that are no state of it."""
    width, size = model.width, model.size
    match course.kinds[number]:
        case "moments":
            read_arrays(state, ())
            return Moments(course.moments_clip)
        case "outcome":
            read_arrays(state, ())
            return Moments(course.moments_clip, outcome_alone=True)
        case "gram":
            (linear,) = read_arrays(state, ((width, width),))
            return Gram(linear, course.gram_clip)
        case "scores":
            theta, whiten = read_arrays(state, ((size,), (size, size)))
            return Scores(theta, whiten, course.score_clip)
        case kind:
            (theta,) = read_arrays(state, ((size,),))
            return Newton(theta, clustered=kind == CLUSTERED)


def close(stated: bytes, recomputed: bytes) -> bool:
    """Whether two states differ by rounding alone."""
    if len(stated) != len(recomputed):
        return False
    if stated == recomputed:
        return True
    one, two = (np.frombuffer(each, dtype="<f8") for each in (stated, recomputed))
    size = max(float(np.max(np.abs(two), initial=0.0)), 1e-300)
    return bool(np.all(np.abs(one - two) <= _CLOSE * size))  # a NaN is not close


def array_bytes(array: Floats | float) -> bytes:
    """Doubles, little end first."""
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def read_arrays(state: bytes, shapes: tuple[tuple[int, ...], ...]) -> list[Floats]:
    """The arrays of these shapes that `state` holds, one after another; raises BadInput unless it
    holds exactly those, all of finite numbers."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    if len(state) != 8 * sum(sizes):
        raise BadInput("these bytes are no state of the analysis", where="state")
    numbers = np.frombuffer(state, dtype="<f8").astype(np.float64)
    if not np.isfinite(numbers).all():
        raise BadInput("a state has a number that is not finite", where="state")
    parts = np.split(numbers, np.cumsum(sizes)[:-1]) if shapes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
