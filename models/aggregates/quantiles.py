"""Quantiles of one bounded column, by a search in rounds.

Every round counts members between public cut points, so a member is in one cell of a partition
and moves the round's total by a norm of 1, wherever the cuts are. The cuts of a round are a
function of what the rounds before it opened (`models.aggregates.rank_search`).

Guarantee: coverage as stated in `docs/analyses.md`, measured by `bench.bench_quantiles`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import ClassVar, Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import numeric, short_name
from models.aggregates.expected import Expected
from models.aggregates.rank_search import (
    LEVELS,
    Counted,
    Located,
    Ranks,
    first_cuts,
    locate,
    next_cuts,
    ranks,
)
from models.aggregates.request import Labels, Request
from models.aggregates.value_grid import ValueGrid, value_grid
from models.aggregates.wording import joined, word
from models.changed import changed
from models.contribution import CellCounts
from models.figures.named import column_named
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import NO_INFORMATION, Z95, Estimate, Result
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

ROUNDS, SEARCHING = 6, 4
MOST = 9
MEDIAN = "0.5"
_COARSE = "as near as the search came"
_POOLED = 3  # rounds' worth of counts that stand near a quantile in the end
_MAX_STATE = 4096


class Quantiles(Request):
    """The values below which given shares of the population lie; each member counts once.

    `q` holds one to nine different shares between 0 and 1, as decimal text.
    """

    by_size: ClassVar[bool] = True
    kind: Literal["quantiles"] = "quantiles"
    column: str
    q: tuple[str, ...] = (MEDIAN,)

    def normalised(self, dictionary: Dictionary) -> Self:
        ref = numeric(column_named(dictionary, self.column))
        if ref.many:
            raise BadInput(
                f"{ref.name!r} has many rows per member",
                instead=f"ask of a figure of them: mean({ref.name}), last({ref.name}), …",
            )
        value_grid(ref)
        return changed(self, column=ref.name, q=_shares(self.q))

    def cells(self, dictionary: Dictionary) -> Labels:
        return tuple((each,) for each in self.q)

    @property
    def levels(self) -> tuple[float, ...]:
        return tuple(map(float, self.q))

    def grid(self, dictionary: Dictionary) -> ValueGrid:
        return value_grid(column_named(dictionary, self.column))

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        return (1,) * ROUNDS

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        return self._cuts(dictionary) + 1

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        """The cut points, as places on the column's public grid; none are told at first."""
        if not opened:
            return b""
        found = self.ranks(dictionary, opened)
        closing = len(opened) >= SEARCHING
        cuts = next_cuts(found, self.levels, self._cuts(dictionary), closing)
        return canonical_bytes(list(cuts))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return self.contribution_at(dictionary, delta_grid, 0, b"")

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> CellCounts:
        ref = self.grid(dictionary).cut(self.cuts(dictionary, state))
        return counts.contribution((ref,), delta_grid)

    def cuts(self, dictionary: Dictionary, state: bytes) -> tuple[int, ...]:
        """The cut points that a state names; evenly spread for b"". Raises BadInput."""
        number, steps = self._cuts(dictionary), self.grid(dictionary).steps
        if not state:
            return first_cuts(number, steps)
        cuts = parse_canonical(state, max_bytes=_MAX_STATE)
        if not isinstance(cuts, list) or not all(type(cut) is int for cut in cuts):
            raise BadInput("cut points are whole numbers", where="state")
        if len(cuts) != number or any(low >= high for low, high in pairwise([0, *cuts, steps])):
            raise BadInput(f"not {number} ascending cut points of {steps} steps", where="state")
        return tuple(cuts)

    def ranks(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Ranks:
        """What the openings tell of the members below every cut."""
        rounds = []
        for each in opened:
            weight = self.contribution(dictionary, each.law.mechanism.delta_grid).weight
            members = np.array(each.totals, dtype=np.float64) / weight
            cuts = self.cuts(dictionary, each.state)
            rounds.append(Counted(cuts, members, each.law.sd_grid / weight))
        return ranks(rounds, self.grid(dictionary).steps)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        """What the first round alone tells."""
        return self.conclude(dictionary, (Opening(tuple(totals), law),))

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        found, grid = self.ranks(dictionary, opened), self.grid(dictionary)
        rows = tuple(
            _row(name, grid, locate(found, q)) for name, q in zip(self.q, self.levels, strict=True)
        )
        column = grid.ref.column
        notes = [
            f"Members without a value of {short_name(dictionary, grid.ref)} are left out.",
            f"About {max(0.0, float(found.below[-1])):,.0f} members have a value (a noisy count).",
        ]
        bounds = grid.low(0), grid.high(grid.steps)
        return Result(
            kind=self.kind,
            by=("quantile",),
            rows=rows,
            unit=column.unit,
            floor=bounds[0],
            ceiling=bounds[1],
            notes=tuple(notes),
        )

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of the quantile nearest to the median, where values spread evenly over the range."""
        if members is None:
            return None
        grid = self.grid(dictionary)
        q = min(self.levels, key=lambda each: abs(each - 0.5))
        sd = law.sd_grid / self.contribution(dictionary, law.mechanism.delta_grid).weight
        noise = Z95 * sd / math.sqrt(_POOLED)
        sampling = Z95 * math.sqrt(members * q * (1 - q))
        unit = float(grid.step) * grid.steps / members
        assumption = f"{members:,} members, values spread evenly over the declared range"
        if noise > members * min(q, 1 - q):
            return Expected(math.inf, math.inf, grid.ref.column.unit, assumption)
        return Expected(noise * unit, sampling * unit, grid.ref.column.unit, assumption)

    def words(self) -> str:
        if self.q == (MEDIAN,):
            return f"Estimates the median of {word(self.column)}"
        many = "quantiles" if len(self.q) > 1 else "quantile"
        return f"Estimates the {many} {joined(self.q, 'and')} of {word(self.column)}"

    def method(self) -> str:
        return (
            f"Quantiles were searched in {ROUNDS} rounds: each counted members between cut points "
            "chosen from the noisy counts before it. All counts were combined by least squares; "
            "the interval holds every value whose rank may be the quantile's, given sampling "
            "error and noise."
        )

    def _cuts(self, dictionary: Dictionary) -> int:
        """Cut points of a round: as many as the grid has room for, at most three a quantile."""
        return min(len(LEVELS) * len(self.q), self.grid(dictionary).steps - 1)


def _row(name: str, grid: ValueGrid, found: Located) -> Estimate:
    low, high = grid.low(found.low), grid.high(found.high)
    spread = grid.value(found.high) - grid.value(found.low)
    noise_share = found.noise / (found.noise + found.sampling)
    nothing = found.low <= 0 and found.high >= grid.steps
    return Estimate(
        cell=(name,),
        estimate=min(max(grid.low(found.position), low), high),
        se_sampling=spread / (2 * Z95) * math.sqrt(1 - noise_share),
        se_noise=spread / (2 * Z95) * math.sqrt(noise_share),
        low=low,
        high=high,
        note=NO_INFORMATION if nothing else _COARSE if found.coarse else "",
    )


def _shares(written: tuple[str, ...]) -> tuple[str, ...]:
    """Shares between 0 and 1 as plain decimal text, in the order written. Raises BadInput."""
    if not 1 <= len(written) <= MOST:
        raise BadInput(f"quantiles are 1 to {MOST} shares", where="q", instead="write q=[0.5]")
    plain = tuple(map(_share, written))
    if len(set(plain)) < len(plain):
        raise BadInput("a quantile stands twice", where="q", instead="name it once")
    return plain


def _share(text: str) -> str:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal("nan")
    if not (share.is_finite() and 0 < share < 1) or not 0 < float(share) < 1:
        raise BadInput(
            f"{text!r} is no share between 0 and 1", where="q", instead="0.5 is the median"
        )
    return format(share.normalize(), "f")
