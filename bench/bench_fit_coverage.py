"""Coverage of the 95 % intervals of every coefficient that regressions tell, under noise.

Members are drawn from `fit_worlds`, the laws that are fitted; they contribute through the product's
own integers, round by round, and every opening gets the noise of the product's own mechanism (3
nodes, one in the margin), drawn from a rounded normal law. The way of fitting is the planner's.
Beside the stated interval stands the naive one, which leaves the noise out, and what the pooled
rows' would be wide without any privacy. Runs that say "no information" are counted, and
left out of coverage. Run as `python -m bench fit_coverage`; `python -m bench.bench_fit_coverage`
prints the table of docs/measured-models.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fit_worlds import COMPARISONS, DICTIONARY, GRID, WORLDS, World, drawn
from bench.net_support import Row
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.choosing import Way
from models.regression.rounds import InRounds
from models.result import Z95, Estimate
from models.rows import Rows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.mechanism import plan_mechanism
from privacy.units import Rho

Floats = NDArray[np.float64]
LOW, HIGH = 0.92, 0.97
TARGET = "0.92 to 0.97, within 3 Monte-Carlo errors"
DELTA = Fraction(1, 10**6)
NODES, MARGIN = 3, 1


@dataclass(frozen=True)
class Setting:
    """Pairs of covariates are correlated by `correlation`; `way` is chosen where it is None."""

    members: int
    epsilon: str
    correlation: float
    way: Way | None = None


MEMBERS, EPSILONS = (500, 2000, 10_000), ("0.5", "1", "3")
SETTINGS = tuple(Setting(members, epsilon, 0.5) for members in MEMBERS for epsilon in EPSILONS)
GRID_MEMBERS = (500, 1000, 2000, 5000)  # of worlds of one to eight numbers
RUNS = 300
EVERY = (*WORLDS, *COMPARISONS)
POOLED, HUGE = 20_000, "1e15"  # members of the pooled fit, and an epsilon without noise to speak of


@dataclass(frozen=True, eq=False)
class Seen:
    """[told, coefficients] each: errors of told coefficients, and both standard errors; `pooled`
    [coefficients] are those of the same members in one place."""

    errors: Floats
    sampling: Floats
    privacy: Floats
    untold: float
    pooled: Floats

    @property
    def total(self) -> Floats:
        return np.hypot(self.sampling, self.privacy)

    @property
    def covered(self) -> float:
        """NaN where nothing is told."""
        return float(np.mean(np.abs(self.errors) < Z95 * self.total))

    @property
    def naive(self) -> float:
        return float(np.mean(np.abs(self.errors) < Z95 * self.sampling))

    @property
    def width(self) -> float:
        """The stated interval's over the pooled one's."""
        return float(np.median(self.total / self.pooled))

    @property
    def ok(self) -> bool:
        """Runs are independent; coefficients of one run are not, and are not counted apart."""
        runs = len(self.errors)
        if not runs:
            return True
        slack = [3 * math.sqrt(p * (1 - p) / runs) for p in (LOW, HIGH)]
        return LOW - slack[0] <= self.covered <= HIGH + slack[1]


@lru_cache(maxsize=64)
def laws(shares: tuple[int, ...], epsilon: str) -> tuple[NoiseLaw, ...]:
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    parts = (Rho(rho.units * share // sum(shares)) for share in shares)
    return tuple(NoiseLaw(plan_mechanism(part, NODES, MARGIN), NODES) for part in parts)


@lru_cache(maxsize=64)
def asked_in(world: World, setting: Setting) -> InRounds:
    """The question as it is asked of about so many members. Its clip is that of the chosen way."""
    whole = laws((1,), setting.epsilon)[0]
    chosen, _ = world.asked.chosen(DICTIONARY, whole, setting.members)
    if setting.way is not None:
        chosen = chosen.model_copy(update={"way": setting.way})
    return chosen.normalised(DICTIONARY)


def fitted(asked: InRounds, rows: Rows, epsilon: str, rng: np.random.Generator) -> list[Estimate]:
    """The coefficients, or the effect, that one run tells, in the order of `asked`."""
    opened: list[Opening] = []
    everyone = np.ones(rows.members, dtype=bool)
    for number, law in enumerate(laws(asked.shares(DICTIONARY), epsilon)):
        state = asked.state(DICTIONARY, opened)
        shape = asked.contribution_at(DICTIONARY, law.mechanism.delta_grid, number, state)
        noise = np.rint(rng.normal(size=shape.length) * law.sd_grid).astype(np.int64)
        total = shape.fold(rows, everyone, "") + noise
        opened.append(Opening(tuple(total.tolist()), law, state))
    found = asked.conclude(DICTIONARY, opened)
    return [row for row in found.rows if row.cell[0] in ("coefficient", "effect")]


def run_of(world: World, setting: Setting, number: int) -> Floats | None:
    """[3, coefficients] of one run on members and noise of its own: error, both standard errors;
    None where it tells nothing."""
    seed = (setting.members, int(100 * setting.correlation), number)
    rows = drawn(world, setting.members, setting.correlation, seed)
    rng = np.random.default_rng([7, number])
    found = [
        r
        for r in fitted(asked_in(world, setting), rows, setting.epsilon, rng)
        if r.cell[1] in world.truth
    ]
    if any(row.note for row in found):
        return None
    values = [(r.middle - world.truth[r.cell[1]], r.se_sampling, r.se_noise) for r in found]
    return np.array(values).T


@lru_cache(maxsize=32)
def pooled(world: World, correlation: float) -> Floats:
    """[coefficients]: standard errors of a fit without privacy, of one member; they fall with the
    root of how many there are."""
    asked = asked_in(world, Setting(POOLED, HUGE, correlation))
    rows = drawn(world, POOLED, correlation, (0,))
    found = fitted(asked, rows, HUGE, np.random.default_rng(0))
    errors = [row.se for row in found if row.cell[1] in world.truth]
    return np.array(errors) * math.sqrt(POOLED)


def seen_of(told: Sequence[Floats], untold: float, alone: Floats) -> Seen:
    """What runs tell, `untold` being the share of those that tell nothing."""
    parts = np.array(told).transpose(1, 0, 2) if told else np.full((3, 0, 1), math.nan)
    return Seen(parts[0], parts[1], parts[2], untold, alone)


def seen_in(world: World, setting: Setting, runs: int) -> Seen:
    """What `runs` runs tell."""
    every = [run_of(world, setting, number) for number in range(runs)]
    told = [each for each in every if each is not None]
    alone = pooled(world, setting.correlation) / math.sqrt(setting.members)
    return seen_of(told, 1 - len(told) / runs, alone)


def measured(quick: bool) -> Iterator[Row]:
    settings = (Setting(2000, "1", 0.5), Setting(10_000, "3", 0.5)) if quick else SETTINGS
    for world in EVERY:
        for setting in settings:
            seen = seen_in(world, setting, 60 if quick else RUNS)
            said = f"n = {setting.members:,}, eps = {setting.epsilon}, told {1 - seen.untold:.0%}"
            yield {
                "what": f"{world.name}, {said}",
                "value": round(seen.covered, 3),
                "unit": f"(naive {seen.naive:.3f}, width × {seen.width:.2f} of the pooled)",
                "target": TARGET,
                "ok": seen.ok,
            }


def run(quick: bool = False) -> list[Row]:
    """One row per law of outcomes and setting."""
    return list(measured(quick))


def line(name: str, members: int, cells: Sequence[Seen]) -> str:
    """A row of the table in the docs, with a cell per epsilon."""
    return f"| {name} | {members:,} | {' | '.join(map(_cell, cells))} |"


def _cell(seen: Seen) -> str:
    if not len(seen.errors):
        return "nothing told"
    told = 1 - seen.untold
    shown = f"{seen.covered:.3f} · {seen.naive:.2f} · {told:.0%} · × {seen.width:.1f}"
    return shown if LOW <= seen.covered <= HIGH else f"**{shown}**"


def main() -> None:
    """Prints the tables' rows as they are measured."""
    for worlds, sizes in ((EVERY, MEMBERS), (GRID, GRID_MEMBERS)):
        for world in worlds:
            for members in sizes:
                settings = [Setting(members, epsilon, 0.5) for epsilon in EPSILONS]
                cells = [seen_in(world, setting, RUNS) for setting in settings]
                print(line(world.name, members, cells), flush=True)


if __name__ == "__main__":
    main()
