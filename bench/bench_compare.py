"""Matched comparison of slopes: coverage, reach, and what the strata correct.

Members are drawn with a true monthly loss, as published for people with ALS (Gamma with shape
3.94 and mean 0.89 points); slopes before and after carry the error of a few visits; who takes the
treatment depends on the loss. They are counted in the very strata that the analysis asks for, and
the total gets the noise of the product's own mechanism (10 nodes, 2 in the margin). Run as
`python -m bench.bench_compare`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.bench_quantiles import EPSILONS, laws
from models.aggregates.compare import Compare
from models.aggregates.requests import normalise
from models.contribution import Products
from models.dictionary_file import load_dictionary
from models.noise_law import NoiseLaw
from models.reference import monomial_value, quantised
from models.result import Estimate, Result
from models.rows import cell_codes

Floats = NDArray[np.float64]
SHAPE, MEAN_LOSS = 3.94, 0.89
TREATED, OTHERS = 149, 447
REACH = 0.35  # points per month: half-width of the null result at epsilon 2
PLANTED, POWER = 0.5, 80
LOW, HIGH = 93.0, 97.5
DICTIONARY = load_dictionary(
    """
    [tables.members]
    key = "id"
    rows = "one"
    [tables.members.columns]
    baseline = { type = "date" }
    [tables.visits]
    key = "id"
    rows = "many"
    max_rows_per_member = 30
    time = "day"
    [tables.visits.columns]
    day = { type = "date" }
    score = { type = "integer", lower = 0, upper = 48, unit = "points" }
    [tables.treatments]
    key = "id"
    rows = "many"
    max_rows_per_member = 4
    [tables.treatments.columns]
    drug = { levels = ["lithium", "riluzole"] }
    """,
    "dictionary.toml",
)
ASKED = Compare(
    outcome="visits.score",
    treated="any(treatments: drug == 'lithium')",
    index="members.baseline",
    slopes=("-3", "1"),
    slope_cuts=("-1.5", "-1", "-0.5"),
    score_cuts=("24", "36"),
)


@dataclass(frozen=True)
class Population:
    """Who there is: `effect` is added to the slope of the treated after the index.

    With `leaning` 0 treatment does not depend on the loss; with 1 those who lose twice as much
    take it e times as often.
    """

    treated: int = TREATED
    others: int = OTHERS
    effect: float = 0.0
    leaning: float = 0.0
    visit_error: float = 0.25  # of a slope, from a few visits

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
        """Slope before, score, slope after, arm; the given numbers of members in each arm."""
        size = self.treated + self.others
        loss = rng.gamma(SHAPE, MEAN_LOSS / SHAPE, 4 * size)
        keys = rng.exponential(size=4 * size) / np.exp(self.leaning * loss / MEAN_LOSS)
        order = np.argsort(keys)
        chosen = np.concatenate([order[: self.treated], rng.permutation(order[self.treated :])])
        loss = loss[chosen[:size]]
        arm = np.arange(size) < self.treated
        error = rng.normal(0, self.visit_error, (2, size))
        score = np.clip(rng.normal(34, 7, size), 0, 48)
        return -loss + error[0], score, -loss + self.effect * arm + error[1], arm


def answered(asked: Compare, who: Population, law: NoiseLaw, rng: np.random.Generator) -> Result:
    """One run: the contribution's own integers, summed, with noise."""
    before, score, after, arm = who.draw(rng)
    design = asked.design(DICTIONARY)
    shape = asked.contribution(DICTIONARY, law.mechanism.delta_grid)
    cells, whole = (part for part in shape.parts if isinstance(part, Products))
    q = quantised(cells.variables[0], after)
    place = np.zeros(len(q), dtype=np.int64)
    for dim, values in zip(design.strata, (before, score), strict=True):
        place = place * len(dim.column.cell_labels) + cell_codes(dim.column, values)
    place = 2 * place + arm
    totals = np.zeros(shape.length, dtype=np.int64)
    np.add.at(totals, 2 * place, cells.count_weight)
    np.add.at(totals, 2 * place + 1, q)
    start = cells.length + whole.width * arm.astype(np.int64)
    np.add.at(totals, start, whole.count_weight)
    for at, monomial in enumerate(whole.monomials, start=1):
        np.add.at(totals, start + at, monomial_value(monomial, [q], whole.scale))
    noise = np.rint(rng.normal(0, law.sd_grid, shape.length)).astype(np.int64)
    return asked.estimate(DICTIONARY, (totals + noise).tolist(), law)


@dataclass(frozen=True)
class Seen:
    """Over runs, of the difference: estimates, and ends of the intervals."""

    middle: Floats
    low: Floats
    high: Floats

    def covered(self, truth: float) -> float:
        return 100 * float(((self.low <= truth) & (truth <= self.high)).mean())

    @property
    def half(self) -> float:
        return float((self.high - self.low).mean()) / 2

    @property
    def detected(self) -> float:
        return 100 * float(((self.low > 0) | (self.high < 0)).mean())


def measure(
    who: Population, epsilon: str, runs: int, asked: Compare = ASKED, seed: int = 1
) -> Seen:
    full = normalise(asked, DICTIONARY)
    assert isinstance(full, Compare)
    rng, law = np.random.default_rng(seed), laws(epsilon, 1)
    rows: list[Estimate] = [answered(full, who, law, rng).rows[0] for _ in range(runs)]
    ends = [[getattr(row, name) for row in rows] for name in ("estimate", "low", "high")]
    return Seen(*(np.array(each) for each in ends))


def run(quick: bool = False) -> list[dict[str, Any]]:
    """The published null result, a planted effect, and coverage over sizes and epsilons."""
    runs = 200 if quick else 2000
    null, planted = measure(Population(), "2", runs), measure(Population(effect=PLANTED), "2", runs)
    rows: list[dict[str, Any]] = [
        {
            "what": f"{TREATED} treated, {OTHERS} others, epsilon = 2: half-width",
            "value": null.half,
            "unit": f"points per month (covered {null.covered(0):.1f} %)",
            "target": f"<= {REACH}",
            "ok": null.half <= REACH,
        },
        {
            "what": f"the same, a planted effect of {PLANTED} found",
            "value": round(planted.detected, 1),
            "unit": "% of runs",
            "target": f">= {POWER}",
            "ok": planted.detected >= POWER,
        },
    ]
    return [*rows, *_coverage(runs)]


def _coverage(runs: int) -> Iterator[dict[str, Any]]:
    for members in (100, 500, 5000):
        for epsilon in EPSILONS:
            for leaning in (0.0, 0.5):
                who = Population(members // 4, members - members // 4, PLANTED, leaning)
                seen = measure(who, epsilon, runs)
                error, bias = 300 * math.sqrt(0.05 * 0.95 / runs), seen.middle.mean() - PLANTED
                covered = seen.covered(PLANTED)
                yield {
                    "what": f"coverage: n = {members}, epsilon = {epsilon}, leaning {leaning}",
                    "value": round(covered, 1),
                    "unit": f"% (half-width {seen.half:.3f}, bias {bias:+.3f})",
                    "target": f"{LOW} to {HIGH}, within 3 Monte-Carlo errors",
                    "ok": LOW - error <= covered <= HIGH + error,
                }


def main() -> None:
    for row in run():
        print(row, flush=True)


if __name__ == "__main__":
    main()
