"""Effects of a treatment by propensity: error and coverage for each estimand.

Members are drawn with a treatment that depends on age, body mass and sex, as the outcomes do, and
with one effect for everybody, so that all three estimands have the same truth. Three organisations
of which one may collude; noise of the true variance. `leaning` multiplies what the treatment
depends on: with 3 many chances are near 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contribution import Contribution
from models.derivation import rounds_of
from models.dictionary_file import load_dictionary
from models.in_memory import answer
from models.noise_law import NoiseLaw
from models.reference import total
from models.regression.effect import Effect
from models.regression.weighting import Estimand
from models.result import Z95, Estimate
from models.rows import Rows, from_tables
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.mechanism import GaussianSum, plan_mechanism

NODES, MARGIN, EPSILON = 3, 1, "1"
DELTA = Fraction(1, 10**6)
TRUTH = {"better": 0.12, "score": 1.0}
LOW, HIGH = 92.0, 97.5
ESTIMANDS: tuple[Estimand, ...] = ("overlap", "ate", "att")
DICTIONARY = load_dictionary(
    """
    [tables.people]
    key = "id"
    rows = "one"
    [tables.people.columns]
    age = { type = "number", lower = 0, upper = 110 }
    bmi = { type = "number", lower = 10, upper = 60 }
    sex = { levels = ["f", "m"] }
    arm = { levels = ["a", "b"] }
    better = { type = "boolean" }
    score = { type = "number", lower = -20, upper = 20 }
    """,
    "dictionary.toml",
)


def members(count: int, leaning: float, rng: np.random.Generator) -> Rows:
    age, bmi = rng.normal(55, 14, count).clip(0, 110), rng.normal(26, 5, count).clip(10, 60)
    male = rng.random(count) < 0.5
    lean = leaning * (0.03 * (age - 55) + 0.06 * (bmi - 26) - 0.5 * male)
    given = rng.random(count) < 1 / (1 + np.exp(-lean))
    share = 1 / (1 + np.exp(-(0.03 * (age - 55) - 0.05 * (bmi - 26) + 0.5 * male)))
    mean = 2 + 0.1 * (age - 55) - 0.15 * (bmi - 26) + 1.5 * male + TRUTH["score"] * given
    better = rng.random(count) < 0.8 * share + TRUTH["better"] * given
    people = {
        "id": np.arange(count),
        "age": age,
        "bmi": bmi,
        "sex": np.where(male, "m", "f"),
        "arm": np.where(given, "b", "a"),
        "better": np.where(better, "true", "false"),
        "score": (mean + rng.normal(0, 3, count)).clip(-20, 20),
    }
    return from_tables(DICTIONARY, {"people": people})


def differences(
    outcome: str, estimand: Estimand, count: int, leaning: float, runs: int
) -> list[Estimate]:
    """The difference as `runs` studies of new members and new noise find it."""
    rng, rho = np.random.default_rng(count), rho_of_epsilon(parse_epsilon(EPSILON), DELTA)
    asked = Effect(
        outcome=outcome, treatment="arm", covariates="age + bmi + sex", estimand=estimand
    ).normalised(DICTIONARY)
    law = NoiseLaw(plan_mechanism(rho, NODES, MARGIN), NODES)
    asked, _ = asked.chosen(DICTIONARY, law, count)
    rounds = rounds_of(asked, DICTIONARY, rho, NODES, MARGIN, 1)
    found = []
    for _ in range(runs):
        rows = members(count, leaning, rng)

        def opened(shape: Contribution, mechanism: GaussianSum, rows: Rows = rows) -> NDArray[Any]:
            noise = rng.normal(size=shape.length) * NoiseLaw(mechanism, NODES).sd_grid
            exact = np.array(total(shape, rows, np.ones(rows.members, dtype=bool)))
            return exact + np.rint(noise).astype(np.int64)

        found.append(answer(asked, DICTIONARY, rounds, opened).rows[0])
    return found


def run(*, quick: bool = False) -> Iterator[dict[str, Any]]:
    runs = 60 if quick else 300
    for count, outcome in ((1000, "better"), (3000, "better"), (3000, "score")):
        for estimand in ESTIMANDS:
            yield from _told(outcome, estimand, count, 1.0, runs)
    for estimand in ESTIMANDS:
        yield from _told("better", estimand, 3000, 3.0, runs)


def _told(
    outcome: str, estimand: Estimand, count: int, leaning: float, runs: int
) -> Iterator[dict[str, Any]]:
    found = differences(outcome, estimand, count, leaning, runs)
    truth = TRUTH[outcome]
    held = 100 * np.mean([each.low <= truth <= each.high for each in found])
    naive = [abs(each.estimate - truth) < Z95 * each.se_sampling for each in found]
    error = float(np.sqrt(np.mean([(each.estimate - truth) ** 2 for each in found])))
    what = f"{outcome}, {estimand}, n = {count:,}, ε = {EPSILON}, leaning {leaning:g}"
    spread = 3 * 100 * float(np.sqrt(0.05 * 0.95 / runs))
    target = f"{LOW:g} to {HIGH:g}"
    inside = LOW - spread <= held <= HIGH + spread
    yield {"what": f"{what}: error", "value": error}
    row = {"what": f"{what}: interval covers", "value": float(held), "unit": "%"}
    yield {**row, "target": target, "ok": inside}
    yield {"what": "without noise in it", "value": 100 * float(np.mean(naive)), "unit": "%"}
