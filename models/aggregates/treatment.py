"""A report on treatments: members who took each, and of those the share of each report.

One release of several views of one many-row table: members per treatment, and members per
treatment and level of every further column. The shares of a view are of the members of its
treatment; a member with several rows of a treatment may be in several of its levels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, short_name
from models.aggregates.expected import Expected, scale_of
from models.aggregates.request import Labels, Request
from models.aggregates.shares import Counted, share
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import CellCounts, Stack
from models.noise_law import NoiseLaw
from models.result import Z95, Estimate, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput, Code, Refused

ALL = "all"
MAX_REPORT = 10_000
View = tuple[ColumnRef, ...]


class TreatmentReport(Request):
    """Members per treatment, and per treatment and level of each of `columns`."""

    kind: Literal["treatment_report"] = "treatment_report"
    treatment: str
    columns: tuple[str, ...]

    def normalised(self, dictionary: Dictionary) -> Self:
        treatment = cell_column(dictionary, self.treatment)
        refs = tuple(cell_column(dictionary, name) for name in self.columns)
        if not refs:
            raise BadInput("a report has at least one column", where="columns")
        for ref in refs:
            if ref.table.name != treatment.table.name:
                raise BadInput(
                    f"{ref.name!r} is not in the table of {treatment.name!r}",
                    where="columns",
                    instead=f"use columns of {treatment.table.name!r}",
                )
        views = [(treatment,), *((treatment, ref) for ref in refs)]
        cells = sum(len(counts.cell_labels(checked_cells(view))) for view in views)
        if len({ref.name for ref in refs}) < len(refs):
            raise BadInput("a column stands twice", where="columns", instead="name it once")
        if cells > MAX_REPORT:
            raise Refused(Code.TOO_MANY_CELLS, cells=cells, most=MAX_REPORT)
        full = tuple(ref.name for ref in refs)
        return changed(self, treatment=treatment.name, columns=full)

    def views(self, dictionary: Dictionary) -> tuple[View, ...]:
        """The treatment alone, and with each column."""
        treatment = dictionary.resolve(self.treatment)
        return ((treatment,), *((treatment, dictionary.resolve(name)) for name in self.columns))

    def cells(self, dictionary: Dictionary) -> Labels:
        first, *others = self.views(dictionary)
        alone = [(label, ALL, ALL) for (label,) in counts.cell_labels(first)]
        named = [(short_name(dictionary, view[1]), counts.cell_labels(view)) for view in others]
        both = [(one, name, two) for name, labels in named for one, two in labels]
        return (*alone, *both)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Stack:
        """Every view at one weight: each is as precise as the others."""
        views = self.views(dictionary)
        most = [counts.cells_per_member(view) for view in views]
        weight = scale_of(math.isqrt(delta_grid**2 // sum(most)))
        parts = (CellCounts(view, weight, cap) for view, cap in zip(views, most, strict=True))
        return Stack(tuple(parts))

    def _tau(self, dictionary: Dictionary, law: NoiseLaw) -> tuple[int, float]:
        """The weight, and the noise of one number in members."""
        most = sum(counts.cells_per_member(view) for view in self.views(dictionary))
        weight = math.isqrt(law.mechanism.delta_grid**2 // most)
        return weight, law.sd_grid / weight

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        weight, tau = self._tau(dictionary, law)
        numbers = (np.array(totals) / weight).tolist()
        cells = self.cells(dictionary)
        members = tuple(
            normal_estimate(("members", *cell), number, tau)
            for cell, number in zip(cells, numbers, strict=True)
        )
        treatment = short_name(dictionary, dictionary.resolve(self.treatment))
        rows = (*members, *_shares(cells, numbers, tau))
        notes = (
            f"Shares are of the members with the {word(treatment)}; a member with several rows "
            "of it may be in several levels.",
            "Rows with a column missing are left out of that column.",
        )
        by = ("figure", treatment, "column", "level")
        return Result(self.kind, by, rows, unit="", floor=0.0, notes=notes)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        _, tau = self._tau(dictionary, law)
        return Expected(half_noise=Z95 * tau, half_sampling=0.0, unit="members")

    def words(self) -> str:
        return f"Reports on each {word(self.treatment)}: {words(self.columns)}"

    def method(self) -> str:
        return (
            "Members per treatment and per treatment and level come from one release; shares "
            "are of the members of a treatment, with score intervals that hold sampling error "
            "and noise."
        )


def _shares(cells: Labels, numbers: list[float], tau: float) -> Iterator[Estimate]:
    wholes = dict(
        itertools.takewhile(
            lambda each: each[0][1] == ALL,
            zip(cells, numbers, strict=True),
        )
    )
    for cell, number in zip(cells, numbers, strict=True):
        if cell not in wholes:
            whole = wholes[cell[0], ALL, ALL]
            yield share(("share", *cell), Counted(number, whole, tau**2, tau**2, 0.0))
