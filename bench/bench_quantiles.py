"""Quantiles by search in rounds: rank error and coverage, beside one-shot histograms.

Members are drawn from known distributions and counted in the very bins that the analysis
asks for; every round's total gets the noise of the product's own mechanism (10 nodes, 2 in the
margin). Only the sampler is replaced: at a share of 2^20 grid units a rounded normal draw
cannot be told from the exact one. Run as `python -m bench.bench_quantiles`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from models.aggregates.quantiles import Quantiles
from models.aggregates.rank_search import Counted, locate, ranks
from models.aggregates.requests import normalise
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Rows, Table
from privacy.mechanism import plan_mechanism
from privacy.units import Rho

Floats = NDArray[np.float64]
SIZES, EPSILONS = (100, 500, 5000), ("0.3", "1", "3")
NODES, MARGIN = 10, 2
DELTA = Fraction(1, 10**6)
TARGET = 0.05  # rank error of the median of 500 members at epsilon 1


@dataclass(frozen=True)
class Source:
    """A law of scores in [0, 100]; `draw` inverts its distribution function."""

    name: str
    draw: Callable[[Floats], Floats]


def _skewed(u: Floats) -> Floats:
    return np.asarray(np.minimum(-12 * np.log1p(-u), 100.0))


def _narrow(u: Floats) -> Floats:
    return np.asarray(np.clip(30 + 0.5 * np.log(u / (1 - u)), 0, 100))


def _two_groups(u: Floats) -> Floats:
    low = 20 + 3 * np.log(
        np.clip(u / 0.55, 1e-9, 1 - 1e-9) / (1 - np.clip(u / 0.55, 1e-9, 1 - 1e-9))
    )
    rest = np.clip((u - 0.55) / 0.45, 1e-9, 1 - 1e-9)
    return np.asarray(
        np.clip(
            np.where(
                u < 0.55, np.minimum(low, 48), np.maximum(80 + 3 * np.log(rest / (1 - rest)), 52)
            ),
            0,
            100,
        )
    )


SOURCES = (
    Source("even", lambda u: 100 * u),
    Source("skewed", _skewed),
    Source("narrow", _narrow),
    Source("two groups", _two_groups),
)
COLUMN = Column(name="score", type=ColumnType.NUMBER, lower="0", upper="100")
DICTIONARY = Dictionary(tables=(Table(name="members", key="id", rows=Rows.ONE, columns=(COLUMN,)),))


def laws(epsilon: str, rounds: int) -> NoiseLaw:
    """The noise of each of equally dear rounds."""
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    return NoiseLaw(plan_mechanism(Rho(rho.units // rounds), NODES, MARGIN), survivors=NODES)


def search(asked: Quantiles, values: Floats, law: NoiseLaw, rng: np.random.Generator) -> Result:
    """The answer to one run, round by round."""
    opened: list[Opening] = []
    for number in range(len(asked.shares(DICTIONARY))):
        state = asked.state(DICTIONARY, opened)
        shape = asked.contribution_at(DICTIONARY, law.mechanism.delta_grid, number, state)
        inner = np.array(shape.dims[0].column.edges[1:-1])
        exact = np.bincount(np.searchsorted(inner, values, side="right"), minlength=shape.length)
        noise = np.rint(rng.normal(0, law.sd_grid, shape.length))
        totals = (exact * shape.weight + noise).astype(np.int64).tolist()
        opened.append(Opening(tuple(totals), law, state))
    return asked.conclude(DICTIONARY, opened)


def rank_error(values: Floats, found: float, q: float) -> float:
    """How far the estimate's rank is from q, as a share; 0 anywhere within a tie."""
    below, upto = float((values < found).mean()), float((values <= found).mean())
    return max(below - q, q - upto, 0.0)


@dataclass(frozen=True)
class Seen:
    """Over runs and quantiles: rank errors, share covered, width over the range."""

    errors: Floats
    covered: float
    width: float
    coarse: float

    def __str__(self) -> str:
        high = np.quantile(self.errors, 0.95)
        return (
            f"rank error {self.errors.mean():.3f} (95th percentile {high:.3f}), covered "
            f"{100 * self.covered:.1f} %, width {self.width:.4f}, coarse {100 * self.coarse:.0f} %"
        )


def measure(
    source: Source, members: int, epsilon: str, q: Sequence[str], runs: int, seed: int = 1
) -> Seen:
    asked = normalise(Quantiles(column="score", q=tuple(q)), DICTIONARY)
    assert isinstance(asked, Quantiles)
    rng, law = np.random.default_rng(seed), laws(epsilon, len(asked.shares(DICTIONARY)))
    truth = source.draw(np.array(asked.levels))
    errors, hits, widths, coarse = [], [], [], []
    for _ in range(runs):
        values = source.draw(rng.uniform(1e-12, 1, members))
        rows = search(asked, values, law, rng).rows
        for row, level, true in zip(rows, asked.levels, truth, strict=True):
            errors.append(rank_error(values, row.estimate, level))
            hits.append(row.low <= true <= row.high)
            widths.append((row.high - row.low) / 100)
            coarse.append(bool(row.note))
    return Seen(
        np.array(errors), float(np.mean(hits)), float(np.mean(widths)), float(np.mean(coarse))
    )


def histogram(source: Source, members: int, epsilon: str, bins: int, runs: int) -> Seen:
    """The median from one histogram of the same cost, read by the same estimate."""
    rng, law = np.random.default_rng(2), laws(epsilon, 1)
    sd = law.sd_grid / law.mechanism.delta_grid
    cuts = tuple(range(1, bins))
    truth = float(source.draw(np.array([0.5]))[0])
    errors, hits, widths, coarse = [], [], [], []
    for _ in range(runs):
        values = source.draw(rng.uniform(1e-12, 1, members))
        exact = np.bincount(np.minimum(values * bins / 100, bins - 1).astype(int), minlength=bins)
        found = locate(ranks([Counted(cuts, exact + rng.normal(0, sd, bins), sd)], bins), 0.5)
        low, high = (each * 100 / bins for each in (found.low, found.high))
        errors.append(rank_error(values, found.position * 100 / bins, 0.5))
        hits.append(low <= truth <= high)
        widths.append((high - low) / 100)
        coarse.append(found.coarse)
    return Seen(
        np.array(errors), float(np.mean(hits)), float(np.mean(widths)), float(np.mean(coarse))
    )


def main(runs: int = 2000) -> None:
    for source in SOURCES:
        for members in SIZES:
            for epsilon in EPSILONS:
                for q in (("0.5",), ("0.25", "0.5", "0.75")):
                    seen = measure(source, members, epsilon, q, runs)
                    print(f"{source.name}, {members}, {epsilon}, {len(q)}: {seen}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
