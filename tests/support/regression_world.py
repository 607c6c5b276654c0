"""A made-up clinic for regressions: a dictionary, members, and runs of all rounds in memory."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from models.aggregates.request import Request
from models.contribution import Contribution
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import total
from models.result import Estimate, Result
from models.rows import Rows, from_tables
from models.streamed import Streamed
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.rows_factory import categorical, many_rows, number, one_row

DELTA = Fraction(1, 10**6)
HUGE = "1e15"  # an epsilon at which the noise is negligible


def clinic() -> Dictionary:
    members = one_row(
        "people",
        number("age", ("0", "110"), unit="years"),
        number("bmi", ("10", "60")),
        categorical("sex", "f", "m"),
        categorical("arm", "a", "b", "c"),
        number("years", ("0.5", "10")),
        Column(name="better", type=ColumnType.BOOLEAN, levels=("false", "true")),
        number("relapses", ("0", "60")),
        number("score", ("-20", "20")),
        categorical("grade", "low", "mid", "high", "top"),
        Column(name="seen", type=ColumnType.DATE),
        Column(name="story", type=ColumnType.TEXT),
        number("free"),
    )
    visits = many_rows("visits", 4, number("pain", ("0", "10")), number("dose", ("0", "5")))
    return Dictionary(tables=(members, visits))


def people(members: int, seed: int = 0) -> pd.DataFrame:
    """Outcomes of every kind that depend on age, body mass, sex and arm."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(members),
            "age": rng.normal(55, 14, members).clip(0, 110),
            "bmi": rng.normal(26, 5, members).clip(10, 60),
            "sex": rng.choice(["f", "m"], members),
            "arm": rng.choice(["a", "b", "c"], members, p=[0.5, 0.3, 0.2]),
            "years": rng.uniform(0.5, 10, members),
        }
    )
    eta = 0.03 * (frame.age - 55) - 0.05 * (frame.bmi - 26)
    eta = eta + 0.5 * (frame.sex == "m") - 0.6 * (frame.arm == "b")
    frame["better"] = np.where(rng.random(members) < 1 / (1 + np.exp(-eta)), "true", "false")
    mean = np.exp(0.3 + 0.5 * eta) * frame.years / 3
    frame["relapses"] = np.minimum(rng.negative_binomial(1.5, 1.5 / (1.5 + mean)), 60)
    frame["score"] = (2 + 3 * eta + rng.normal(0, 3, members)).clip(-20, 20)
    place = np.digitize(eta + rng.logistic(size=members), [-1, 0.3, 1.5])
    frame["grade"] = np.array(["low", "mid", "high", "top"])[place]
    return frame


def as_rows(frame: pd.DataFrame, dictionary: Dictionary | None = None, **more: Any) -> Rows:
    return from_tables(dictionary or clinic(), {"people": frame, **more})


def law(epsilon: str, nodes: int = 3, margin: int = 1) -> NoiseLaw:
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    return NoiseLaw(plan_mechanism(rho, nodes, margin), nodes)


def run(
    asked: Request,
    parts: Sequence[Rows],
    *,
    epsilon: str = HUGE,
    margin: int = 1,
    nodes: int = 3,
    seed: int = 0,
    sites: Sequence[str] = (),
) -> Result:
    """All rounds in memory. The noise has the normal law of the true noise's variance."""
    settings: dict[str, Any] = {"margin": margin, "nodes": nodes, "seed": seed, "sites": sites}
    return asked.conclude(parts[0].dictionary, openings(asked, parts, epsilon=epsilon, **settings))


def openings(
    asked: Request,
    parts: Sequence[Rows],
    *,
    epsilon: str = HUGE,
    margin: int = 1,
    nodes: int = 3,
    seed: int = 0,
    sites: Sequence[str] = (),
) -> list[Opening]:
    """What all rounds open."""
    dictionary = parts[0].dictionary
    opened: list[Opening] = []
    shares = asked.shares(dictionary)
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    rng = np.random.default_rng(seed)
    for number_, weight in enumerate(shares):
        part = Rho(rho.units * weight // sum(shares))
        noise = NoiseLaw(plan_mechanism(part, nodes, margin), nodes)
        state = asked.state(dictionary, opened)
        shape = asked.contribution_at(dictionary, noise.mechanism.delta_grid, number_, state)
        summed = sum(
            _total(shape, each, sites[at] if sites else "") for at, each in enumerate(parts)
        )
        drawn = np.rint(rng.normal(size=shape.length) * noise.sd_grid).astype(np.int64)
        opened.append(Opening(tuple((summed + drawn).tolist()), noise, state))
    return opened


def _total(shape: Contribution, rows: Rows, site: str) -> Any:
    everyone = np.ones(rows.members, dtype=bool)
    return (
        shape.fold(rows, everyone, site)
        if isinstance(shape, Streamed)
        else total(shape, rows, everyone)
    )


def coefficients(result: Result, figure: str = "coefficient") -> dict[str, Estimate]:
    return {row.cell[1]: row for row in result.rows if row.cell[0] == figure}
