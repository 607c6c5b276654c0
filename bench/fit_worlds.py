"""Made-up members with known coefficients, for every regression that can be asked.

Six covariates: four numbers and two of two levels, whose normal scores are correlated pairwise;
outcomes have the law that is fitted, so that the true coefficients are what intervals should hold.
For comparisons of a treatment, whether it is given depends on the other covariates by a logistic
law, and it has the same effect on everybody. In worlds of `numbers` there are one to eight numbers
instead, correlated alike, with strong effects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.regression.cox import Cox
from models.regression.effect import Effect
from models.regression.progression import Progression
from models.regression.request import Regression
from models.regression.rounds import InRounds
from models.regression.weighting import Estimand
from models.rows import Rows, TableRows, ranks
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.contract.dictionary import Rows as RowsKind

Floats = NDArray[np.float64]
Values = dict[str, NDArray[np.float64] | NDArray[np.int64]]
BOUNDS = {"a": ("-3", "4"), "b": ("-4", "3.5"), "c": ("-3", "3"), "d": ("-3.5", "4.5")}
MORE = ("e", "f", "g", "h")  # numbers with the bounds of `a`
NAMES = (*BOUNDS, *MORE)
TERMS = "a + b + c + d + treated + sex"
INTERCEPT = -0.3
EFFECTS = {"a": 0.6, "b": -0.4, "c": 0.3, "d": 0.0, "treated[true]": 0.8, "sex[m]": -0.5}
MOST_VISITS = 8
EVENTS_BY = 5.0  # years of follow-up


def _number(name: str, lower: str, upper: str) -> Column:
    return Column(name=name, type=ColumnType.NUMBER, lower=lower, upper=upper)


def _levels(name: str, *levels: str) -> Column:
    kind = ColumnType.BOOLEAN if levels == ("false", "true") else ColumnType.CATEGORICAL
    return Column(name=name, type=kind, levels=levels)


DICTIONARY = Dictionary(
    tables=(
        Table(
            name="people",
            key="id",
            rows=RowsKind.ONE,
            columns=(
                *(_number(name, *bounds) for name, bounds in BOUNDS.items()),
                *(_number(name, *BOUNDS["a"]) for name in MORE),
                _levels("treated", "false", "true"),
                _levels("sex", "f", "m"),
                _levels("better", "false", "true"),
                _levels("grade", "low", "mid", "high", "top"),
                _number("score", "-10", "10"),
                _number("count", "0", "60"),
                _number("falls", "0", "60"),
                _number("years", "0", "5"),
                _levels("died", "false", "true"),
            ),
        ),
        Table(
            name="visits",
            key="id",
            rows=RowsKind.MANY,
            max_rows_per_member=MOST_VISITS,
            columns=(_number("since", "0", "5"), _number("scale", "0", "48")),
        ),
    )
)


@dataclass(frozen=True, eq=False)
class World:
    """A question, and the coefficients that are true; `more` are those beside EFFECTS.

    In a comparison `leaning` says how strongly covariates decide who is treated. Where there are
    `numbers` covariates, all of them numbers, `factor` is the predictor's standard deviation.
    """

    name: str
    asked: InRounds
    more: Mapping[str, float]
    factor: float = 1.0  # of all effects
    leaning: float | None = None
    numbers: int = 0

    @property
    def effects(self) -> dict[str, float]:
        """Of the covariates on the predictor."""
        if not self.numbers:
            return EFFECTS
        plain = np.array(_STRONG[: self.numbers])
        spread = math.sqrt((plain.sum() ** 2 + plain @ plain) / 2)  # correlated by a half
        return dict(zip(NAMES, (plain / spread).tolist(), strict=False))

    @property
    def truth(self) -> dict[str, float]:
        if self.leaning is not None:
            return dict(self.more)
        return {name: value * self.factor for name, value in self.effects.items()} | dict(self.more)


_SPOT = {"Intercept": INTERCEPT}
_STRONG = (1.0, -0.7, 0.5, 0.0, 0.8, -0.6, 0.0, 0.5)
_GRADES = {"low | mid": -1.0, "mid | high": 0.3, "high | top": 1.5}
_PACE = 0.3  # effects on slopes, in points per year
_LEANING = (0.5, -0.4, 0.3, 0.2, -0.4)  # of a, b, c, d and sex on being treated


def _comparison(estimand: Estimand, leaning: float) -> World:
    strong = ", strongly confounded" if leaning > 1 else ""
    asked = Effect(
        outcome="score", treatment="treated", covariates="a + b + c + d + sex", estimand=estimand
    )
    truth = {"difference": EFFECTS["treated[true]"]}
    return World(f"effect {estimand}{strong}", asked, truth, leaning=leaning)


WORLDS = (
    World("linear", Regression(formula=f"score ~ {TERMS}"), _SPOT),
    World("binomial", Regression(formula=f"better ~ {TERMS}", family="binomial"), _SPOT),
    World("poisson", Regression(formula=f"count ~ {TERMS}", family="poisson"), _SPOT),
    World(
        "negative_binomial",
        Regression(formula=f"falls ~ {TERMS}", family="negative_binomial"),
        _SPOT,
    ),
    World("ordinal", Regression(formula=f"grade ~ {TERMS}", family="ordinal"), _GRADES),
    World("cox", Cox(time="years", event="died", formula=TERMS), {}, 0.7),
    World(
        "progression",
        Progression(
            outcome="scale",
            time="since",
            formula=TERMS,
            lower="-4",
            upper="3",
            slope_sd="0.6",
            visit_sd="1",
        ),
        {"Intercept": -0.5},
        _PACE,
    ),
)
COMPARISONS = tuple(
    _comparison(estimand, leaning)
    for leaning in (1.0, 3.0)
    for estimand in ("overlap", "ate", "att")
)
LAWS = {"linear": ("score", 2.0), "binomial": ("better", 1.0), "poisson": ("count", 1.0)}
GRID = tuple(
    World(
        f"{family}, {numbers} of them",
        Regression(
            formula=f"{outcome} ~ {' + '.join(NAMES[:numbers])}",
            family=family,  # type: ignore[arg-type]
        ),
        _SPOT,
        spread,
        numbers=numbers,
    )
    for family, (outcome, spread) in LAWS.items()
    for numbers in (1, 2, 4, 8)
)


def covariates(members: int, correlation: float, rng: np.random.Generator) -> Floats:
    """[members, 6], within the declared bounds."""
    root = np.linalg.cholesky(np.full((6, 6), correlation) + (1 - correlation) * np.eye(6))
    x = rng.normal(size=(members, 6)) @ root.T
    x[:, 4:] = x[:, 4:] > 0.3
    for at, (low, high) in enumerate(BOUNDS.values()):
        x[:, at] = x[:, at].clip(float(low), float(high))
    return x


def drawn(world: World, members: int, correlation: float, seed: Sequence[int]) -> Rows:
    """Members of this world, all in one place; columns that are not asked for are missing."""
    rng = np.random.default_rng(list(seed))
    if world.numbers:
        return _of_numbers(world, members, correlation, rng)
    x = covariates(members, correlation, rng)
    if world.leaning is not None:
        lean = world.leaning * (x[:, [0, 1, 2, 3, 5]] @ np.array(_LEANING))
        x[:, 4] = rng.random(members) < 1 / (1 + np.exp(-lean))
    eta = x @ np.array(list(EFFECTS.values()))
    values: Values = dict(zip("abcd", x.T, strict=False))
    values |= {"treated": x[:, 4].astype(np.int64), "sex": x[:, 5].astype(np.int64)}
    values |= _outcome(world.name, eta, rng)
    visits = _visits(0.5 if world.name == "progression" else 0.0, eta, rng)
    return _rows(values, visits)


def _of_numbers(world: World, members: int, correlation: float, rng: np.random.Generator) -> Rows:
    """Members with numbers alone, within the bounds of `a`."""
    size = world.numbers
    shared, own = rng.normal(size=(members, 1)), rng.normal(size=(members, size))
    x = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
    x = x.clip(-3, 3)
    values: Values = dict(zip(NAMES, x.T, strict=False))
    eta = x @ np.array(list(world.effects.values())) * world.factor
    values |= _outcome(world.name.split(",")[0], eta, rng)
    return _rows(values, _visits(0.0, eta, rng))


def _rows(values: Values, visits: TableRows) -> Rows:
    members = len(next(iter(values.values())))
    people = TableRows(np.arange(members), np.zeros(members, dtype=np.int64), values)
    return Rows(DICTIONARY, members, {"people": people, "visits": visits})


def _outcome(name: str, eta: Floats, rng: np.random.Generator) -> Values:
    n, here = len(eta), INTERCEPT + eta
    match name:
        case _ if name == "linear" or name.startswith("effect"):
            return {"score": (here + rng.normal(0, 2, n)).clip(-10, 10)}
        case "binomial":
            return {"better": (rng.random(n) < 1 / (1 + np.exp(-here))).astype(np.int64)}
        case "poisson":
            return {"count": rng.poisson(np.exp(here)).clip(0, 60).astype(float)}
        case "negative_binomial":
            mean = np.exp(here)
            return {"falls": rng.negative_binomial(2, 2 / (2 + mean)).clip(0, 60).astype(float)}
        case "ordinal":
            place = eta + rng.logistic(size=n)
            return {"grade": np.searchsorted(list(_GRADES.values()), place).astype(np.int64)}
        case "cox":
            event = rng.exponential(size=n) / (0.15 * np.exp(0.7 * eta))
            left = np.minimum(rng.exponential(8.0, n), EVENTS_BY)
            return {
                "years": np.minimum(event, left),
                "died": (event <= left).astype(np.int64),
            }
        case _:
            return {}


def _visits(base: float, eta: Floats, rng: np.random.Generator) -> TableRows:
    """Two to eight visits within three years, or none where `base` is 0."""
    n = len(eta)
    count = rng.integers(2, MOST_VISITS + 1, n) if base else np.zeros(n, dtype=np.int64)
    home = np.repeat(np.arange(n), count)
    slope = -base + _PACE * eta + rng.normal(0, 0.6, n)
    since = rng.uniform(0, 3, len(home))
    scale = (rng.normal(24, 4, n)[home] + slope[home] * since + rng.normal(0, 1, len(home))).clip(
        0, 48
    )
    return TableRows(home, ranks(home), {"since": since, "scale": scale})
