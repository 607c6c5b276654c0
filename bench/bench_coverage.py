"""Coverage of the stated 95 % intervals of count, sum and mean, the naive interval beside it.

Members are drawn from known distributions, contribute through the product's own integers,
and the total gets the noise of the product's own mechanism (3 nodes, one in the margin). Only
the sampler is replaced: at a share of 2^20 grid units a rounded normal draw cannot be told
from the exact one. Run as `python -m bench.bench_coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.aggregates.catalogue import contribution, estimate
from models.aggregates.mean_interval import Moments, interval
from models.aggregates.requests import Count, Mean, Sum
from models.contribution import BoundedValue, CellCounts
from models.noise_law import NoiseLaw
from models.reference import quantised
from models.result import Z95
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Rows, Table
from privacy.mechanism import plan_mechanism

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[Any]]

SIZES = (60, 300, 1000, 5000)
EPSILONS = ("0.1", "0.3", "1", "3")
LOW, HIGH = 93.5, 97.0
TARGET = "93.5 to 97, within 3 Monte-Carlo errors"
COLUMN = Column(name="score", type=ColumnType.NUMBER, lower="0", upper="100")
DICTIONARY = Dictionary(tables=(Table(name="members", key="id", rows=Rows.ONE, columns=(COLUMN,)),))


@dataclass(frozen=True)
class Shape:
    """A distribution of scores in [0, 100] with its mean."""

    name: str
    mean: float
    draw: Draw


SHAPES = (
    Shape("uniform", 50.0, lambda rng, size: rng.uniform(0, 100, size)),
    Shape("skewed", 100 / 9, lambda rng, size: 100 * rng.beta(1, 8, size)),
    Shape("one in ten at the top", 10.0, lambda rng, size: 100.0 * (rng.random(size) < 0.1)),
    Shape("half at each bound", 50.0, lambda rng, size: 100.0 * (rng.random(size) < 0.5)),
    Shape("narrow, near a bound", 95.0, lambda rng, size: rng.uniform(93, 97, size)),
    Shape("narrow, in the middle", 55.0, lambda rng, size: rng.uniform(50, 60, size)),
)


@dataclass(frozen=True)
class Setting:
    epsilon: str
    members: int
    runs: int

    @property
    def law(self) -> NoiseLaw:
        rho = rho_of_epsilon(parse_epsilon(self.epsilon), Fraction(1, 10**6))
        return NoiseLaw(plan_mechanism(rho, nodes=3, margin=1), survivors=3)

    def noise(self, rng: np.random.Generator, length: int) -> Floats:
        return np.rint(rng.normal(0.0, self.law.sd_grid, (length, self.runs)))


@dataclass(frozen=True)
class Coverage:
    """Shares of runs in percent; `informed` leaves out those labelled "no information"."""

    covered: float
    informed: float
    informed_runs: int
    naive: float

    def ok(self, runs: int) -> bool:
        lowest = LOW - 3 * _error(LOW, runs)
        highest = HIGH + 3 * _error(HIGH, max(self.informed_runs, 1))
        return lowest <= self.covered and self.informed <= highest


def _error(percent: float, runs: int) -> float:
    return math.sqrt(percent * (100 - percent) / runs)


def _percent(hits: NDArray[np.bool_]) -> float:
    return 100.0 * float(hits.mean()) if len(hits) else 0.0


def count_coverage(rng: np.random.Generator, setting: Setting) -> Coverage:
    """A count of `members`; the naive interval takes the noisy count for exact."""
    law, analysis = setting.law, Count()
    shape = contribution(analysis, DICTIONARY, law.mechanism.delta_grid)
    assert isinstance(shape, CellCounts)
    totals = shape.weight * setting.members + setting.noise(rng, 1)[0]
    rows = [estimate(analysis, DICTIONARY, [int(each)], law).rows[0] for each in totals]
    hits = np.array([row.low <= setting.members <= row.high for row in rows])
    naive = np.array([round(row.estimate) == setting.members for row in rows])
    return Coverage(_percent(hits), _percent(hits), setting.runs, _percent(naive))


def sum_coverage(rng: np.random.Generator, setting: Setting) -> Coverage:
    """The cohort's own total of uniform scores; the naive interval is exact to half a unit."""
    law, analysis = setting.law, Sum(column="score")
    shape = contribution(analysis, DICTIONARY, law.mechanism.delta_grid)
    assert isinstance(shape, BoundedValue)
    scores = rng.uniform(0, 100, (setting.runs, setting.members))
    truth = scores.sum(axis=1)
    totals = quantised(shape, scores).sum(axis=1) + setting.noise(rng, 1)[0]
    rows = [estimate(analysis, DICTIONARY, [int(each)], law).rows[0] for each in totals]
    hits = np.array([row.low <= each <= row.high for row, each in zip(rows, truth, strict=True)])
    off = np.abs(np.array([row.estimate for row in rows]) - truth)
    return Coverage(_percent(hits), _percent(hits), setting.runs, _percent(off <= 0.5))


def mean_coverage(rng: np.random.Generator, setting: Setting, source: Shape) -> Coverage:
    """The mean of the distribution; the naive interval takes the noisy totals for exact."""
    law = setting.law
    shape = contribution(Mean(column="score"), DICTIONARY, law.mechanism.delta_grid)
    assert isinstance(shape, BoundedValue)
    exact = _exact_totals(rng, shape, setting, source)
    count, total, square = (exact + setting.noise(rng, 3)) / shape.scale
    moments = Moments(count, total, square, law.sd_grid / shape.scale, 0.5)
    truth = (source.mean - shape.centre) / shape.half_width
    low, high = interval(moments)
    hits = (low <= truth) & (truth <= high)
    informed = (low > -1) | (high < 1)
    members = np.maximum(count, 1.0)
    spread = np.maximum(moments.spread(moments.ratio()), 0.0)
    naive = np.abs(moments.ratio() - truth) <= Z95 * np.sqrt(spread) / members
    return Coverage(_percent(hits), _percent(hits[informed]), int(informed.sum()), _percent(naive))


def _exact_totals(
    rng: np.random.Generator, shape: BoundedValue, setting: Setting, source: Shape
) -> Floats:
    """Shape [3, runs]: count, total and square, from every member's own integers."""
    totals = np.empty((3, setting.runs))
    block = max(1, 2_000_000 // setting.members)
    for start in range(0, setting.runs, block):
        runs = min(block, setting.runs - start)
        q = quantised(shape, source.draw(rng, (runs, setting.members)))
        square = q * q // shape.scale - shape.scale // 2
        here = slice(start, start + runs)
        totals[0, here] = shape.count_weight * setting.members
        totals[1, here], totals[2, here] = q.sum(axis=1), square.sum(axis=1)
    return totals


def cases(quick: bool) -> Iterator[tuple[str, Setting, Coverage]]:
    """Every combination; `quick` takes the corners only."""
    rng = np.random.default_rng(20240229)
    sizes, epsilons = ((60, 1000), ("0.3", "3")) if quick else (SIZES, EPSILONS)
    for members in sizes:
        for epsilon in epsilons:
            setting = Setting(epsilon, members, runs=2000)
            yield "count", setting, count_coverage(rng, setting)
            yield "sum", setting, sum_coverage(rng, setting)
            for source in SHAPES:
                yield f"mean ({source.name})", setting, mean_coverage(rng, setting, source)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """One row per combination: coverage in percent of the product's interval."""
    rows: list[dict[str, Any]] = []
    for name, setting, seen in cases(quick):
        unknown = setting.runs - seen.informed_runs
        label = f"coverage: {name}, n = {setting.members}, epsilon = {setting.epsilon}"
        if unknown:
            share = f"{100 * unknown / setting.runs:.0f} % no information"
            label += f" ({share}, the rest {seen.informed:.1f})"
        row = {
            "what": label,
            "value": round(seen.covered, 1),
            "unit": f"% (naive {seen.naive:.1f})",
        }
        rows.append({**row, "target": TARGET, "ok": seen.ok(setting.runs)})
    return rows


def main() -> None:
    for row in run():
        mark = "ok" if row["ok"] else "MISSED"
        print(f"{mark:7}{row['value']:6.1f} {row['unit']:16} {row['what']}")


if __name__ == "__main__":
    main()
