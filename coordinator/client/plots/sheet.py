"""What a family of charts is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.client.plots.points import Points, points_of
from coordinator.client.titles import Title, Titles, title_of
from models.result import Result

if TYPE_CHECKING:
    from altair.typing import ChartType


@dataclass(frozen=True)
class Sheet:
    """An answer with the question it answers (as JSON) and the titles of the columns."""

    answer: Result
    analysis: Mapping[str, Any]
    titles: Titles
    raw: bool = True

    def points(self, log: Iterable[str] = ()) -> Points:
        return points_of(self.answer, raw=self.raw, log=log)

    def title(self, name: str) -> Title:
        return title_of(self.titles, name)

    def of(self, part: int) -> str:
        """The title of a part of the cells, with its unit."""
        return str(self.title(self.answer.by[part]))


@dataclass(frozen=True)
class Drawing:
    """A chart, and what its subtitle says besides the study."""

    chart: ChartType
    says: tuple[str, ...] = ()
