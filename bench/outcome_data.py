"""Patients whose outcomes models are fitted to: known data sets, declared as a study would.

What is not shipped with a library that is installed anyway is fetched into an environment of its
own (flchain) or read from a folder that the caller names (heart disease at four hospitals).
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines.datasets import load_gbsg2
from statsmodels.datasets import fair

from bench.peers.flchain import as_csv
from models.regression.cox import Cox
from models.regression.request import Regression
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.support.breast_cancer import CANCER_TERMS, COVARIATES
from tests.support.rows_factory import categorical, number, one_row

FIVE_YEARS = 1825
HEART = "CAIRN_BENCH_DATA"  # the folder that holds heart_disease/
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")


class Absent(Exception):
    """A data set that is not at hand; says why."""


@dataclass(frozen=True, repr=False, eq=False)
class Study:
    """One row per patient; `nodes` organisations; `site` numbers each patient's, if given."""

    name: str
    dictionary: Dictionary
    frame: pd.DataFrame
    nodes: int
    logistic: Regression
    survival: Cox | None = None
    site: np.ndarray | None = field(default=None)

    def rows(self, chosen: np.ndarray) -> Rows:
        """The patients at the given places, in that order."""
        return from_tables(self.dictionary, {"people": self.frame.iloc[chosen]})

    @property
    def size(self) -> int:
        return len(self.frame)


def flag(name: str) -> Column:
    return Column(name=name, type=ColumnType.BOOLEAN, levels=("false", "true"))


def spoken(values: pd.Series | np.ndarray) -> np.ndarray:
    """Truth as a dictionary's boolean columns hold it."""
    return np.where(values, "true", "false")


def _declared(*columns: Column) -> Dictionary:
    return Dictionary(tables=(one_row("people", *columns),))


def breast_cancer() -> Study:
    """GBSG2, 686 patients: return or death within five years, and the time to it."""
    frame = load_gbsg2()
    frame["failed"] = spoken(frame.cens == 1)
    frame["returned"] = spoken((frame.time <= FIVE_YEARS) & (frame.cens == 1))
    for name, most in (("progrec", 1000), ("estrec", 500), ("pnodes", 40), ("tsize", 80)):
        frame[name] = frame[name].clip(upper=most)
    own = (number("time", ("0", "2700")), flag("failed"), flag("returned"))
    return Study(
        "GBSG2",
        _declared(*COVARIATES, *own),
        frame.assign(id=np.arange(len(frame))),
        nodes=3,
        logistic=Regression(formula=f"returned ~ {CANCER_TERMS}", family="binomial"),
        survival=Cox(time="time", event="failed", formula=CANCER_TERMS),
    )


AFFAIRS = (
    ("rate_marriage", "1", "5"),
    ("age", "17.5", "42"),
    ("yrs_married", "0.5", "23"),
    ("children", "0", "5.5"),
    ("religious", "1", "4"),
    ("educ", "9", "20"),
    ("occupation", "1", "6"),
    ("occupation_husb", "1", "6"),
)


def affairs() -> Study:
    """The fair survey, 6,366 answers; age, years married and children go together."""
    frame = fair.load_pandas().data
    frame["affair"] = spoken(frame.affairs > 0)
    columns = [number(name, (low, high)) for name, low, high in AFFAIRS]
    terms = " + ".join(name for name, _, _ in AFFAIRS)
    return Study(
        "fair",
        _declared(*columns, flag("affair")),
        frame.assign(id=np.arange(len(frame))),
        nodes=3,
        logistic=Regression(formula=f"affair ~ {terms}", family="binomial"),
    )


CHAIN_TERMS = (
    "age + sex + log1p(kappa) + log1p(lambda) + mgus + "
    "clip(creatinine, 0.4, 3) + missing(creatinine)"
)


def light_chains() -> Study:
    """flchain, 7,874 people: death within five years, and the time to it. Raises Absent."""
    try:
        frame = pd.read_csv(as_csv(), na_values="?", keep_default_na=False)
    except (OSError, RuntimeError) as error:
        raise Absent(f"flchain could not be fetched: {error}") from error
    died = frame.death == "dead"
    frame = frame.assign(
        id=np.arange(len(frame)),
        died=spoken(died),
        died_early=spoken(died & (frame.futime <= FIVE_YEARS)),
    )
    columns = (
        number("age", ("50", "101")),
        categorical("sex", "F", "M"),
        number("kappa", ("0", "10")),
        number("lambda", ("0", "10")),
        number("creatinine", ("0.4", "10.8")),
        categorical("mgus", "no", "yes"),
        number("futime", ("0", "5215")),
        flag("died"),
        flag("died_early"),
    )
    return Study(
        "flchain",
        _declared(*columns),
        frame,
        nodes=10,
        logistic=Regression(formula=f"died_early ~ {CHAIN_TERMS}", family="binomial"),
        survival=Cox(time="futime", event="died", formula=CHAIN_TERMS),
    )


_HEART = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach"),
    *("exang", "oldpeak", "slope", "ca", "thal", "num"),
)
HEART_TERMS = "age + sex + C(cp) + clip(trestbps, 80, 200) + thalach + exang + oldpeak"


def heart_disease() -> Study:
    """Four hospitals of the UCI collection, patients with all covariates known. Raises Absent."""
    folder = os.environ.get(HEART, "")
    if not folder or not Path(folder, "heart_disease").is_dir():
        raise Absent(f"set {HEART} to the folder that holds heart_disease/ of the UCI collection")
    parts = [_hospital(Path(folder, "heart_disease"), at) for at in range(len(HOSPITALS))]
    frame = pd.concat(parts, ignore_index=True)
    needed = ["age", "sex", "cp", "trestbps", "thalach", "exang", "oldpeak"]
    frame = frame.dropna(subset=needed).reset_index(drop=True)
    kinds = np.array(["typical", "atypical", "other", "none"])
    columns = (
        number("age", ("25", "80")),
        flag("sex"),
        categorical("cp", *kinds),
        number("trestbps", ("0", "200")),
        number("thalach", ("60", "205")),
        flag("exang"),
        number("oldpeak", ("-3", "6.5")),
        flag("diseased"),
    )
    made = frame.assign(
        id=np.arange(len(frame)),
        sex=spoken(frame.sex == 1),
        cp=kinds[frame.cp.to_numpy().astype(int) - 1],
        exang=spoken(frame.exang == 1),
        diseased=spoken(frame.num > 0),
    )
    return Study(
        "heart disease",
        _declared(*columns),
        made,
        nodes=len(HOSPITALS),
        logistic=Regression(formula=f"diseased ~ {HEART_TERMS}", family="binomial"),
        site=made.site.to_numpy(),
    )


def _hospital(folder: Path, place: int) -> pd.DataFrame:
    path = folder / f"processed.{HOSPITALS[place]}.data"
    with path.open(newline="", encoding="ascii") as lines:
        rows = [
            [float("nan") if one == "?" else float(one) for one in row]
            for row in csv.reader(lines)
            if row
        ]
    return pd.DataFrame(rows, columns=list(_HEART)).assign(site=place)
