"""Disproportionality: which drug goes with which event more often than chance, for all pairs.

Members are counted, not reports: of N members, n_d have the drug, n_e the event, and a both (in
one table of reports: in one row). One vector holds N, all n_d, all n_e and all a; since the
first three are sums over many members, they get a quarter of the weight of a pair.

    ROR = a d / (b c),  b = n_d - a,  c = n_e - a,  d = N - n_d - n_e + a
    PRR = (a / n_d) / (c / (N - n_d))
    IC  = log2 of a / E with a Gamma(1/2, 1/2) prior about 1,  E = n_d n_e / N

Intervals hold sampling and noise (`models.aggregates.noisy_rates`); what the noise of one count
does to several of a, b, c, d is added as a normal error to first order. A pair is screened by
P(count + noise >= a | rate E), and Benjamini and Hochberg's procedure over all pairs.

Source: Evans, Waller and Davis (2001); van Puijenbroek and others (2002); Norén, Hopstadius and
Bate (2013).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, short_name
from models.aggregates.expected import Expected, of_members_alone, scale_of
from models.aggregates.noisy_rates import (
    Floats,
    Interval,
    Rates,
    discoveries,
    log_ratio,
    normal_tail,
    shrunk_log_rate,
)
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word
from models.changed import changed
from models.contribution import CellCounts, Stack
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary

MARGIN = 4  # a pair weighs this many times what a margin weighs
FIGURES = ("members", "reporting odds ratio", "proportional ratio", "information component")
P_VALUE, SIGNAL = "p-value", "signal"
LIMITS = (1e-3, 1e3)  # of a ratio of which nothing is known
FALSE_DISCOVERIES = 0.05
FEW = 400.0  # expected members up to which the tail is that of a Poisson count with noise


class Disproportionality(Request):
    """For every drug and event (levels of two columns) how much more they meet than by chance."""

    kind: Literal["disproportionality"] = "disproportionality"
    drug: str
    event: str

    def normalised(self, dictionary: Dictionary) -> Self:
        drug, event = checked_cells(
            (cell_column(dictionary, self.drug), cell_column(dictionary, self.event)),
        )
        return changed(self, drug=drug.name, event=event.name)

    def refs(self, dictionary: Dictionary) -> tuple[ColumnRef, ColumnRef]:
        return dictionary.resolve(self.drug), dictionary.resolve(self.event)

    def cells(self, dictionary: Dictionary) -> Labels:
        pairs = counts.cell_labels(self.refs(dictionary))
        return tuple(
            (figure, *pair) for figure, pair in itertools.product((*FIGURES, P_VALUE), pairs)
        )

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Stack:
        drug, event = self.refs(dictionary)
        dims: tuple[tuple[ColumnRef, ...], ...] = ((), (drug,), (event,), (drug, event))
        most = [counts.cells_per_member(each) for each in dims]
        weights = (1, 1, 1, MARGIN)
        norm = sum(weight**2 * cells for weight, cells in zip(weights, most, strict=True))
        unit = scale_of(math.isqrt(delta_grid**2 // norm))
        return Stack(
            tuple(
                CellCounts(each, unit * weight, cells)
                for each, weight, cells in zip(dims, weights, most, strict=True)
            )
        )

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        screened = Screen.of(shape, totals, law.sd_grid)
        drug, event = self.refs(dictionary)
        names = short_name(dictionary, drug), short_name(dictionary, event)
        rows = figures(screened, self.cells(dictionary))
        signals = sum(row.note == SIGNAL for row in rows if row.cell[0] == P_VALUE)
        return Result(
            kind=self.kind,
            by=("figure", *names),
            rows=rows,
            unit="",
            notes=(
                "Members of the cohort are counted, each once per pair, with or without reports.",
                f"{signals:,} of {len(screened.both):,} pairs are signals, of which "
                f"{FALSE_DISCOVERIES:.0%} are expected to be false (Benjamini and Hochberg).",
            ),
        )

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        del members
        pair = self.contribution(dictionary, law.mechanism.delta_grid).parts[-1]
        noise_sd = law.sd_grid / _weight(pair)
        return Expected(Z95 * noise_sd, 0.0, "members with a pair")

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        """That of members; what ratios and p-values come to depends on the data."""
        return of_members_alone(self.expected(dictionary, law, members), self.cells(dictionary))

    def words(self) -> str:
        return f"Screens every {word(self.drug)} with every {word(self.event)}"

    def method(self) -> str:
        return (
            "Members are counted, each once per pair. Ratios have intervals of the posterior of "
            "the members behind each noisy count (Jeffreys' prior; for the information "
            "component a Gamma prior of shape and rate 1/2). Signals pass Benjamini and "
            f"Hochberg's procedure at {FALSE_DISCOVERIES:.0%} over all pairs, on p-values that "
            "hold the noise."
        )


def _weight(part: object) -> int:
    return part.weight if isinstance(part, CellCounts) else 1


@dataclass(frozen=True)
class Screen:
    """Noisy members: all, by drug and by event, and with each pair, each of shape [pairs].

    Two standard deviations of noise: of a pair's count and of the others'.
    """

    both: Floats
    drug: Floats
    event: Floats
    every: Floats
    pair_sd: float
    margin_sd: float

    @classmethod
    def of(cls, shape: Stack, totals: Sequence[int], sd_grid: float) -> Screen:
        """From the opened total of the contribution."""
        ends = np.cumsum([part.length for part in shape.parts])[:-1]
        parts = np.split(np.array(totals, dtype=np.float64), ends)
        weights = [_weight(part) for part in shape.parts]
        every, drugs, events, pairs = (
            part / weight for part, weight in zip(parts, weights, strict=True)
        )
        return cls(
            both=pairs,
            drug=np.repeat(drugs, len(events)),
            event=np.tile(events, len(drugs)),
            every=np.repeat(every, len(pairs)),
            pair_sd=sd_grid / weights[-1],
            margin_sd=sd_grid / weights[0],
        )

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Where drug, event and everybody are visible above the noise."""
        least = np.minimum(np.minimum(self.drug, self.event), self.every)
        return np.asarray(least > max(2 * self.margin_sd, 1.0))

    @cached_property
    def expected(self) -> Floats:
        """E, at least a hundredth of a member."""
        held = np.maximum(self.every, 1.0)
        product = np.maximum(self.drug, 0.0) * np.maximum(self.event, 0.0)
        return np.asarray(np.maximum(product / held, 0.01))

    @cached_property
    def log_expected_noise(self) -> Floats:
        """The noise variance of log E."""
        margins = (self.drug, self.event, self.every)
        squares = [self.margin_sd**2 / np.maximum(each, 1.0) ** 2 for each in margins]
        return np.asarray(np.minimum(np.sum(squares, axis=0), 1.0))

    def odds_ratio(self) -> tuple[Interval, Floats, Floats]:
        """The log reporting odds ratio, its sampling and its noise variance."""
        a, b, c, d = self.both, self.drug - self.both, self.event - self.both, self._neither
        pair, margin = self.pair_sd**2, self.margin_sd**2
        sds = (self.pair_sd, *(math.sqrt(pair + times * margin) for times in (1, 1, 3)))
        rates = [Rates(each, sd) for each, sd in zip((a, b, c, d), sds, strict=True)]
        inverse = [1 / np.maximum(each.seen, np.maximum(each.noise_sd, 1.0)) for each in rates]
        total, squares = np.sum(inverse, axis=0), np.sum(np.square(inverse), axis=0)
        _, of_b, of_c, of_d = inverse
        shared = pair * (total**2 - squares) + 2 * margin * of_d * (of_b + of_c)
        noise = sum(sd**2 * each**2 for sd, each in zip(sds, inverse, strict=True)) + shared
        found = log_ratio([rates[0], rates[3]], rates[1:3], np.minimum(shared, 4.0))
        return found, total, np.asarray(noise)

    @property
    def _neither(self) -> Floats:
        return np.asarray(self.every - self.drug - self.event + self.both)

    def proportional_ratio(self) -> tuple[Interval, Floats, Floats]:
        """The log proportional reporting ratio, its sampling and its noise variance."""
        pair, margin = self.pair_sd**2, self.margin_sd**2
        a = Rates(self.both, self.pair_sd)
        c = Rates(self.event - self.both, math.sqrt(pair + margin))
        with_drug = np.maximum(self.drug, 1.0)
        without = np.maximum(self.every - self.drug, 1.0)
        of_a = 1 / np.maximum(a.seen, max(a.noise_sd, 1.0))
        of_c = 1 / np.maximum(c.seen, max(c.noise_sd, 1.0))
        ratio_noise = margin * ((1 / with_drug + 1 / without) ** 2 + 1 / without**2)
        shared = 2 * pair * of_a * of_c + ratio_noise
        noise = pair * of_a**2 + (pair + margin) * of_c**2 + shared
        found = log_ratio([a], [c], np.minimum(shared, 4.0)).moved(np.log(without / with_drug))
        return found, of_a + of_c, noise

    def information(self) -> tuple[Interval, Floats, Floats]:
        """The log of the shrunk ratio to E (natural), its sampling and its noise variance."""
        rates = Rates(self.both, self.pair_sd)
        found = shrunk_log_rate(rates, self.expected, self.log_expected_noise)
        held = np.maximum(self.both, 0.0) + 0.5
        noise = (self.pair_sd / np.maximum(held, self.pair_sd)) ** 2 + self.log_expected_noise
        return found, 1 / held, noise

    def p_values(self) -> Floats:
        """Shape [pairs]: P(count + noise >= seen | rate E); nan where nothing is known."""
        variance = self.pair_sd**2 + self.expected**2 * self.log_expected_noise
        return np.array(
            [
                _tail(*line) if known else math.nan
                for known, *line in zip(
                    self.known, self.both, self.expected, np.sqrt(variance), strict=True
                )
            ]
        )


def _tail(seen: float, rate: float, noise_sd: float) -> float:
    """P(Poisson(rate) + noise >= seen)."""
    if rate > FEW:
        return normal_tail((seen - rate) / math.hypot(noise_sd, math.sqrt(rate)))
    weight, total, most = math.exp(-rate), 0.0, math.ceil(rate + 8 * math.sqrt(rate) + 12)
    for count in range(most):
        if noise_sd > 0:
            total += weight * normal_tail((seen - count) / noise_sd)
        elif count > seen - 0.5:
            total += weight
        weight *= rate / (count + 1)
    return min(total, 1.0)


def figures(screened: Screen, labels: Labels) -> tuple[Estimate, ...]:
    """Every figure of every pair, in the order of `labels`."""
    pairs = len(screened.both)
    p_values = screened.p_values()
    signals = discoveries(p_values, FALSE_DISCOVERIES)
    notes = [
        NO_INFORMATION if not known else SIGNAL if signal else ""
        for known, signal in zip(screened.known, signals, strict=True)
    ]
    columns = [labels[start : start + pairs] for start in range(0, len(labels), pairs)]
    seen = zip(columns[0], screened.both.tolist(), strict=True)
    rows = [normal_estimate(label, value, screened.pair_sd) for label, value in seen]
    logs = (screened.odds_ratio(), screened.proportional_ratio())
    for label, log in zip(columns[1:3], logs, strict=True):
        rows += _ratios(label, log, notes)
    rows += _components(columns[3], screened.information(), notes)
    rows += [
        Estimate(label, value, 0.0, 0.0, value, value, note)
        for label, value, note in zip(
            columns[4], np.nan_to_num(p_values, nan=1.0).tolist(), notes, strict=True
        )
    ]
    return tuple(rows)


def _ratios(
    labels: Labels, log: tuple[Interval, Floats, Floats], notes: Sequence[str]
) -> list[Estimate]:
    found, sampling, noise = log
    ends = [np.exp(each).tolist() for each in (found.middle, found.low, found.high)]
    errors = [np.sqrt(each).tolist() for each in (sampling, noise)]
    return [
        Estimate(label, middle, middle * of_sampling, middle * of_noise, low, high, note)
        if note != NO_INFORMATION
        else Estimate(label, 1.0, 0.0, 0.0, *LIMITS, note)
        for label, middle, low, high, of_sampling, of_noise, note in zip(
            labels, *ends, *errors, notes, strict=True
        )
    ]


def _components(
    labels: Labels, log: tuple[Interval, Floats, Floats], notes: Sequence[str]
) -> list[Estimate]:
    found, sampling, noise = log
    bit, most = math.log(2), math.log2(LIMITS[1])
    ends = [(each / bit).tolist() for each in (found.middle, found.low, found.high)]
    errors = [(np.sqrt(each) / bit).tolist() for each in (sampling, noise)]
    return [
        Estimate(label, middle, of_sampling, of_noise, low, high, note)
        if note != NO_INFORMATION
        else Estimate(label, 0.0, 0.0, 0.0, -most, most, note)
        for label, middle, low, high, of_sampling, of_noise, note in zip(
            labels, *ends, *errors, notes, strict=True
        )
    ]
