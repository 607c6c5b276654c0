"""Each member's many rows in one figure, then its mean and spread over members, by group.

A figure is a column of a one-row table to everything else (`models.figures.types`): a member
counts once, however many rows they have, and is in one cell of the groups.

Guarantee: coverage as of `models.aggregates.variance`, whose sums these are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from models.aggregates.columns import (
    bounds_of,
    celled,
    checked_cells,
    narrowed,
    numeric,
    short_name,
)
from models.aggregates.expected import Expected
from models.aggregates.moments import largest, sums, variable
from models.aggregates.request import Labels, Request
from models.aggregates.variance import POWERS, expected_spread, spread_rows
from models.aggregates.wording import words
from models.changed import changed
from models.contribution import Products
from models.digits import many
from models.figures.named import column_named
from models.figures.types import FigureColumn
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

FIGURES = ("mean", "standard deviation")
MOST_GROUPS = 500


class MemberSummary(Request):
    """The mean over members of one figure of each, with its standard deviation.

    `figure` is a figure's text, `share(value between 70 and 180)` for instance; `range` two
    limits within its bounds, to which it is clamped; `by` one-row columns or figures.
    """

    by_size: ClassVar[bool] = True
    kind: Literal["member_summary"] = "member_summary"
    figure: str
    by: tuple[str, ...] = ()
    range: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        found = _figure(dictionary, self.figure)
        narrowed(found, self.range)
        groups = tuple(celled(column_named(dictionary, name)) for name in self.by)
        for ref in groups:
            _one_row(ref)
        checked_cells(groups, MOST_GROUPS)
        return changed(self, figure=found.name, by=tuple(ref.name for ref in groups))

    def ref(self, dictionary: Dictionary) -> ColumnRef:
        """The figure, with the range it is clamped to for its bounds."""
        return narrowed(_figure(dictionary, self.figure), self.range)

    def groups(self, dictionary: Dictionary) -> tuple[ColumnRef, ...]:
        return tuple(column_named(dictionary, name) for name in self.by)

    def cells(self, dictionary: Dictionary) -> Labels:
        levels = (ref.column.cell_labels for ref in self.groups(dictionary))
        return tuple((figure, *group) for group in itertools.product(*levels) for figure in FIGURES)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Products:
        ref, groups = self.ref(dictionary), self.groups(dictionary)
        return largest(lambda s: Products(groups, (variable(ref, s),), s, POWERS), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        ref = self.ref(dictionary)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        found = sums(shape, totals, law)
        pairs = [spread_rows(cell, bounds_of(ref.column))[::2] for cell in found]
        rows = [row for pair in pairs for row in pair]
        labels = self.cells(dictionary)
        named = tuple(replace(row, cell=label) for row, label in zip(rows, labels, strict=True))
        names = [short_name(dictionary, each) for each in self.groups(dictionary)]
        members = max(0.0, sum(cell.count for cell in found))
        notes = [
            "Each member counts once; members whose figure is not known are left out.",
            f"About {members:,.0f} members are in the figures (a noisy count).",
        ]
        if self.range:
            notes.append(f"Figures are clamped to {self.range[0]} to {self.range[1]}.")
        if names:
            notes.append(f"Members with {' or '.join(names)} missing are in no group.")
        return Result(
            self.kind, ("figure", *names), named, unit=ref.column.unit, notes=tuple(notes)
        )

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """That of a mean, where members fall evenly into groups and over the range."""
        return self.expected_cells(dictionary, law, members)[0]

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        ref, groups = self.ref(dictionary), len(self.cells(dictionary)) // len(FIGURES)
        if members is None:
            return (None,) * len(FIGURES) * groups
        tau = law.sd_grid / self.contribution(dictionary, law.mechanism.delta_grid).scale
        among = f" evenly in {groups} groups" if groups > 1 else ""
        assumption = f"{many(members, 'member')}{among}, figures spread evenly over the range"
        return expected_spread(ref.column, tau, members / groups, assumption)[::2] * groups

    def words(self) -> str:
        groups = f", by {words(self.by)}" if self.by else ""
        return f"Estimates the mean over members of {self.figure}{groups}"

    def method(self) -> str:
        return (
            "Every member's rows became one figure, clamped to public bounds; mean and standard "
            "deviation over members come from noisy sums of its first four powers."
        )


def _figure(dictionary: Dictionary, text: str) -> FigureColumn:
    """A numeric figure; raises BadInput for a column, a level, a date and what has no bounds."""
    ref = column_named(dictionary, text)
    if not isinstance(ref, FigureColumn):
        many = f"write a figure of its rows: mean({ref.name}), last({ref.name}), …"
        raise BadInput(
            f"{ref.name!r} is no figure of a member",
            where="figure",
            instead=many if ref.many else f"ask for variance({ref.name!r}), which has the mean",
        )
    if ref.column.type is ColumnType.DATE or ref.column.levels:
        what = "a date" if ref.column.type is ColumnType.DATE else "a level, and no number"
        raise BadInput(
            f"{ref.name} is {what}",
            where="figure",
            instead="write share(column == level), count(…)",
        )
    numeric(ref)
    return ref


def _one_row(ref: ColumnRef) -> None:
    if ref.many:
        raise BadInput(
            f"{ref.name!r} has many rows per member",
            where="by",
            instead=f"group by a figure of them: last({ref.name}), any({ref.table.name}: …)",
        )
