"""Coverage and error of shares, variances, correlations, rates, maps and rankings.

Members are drawn from known distributions, contribute through the product's own integers,
and the total gets the noise of the product's own mechanism (10 nodes, two in the margin). Only
the sampler is replaced: at a share of 2^20 grid units a rounded normal draw cannot be told
from the exact one. The naive interval is the same with the noise taken for none. Run as
`python -m bench figures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from models.aggregates.catalogue import contribution, estimate
from models.aggregates.requests import (
    Analysis,
    Correlation,
    Incidence,
    Map,
    MemberSummary,
    Prevalence,
    Table,
    Top,
    TreatmentReport,
    Variance,
    normalise,
)
from models.noise_law import NoiseLaw
from models.reference import total
from models.result import NO_INFORMATION, Estimate
from models.rows import Rows, TableRows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.contract.dictionary import Rows as RowsKind
from privacy.contract.dictionary import Table as Declared
from privacy.mechanism import plan_mechanism

NODES, MARGIN = 10, 2
LOW, HIGH = 93.0, 97.0
SIZES, EPSILONS, RUNS = (100, 500, 5000), ("0.3", "1", "3"), 2000
TARGET = "93 to 97, within 3 Monte-Carlo errors"
FEW = 10  # with fewer expected in a cell an interval may cover more

Cell = tuple[str, ...]
Draw = Callable[[np.random.Generator, int], Rows]


def _levels(name: str, *levels: str) -> Column:
    return Column(name=name, type=ColumnType.CATEGORICAL, levels=levels)


def _number(name: str, lower: str, upper: str) -> Column:
    return Column(name=name, type=ColumnType.NUMBER, lower=lower, upper=upper)


ITEMS = tuple(f"item{at:03d}" for at in range(100))
DICTIONARY = Dictionary(
    tables=(
        Declared(
            name="m",
            key="id",
            rows=RowsKind.ONE,
            columns=(
                _levels("arm", "a", "b"),
                _levels("state", "never", "rare", "often"),
                _levels("region", "DE-BE", "DE-BY", "DE-HH", "FR-BRE", "FR-IDF"),
                _number("x", "0", "10"),
                _number("y", "0", "10"),
                _number("events", "0", "5"),
                _number("years", "0", "10"),
            ),
        ),
        Declared(
            name="t",
            key="id",
            rows=RowsKind.MANY,
            max_rows_per_member=3,
            columns=(_levels("drug", "p", "q"), _levels("effect", "none", "some", "major")),
        ),
        Declared(
            name="s",
            key="id",
            rows=RowsKind.MANY,
            max_rows_per_member=12,
            columns=(_levels("item", *ITEMS),),
        ),
        Declared(
            name="g",
            key="id",
            rows=RowsKind.MANY,
            max_rows_per_member=4,
            columns=(_number("glucose", "0", "10"),),
        ),
    )
)
STATES = (0.62, 0.08, 0.30)
RATES = (0.05, 0.12)
RHO = 0.5
IN_RANGE = 0.7  # of a member's readings, on average; each member's own share is beta(7, 3)


class _Silent(NoiseLaw):
    """The noise taken for none."""

    @property
    def sd_grid(self) -> float:
        return 1e-3


@dataclass(frozen=True)
class Case:
    """An analysis and what its figures truly are, in the population or in a drawn cohort."""

    name: str
    analysis: Analysis
    truth: dict[Cell, float]


CASES = (
    Case(
        "share of a table",
        Table(by=("arm", "state")),
        {("share within arm", "a", "rare"): 0.08, ("share within arm", "b", "often"): 0.30},
    ),
    Case("prevalence", Prevalence(column="state"), {("rare",): 0.08, ("often",): 0.30}),
    Case(
        "prevalence, many rows",
        Prevalence(column="effect"),
        {("some",): 1 - (1 - 0.3) ** 3},
    ),
    Case(
        "share in a treatment report",
        TreatmentReport(treatment="drug", columns=("effect",)),
        {("share", "p", "effect", "some"): (1 - 0.85**3) / (1 - 0.5**3)},
    ),
    Case(
        "variance and sd (normal)",
        Variance(column="x"),
        {("variance",): 1.44, ("standard deviation",): 1.2},
    ),
    Case(
        "a member's share of readings in range",
        MemberSummary(figure="share(g.glucose between 4 and 8)"),
        {("mean",): IN_RANGE},
    ),
    Case("variance (skewed)", Variance(column="years"), {("variance",): 100 * 2 * 4 / (36 * 7)}),
    Case("correlation", Correlation(columns=("x", "y")), {("x", "y"): RHO}),
    Case(
        "rates and standardised rate",
        Incidence(events="events", time="years", by=("arm",), weights=("3", "1")),
        {
            ("rate", "a"): RATES[0],
            ("rate", "b"): RATES[1],
            ("standardised rate", "all"): (3 * RATES[0] + RATES[1]) / 4,
        },
    ),
)


def drawn(rng: np.random.Generator, members: int) -> Rows:
    """Members of the population that every truth above speaks of."""
    arm = rng.integers(0, 2, members)
    z = rng.normal(size=(2, members))
    years = 10 * rng.beta(2, 4, members)
    one: dict[str, Any] = {
        "arm": arm,
        "state": rng.choice(3, members, p=STATES),
        "region": rng.choice(5, members, p=(0.3, 0.25, 0.05, 0.1, 0.3)),
        "x": 5 + 1.2 * z[0],
        "y": 5 + 1.2 * (RHO * z[0] + math.sqrt(1 - RHO**2) * z[1]),
        "events": rng.poisson(np.array(RATES)[arm] * years).astype(float),
        "years": years,
    }
    member = np.arange(members)
    many = np.repeat(member, 3)
    treatments: dict[str, Any] = {
        "drug": rng.integers(0, 2, 3 * members),
        "effect": rng.choice(3, 3 * members, p=(0.5, 0.3, 0.2)),
    }
    four = np.repeat(member, 4)
    inside = rng.random(4 * members) < np.repeat(rng.beta(7, 3, members), 4)
    readings: dict[str, Any] = {"glucose": np.where(inside, 6.0, 2.0)}
    empty = TableRows(many[:0], many[:0], {"item": many[:0]})
    tables = {
        "m": TableRows(member, np.zeros(members, dtype=np.int64), one),
        "t": TableRows(many, np.tile(np.arange(3), members), treatments),
        "s": empty,
        "g": TableRows(four, np.tile(np.arange(4), members), readings),
    }
    return Rows(DICTIONARY, members, tables)


def law_of(epsilon: str) -> NoiseLaw:
    rho = rho_of_epsilon(parse_epsilon(epsilon), Fraction(1, 10**6))
    return NoiseLaw(plan_mechanism(rho, NODES, MARGIN), survivors=NODES)


@dataclass
class Seen:
    """Hits of one figure over runs."""

    hits: int = 0
    naive: int = 0
    unknown: int = 0
    runs: int = 0

    def add(self, row: Estimate, plain: Estimate, true: float) -> None:
        self.runs += 1
        self.hits += row.low <= true <= row.high
        self.naive += plain.low <= true <= plain.high
        self.unknown += row.note == NO_INFORMATION


def coverage(case: Case, members: int, epsilon: str, runs: int) -> dict[Cell, Seen]:
    """A new population and new noise in every run."""
    rng = np.random.default_rng([members, runs, int(10 * float(epsilon))])
    law = law_of(epsilon)
    silent = _Silent(law.mechanism, law.survivors)
    asked = normalise(case.analysis, DICTIONARY)
    shape = contribution(asked, DICTIONARY, law.mechanism.delta_grid)
    everyone = np.ones(members, dtype=bool)
    seen = {cell: Seen() for cell in case.truth}
    for _ in range(runs):
        exact = total(shape, drawn(rng, members), everyone)
        noisy = (exact + np.rint(rng.normal(0, law.sd_grid, shape.length))).astype(int).tolist()
        rows, plain = (
            {row.cell: row for row in estimate(asked, DICTIONARY, noisy, each).rows}
            for each in (law, silent)
        )
        for cell, true in case.truth.items():
            seen[cell].add(rows[cell], plain[cell], true)
    return seen


def _coverage_rows(quick: bool) -> Iterator[dict[str, Any]]:
    sizes, epsilons, runs = ((500,), ("1",), 300) if quick else (SIZES, EPSILONS, RUNS)
    for case in CASES:
        for members in sizes:
            for epsilon in epsilons:
                for cell, seen in coverage(case, members, epsilon, runs).items():
                    yield _coverage_row(case.name, cell, seen, f"n = {members}, eps = {epsilon}")


def _coverage_row(name: str, cell: Cell, seen: Seen, setting: str) -> dict[str, Any]:
    share, naive = (100 * each / seen.runs for each in (seen.hits, seen.naive))
    slack = 3 * math.sqrt(LOW * (100 - LOW) / seen.runs)
    hidden = f", {100 * seen.unknown / seen.runs:.0f} % no information" if seen.unknown else ""
    return {
        "what": f"coverage: {name} ({', '.join(cell)}), {setting}{hidden}",
        "value": round(share, 1),
        "unit": f"% (naive {naive:.1f})",
        "target": TARGET,
        "ok": LOW - slack <= share <= HIGH + slack or (seen.unknown > 0 and share > LOW - slack),
    }


def _curator_rows(runs: int) -> Iterator[dict[str, Any]]:
    """Error of the figures over that of one trusted curator's Gaussian at the same rho."""
    limit = math.sqrt(NODES / (NODES - MARGIN)) * 1.05
    cases: dict[str, tuple[Analysis, int]] = {
        "cells of a table": (Table(by=("arm", "state")), 0),
        "regions of a map": (Map(region="region"), 4),
        "share of a table": (Table(by=("arm", "state")), 14),
        "mean (of variance)": (Variance(column="x"), 0),
    }
    for name, (analysis, place) in cases.items():
        rng = np.random.default_rng(5)
        law = law_of("1")
        asked = normalise(analysis, DICTIONARY)
        shape = contribution(asked, DICTIONARY, law.mechanism.delta_grid)
        exact = total(shape, drawn(rng, 5000), np.ones(5000, dtype=bool))
        true = estimate(asked, DICTIONARY, exact.tolist(), law).rows[place].estimate
        curator = law.sd_grid * math.sqrt((NODES - MARGIN) / NODES)
        errors = []
        for sd in (law.sd_grid, curator):
            noisy = exact + np.rint(rng.normal(0, sd, (runs, shape.length)))
            found = [
                estimate(asked, DICTIONARY, each.astype(int).tolist(), law).rows[place].estimate
                for each in noisy
            ]
            errors.append(math.sqrt(np.mean((np.array(found) - true) ** 2)))
        ratio = errors[0] / errors[1]
        yield {
            "what": f"error over a trusted curator's: {name}",
            "value": round(ratio, 3),
            "target": f"<= {limit:.3f}",
            "ok": ratio <= limit + 3 * ratio / math.sqrt(2 * runs),
        }


def _top_rows(runs: int) -> Iterator[dict[str, Any]]:
    """How many of the ten named are among the true ten; items after Zipf, 2 to 9 a member."""
    for exponent in (1.0, 1.3):
        rng = np.random.default_rng(12)
        asked = normalise(Top(column="item"), DICTIONARY)
        law = law_of("1")
        shape = contribution(asked, DICTIONARY, law.mechanism.delta_grid)
        found = []
        for _ in range(runs):
            rows, true = _items(rng, 200, exponent)
            noise = np.rint(rng.normal(0, law.sd_grid, shape.length))
            noisy = total(shape, rows, np.ones(200, dtype=bool)) + noise
            result = estimate(asked, DICTIONARY, noisy.astype(int).tolist(), law)
            named = [ITEMS.index(row.cell[1]) for row in result.rows[::2]]
            found.append(np.mean(true[named] >= np.sort(true)[-10]))
        yield {
            "what": f"precision of the top 10 of 100 items, n = 200, eps = 1, Zipf {exponent}",
            "value": round(float(np.mean(found)), 3),
            "target": ">= 0.65",
            "ok": float(np.mean(found)) >= 0.65,
        }


def _items(rng: np.random.Generator, members: int, exponent: float) -> tuple[Rows, Any]:
    weights = 1 / np.arange(2, 102) ** exponent
    weights /= weights.sum()
    many = rng.integers(2, 10, members)
    item = np.concatenate([rng.choice(100, n, replace=False, p=weights) for n in many])
    member = np.repeat(np.arange(members), many)
    rank = np.concatenate([np.arange(n) for n in many])
    tables = {"s": TableRows(member, rank, {"item": item})}
    return Rows(DICTIONARY, members, tables), np.bincount(item, minlength=100)


def _published_rows() -> Iterator[dict[str, Any]]:
    """Shares among takers of one drug: half-width by noise, one release per question."""
    law = law_of("1")
    weight = contribution(Table(by=("m.arm",)), DICTIONARY, law.mechanism.delta_grid)
    tau = law.sd_grid / math.sqrt(weight.norm_squared)
    for part, whole, target in ((34, 1755, 0.65), (88, 220, 5.0)):
        p = part / whole
        half = 100 * 1.96 * tau * math.sqrt((1 - p) ** 2 + p**2) / whole
        yield {
            "what": f"noise half-width of the share {part} of {whole:,}, eps = 1",
            "value": round(half, 2),
            "unit": "points",
            "target": f"<= {target}",
            "ok": half <= target,
        }


def run(quick: bool = False) -> list[dict[str, Any]]:
    """One row per figure and setting."""
    runs = 200 if quick else 2000
    return [
        *_published_rows(),
        *_curator_rows(runs),
        *_top_rows(40 if quick else 200),
        *_coverage_rows(quick),
    ]
