"""Every analysis against three other ways to add noise, on the same members in the same run.

What the members of one cohort add is summed once by the product's own integers; the total then
gets four noises: that of this product (10 nodes, two in the margin), that of one trusted curator
at the same rho, Laplace noise of a trusted curator at the same epsilon (the scale is the L1 norm
of what a member may add over epsilon), and that of nodes which each protect their own total. All
four go through the product's own estimate. An error is the median distance from the estimate
without noise; the noises share their draws, so that their ratio is that of their laws.
Run as `python -m bench curator`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from models.aggregates.catalogue import conclude
from models.aggregates.requests import (
    KINDS,
    Analysis,
    Associations,
    Compare,
    Correlation,
    Count,
    Density,
    Describe,
    Disproportionality,
    Histogram,
    Incidence,
    Map,
    Mean,
    MemberSummary,
    Prevalence,
    Quantiles,
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
from models.derivation import rounds_of
from models.in_memory import openings
from models.reference import total
from models.rows import Rows, TableRows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.contract.dictionary import Rows as RowsKind
from privacy.contract.dictionary import Table as Declared
from privacy.mechanism import GaussianSum

Floats = NDArray[np.float64]

NODES, MARGIN = 10, 2
SIZES, EPSILONS, RUNS = (100, 500, 5000), ("0.3", "1", "3"), 100
LIMIT = math.sqrt(NODES / (NODES - MARGIN)) * 1.05
# models have benchmarks of their own
FITTED = {"glm", "cox", "progression", "effect", "train", "evaluate"}
NOISES = ("cairn", "curator", "laplace", "nodes")
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


def _dated(name: str, most: int, time: str, *columns: Column) -> Declared:
    return _many(name, most, Column(name=time, type=ColumnType.DATE), *columns).model_copy(
        update={"time": time}
    )


ITEMS = tuple(f"item{at:02d}" for at in range(30))
VISITS, BASELINE = 13, np.datetime64("2020-01-01")
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
                Column(name="start", type=ColumnType.DATE),
            ),
        ),
        _many("t", 3, _levels("drug", "p", "q"), _levels("effect", "none", "some", "major")),
        _dated("v", VISITS, "day", _number("score", "0", "48")),
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
    Quantiles(column="x", q=("0.25", "0.5", "0.75")),
    MemberSummary(figure="mean(v.score)", by=("arm",)),
    Compare(
        outcome="v.score",
        treated="arm",
        exposed="b",
        index="start",
        slopes=("-3", "1"),
        slope_cuts=("-1",),
        score_cuts=("30",),
    ),
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
        "start": np.full(members, BASELINE),
        "cough": (rng.random(members) < 0.2 + 0.2 * smokes).astype(np.int64),
    }
    member = np.arange(members)
    tables = {"m": TableRows(member, np.zeros(members, dtype=np.int64), one)}
    for declared in DICTIONARY.tables[1:]:
        many = _visits(rng, members) if declared.name == "v" else _rows(rng, members, declared)
        tables[declared.name] = many
    return Rows(DICTIONARY, members, tables)


def _rows(rng: np.random.Generator, members: int, declared: Declared) -> TableRows:
    most = declared.max_rows_per_member
    rank = np.tile(np.arange(most), members)
    values = {
        column.name: _ranked(rng, len(column.levels), len(rank)) for column in declared.columns
    }
    return TableRows(np.repeat(np.arange(members), most), rank, values)


def _visits(rng: np.random.Generator, members: int) -> TableRows:
    """Every two months for a year before the start and a year after it."""
    months = 2 * (np.arange(VISITS) - VISITS // 2)
    loss = rng.gamma(3.94, 0.89 / 3.94, members)
    score = rng.uniform(24, 40, members)[:, None] - loss[:, None] * months
    score = np.clip(np.rint(score + rng.normal(size=score.shape)), 0, 48)
    day = BASELINE + np.rint(months * 30.4375).astype("timedelta64[D]")
    values = {"day": np.tile(day, members), "score": score.ravel()}
    rank = np.tile(np.arange(VISITS), members)
    return TableRows(np.repeat(np.arange(members), VISITS), rank, values)


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


def scale_of(name: str, shape: Contribution, mechanism: GaussianSum, epsilon: float) -> float:
    """The scale of one kind of noise in grid units; `epsilon` is the round's."""
    ours = math.sqrt(mechanism.noise_variance(NODES))
    curator = ours * math.sqrt((NODES - MARGIN) / NODES)
    match name:
        case "cairn":
            return ours
        case "curator":
            return curator
        case "laplace":
            return largest_sum(shape) / epsilon
        case _:
            return curator * math.sqrt(NODES)


def errors(analysis: Analysis, members: int, epsilon: str, runs: int) -> dict[str, Floats]:
    """Median distance from the figures without noise, by noise and figure.

    Medians, since ratios that noise hides have no mean error under any noise.
    """
    rng = np.random.default_rng([members, runs, int(10 * float(epsilon))])
    asked = normalise(analysis, DICTIONARY)
    run = partial(_run, asked, population(rng, members), epsilon, {})
    truth = run("", 0)
    return {
        name: np.median([_distance(truth, run(name, seed)) for seed in range(runs)], axis=0)
        for name in NOISES
    }


def _run(
    asked: Analysis, rows: Rows, epsilon: str, known: dict[Any, Any], name: str, seed: int
) -> dict[Any, float]:
    """The figures of one run, every round with its own noise; none where `name` is empty.

    The draws are those of `seed` whatever the noise; `known` keeps sums that stay the same.
    """
    rho = rho_of_epsilon(parse_epsilon(epsilon), Fraction(1, 10**6))
    rounds = rounds_of(asked, DICTIONARY, rho, NODES, MARGIN, 1)
    draws = np.random.default_rng(seed)

    def open_total(shape: Contribution, mechanism: GaussianSum) -> list[int]:
        key = repr(shape)
        if key not in known and len(rounds) == 1:
            known[key] = total(shape, rows, np.ones(rows.members, dtype=bool))
        exact = known.get(key)
        if exact is None:
            exact = total(shape, rows, np.ones(rows.members, dtype=bool))
        if not name:
            return [int(each) for each in exact]
        drawn = draws.laplace if name == "laplace" else draws.normal
        scale = scale_of(name, shape, mechanism, float(epsilon) / len(rounds))
        return [int(each) for each in exact + np.rint(scale * drawn(size=len(exact)))]

    found = conclude(asked, DICTIONARY, openings(asked, DICTIONARY, rounds, open_total))
    return {row.cell: _scaled(row.cell, row.estimate) for row in found.rows}


def _scaled(cell: tuple[str, ...], value: float) -> float:
    """Ratios are compared as logarithms."""
    ratio = any(name in RATIOS for name in cell[:1])
    return math.log(value) if ratio and value > 0 else value


def _distance(truth: dict[Any, float], found: dict[Any, float]) -> Floats:
    # a ranking names other levels in other runs: one that is not named is not judged
    far = np.array([abs(found.get(cell, value) - value) for cell, value in truth.items()])
    return np.where(np.isnan(far), np.inf, far)  # a figure that could not be told is far off


def ratio(top: Floats, bottom: Floats) -> float:
    """The ratio of two errors: the median over the figures that noise moves."""
    moved = np.isfinite(top) & np.isfinite(bottom) & (bottom > 0)
    return statistics.median((top[moved] / bottom[moved]).tolist()) if moved.any() else math.nan


def rows_of(analysis: Analysis, members: int, epsilon: str, runs: int) -> dict[str, Any]:
    found = errors(analysis, members, epsilon, runs)
    ours, curator = found["cairn"], found["curator"]
    beside = ", ".join(
        f"{words} {ratio(found[name], curator):.2f}"
        for name, words in (("laplace", "Laplace curator"), ("nodes", "noise at each node"))
    )
    measured = ratio(ours, curator)
    if math.isnan(measured):
        what = f"{analysis.kind}, n = {members}, eps = {epsilon}"
        return {"what": what, "value": "no information under any noise", "unit": ""}
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
    missing = set(KINDS) - {case.kind for case in CASES} - FITTED
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
