"""Real patients as a network of three: the NCCTG lung cancer data that lifelines carries.

228 people with advanced lung cancer, treated at 18 institutions of the North Central Cancer
Treatment Group (Loprinzi and others, Journal of Clinical Oncology 12(3):601-607, 1994). One record
names no institution and is left out, so 227 remain.

Rule for the organisations: institutions are sorted by their number of people, the largest first,
equal ones by their code, and dealt in turn to ncctg-a, ncctg-b and ncctg-c.

Bounds come from what the variables are (a performance scale, an adult's age), never from the
records. Nobody could be asked for consent thirty years later, so the study asks for none.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ORGANISATIONS = ("ncctg-a", "ncctg-b", "ncctg-c")

_HEADER = (
    *("member", "survival_days", "status", "age", "sex", "ecog"),
    *("karnofsky_physician", "karnofsky_patient", "meal_kcal", "weight_loss_pounds"),
)
_STATUS = {0: "censored", 1: "died"}
_SEX = {1: "male", 2: "female"}

DICTIONARY = """\
# NCCTG lung cancer data: one row per patient. Bounds are those of the scales, not of the records.

[tables.members]
key = "member"
rows = "one"

[tables.members.columns.survival_days]
type = "integer"
lower = 0
upper = 1095
bins = [0, 91, 183, 365, 730, 1095]
unit = "days"
label = "days from registration to death or the last follow-up, three years at most"

[tables.members.columns.status]
type = "categorical"
levels = ["censored", "died"]

[tables.members.columns.age]
type = "integer"
lower = 18
upper = 100
bins = [18, 50, 60, 70, 100]
unit = "years"

[tables.members.columns.sex]
type = "categorical"
levels = ["female", "male"]

[tables.members.columns.ecog]
type = "categorical"
levels = ["0", "1", "2", "3", "4", "5"]
label = "ECOG performance, 0 is fully active, 5 is dead"

[tables.members.columns.karnofsky_physician]
type = "integer"
lower = 0
upper = 100
bins = [0, 60, 80, 100]
unit = "points"

[tables.members.columns.karnofsky_patient]
type = "integer"
lower = 0
upper = 100
bins = [0, 60, 80, 100]
unit = "points"

[tables.members.columns.meal_kcal]
type = "integer"
lower = 0
upper = 3000
unit = "kcal"

[tables.members.columns.weight_loss_pounds]
type = "integer"
lower = -50
upper = 100
unit = "pounds"
label = "weight lost in the last six months"
"""

STUDY = """\
[[study]]
id = "lung-survival"
title = "Survival and performance in advanced lung cancer"
purpose = "clinical-research"
consent = "none"
period = ["2025-01-01", "2034-12-31"]
epsilon_allowance = 10

[policy]
min_cohort = 20
t_drop = 0
t_collude = 1
"""


def deal(sizes: Mapping[int, int]) -> dict[int, str]:
    """Each institution's organisation: dealt in turn, the largest first, ties by code."""
    order = sorted(sizes, key=lambda code: (-sizes[code], code))
    return {code: ORGANISATIONS[place % 3] for place, code in enumerate(order)}


def write_lung_example(folder: Path) -> None:
    """Write dictionary.toml, study.toml and three organisations' members.csv into `folder`.

    Needs lifelines (the extra `demo`), which carries the data; nothing is downloaded.
    """
    from lifelines.datasets import load_lung

    frame = load_lung().dropna(subset=["inst"]).reset_index(drop=True)
    sizes: dict[int, int] = {int(k): int(n) for k, n in frame["inst"].value_counts().items()}
    home = deal(sizes)
    rows: dict[str, list[list[str]]] = {name: [] for name in ORGANISATIONS}
    for number, record in enumerate(frame.to_dict("records"), start=1):
        rows[home[int(record["inst"])]].append(_row(number, record))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.toml").write_text(DICTIONARY, "utf-8")
    (folder / "study.toml").write_text(STUDY, "utf-8")
    for name, listed in rows.items():
        (folder / name).mkdir(exist_ok=True)
        _write(folder / name / "members.csv", listed)


def _row(number: int, record: Mapping[str, Any]) -> list[str]:
    names = ("ph.ecog", "ph.karno", "pat.karno", "meal.cal", "wt.loss")
    return [
        f"P{number:03d}",
        _whole(record["time"]),
        _STATUS[int(record["status"])],
        _whole(record["age"]),
        _SEX[int(record["sex"])],
        *(_whole(record[name]) for name in names),
    ]


def _whole(value: float) -> str:
    """A whole number as text; an unknown one (NaN) is an empty field."""
    return "" if math.isnan(value) else str(int(value))


def _write(path: Path, rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(rows)
