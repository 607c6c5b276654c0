"""An association scan: many exposures with many outcomes, each in a table of its own.

A member is in one cell of every table, so a vector of T tables has sensitivity sqrt(T): one
price, shared evenly. In each table every level of the exposure (of two levels, the second)
is set against all others, and so for the outcome: four counts a, b, c, d, sums of disjoint
noisy cells. The odds ratio a d / (b c) has the interval of `models.aggregates.noisy_rates`; it
is tested by the score U = (a d - b c) / N, whose variance is the hypergeometric one plus that of
the noise: to first order, and to second where noise meets noise.

A scan notes what passes Benjamini and Hochberg's procedure over all pairs. A list of claims
made elsewhere is tested claim by claim, in the claimed direction, in no more tables than it
needs.

Source: Mantel and Haenszel (1959) for the score; Benjamini and Hochberg (1995).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.aggregates.columns import MAX_CELLS, cell_column, checked_cells, short_name
from models.aggregates.expected import Expected, of_members_alone, scale_of
from models.aggregates.noisy_rates import Floats, Rates, discoveries, log_ratio, normal_tail
from models.aggregates.request import Labels, Request
from models.aggregates.wording import words
from models.changed import changed
from models.contribution import CellCounts, Stack
from models.noise_law import NoiseLaw
from models.result import NO_INFORMATION, Z95, Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput, Code, Refused

MEMBERS, RATIO, P_VALUE = "members", "odds ratio", "p-value"
ASSOCIATED, REPLICATED, BY_CHANCE = "associated", "replicated", "replicated by chance"
BY = ("figure", "exposure", "exposed", "outcome", "happened")
MAX_TABLES = 1000
LIMITS = (1e-3, 1e3)  # of an odds ratio of which nothing is known
LEVEL = 0.05
VISIBLE = 2.0  # members on every side, in standard deviations of their noise

Tables = tuple[tuple[str, str], ...]


class Claim(Fact):
    """An association found elsewhere: `exposed` members have `happened` more often, or less."""

    exposure: str
    exposed: str
    outcome: str
    happened: str
    direction: Literal["above", "below"] = "above"


class Associations(Request):
    """Odds ratios of all `exposures` with all `outcomes`, or of `claims` alone."""

    kind: Literal["associations"] = "associations"
    exposures: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        scan = bool(self.exposures) and bool(self.outcomes)
        if bool(self.claims) == scan or bool(self.exposures) != bool(self.outcomes):
            raise BadInput(
                "associations are of exposures and outcomes, or of claims",
                instead="write exposures=[…] and outcomes=[…], or claims=[…]",
            )
        found = changed(
            self,
            exposures=tuple(_one_row(dictionary, name).name for name in self.exposures),
            outcomes=tuple(_one_row(dictionary, name).name for name in self.outcomes),
            claims=tuple(_claim(dictionary, claim) for claim in self.claims),
        )
        _check_tables(found, dictionary)
        return found

    @property
    def tables(self) -> Tables:
        """The pairs of columns, each once."""
        if self.claims:
            pairs = [(claim.exposure, claim.outcome) for claim in self.claims]
        else:
            pairs = [(first, second) for first in self.exposures for second in self.outcomes]
        return tuple(dict.fromkeys(pairs))

    def pairs(self, dictionary: Dictionary) -> tuple[Pair, ...]:
        """What is told, in order: every pair of levels, or the claims."""
        places = {table: at for at, table in enumerate(self.tables)}
        if self.claims:
            return tuple(
                _pair(places[claim.exposure, claim.outcome], dictionary, claim)
                for claim in self.claims
            )
        return tuple(
            pair
            for (first, second), at in places.items()
            for pair in _scan(at, dictionary, first, second)
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        pairs = self.pairs(dictionary)
        told = [(figure, *pair.label) for figure in (MEMBERS, RATIO, P_VALUE) for pair in pairs]
        whole = [(figure, "", "", "", "") for figure in (REPLICATED, BY_CHANCE) if self.claims]
        return (*told, *whole)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Stack:
        weight = scale_of(math.isqrt(delta_grid**2 // len(self.tables)))
        resolved = [tuple(map(dictionary.resolve, table)) for table in self.tables]
        return Stack(tuple(CellCounts(dims, weight, max_cells=1) for dims in resolved))

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        weight = self._weight(dictionary, law)
        pairs = self.pairs(dictionary)
        fours = Fours.of(pairs, self._counted(dictionary, totals, weight), law.sd_grid / weight)
        rows = figures(fours, self.cells(dictionary), [claim.direction for claim in self.claims])
        notes = ["Members with the exposure or the outcome missing are not in its table."]
        if not self.claims:
            found = sum(row.note == ASSOCIATED for row in rows if row.cell[0] == P_VALUE)
            notes.append(
                f"{found:,} of {len(pairs):,} pairs are associated, of which {LEVEL:.0%} are "
                "expected to be false (Benjamini and Hochberg)."
            )
        return Result(self.kind, BY, rows, unit="", floor=0.0, notes=tuple(notes))

    def _weight(self, dictionary: Dictionary, law: NoiseLaw) -> int:
        parts = self.contribution(dictionary, law.mechanism.delta_grid).parts
        return next(part.weight for part in parts if isinstance(part, CellCounts))

    def _counted(self, dictionary: Dictionary, totals: Sequence[int], weight: int) -> list[Floats]:
        """Noisy members in every table, shape [levels of exposure, levels of outcome] each."""
        values, start, found = np.array(totals, dtype=np.float64) / weight, 0, []
        for table in self.tables:
            sizes = [len(dictionary.resolve(name).column.cell_labels) for name in table]
            end = start + math.prod(sizes)
            found.append(values[start:end].reshape(sizes))
            start = end
        return found

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        del members
        noise_sd = law.sd_grid / self._weight(dictionary, law)
        return Expected(Z95 * noise_sd, 0.0, "members in a cell")

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        """That of members; what ratios and p-values come to depends on the data."""
        return of_members_alone(self.expected(dictionary, law, members), self.cells(dictionary))

    def words(self) -> str:
        if self.claims:
            tables = "1 table" if len(self.tables) == 1 else f"{len(self.tables)} tables"
            return f"Tests {len(self.claims)} claimed associations in {tables}"
        if len(self.exposures) + len(self.outcomes) > 8:
            sizes = f"{len(self.exposures)} exposures with {len(self.outcomes)} outcomes"
            return f"Tests the association of {sizes}"
        return f"Tests the association of {words(self.exposures)} with {words(self.outcomes)}"

    def method(self) -> str:
        if self.claims:
            rule = f"Each claim is tested in its own direction at {LEVEL:.0%}."
        else:
            rule = f"Pairs are corrected by Benjamini and Hochberg's procedure at {LEVEL:.0%}."
        return (
            "Odds ratios have intervals of the posterior of the members behind each noisy count "
            "(Jeffreys' prior) and score tests whose variance holds the noise. " + rule
        )


@dataclass(frozen=True)
class Pair:
    """A level of an exposure and one of an outcome, by their places, in the table `table`."""

    table: int
    exposed: int
    happened: int
    label: tuple[str, str, str, str]


def _one_row(dictionary: Dictionary, name: str) -> ColumnRef:
    ref = cell_column(dictionary, name)
    if ref.many:
        raise BadInput(
            f"{ref.name!r} has many rows per member",
            instead="disproportionality takes columns of tables with many rows per member",
        )
    return ref


def _claim(dictionary: Dictionary, claim: Claim) -> Claim:
    first, second = _one_row(dictionary, claim.exposure), _one_row(dictionary, claim.outcome)
    for ref, level in ((first, claim.exposed), (second, claim.happened)):
        if level not in ref.column.cell_labels:
            raise BadInput(
                f"{ref.name!r} has no level {level!r}",
                where="claims",
                instead="write one of " + ", ".join(ref.column.cell_labels),
            )
    return changed(claim, exposure=first.name, outcome=second.name)


def _check_tables(asked: Associations, dictionary: Dictionary) -> None:
    if len(asked.tables) > MAX_TABLES:
        raise Refused(Code.TOO_MANY_CELLS, cells=len(asked.tables), most=MAX_TABLES)
    for names in (asked.exposures, asked.outcomes):
        if len(set(names)) < len(names):
            raise BadInput("a column stands twice", instead="name a column once")
    if len(set(asked.claims)) < len(asked.claims):
        raise BadInput("a claim stands twice", where="claims", instead="write a claim once")
    length = 0
    for table in asked.tables:
        refs = checked_cells(tuple(map(dictionary.resolve, table)))
        length += math.prod(len(ref.column.cell_labels) for ref in refs)
    if length > MAX_CELLS:
        raise Refused(Code.TOO_MANY_CELLS, cells=length, most=MAX_CELLS)


def _pair(table: int, dictionary: Dictionary, claim: Claim) -> Pair:
    first, second = dictionary.resolve(claim.exposure), dictionary.resolve(claim.outcome)
    return Pair(
        table=table,
        exposed=first.column.cell_labels.index(claim.exposed),
        happened=second.column.cell_labels.index(claim.happened),
        label=(
            short_name(dictionary, first),
            claim.exposed,
            short_name(dictionary, second),
            claim.happened,
        ),
    )


def _scan(table: int, dictionary: Dictionary, first: str, second: str) -> Iterator[Pair]:
    """Every level against all others; of two, the second alone."""
    levels = [dictionary.resolve(name).column.cell_labels for name in (first, second)]
    kept = [each[1:] if len(each) == 2 else each for each in levels]
    for exposed in kept[0]:
        for happened in kept[1]:
            claim = Claim(exposure=first, exposed=exposed, outcome=second, happened=happened)
            yield _pair(table, dictionary, claim)


@dataclass(frozen=True, eq=False)
class Fours:
    """Noisy counts of every pair, shape [4, pairs]: both, exposure alone, outcome alone, neither.

    `noise_sds` has the same shape.
    """

    seen: Floats
    noise_sds: Floats

    @classmethod
    def of(cls, pairs: Sequence[Pair], tables: Sequence[Floats], noise_sd: float) -> Fours:
        seen, cells = [], []
        for pair in pairs:
            table = tables[pair.table]
            row, column = table[pair.exposed].sum(), table[:, pair.happened].sum()
            both = table[pair.exposed, pair.happened]
            seen.append((both, row - both, column - both, table.sum() - row - column + both))
            others = table.shape[0] - 1, table.shape[1] - 1
            cells.append((1, others[1], others[0], others[0] * others[1]))
        return cls(np.array(seen).T, noise_sd * np.sqrt(np.array(cells, dtype=np.float64)).T)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where members are visible with and without exposure, and with and without outcome."""
        sides = ((0, 1), (2, 3), (0, 2), (1, 3))
        clear = [
            self.seen[first] + self.seen[second]
            > np.maximum(VISIBLE * np.hypot(self.noise_sds[first], self.noise_sds[second]), 1.0)
            for first, second in sides
        ]
        return np.asarray(np.logical_and.reduce(clear))

    def score(self) -> Floats:
        """Shape [pairs]: U over its standard deviation, standard normal without association."""
        a, b, c, d = self.seen
        every = np.maximum(self.seen.sum(axis=0), 2.0)
        score = (a * d - b * c) / every
        slopes = np.array([d - score, c + score, b + score, a - score]) / every
        noise = (self.noise_sds**2 * slopes**2).sum(axis=0)
        of_a, of_b, of_c, of_d = self.noise_sds**2
        noise += (of_a * of_d + of_b * of_c) / every**2
        sides = [np.maximum(each, 0.0) for each in (a + b, c + d, a + c, b + d)]
        sampling = np.prod(sides, axis=0) / (every**2 * (every - 1))
        return np.asarray(score / np.sqrt(np.maximum(sampling + noise, 1e-12)))

    def log_odds_ratios(self) -> tuple[Floats, Floats, Floats]:
        """Median and ends of the 95 % interval, each [pairs]; pairs of like noise together."""
        found = np.empty((3, self.seen.shape[1]))
        kinds, which = np.unique(self.noise_sds, axis=1, return_inverse=True)
        for place, sds in enumerate(kinds.T):
            chosen = np.flatnonzero(which.ravel() == place)
            a, b, c, d = (
                Rates(seen[chosen], float(sd)) for seen, sd in zip(self.seen, sds, strict=True)
            )
            ratio = log_ratio([a, d], [b, c], np.zeros(len(chosen)))
            found[:, chosen] = ratio.middle, ratio.low, ratio.high
        return found[0], found[1], found[2]

    def log_variances(self) -> tuple[Floats, Floats]:
        """Sampling and noise variance of the log odds ratio to first order, each [pairs]."""
        inverse = 1 / np.maximum(self.seen, np.maximum(self.noise_sds, 1.0))
        return inverse.sum(axis=0), (self.noise_sds**2 * inverse**2).sum(axis=0)


def figures(fours: Fours, labels: Labels, directions: Sequence[str]) -> tuple[Estimate, ...]:
    """Every figure of every pair, in the order of `labels`; with directions, of claims."""
    pairs = fours.seen.shape[1]
    p_values = np.where(fours.known, _p_values(fours.score(), directions), math.nan)
    notes = _notes(fours, p_values, directions)
    rows = [
        normal_estimate(label, seen, sd)
        for label, seen, sd in zip(
            labels, fours.seen[0].tolist(), fours.noise_sds[0].tolist(), strict=False
        )
    ]
    rows += _ratios(fours, labels[pairs : 2 * pairs], notes)
    exact = zip(labels[2 * pairs :], np.nan_to_num(p_values, nan=1.0).tolist(), notes, strict=False)
    rows += [Estimate(label, value, 0.0, 0.0, value, value, note) for label, value, note in exact]
    if directions:
        tested = int(fours.known.sum())
        for label, count in zip(
            labels[3 * pairs :], (notes.count(REPLICATED), LEVEL * tested), strict=True
        ):
            note = f"of {tested} claims tested at {LEVEL:.0%}"
            rows.append(Estimate(label, float(count), 0.0, 0.0, float(count), float(count), note))
    return tuple(rows)


def _p_values(scores: Floats, directions: Sequence[str]) -> Floats:
    """Two-sided, or one-sided in the claimed direction."""
    if not directions:
        return np.array([2 * normal_tail(abs(score)) for score in scores])
    signs = [1 if direction == "above" else -1 for direction in directions]
    return np.array([normal_tail(sign * each) for sign, each in zip(signs, scores, strict=True)])


def _notes(fours: Fours, p_values: Floats, directions: Sequence[str]) -> list[str]:
    if directions:
        found, word, other = p_values < LEVEL, REPLICATED, "not replicated"
    else:
        found, word, other = discoveries(p_values, LEVEL), ASSOCIATED, ""
    return [
        NO_INFORMATION if not known else word if kept else other
        for known, kept in zip(fours.known, found, strict=True)
    ]


def _ratios(fours: Fours, labels: Labels, notes: Sequence[str]) -> list[Estimate]:
    ends = [np.exp(each).tolist() for each in fours.log_odds_ratios()]
    errors = [np.sqrt(each).tolist() for each in fours.log_variances()]
    return [
        Estimate(label, middle, middle * sampling, middle * noise, low, high, note)
        if note != NO_INFORMATION
        else Estimate(label, 1.0, 0.0, 0.0, *LIMITS, note)
        for label, middle, low, high, sampling, noise, note in zip(
            labels, *ends, *errors, notes, strict=True
        )
    ]
