"""Coverage of the 95 % intervals of every coefficient that regressions tell, under noise.

Members are drawn from `fit_worlds`, the laws that are fitted; they contribute through the product's
own integers, round by round, and every opening gets the noise of the product's own mechanism (3
nodes, one in the margin), drawn from a rounded normal law. Beside the stated interval stands the
naive one, which leaves the noise out. Runs that say "no information" are counted, and
left out of coverage. Run as `python -m bench fit_coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fit_worlds import DICTIONARY, WORLDS, World, drawn
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


SETTINGS = tuple(
    Setting(members, epsilon, correlation)
    for members, epsilon in (
        *((500, "1"), (500, "3"), (2000, "0.5"), (2000, "1"), (2000, "3")),
        *((10_000, "0.5"), (10_000, "1"), (10_000, "8")),
    )
    for correlation in (0.0, 0.5)
)


@dataclass(frozen=True, eq=False)
class Seen:
    """[told, coefficients] each: errors of told coefficients, and both standard errors."""

    errors: Floats
    sampling: Floats
    privacy: Floats
    untold: float

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
        """The stated interval's over the naive one's."""
        return float(np.median(self.total / self.sampling))

    @property
    def noise_share(self) -> float:
        return float(np.median((self.privacy / self.total) ** 2))

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


def asked_in(world: World, setting: Setting) -> InRounds:
    """The question as it is asked of about so many members. Its clip is that of the chosen way."""
    whole = laws((1,), setting.epsilon)[0]
    chosen, _ = world.asked.chosen(DICTIONARY, whole, setting.members)
    if setting.way is not None:
        chosen = chosen.model_copy(update={"way": setting.way})
    return chosen.normalised(DICTIONARY)


def fitted(asked: InRounds, rows: Rows, epsilon: str, rng: np.random.Generator) -> list[Estimate]:
    """The coefficients that one run tells, in the order of `asked`."""
    opened: list[Opening] = []
    everyone = np.ones(rows.members, dtype=bool)
    for number, law in enumerate(laws(asked.shares(DICTIONARY), epsilon)):
        state = asked.state(DICTIONARY, opened)
        shape = asked.contribution_at(DICTIONARY, law.mechanism.delta_grid, number, state)
        noise = np.rint(rng.normal(size=shape.length) * law.sd_grid).astype(np.int64)
        total = shape.fold(rows, everyone, "") + noise
        opened.append(Opening(tuple(total.tolist()), law, state))
    found = asked.conclude(DICTIONARY, opened)
    return [row for row in found.rows if row.cell[0] == "coefficient"]


def seen_in(world: World, setting: Setting, runs: int) -> Seen:
    """What `runs` runs tell, each on members and noise of its own."""
    asked, truth, told = asked_in(world, setting), world.truth, []
    for run_ in range(runs):
        seed = (setting.members, int(100 * setting.correlation), run_)
        rows = drawn(world, setting.members, setting.correlation, seed)
        found = fitted(asked, rows, setting.epsilon, np.random.default_rng([7, run_]))
        if not any(row.note for row in found):
            values = [(r.middle - truth[r.cell[1]], r.se_sampling, r.se_noise) for r in found]
            told.append(np.array(values).T)
    parts = np.array(told).transpose(1, 0, 2) if told else np.full((3, 0, 1), math.nan)
    return Seen(parts[0], parts[1], parts[2], 1 - len(told) / runs)


def measured(quick: bool) -> Iterator[Row]:
    settings = (Setting(2000, "1", 0.5), Setting(10_000, "3", 0.0)) if quick else SETTINGS
    for world in WORLDS:
        for setting in settings:
            seen = seen_in(world, setting, 60 if quick else 300)
            said = f"n = {setting.members:,}, eps = {setting.epsilon}, r = {setting.correlation:g}"
            said += f" ({seen.untold:.0%} no information)" if seen.untold else ""
            beside = f"(naive {seen.naive:.3f}, width × {seen.width:.2f}, "
            yield {
                "what": f"{world.name}, {said}",
                "value": round(seen.covered, 3),
                "unit": f"{beside}{seen.noise_share:.0%} noise)",
                "target": TARGET,
                "ok": seen.ok,
            }


def run(quick: bool = False) -> list[Row]:
    """One row per law of outcomes and setting."""
    return list(measured(quick))
