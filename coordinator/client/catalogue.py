"""What there is to ask about: variables by the levels of a column, in public bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from models.coverage import Band

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "not known"


@dataclass(frozen=True)
class Told:
    """A band, and the release (of that study, of the data of that epoch) that tells it."""

    band: Band
    release: str
    study: str
    epoch: str

    @classmethod
    def of(cls, said: Mapping[str, Any] | None) -> Self | None:
        if said is None:
            return None
        band = Band(said["at_least"], said["below"])
        return cls(band, said["release"], said["study"], said["epoch"])


@dataclass(frozen=True)
class Variable:
    """A declared column; `bands` has one for each level, None where nothing tells it.

    `countable`: a count by it and the catalogue's column would tell its bands.
    """

    name: str
    type: str
    label: str
    countable: bool
    bands: tuple[Told | None, ...]


@dataclass(frozen=True)
class Catalogue:
    """Variables by the levels of the column `by`; `members` are the bands of the levels."""

    by: str
    choices: tuple[str, ...]
    levels: tuple[str, ...]
    members: tuple[Told | None, ...]
    variables: tuple[Variable, ...]

    def named(self, text: str) -> tuple[Variable, ...]:
        """The variables with `text` in their name or label."""
        wanted = text.casefold()
        return tuple(
            each for each in self.variables if wanted in f"{each.name} {each.label}".casefold()
        )

    @property
    def table(self) -> pd.DataFrame:
        """A line for each variable, a column for each level, with bands as words."""
        import pandas as pd

        rows = [("", self.members), *((each.name, each.bands) for each in self.variables)]
        words = [
            [name, *(UNKNOWN if told is None else str(told.band) for told in bands)]
            for name, bands in rows
        ]
        return pd.DataFrame(words, columns=["variable", *self.levels])

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        return cls(
            by=said["by"],
            choices=tuple(said["choices"]),
            levels=tuple(said["levels"]),
            members=tuple(map(Told.of, said["members"])),
            variables=tuple(
                Variable(**{**each, "bands": tuple(map(Told.of, each["bands"]))})
                for each in said["variables"]
            ),
        )

    def __repr__(self) -> str:
        return f"Catalogue({len(self.variables)} variables by {self.by})"
