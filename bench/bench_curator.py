"""Every analysis against three other ways to add noise, on the same members in the same run.

What the members of one cohort add is summed once by the product's own integers; the total then
gets four noises: that of this product (10 nodes, two in the margin), that of one trusted curator
at the same rho, Laplace noise of a trusted curator at the same epsilon (the scale is the L1 norm
of what a member may add over epsilon), and that of nodes which each protect their own total. All
four go through the product's own estimate. An error is the mean distance from the estimate
without noise; the noises share their draws, so that their ratio is that of their laws.
Run as `python -m bench curator`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from bench.bench_figures import law_of
from models.aggregates.catalogue import contribution, estimate
from models.aggregates.requests import (
    KINDS,
    Analysis,
    Associations,
    Correlation,
    Count,
    Density,
    Describe,
    Disproportionality,
    Histogram,
    Incidence,
    Map,
    Mean,
    Prevalence,
    Sum,
    Survival,
    Table,
    Top,
    TreatmentReport,
    Variance,
    normalise,
)
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Products,
    Rollup,
    Stack,
)
from models.noise_law import NoiseLaw
from models.reference import total
from models.rows import Rows, TableRows
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.contract.dictionary import Rows as RowsKind
from privacy.contract.dictionary import Table as Declared

Floats = NDArray[np.float64]

NODES, MARGIN = 10, 2
SIZES, EPSILONS, RUNS = (100, 500, 5000), ("0.3", "1", "3"), 200
LIMIT = math.sqrt(NODES / (NODES - MARGIN)) * 1.05
RATIOS = ("odds ratio", "reporting odds ratio", "proportional reporting ratio", "hazard ratio")


def _levels(name: str, *levels: str) -> Column:
    return Column(name=name, type=ColumnType.CATEGORICAL, levels=levels)


def _number(name: str, lower: str, upper: str, *bins: str) -> Column:
    return Column(name=name, type=ColumnType.NUMBER, lower=lower, upper=upper, bins=bins)


def _flag(name: str) -> Column:
    return Column(name=name, type=ColumnType.BOOLEAN, levels=("false", "true"))


def _many(name: str, most: int, *columns: Column) -> Declared:
    kind = RowsKind.MANY
    return Declared(name=name, key="id", rows=kind, max_rows_per_member=most, columns=columns)


ITEMS = tuple(f"item{at:02d}" for at in range(30))
DRUGS = tuple(f"drug{at}" for at in range(4))
EVENTS = tuple(f"event{at}" for at in range(5))
DICTIONARY = Dictionary(
    tables=(
        Declared(
            name="m",
            key="id",
            rows=RowsKind.ONE,
            columns=(
                _levels("arm", "a", "b"),
                _levels("state", "never", "rare", "often"),
                _levels("region", "DE-BE", "DE-BY", "DE-HH", "FR-BRE", "FR-IDF"),
                _number("x", "0", "10", *map(str, range(11))),
                _number("y", "0", "10", "0", "2", "4", "6", "8", "10"),
                _number("events", "0", "5"),
                _number("years", "0", "10"),
                _number("months", "0", "60", *map(str, range(0, 61, 10))),
                _flag("died"),
                _flag("smokes"),
                _flag("cough"),
            ),
        ),
        _many("t", 3, _levels("drug", "p", "q"), _levels("effect", "none", "some", "major")),
        _many("s", 5, _levels("item", *ITEMS)),
        _many("r", 3, _levels("given", *DRUGS), _levels("seen", *EVENTS)),
    )
)
CASES: tuple[Analysis, ...] = (
    Count(by=("state",)),
    Histogram(column="x"),
    Table(by=("arm", "state")),
    Prevalence(column="state", by=("arm",)),
    Sum(column="x"),
    Mean(column="x"),
    Variance(column="x"),
    Correlation(columns=("x", "y")),
    Density(x="x", y="y"),
    Describe(columns=("x", "state")),
    Map(region="region"),
    Top(column="item"),
    TreatmentReport(treatment="drug", columns=("effect",)),
    Incidence(events="events", time="years", by=("arm",)),
    Survival(time="months", event="died", by=("arm",)),
    Disproportionality(drug="given", event="seen"),
    Associations(exposures=("smokes",), outcomes=("cough",)),
)


def population(rng: np.random.Generator, members: int) -> Rows:
    """Members of every table; nothing here is rare, so that every figure can be told."""
    z = rng.normal(size=(2, members))
    years = 10 * rng.beta(2, 4, members)
    arm, smokes = rng.integers(0, 2, (2, members))
    died = rng.exponential(30.0 + 10 * arm, members)
    left = rng.uniform(0, 60, members)
    one: dict[str, Any] = {
        "arm": arm,
        "state": rng.choice(3, members, p=(0.5, 0.2, 0.3)),
        "region": rng.choice(5, members, p=(0.3, 0.25, 0.1, 0.1, 0.25)),
        "x": 5 + 1.2 * z[0],
        "y": 5 + 1.2 * (0.5 * z[0] + math.sqrt(0.75) * z[1]),
        "events": rng.poisson(0.1 * years).astype(float),
        "years": years,
        "months": np.minimum(died, left),
        "died": (died <= left).astype(np.int64),
        "smokes": smokes,
        "cough": (rng.random(members) < 0.2 + 0.2 * smokes).astype(np.int64),
    }
    member = np.arange(members)
    tables = {"m": TableRows(member, np.zeros(members, dtype=np.int64), one)}
    for declared in DICTIONARY.tables[1:]:
        tables[declared.name] = _rows(rng, members, declared)
    return Rows(DICTIONARY, members, tables)


def _rows(rng: np.random.Generator, members: int, declared: Declared) -> TableRows:
    most = declared.max_rows_per_member
    rank = np.tile(np.arange(most), members)
    values = {
        column.name: _ranked(rng, len(column.levels), len(rank)) for column in declared.columns
    }
    return TableRows(np.repeat(np.arange(members), most), rank, values)


def _ranked(rng: np.random.Generator, levels: int, many: int) -> Any:
    weights = 1 / np.arange(2, levels + 2)
    return rng.choice(levels, many, p=weights / weights.sum())


def largest_sum(shape: Contribution) -> int:
    """The L1 norm of the largest vector that a member may add."""
    match shape:
        case CellCounts():
            return shape.weight * min(shape.max_cells, shape.length)
        case BoundedValue():
            return shape.count_weight + shape.scale * (1 + shape.with_square)
        case Products():
            return shape.count_weight + sum(each.bound(shape.scale) for each in shape.monomials)
        case Rollup():
            return largest_sum(shape.cells) * (1 + len(shape.groups))
        case Stack():
            return sum(largest_sum(part) for part in shape.parts)
        case _:
            assert_never(shape)


def noises(shape: Contribution, law: NoiseLaw, epsilon: str) -> dict[str, tuple[str, float]]:
    """The law of each noise, and its scale in grid units."""
    curator = law.sd_grid * math.sqrt((NODES - MARGIN) / NODES)
    return {
        "cairn": ("normal", law.sd_grid),
        "curator": ("normal", curator),
        "laplace": ("laplace", largest_sum(shape) / float(epsilon)),
        "nodes": ("normal", curator * math.sqrt(NODES)),
    }


def errors(analysis: Analysis, members: int, epsilon: str, runs: int) -> dict[str, Floats]:
    """Mean distance from the figures without noise, by noise and figure."""
    rng = np.random.default_rng([members, runs, int(10 * float(epsilon))])
    law = law_of(epsilon)
    asked = normalise(analysis, DICTIONARY)
    shape = contribution(asked, DICTIONARY, law.mechanism.delta_grid)
    exact = total(shape, population(rng, members), np.ones(members, dtype=bool))
    truth = _figures(asked, exact, law)
    laws = noises(shape, law, epsilon)
    found: dict[str, list[Floats]] = {name: [] for name in laws}
    for _ in range(runs):
        draws = {"normal": rng.normal(size=len(exact)), "laplace": rng.laplace(size=len(exact))}
        for name, (kind, scale) in laws.items():
            noisy = exact + np.rint(scale * draws[kind]).astype(np.int64)
            found[name].append(_distance(truth, _figures(asked, noisy, law)))
    return {name: np.mean(every, axis=0) for name, every in found.items()}


def _figures(asked: Analysis, totals: NDArray[np.int64], law: NoiseLaw) -> dict[Any, float]:
    rows = estimate(asked, DICTIONARY, totals.tolist(), law).rows
    return {row.cell: _scaled(row.cell, row.estimate) for row in rows}


def _scaled(cell: tuple[str, ...], value: float) -> float:
    """Ratios are compared as logarithms."""
    ratio = any(name in RATIOS for name in cell[:1])
    return math.log(value) if ratio and value > 0 else value


def _distance(truth: dict[Any, float], found: dict[Any, float]) -> Floats:
    # a ranking names other levels in other runs: one that is not named is not judged
    return np.array([abs(found.get(cell, value) - value) for cell, value in truth.items()])


def ratio(top: Floats, bottom: Floats) -> float:
    """The ratio of two errors: the median over the figures that noise moves."""
    moved = np.isfinite(top) & np.isfinite(bottom) & (bottom > 0)
    return statistics.median((top[moved] / bottom[moved]).tolist())


def rows_of(analysis: Analysis, members: int, epsilon: str, runs: int) -> dict[str, Any]:
    found = errors(analysis, members, epsilon, runs)
    ours, curator = found["cairn"], found["curator"]
    beside = ", ".join(
        f"{words} {ratio(found[name], curator):.2f}"
        for name, words in (("laplace", "Laplace curator"), ("nodes", "noise at each node"))
    )
    measured = ratio(ours, curator)
    return {
        "what": f"{analysis.kind}: error ÷ trusted curator's, n = {members}, eps = {epsilon}",
        "value": round(measured, 3),
        "unit": f"({beside})",
        "target": f"<= {LIMIT:.3f}",
        "ok": measured <= LIMIT,
    }


def settings(quick: bool) -> Iterator[tuple[int, str]]:
    sizes, epsilons = ((500,), ("1",)) if quick else (SIZES, EPSILONS)
    return ((members, epsilon) for members in sizes for epsilon in epsilons)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """One row per analysis and setting; refuses to pass over an analysis silently."""
    missing = set(KINDS) - {case.kind for case in CASES}
    runs = 40 if quick else RUNS
    rows = [
        rows_of(analysis, members, epsilon, runs)
        for analysis in CASES
        for members, epsilon in settings(quick)
    ]
    return [
        *rows,
        *({"what": f"{kind}: not compared", "value": 0, "ok": False} for kind in missing),
    ]
