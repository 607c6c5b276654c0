"""Coefficients that the members tell nothing of, by noisy totals: of a level that hardly anyone
has, of a stretch of a spline where hardly anyone is, of columns that follow from others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from models.cohort.text import number_text
from models.regression.batch import Floats, Mask
from models.regression.coding import Coded, word_of
from models.regression.design import Design
from models.regression.families import Ordinal
from models.regression.formula import SITE
from models.regression.newton import Standing
from models.regression.outcome import Glm
from models.regression.outside import hazards_outside, outside
from models.regression.survival import PiecewiseHazard
from models.regression.syntax import Levels, Number, Site, Spline, factor_text

FEWEST = 3.0  # members behind a coefficient, below which it is not to be relied on
RARE = 0.05  # part of members: of a level that fewer have than that, surely, nothing is told
SURE = 2.0  # standard deviations of noise
SEEN = "As far as the noise lets one see"


@dataclass(frozen=True)
class Unseen:
    """`hidden` are the places of coefficients outside of which nothing is told. `nobody` are levels
    that hardly anyone has, or nearly everyone; `thin` those of which that is not as sure.

    `compared` are factors of which hardly anyone has the level that others are compared with,
    `stretched` splines that have a part where hardly anyone is.
    """

    hidden: frozenset[int] = frozenset()
    nobody: tuple[str, ...] = ()
    thin: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()
    stretched: tuple[Spline, ...] = ()

    def also(self, other: Unseen) -> Unseen:
        return Unseen(
            self.hidden | other.hidden,
            self.nobody + other.nobody,
            self.thin + other.thin,
            self.compared + other.compared,
            self.stretched + other.stretched,
        )


@dataclass(frozen=True)
class Compared:
    """A factor, and which of its other levels most have, by its place among them."""

    factor: Levels | Site
    most: int


def unseen(model: Glm | PiecewiseHazard, now: Standing) -> Unseen:
    """By the counts that were opened first; and, in a fit by newton, by the information too."""
    found = Unseen(_loose(model, now))
    for coded, places in _alone(model.design):
        of = _spline if isinstance(coded.factor, Spline) else _levels
        found = found.also(of(model, now, coded, places))
    return found


def _loose(model: Glm | PiecewiseHazard, now: Standing) -> frozenset[int]:
    if now.loose is None:
        return frozenset()
    if isinstance(model, PiecewiseHazard):
        matrix = hazards_outside(model)[: len(model.names)]
    else:
        matrix, _ = outside(model)
    return frozenset(np.flatnonzero(now.loose.of(matrix)).tolist())


def _alone(design: Design) -> Iterator[tuple[Coded, list[int]]]:
    """Factors that are a term by themselves, with their columns' places; no plain numbers."""
    at = int(design.intercept)
    for term in design.terms:
        count = prod(len(each.labels) for each in term)
        if len(term) == 1 and not isinstance(term[0].factor, Number):
            yield term[0], list(range(at, at + count))
        at += count


def _counts(model: Glm | PiecewiseHazard, now: Standing, coded: Coded, places: list[int]) -> Floats:
    """How many rows have each level, or are near each part of a spline."""
    first = model.width - len(model.names)
    mean = now.population.mean[[first + at for at in places]]
    return np.asarray((mean + coded.shift) * now.population.rows)


def _spline(model: Glm | PiecewiseHazard, now: Standing, coded: Coded, places: list[int]) -> Unseen:
    if not isinstance(coded.factor, Spline):
        return Unseen()
    first, faint = model.width - len(model.names), now.population.unclear.faint
    counts = _counts(model, now, coded, places)
    unclear = (counts < _least(now)) | np.isin([first + place for place in places], faint)
    few = [place for place, one in zip(places, unclear & _rare(now, counts), strict=True) if one]
    stretched = unclear.any() or not _loose(model, now).isdisjoint(places)
    return Unseen(_with(model.design, few), stretched=(coded.factor,) if stretched else ())


def _levels(model: Glm | PiecewiseHazard, now: Standing, coded: Coded, places: list[int]) -> Unseen:
    counts, labels = _counts(model, now, coded, places), coded.labels
    few = counts < _least(now)
    sure = few & _rare(now, counts)
    found = Unseen(
        _with(model.design, [place for place, one in zip(places, sure, strict=True) if one]),
        nobody=tuple(label for label, one in zip(labels, sure, strict=True) if one),
        thin=tuple(label for label, one in zip(labels, few & ~sure, strict=True) if one),
    )
    return found if coded.full else found.also(_reference(model, now, coded, places, counts))


def _reference(
    model: Glm | PiecewiseHazard, now: Standing, coded: Coded, places: list[int], counts: Floats
) -> Unseen:
    """Of the level that the others are compared with."""
    without = np.array(now.population.rows - float(counts.sum()))
    if without >= _least(now, len(places)):
        return Unseen()
    if not _rare(now, without, len(places)):
        return Unseen(thin=coded.labels if len(places) == 1 else ())
    hidden = _with(model.design, places) | _compared_with(model, places)
    if len(places) == 1 or not isinstance(coded.factor, Levels | Site):
        return Unseen(hidden, nobody=coded.labels)
    return Unseen(hidden, compared=(Compared(coded.factor, int(np.argmax(counts))),))


def _least(now: Standing, of: int = 1) -> float:
    """What noise alone may make of nobody, in a sum of so many counts."""
    return max(FEWEST, now.population.noise * sqrt(of))


def _rare(now: Standing, counts: Floats, of: int = 1) -> Mask:
    """Which of sums of so many counts are rare for sure."""
    most = counts + SURE * now.population.noise * sqrt(of)
    return np.asarray(most < RARE * now.population.rows)


def _with(design: Design, places: list[int]) -> frozenset[int]:
    """These columns, and all products of which one of them is a factor."""
    keys = [design.keys[place] for place in places]
    return frozenset(
        at for at, other in enumerate(design.keys) if any(key <= other for key in keys)
    )


def _compared_with(model: Glm | PiecewiseHazard, places: list[int]) -> frozenset[int]:
    """What products of these levels are compared with: what stands for their factor's first one."""
    keys, names = model.design.keys, len(model.names)
    own = [keys[place] for place in places]
    bare = {other - key for other in keys for key in own if key <= other}
    found = frozenset(at for at, key in enumerate(keys) if key in bare)
    ordinal = isinstance(model.family, Ordinal)
    return found | (frozenset(range(names, names + model.family.extras)) if ordinal else found)


def said(model: Glm | PiecewiseHazard, now: Standing) -> list[str]:
    """What a reader must know of it, and what to write instead."""
    found, notes = unseen(model, now), []
    for labels, told in (
        (found.nobody, "nothing is told of it"),
        (found.thin, "do not rely on what is said of it"),
    ):
        if labels:
            notes.append(
                f"{SEEN}, hardly anyone, or nearly everyone, has {_listed(labels)}: {told}."
            )
    notes += [_compared(each) for each in found.compared]
    return notes + [_stretched(each) for each in found.stretched]


def _listed(labels: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(labels))


def _compared(compared: Compared) -> str:
    factor = compared.factor
    if isinstance(factor, Site):
        name, instead = SITE, "Ask without the first organisation."
    else:
        name = word_of(factor.column)
        others = [each for each in factor.column.column.levels if each != factor.reference]
        level = others[compared.most]
        instead = f"Compare with another, as {factor_text(Levels(factor.column, level))}."
    return (
        f"{SEEN}, hardly anyone has the level of {name} with which the "
        f"others are compared: nothing is told of them. {instead}"
    )


def _stretched(spline: Spline) -> str:
    name = word_of(spline.number.column)
    low, high = spline.number.lower, spline.number.upper
    return (
        f"{SEEN}, hardly anyone is in a part of {name} from {number_text(low)} to "
        f"{number_text(high)}, over which its spline is laid: little is told of that part. Lay it "
        f"where members are: bs(clip({name}, from, to)) narrows it, knots=[…] says where it bends, "
        "and df=3 has no knots."
    )
