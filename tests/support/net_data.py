"""A small clinic spread over organisations: its dictionary, its members as a pandas frame.

The frame is the pooled truth: `pooled` answers from it what the network must answer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DICTIONARY = """
[tables.members]
key = "member"
rows = "one"
[tables.members.columns.condition]
type = "categorical"
levels = ["als", "ms", "mood"]
[tables.members.columns.treatment]
type = "categorical"
levels = ["none", "riluzole", "other"]
[tables.members.columns.age]
type = "number"
lower = 0
upper = 110
bins = [0, 18, 40, 65, 110]
[tables.members.columns.score]
type = "number"
lower = -20
upper = 60
[tables.members.columns.born]
type = "date"
[tables.members.columns.story]
type = "text"
[tables.members.columns.email]
type = "text"
identifier = true

[tables.symptoms]
key = "member"
rows = "many"
max_rows_per_member = 2
time = "day"
[tables.symptoms.columns.symptom]
type = "categorical"
levels = ["pain", "fatigue"]
[tables.symptoms.columns.severity]
type = "number"
lower = 0
upper = 10
bins = [0, 4, 7, 10]
"""

NODES = ("als-union", "mood-circle", "ms-league")
MORE_NODES = ("als-union", "ataxia-group", "mood-circle", "ms-league", "stroke-club")


def members(seed: int, count: int = 60) -> pd.DataFrame:
    """One organisation's members; the value of every column is known, except some scores."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(20, 15, count), 3)
    return pd.DataFrame(
        {
            "member": [f"m{seed}-{i}" for i in range(count)],
            "condition": rng.choice(["als", "ms", "mood"], count),
            "treatment": rng.choice(["none", "riluzole", "other"], count),
            "age": np.round(rng.uniform(1, 109, count), 2),
            "score": np.where(rng.random(count) < 0.1, np.nan, score),
            "born": [f"{1930 + i % 70}-03-0{1 + i % 9}" for i in range(count)],
            "story": [f"story {seed} {i}" for i in range(count)],
            "email": [f"{seed}.{i}@example.org" for i in range(count)],
            "consent": np.where(rng.random(count) < 0.8, "yes", "no"),
        }
    )


def symptoms(of: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Up to four rows a member, of which two count: the earliest."""
    rng = np.random.default_rng([seed, 1])
    rows = [
        (member, day, rng.choice(["pain", "fatigue"]), round(float(rng.uniform(0, 10)), 2))
        for member in of["member"]
        for day in range(int(rng.integers(0, 5)))
    ]
    return pd.DataFrame(rows, columns=["member", "day", "symptom", "severity"])


def write(folder: Path, people: pd.DataFrame, rows: pd.DataFrame) -> Path:
    """The folder an organisation imports."""
    folder.mkdir(parents=True, exist_ok=True)
    people.to_csv(folder / "members.csv", index=False)
    rows.to_csv(folder / "symptoms.csv", index=False)
    return folder
