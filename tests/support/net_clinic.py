"""A clinic over three organisations with columns of every kind that makes a fit hard, the third
organisation without a member; the pooled truth is a frame."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

NODES = ("als-union", "mood-circle", "ms-league")
SIZES = (170, 110, 0)

DICTIONARY = """
[tables.members]
key = "member"
rows = "one"
[tables.members.columns.age]
type = "number"
lower = 20
upper = 90
[tables.members.columns.bmi]
type = "number"
lower = 10
upper = 50
[tables.members.columns.twice]
type = "number"
lower = 20
upper = 100
[tables.members.columns.fixed]
type = "number"
lower = 0
upper = 10
[tables.members.columns.gone]
type = "number"
lower = 0
upper = 10
[tables.members.columns.half]
type = "number"
lower = 0
upper = 10
[tables.members.columns.arm]
type = "categorical"
levels = ["usual", "new"]
[tables.members.columns.local]
type = "categorical"
levels = ["here", "there", "nowhere"]
[tables.members.columns.better]
type = "boolean"
[tables.members.columns.sure]
type = "boolean"
[tables.members.columns.never]
type = "boolean"
[tables.members.columns.relapses]
type = "integer"
lower = 0
upper = 40
[tables.members.columns.none]
type = "integer"
lower = 0
upper = 40
[tables.members.columns.burst]
type = "integer"
lower = 0
upper = 40
[tables.members.columns.score]
type = "number"
lower = -30
upper = 60
[tables.members.columns.grade]
type = "categorical"
levels = ["low", "mid", "high", "top"]
[tables.members.columns.top]
type = "categorical"
levels = ["low", "mid", "high"]
[tables.members.columns.years]
type = "number"
lower = 0
upper = 10

[tables.symptoms]
key = "member"
rows = "many"
max_rows_per_member = 4
time = "months"
[tables.symptoms.columns.months]
type = "number"
lower = 0
upper = 24
[tables.symptoms.columns.scale]
type = "number"
lower = 0
upper = 48
[tables.symptoms.columns.still]
type = "number"
lower = 0
upper = 48
"""


@cache
def members(node: str) -> pd.DataFrame:
    """`sure` follows from age, `twice` from bmi; `fixed` and `none` never vary; `gone` is never
    known; the level "there" is at one organisation alone, "nowhere" at none."""
    place = NODES.index(node)
    rng, n = np.random.default_rng([8, place]), max(SIZES[place], 3)
    age, bmi = rng.uniform(25, 85, n).round(1), rng.uniform(18, 40, n).round(1)
    new = rng.random(n) < 0.5
    eta = 0.03 * (age - 55) - 0.6 * new + 0.04 * (bmi - 28)
    failing, leaving = rng.exponential(6 * np.exp(-eta)), rng.uniform(1, 9.9, n)
    return pd.DataFrame(
        {
            "member": [f"{node}-{at}" for at in range(n)],
            "age": age,
            "bmi": bmi,
            "twice": 2 * bmi,
            "fixed": 5,
            "gone": np.nan,
            "half": np.where(rng.random(n) < 0.5, np.nan, rng.uniform(0, 10, n).round(2)),
            "arm": np.where(new, "new", "usual"),
            "local": np.where((rng.random(n) < 0.4) & (place == 1), "there", "here"),
            "better": np.where(rng.random(n) < 1 / (1 + np.exp(-eta)), "true", "false"),
            "sure": np.where(age > 55, "true", "false"),
            "never": "false",
            "relapses": np.minimum(rng.negative_binomial(2, 2 / (2 + np.exp(1 + eta))), 40),
            "none": 0,
            "burst": np.where(age > 80, 40, 0),
            "score": (10 + 5 * eta + rng.normal(0, 4, n)).round(3),
            "grade": np.array(["low", "mid", "high", "top"])[
                np.digitize(eta + rng.logistic(size=n), [-1.0, 0.2, 1.4])
            ],
            "top": np.where(rng.random(n) < 0.5, "low", "high"),
            "years": np.minimum(failing, leaving).round(3),
            "consent": "no" if place == 2 else "yes",
        }
    )


@cache
def visits(node: str) -> pd.DataFrame:
    """One in three members was seen once only, and one in three on one day."""
    rng, lines = np.random.default_rng([9, NODES.index(node)]), []
    for at, member in enumerate(members(node).member):
        times = ((0,), (6, 6, 6), (0, 6, 12, 18))[at % 3]
        lines += [(member, t, round(30 - 0.5 * t + rng.normal(0, 1), 2), 20) for t in times]
    return pd.DataFrame(lines, columns=["member", "months", "scale", "still"])


def pooled() -> pd.DataFrame:
    return pd.concat([members(node) for node in NODES[:2]], ignore_index=True)
