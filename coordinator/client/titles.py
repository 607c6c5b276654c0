"""What a dictionary says of its columns, for the axes of a chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.aggregates.columns import short_name
from models.aggregates.wording import word
from privacy.contract.dictionary import Dictionary


@dataclass(frozen=True)
class Title:
    """A column in words: its label where one is declared, and its unit."""

    words: str
    unit: str = ""
    name: str = ""

    @property
    def short(self) -> str:
        """The bare name with its unit, where a label would be long."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def __str__(self) -> str:
        said = set(self.words.lower().split())  # "points lost per month" says its unit, "" is said
        return self.words if said.issuperset(self.unit.lower().split()) else self._with_unit

    @property
    def _with_unit(self) -> str:
        return f"{self.words} ({self.unit})"


Titles = Mapping[str, Title]
"""From a column's name, in full and as results have it, to its title."""


def titles_of(dictionary: Dictionary) -> Titles:
    """A title for every column that a result may name."""
    found: dict[str, Title] = {}
    for full, ref in dictionary.refs.items():
        column = ref.column
        title = Title(column.label or word(column.name), column.unit, word(column.name))
        found[full] = found[short_name(dictionary, ref)] = title
    return found


def title_of(titles: Titles, name: str) -> Title:
    """The title of a column, from its name alone where the dictionary is not at hand."""
    return titles.get(name) or Title(word(name), "", word(name))
