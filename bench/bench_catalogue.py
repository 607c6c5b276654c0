"""Error and coverage of the survival figures, the naive interval beside.

Members are drawn from known distributions and counted in the product's own cells; the totals
get the noise of the product's own mechanism (10 nodes, two in the margin) and go through
the product's own estimate. Only the sampler is replaced: at a share of 2^20 grid units a
rounded normal draw cannot be told from the exact one. The naive interval is the same with
the noise taken for none. Run as `python -m bench.bench_catalogue`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.aggregates.survival import MEAN, MEDIAN, RATIO, SURVIVAL, Shape, Survival, figures
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Estimate
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Rows, Table
from privacy.mechanism import plan_mechanism

Floats = NDArray[np.float64]

EDGES = tuple(str(month) for month in range(0, 61, 5))
SIZES, EPSILONS, RUNS = (100, 500, 5000), ("0.3", "1", "3"), 2000
LOW, HIGH = 93.0, 97.0
TARGET = "93 to 97, within 3 Monte-Carlo errors"
MANY = 30  # events in a group; with fewer, or with bins hidden, intervals may cover more
SUP_TARGETS = {"1": 0.07, "3": 0.03}  # 500 members
FEW = 0.05  # survival is judged while this share of members is at risk
DICTIONARY = Dictionary(
    tables=(
        Table(
            name="members",
            key="id",
            rows=Rows.ONE,
            columns=(
                Column(name="months", type=ColumnType.NUMBER, lower="0", upper="120"),
                Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
                Column(name="arm", type=ColumnType.CATEGORICAL, levels=("control", "drug")),
            ),
        ),
    )
)


@dataclass(frozen=True)
class Setting:
    """Exponential times with `half_life` months, followed for 0 to 90 months at random.

    In the second arm, if there are `arms` of them, the hazard is 0.6 of that.
    """

    members: int
    epsilon: str
    runs: int
    half_life: float = 24.0
    arms: bool = False

    @property
    def law(self) -> NoiseLaw:
        rho = rho_of_epsilon(parse_epsilon(self.epsilon), Fraction(1, 10**6))
        return NoiseLaw(plan_mechanism(rho, nodes=10, margin=2), survivors=10)

    @property
    def analysis(self) -> Survival:
        by = ("arm",) if self.arms else ()
        asked = Survival(time="months", event="died", by=by, edges=EDGES)
        return asked.normalised(DICTIONARY)

    @property
    def hazards(self) -> tuple[float, ...]:
        hazard = math.log(2) / self.half_life
        return (hazard, 0.6 * hazard) if self.arms else (hazard,)

    def truth(self, row: Estimate) -> float | None:
        """What a figure of the first group (or the ratio) estimates; None if not judged."""
        figure, *_, time = row.cell
        hazard = self.hazards[0]
        if figure == RATIO:
            return 0.6
        if "drug" in row.cell:
            return None
        if figure == SURVIVAL and time in ("10", "30", "50"):
            return math.exp(-hazard * float(time))
        if figure.startswith(MEDIAN) and math.log(2) / hazard < 60:
            return math.log(2) / hazard
        return (1 - math.exp(-60 * hazard)) / hazard if figure.startswith(MEAN) else None

    def upper_end(self, time: str) -> bool:
        """Is a figure of so many events that its interval must not cover too much?"""
        until = float(time) if time else 60.0
        died = 1 - math.exp(-min(self.hazards) * until)
        return died * self.members / len(self.hazards) >= MANY

    def draw(self, rng: np.random.Generator, shape: Shape) -> Floats:
        """Members per cell, in the order of the contribution."""
        arm = rng.integers(0, len(self.hazards), self.members)
        died = rng.exponential(1 / np.array(self.hazards)[arm])
        left = rng.uniform(0, 90, self.members)
        code = np.searchsorted(shape.numbers, np.minimum(died, left), side="right") - 1
        cell = (arm * (shape.bins + 1) + code) * 2 + (died <= left)
        length = len(self.hazards) * (shape.bins + 1) * 2
        return np.bincount(cell, minlength=length).astype(np.float64)


class Tally:
    """Hits of one figure's intervals over runs; those that say "no information" count too."""

    def __init__(self) -> None:
        self.hits = self.naive = self.runs = self.unknown = self.unknown_hits = 0

    def add(self, row: Estimate, naive: Estimate, truth: float) -> None:
        hit = row.low <= truth <= row.high
        self.runs += 1
        self.hits += hit
        self.naive += naive.low <= truth <= naive.high
        if row.note == NO_INFORMATION:
            self.unknown += 1
            self.unknown_hits += hit

    @property
    def covered(self) -> float:
        return 100 * self.hits / self.runs

    @property
    def hidden(self) -> str:
        if not self.unknown:
            return ""
        rest = self.runs - self.unknown
        informed = 100 * (self.hits - self.unknown_hits) / max(rest, 1)
        share = 100 * self.unknown / self.runs
        return f" ({share:.0f} % no information, the rest {informed:.1f})"

    def ok(self, upper: bool) -> bool:
        lowest = LOW - 3 * math.sqrt(LOW * (100 - LOW) / self.runs)
        highest = HIGH + 3 * math.sqrt(HIGH * (100 - HIGH) / self.runs)
        return lowest <= self.covered and (self.covered <= highest or not upper)


def measure(setting: Setting, seed: int) -> tuple[dict[tuple[str, str], Tally], float]:
    """Tallies per figure, and the mean sup distance from the curve without noise."""
    rng = np.random.default_rng(seed)
    law, asked = setting.law, setting.analysis
    shape = asked.shape(DICTIONARY)
    weight = asked.contribution(DICTIONARY, law.mechanism.delta_grid).weight
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    worst = []
    for _ in range(setting.runs):
        exact = setting.draw(rng, shape)
        totals = np.rint(exact * weight + rng.normal(0.0, law.sd_grid, len(exact)))
        rows = asked.estimate(DICTIONARY, totals.astype(np.int64).tolist(), law).rows
        naive = figures(shape, shape.life_tables(totals / weight, 0.0))
        for row, bare in zip(rows, naive, strict=True):
            truth = setting.truth(row)
            if truth is not None:
                tallies[row.cell[0], row.cell[-1]].add(row, bare, truth)
        first = shape.life_tables(exact, 0.0)[0]
        judged = first.at_risk >= FEW * setting.members
        found = np.array([row.estimate for row in rows[: shape.bins]])
        worst.append(float(np.abs(found - first.survival)[judged].max()))
    return tallies, float(np.mean(worst))


def settings(quick: bool) -> Iterator[Setting]:
    """Every combination; `quick` takes few."""
    sizes, epsilons = ((500,), ("1", "3")) if quick else (SIZES, EPSILONS)
    runs = 200 if quick else RUNS
    for members in sizes:
        for epsilon in epsilons:
            yield Setting(members, epsilon, runs)
            yield Setting(members, epsilon, runs, arms=True)
            if not quick:
                yield Setting(members, epsilon, runs, half_life=200.0)


def rows_of(setting: Setting, seed: int) -> Iterator[dict[str, Any]]:
    tallies, worst = measure(setting, seed)
    arms = ", two arms" if setting.arms else ""
    label = f"n = {setting.members}, epsilon = {setting.epsilon}, "
    label += f"half-life {setting.half_life:g}{arms}"
    target = SUP_TARGETS.get(setting.epsilon) if setting.members == 500 else None
    if not setting.arms:
        yield {
            "what": f"survival, largest error of the curve: {label}",
            "value": round(worst, 4),
            "unit": "",
            "target": "" if target is None else f"at most {target}",
            "ok": target is None or worst <= target,
        }
    for (figure, time), tally in tallies.items():
        yield {
            "what": f"coverage of {figure} {time}".rstrip() + f": {label}{tally.hidden}",
            "value": round(tally.covered, 1),
            "unit": f"% (naive {100 * tally.naive / tally.runs:.1f})",
            "target": TARGET,
            "ok": tally.ok(setting.upper_end(time) and not tally.unknown),
        }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """One row per figure and setting."""
    every = enumerate(settings(quick))
    return [row for seed, setting in every for row in rows_of(setting, seed)]


def main() -> None:
    for row in run():
        mark = "ok" if row["ok"] else "MISSED"
        print(f"{mark:7}{row['value']:8.3f} {row['unit']:16} {row['what']}")


if __name__ == "__main__":
    main()
