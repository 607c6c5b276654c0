"""Members over a grid of two columns, with the question's own edges where it gives any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from models.aggregates import counts
from models.aggregates.columns import cell_column, checked_cells, gridded, value_column
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.wording import words
from models.changed import changed
from models.contribution import CellCounts
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.contract.dictionary import ColumnRef, Dictionary


class Density(Request):
    """Members in each cell of a grid; declared bins (or levels) where no edges are given."""

    kind: Literal["density"] = "density"
    x: str
    y: str
    x_edges: tuple[str, ...] = ()
    y_edges: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        one, two = checked_cells(self.refs(dictionary))
        return changed(self, x=one.name, y=two.name)

    def refs(self, dictionary: Dictionary) -> tuple[ColumnRef, ColumnRef]:
        return (
            _ref(dictionary, self.x, self.x_edges),
            _ref(dictionary, self.y, self.y_edges),
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        return counts.cell_labels(self.refs(dictionary))

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts:
        return counts.contribution(self.refs(dictionary), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        return counts.estimate(self.kind, self.refs(dictionary), dictionary, totals, law)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        return counts.expected(self.refs(dictionary), law)

    def words(self) -> str:
        return f"Counts members on a grid of {words((self.x, self.y))}"

    def method(self) -> str:
        return (
            "Members were counted in public cells; the noise is the only error of a count, so "
            "its interval is that of a normal law."
        )


def _ref(dictionary: Dictionary, name: str, edges: tuple[str, ...]) -> ColumnRef:
    if edges:
        return gridded(value_column(dictionary, name), edges)
    return cell_column(dictionary, name)
