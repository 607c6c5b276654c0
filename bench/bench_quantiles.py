"""Quantiles by search in rounds: rank error and coverage, beside one-shot histograms.

Members are drawn from known distributions and counted in the very bins that the analysis
asks for; every round's total gets the noise of the product's own mechanism (10 nodes, 2 in the
margin). Only the sampler is replaced: at a share of 2^20 grid units a rounded normal draw
cannot be told from the exact one. Run as `python -m bench.bench_quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.aggregates.quantiles import Quantiles
from models.aggregates.rank_search import Ranks, locate
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
LEAST = 93.0
TARGET = 0.05  # rank error of the median of 500 members at epsilon 1


@dataclass(frozen=True)
class Source:
    """A law of scores in [0, 100]; `draw` inverts its distribution function."""

    name: str
    draw: Callable[[Floats], Floats]


def _skewed(u: Floats) -> Floats:
    return np.asarray(np.minimum(-12 * np.log1p(-u), 100.0))


def _logistic(u: Floats, centre: float, scale: float) -> Floats:
    inside = np.clip(u, 1e-9, 1 - 1e-9)
    return np.asarray(np.clip(centre + scale * np.log(inside / (1 - inside)), 0, 100))


def _narrow(u: Floats) -> Floats:
    return _logistic(u, 30, 0.5)


def _two_groups(u: Floats) -> Floats:
    low = np.minimum(_logistic(u / 0.55, 20, 3), 50)
    high = np.maximum(_logistic((u - 0.55) / 0.45, 80, 3), 50)
    return np.asarray(np.where(u < 0.55, low, high))


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
    """Over runs and quantiles: rank errors, share covered in percent, width over the range."""

    errors: Floats
    covered: float
    width: float


def measure(
    source: Source, members: int, epsilon: str, q: Sequence[str], runs: int, seed: int = 1
) -> Seen:
    """The search as the product makes it."""
    asked = normalise(Quantiles(column="score", q=tuple(q)), DICTIONARY)
    assert isinstance(asked, Quantiles)
    rng, law = np.random.default_rng(seed), laws(epsilon, len(asked.shares(DICTIONARY)))
    truth = source.draw(np.array(asked.levels))
    errors, hits, widths = [], [], []
    for _ in range(runs):
        values = source.draw(rng.uniform(1e-12, 1, members))
        rows = search(asked, values, law, rng).rows
        for row, level, true in zip(rows, asked.levels, truth, strict=True):
            errors.append(rank_error(values, row.estimate, level))
            hits.append(row.low <= true <= row.high)
            widths.append((row.high - row.low) / 100)
    return Seen(np.array(errors), 100 * float(np.mean(hits)), float(np.mean(widths)))


def histogram(source: Source, members: int, epsilon: str, bins: int, runs: int) -> Floats:
    """Rank errors of the median of one histogram of the same cost, read by the same estimate."""
    rng, law = np.random.default_rng(2), laws(epsilon, 1)
    sd = law.sd_grid / law.mechanism.delta_grid
    cuts, places = tuple(range(1, bins)), np.arange(1.0, bins + 1)
    spread = sd * sd * np.minimum(places, places[:, None])
    errors = []
    for _ in range(runs):
        values = source.draw(rng.uniform(1e-12, 1, members))
        exact = np.bincount(np.minimum(values * bins / 100, bins - 1).astype(int), minlength=bins)
        below = np.cumsum(exact + rng.normal(0, sd, bins))
        found = locate(Ranks(cuts, bins, below, spread), 0.5)
        errors.append(rank_error(values, found.position * 100 / bins, 0.5))
    return np.array(errors)


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rank errors and coverage of every combination; `quick` takes fewer of both."""
    runs = 200 if quick else 2000
    rows = [*_against_histograms(runs // 10)]
    for source in SOURCES[:2] if quick else SOURCES:
        for members in SIZES:
            for epsilon in EPSILONS:
                rows += _case(source, members, epsilon, runs)
    return rows


def _case(source: Source, members: int, epsilon: str, runs: int) -> Iterator[dict[str, Any]]:
    for q in (("0.5",), ("0.25", "0.5", "0.75")):
        seen = measure(source, members, epsilon, q, runs)
        what = "median" if len(q) == 1 else "quartiles"
        label = f"{what} ({source.name}), n = {members}, epsilon = {epsilon}"
        wanted = members == 500 and epsilon == "1"
        mean, high = float(seen.errors.mean()), float(np.quantile(seen.errors, 0.95))
        row = {"what": f"rank error: {label}", "value": mean, "unit": f"(95 % below {high:.3f})"}
        yield row | ({"target": f"<= {TARGET}", "ok": mean <= TARGET} if wanted else {})
        floor = LEAST - 300 * math.sqrt(0.05 * 0.95 / (runs * len(q)))
        yield {
            "what": f"coverage: {label}",
            "value": round(seen.covered, 1),
            "unit": f"% (width {seen.width:.4f} of the range)",
            "target": "at least 93, within 3 Monte-Carlo errors",
            "ok": seen.covered >= floor,
        }


def _against_histograms(runs: int) -> Iterator[dict[str, Any]]:
    for source in SOURCES:
        for bins in (64, 256, 1024):
            errors = histogram(source, 500, "1", bins, runs)
            label = f"histogram of {bins} ({source.name}), n = 500, epsilon = 1"
            yield {"what": f"rank error: {label}", "value": float(errors.mean())}


def main() -> None:
    for row in run():
        print(row, flush=True)


if __name__ == "__main__":
    main()
