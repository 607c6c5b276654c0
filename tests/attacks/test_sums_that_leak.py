"""A12, A15: sums that give members away where they are exact, and do not where they are noised.

Each attack is first won against sums without noise.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd

from models.aggregates.prevalence import Prevalence
from models.contribution import Stack
from models.reference import total
from models.regression.cox import Cox
from models.regression.member_vectors import Newton
from models.regression.newton import Opened, newton_sums
from models.rows import Rows, from_tables
from privacy.accounting.conversion import rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.guessing import DELTA, allowed, coins, noised, told_apart
from tests.support.rows_factory import categorical, many_rows, number, one_row

EPSILON = Fraction(1)
MEMBERS = 60
HAZARD = 1e-3

CLINIC = Dictionary(
    tables=(
        one_row(
            "people",
            number("age", ("20", "90")),
            number("weight", ("40", "140")),
            number("time", ("0", "1000")),
            Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
        ),
    )
)


def followed(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": range(MEMBERS),
            "age": draw.uniform(20, 90, MEMBERS),
            "weight": draw.uniform(40, 140, MEMBERS),
            "time": draw.permutation(np.linspace(10, 990, MEMBERS)),
            "died": np.where(draw.random(MEMBERS) < 0.7, "true", "false"),
        }
    )


# A12: risk sets


def risk_set_sums(frame: pd.DataFrame) -> np.ndarray:
    """[times, 2]: what Cox's score opens at each time at which somebody's follow-up ended."""
    ordered = frame.sort_values("time")[["age", "weight"]].to_numpy()
    return np.cumsum(ordered[::-1], axis=0)[::-1]


def recovered(sums: np.ndarray) -> np.ndarray:
    """Who left between two times, from the difference of their sums."""
    return np.asarray(sums - np.concatenate([sums[1:], np.zeros((1, sums.shape[1]))]))


def opened_sums(frame: pd.DataFrame, edges: tuple[str, ...], noise: bool) -> np.ndarray:
    """[intervals, 2]: the sums of covariates at risk, from a round of the product's fit."""
    asked = Cox(time="time", event="died", formula="age + weight", edges=edges, way="newton")
    asked = asked.normalised(CLINIC)
    part = rho_of_epsilon(EPSILON, DELTA).units // len(asked.shares(CLINIC))
    mechanism = plan_mechanism(Rho(part), 3, 1)
    model = asked.model(CLINIC)
    theta = np.zeros(model.size)
    theta[: model.baselines] = math.log(HAZARD)  # low enough that nobody is clipped
    shape = asked.contribution_at(CLINIC, mechanism.delta_grid, 1, theta.tobytes())
    rows = from_tables(CLINIC, {"people": frame})
    sums = shape.fold(rows, np.ones(MEMBERS, dtype=bool))
    sums = noised(sums, mechanism, "cox") if noise else sums
    opening = Opened(Newton(theta), sums / mechanism.delta_grid, 0.0)
    information = newton_sums(model, theta, opening)[1]
    widths = HAZARD * np.diff(np.array(edges, dtype=float))[:, None]
    at_risk = information[: model.baselines, model.baselines :] / widths
    middle = np.array([[55.0, 90.0]]) * np.diag(information)[: model.baselines, None] / widths
    return np.asarray(at_risk * np.array([[35.0, 50.0]]) + middle)


def test_risk_sets_give_every_record_away_and_noised_intervals_none() -> None:
    frame = followed(1)
    truth = frame.sort_values("time")[["age", "weight"]].to_numpy()
    exact = recovered(risk_set_sums(frame))
    assert np.abs(exact - truth).max() < 1e-9, "the stub gives every record away, by whose time"

    guess = np.abs(truth - truth.mean(axis=0)).mean(axis=0)
    fine = ("0", *map(repr, sorted(frame.time.tolist())))
    plain = recovered(opened_sums(frame, fine, noise=False))
    near = np.abs(plain - truth) < guess / 10
    assert near.mean() > 0.9, "so does the product's sum, on such a grid and without noise"
    seen = recovered(opened_sums(frame, fine, noise=True))
    error = np.abs(np.clip(seen, [20, 40], [90, 140]) - truth).mean(axis=0)
    assert (error > guess).all(), "guessing the mean does better"


def test_a_member_of_a_risk_set_shows_no_more_than_the_charge_allows() -> None:
    """2,000 openings with or without one member by fair coins, everybody else known: more right
    guesses than the charge allows have probability below 1e-6."""
    asked = Cox(time="time", event="died", formula="age + weight", way="newton").normalised(CLINIC)
    mechanism = plan_mechanism(rho_of_epsilon(EPSILON, DELTA), 3, 1)
    theta = np.zeros(asked.model(CLINIC).size)
    shape = asked.contribution_at(CLINIC, mechanism.delta_grid, 1, theta.tobytes())
    alone = from_tables(CLINIC, {"people": followed(2)[:1]})
    vector = shape.fold(alone, np.ones(1, dtype=bool))
    assert sum(int(each) ** 2 for each in vector) <= mechanism.delta_grid**2
    assert told_apart(vector, mechanism, "risk") <= allowed(mechanism.rho, 2_000)
    assert told_apart(vector, None, "risk") == 1.0, "the stub tells always"


# A15: many proportions

CODES = tuple(f"c{number:03d}" for number in range(200))
MANY = Dictionary(tables=(one_row("people", number("age", ("20", "90"))),
                          many_rows("codes", 100, categorical("code", *CODES))))  # fmt: skip


def carriers(members: int, seed: int) -> np.ndarray:
    """[members, codes]: whether each has each code; a fifth to a half do."""
    draw = np.random.default_rng(seed)
    rates = np.random.default_rng(0).uniform(0.2, 0.5, len(CODES))
    return np.asarray(draw.random((members, len(CODES))) < rates)


def coded(has: np.ndarray) -> Rows:
    member, code = np.nonzero(has)
    frame = {"id": member, "code": [CODES[each] for each in code]}
    return from_tables(MANY, {"people": {"id": range(len(has)), "age": [50.0] * len(has)},
                              "codes": frame})  # fmt: skip


def homer(seen: np.ndarray, has: np.ndarray) -> np.ndarray:
    """[members]: how much nearer each is to the released shares than to the population's."""
    rates = np.random.default_rng(0).uniform(0.2, 0.5, len(CODES))
    return np.asarray((has - rates) @ (seen - rates))


def test_many_proportions_name_their_members_only_where_they_are_exact() -> None:
    """2,000 answers of 200 proportions of 25 members, about one person each, who is among them by
    a fair coin: more right guesses than the charge allows have probability below 1e-6."""
    asked = Prevalence(column="code").normalised(MANY)
    mechanism = plan_mechanism(rho_of_epsilon(EPSILON, DELTA), 3, 1)
    shape = asked.contribution(MANY, mechanism.delta_grid)
    assert isinstance(shape, Stack)
    weight = shape.parts[1].weight  # the first part counts all members
    has = carriers(25, 1)
    opened = np.asarray(total(shape, coded(has), np.ones(25, dtype=bool)))
    assert np.array_equal(opened[1:], weight * has.sum(axis=0))

    rates = np.random.default_rng(0).uniform(0.2, 0.5, len(CODES))
    middle = float((rates * (1 - rates)).sum()) / (2 * 25)
    exact = private = 0
    for trial, present in enumerate(coins(2_000, 5)):
        people = carriers(26, 1_000 + trial)
        target = people[25 - int(present)]  # the last of the 25, or one who is not asked
        sums = weight * people[:25].sum(axis=0)
        seen = noised(sums, mechanism, f"homer/{trial}") / weight / 25
        exact += bool(homer(sums / weight / 25, target) > middle) == present
        private += bool(homer(seen, target) > middle) == present
    assert exact / 2_000 > 0.9, "the stub names its members"
    assert private / 2_000 <= allowed(mechanism.rho, 2_000)
