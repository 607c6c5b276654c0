"""Which columns noisy products cannot tell from constants, and which not from one another.

It decides no estimate. A column is named where its variance is within the noise of none, or where
its correlations are within the noise of a line: probable causes of a coefficient that means
nothing, which a reader should hear of before the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from models.regression.batch import Floats, Mask

FAINT = 3.0  # standard deviations of noise above which a variance is seen
ALIKE = 2.0  # of a correlation from 1, below which it may be that
TELLING = 0.2  # noise on a correlation beyond which it says nothing of the kind
USUAL_LEAST = 0.4  # eigenvalue of correlations that are not a line
_PART = 0.3  # of a direction, from which on a column belongs to it


@dataclass(frozen=True)
class Unclear:
    """`faint` columns, and groups of columns that are `alike`, by their places."""

    faint: tuple[int, ...] = ()
    alike: tuple[tuple[int, ...], ...] = ()

    def among(self, kept: Sequence[int]) -> Unclear:
        """The same where column `kept[k]` stands at place k, and others are left out."""
        place = {each: at for at, each in enumerate(kept)}
        return Unclear(
            tuple(place[each] for each in self.faint if each in place),
            tuple(
                tuple(place[each] for each in group)
                for group in self.alike
                if all(each in place for each in group)
            ),
        )


def unclear(
    columns: Sequence[int], second: Floats, tau: float, off: Floats, known: Floats
) -> Unclear:
    """Of `columns` with noisy products `second` [f, f], each of which was taken to have variance
    1; squares have noise `tau`, products `tau` over the root of 2, and the means that were taken
    off `off` [f]. `known` [f, f] are correlations that are not asked for, NaN for all others."""
    size = np.diag(second)
    least = FAINT * tau + (FAINT * off) ** 2
    seen = [at for at in range(len(columns)) if size[at] > least[at]]
    faint = tuple(columns[at] for at in range(len(columns)) if at not in seen)
    part = np.ix_(seen, seen)
    scale = np.sqrt(size[seen])
    correlation = second[part] / np.outer(scale, scale)
    given = ~np.isnan(known[part])
    correlation[given] = known[part][given]
    np.fill_diagonal(correlation, 1.0)
    groups = _alike(correlation, tau, given)
    return Unclear(faint, tuple(tuple(columns[seen[at]] for at in group) for group in groups))


def _alike(correlation: Floats, tau: float, given: Mask) -> list[tuple[int, ...]]:
    """Pairs first; where there is none, the columns of the weakest direction."""
    rough, size = tau / math.sqrt(2), len(correlation)
    if rough > TELLING:
        return []
    pairs: list[tuple[int, ...]] = [
        (one, other)
        for one, other in combinations(range(size), 2)
        if not given[one, other] and abs(correlation[one, other]) > 1 - ALIKE * rough
    ]
    if pairs or size < 3 or tau * (2 + math.sqrt(2 * size)) > USUAL_LEAST:
        return pairs
    values, axes = np.linalg.eigh(correlation)
    weakest = tuple(np.flatnonzero(np.abs(axes[:, 0]) > _PART).tolist())
    return [weakest] if values[0] < tau else []
