"""From coefficients inside, of scaled columns, to those outside, in the researcher's units."""

from __future__ import annotations

import numpy as np

from models.regression.batch import Floats
from models.regression.families import Ordinal
from models.regression.outcome import Glm
from models.regression.survival import PiecewiseHazard


def outside(model: Glm) -> tuple[Floats, Floats]:
    """(matrix, constant): `matrix @ theta + constant` are coefficients and thresholds outside."""
    back, shift = model.design.back
    middle, half = model.scaling
    kept = len(back) + (model.family.extras if isinstance(model.family, Ordinal) else 0)
    matrix, constant = np.zeros((kept, model.size)), np.zeros(kept)
    matrix[: len(back), : model.width] = back * half
    if model.design.intercept:
        constant[0] = middle
    if isinstance(model.family, Ordinal):
        matrix[len(back) :, model.width :] = np.eye(model.family.extras)
        matrix[len(back) :, : model.width] = -shift[None, :]
    return matrix, constant


def hazards_outside(model: PiecewiseHazard) -> Floats:
    """[width, width]: `matrix @ theta` are coefficients, then logarithms of baseline hazards."""
    k, names = model.baselines, model.design.names
    back, shift = model.design.back
    matrix = np.zeros((model.width, model.width))
    matrix[: len(names), k:] = back
    matrix[len(names) :, :k] = np.eye(k)
    matrix[len(names) :, k:] = shift[None, :]
    return matrix
