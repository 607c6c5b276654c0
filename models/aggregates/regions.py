"""Members by region, with countries that are the sums of their regions.

A region's level begins with its country, as in ISO 3166-2: `DE-BY` is in `DE`. Regions and
countries are both released, and made consistent by least squares: with T the country's own
number, S the sum of its L regions and noise of variance tau^2 in each number, (T - S) / (L + 1)
is added to every region. Regions and countries then have noise of variance tau^2 L / (L + 1),
where a mere sum of regions would have tau^2 L.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from models.aggregates.columns import cell_column, short_name
from models.aggregates.expected import Expected, scale_of
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word
from models.changed import changed
from models.contribution import CellCounts, Rollup
from models.noise_law import NoiseLaw
from models.result import Z95, Result, normal_estimate
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

ALL = "all"
SEPARATOR = "-"


class Map(Request):
    """Members in each region, each country and all."""

    kind: Literal["map"] = "map"
    region: str

    def normalised(self, dictionary: Dictionary) -> Self:
        ref = cell_column(dictionary, self.region)
        if ref.many or not ref.column.levels:
            raise BadInput(
                f"{ref.name!r} does not place a member in one region",
                where="region",
                instead="use a categorical column of a table with one row per member",
            )
        return changed(self, region=ref.name)

    def cells(self, dictionary: Dictionary) -> Labels:
        levels = dictionary.resolve(self.region).column.levels
        return tuple((country_of(level), level) for level in levels)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Rollup:
        ref = dictionary.resolve(self.region)
        weight = scale_of(math.isqrt(delta_grid**2 // 2))
        homes = _countries(ref)
        places = {country: at for at, country in enumerate(dict.fromkeys(homes))}
        cells = CellCounts(dims=(ref,), weight=weight, max_cells=1)
        return Rollup(cells, (tuple(places[home] for home in homes),))

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        ref = dictionary.resolve(self.region)
        shape = self.contribution(dictionary, law.mechanism.delta_grid)
        tau = law.sd_grid / shape.cells.weight
        numbers = np.array(totals) / shape.cells.weight
        regions, countries = numbers[: shape.cells.length], numbers[shape.cells.length :]
        (home,) = (np.array(each) for each in shape.groups)
        sizes = np.bincount(home)
        gaps = (countries - np.bincount(home, weights=regions)) / (sizes + 1)
        fitted = regions + gaps[home]
        variances = tau**2 * sizes / (sizes + 1)
        sums = np.bincount(home, weights=fitted)
        names = list(dict.fromkeys(_countries(ref)))
        rows = [normal_estimate((ALL, ALL), float(sums.sum()), math.sqrt(float(variances.sum())))]
        for at, name in enumerate(names):
            noise = math.sqrt(float(variances[at]))
            rows.append(normal_estimate((name, ALL), float(sums[at]), noise))
        for cell, number, at in zip(self.cells(dictionary), fitted, home, strict=True):
            rows.append(normal_estimate(cell, float(number), math.sqrt(float(variances[at]))))
        missing = f"Members with {short_name(dictionary, ref)} missing are in no region."
        notes = (missing, "Countries are the sums of their regions.")
        return Result(self.kind, ("country", "region"), tuple(rows), floor=0.0, notes=notes)

    def expected(self, dictionary: Dictionary, law: NoiseLaw, members: int | None) -> Expected:
        """That of a region of the country that has the most."""
        homes = _countries(dictionary.resolve(self.region))
        most = max(homes.count(home) for home in homes)
        weight = self.contribution(dictionary, law.mechanism.delta_grid).cells.weight
        half = Z95 * law.sd_grid / weight * math.sqrt(most / (most + 1))
        return Expected(half_noise=half, half_sampling=0.0, unit="members")

    def words(self) -> str:
        return f"Counts members by {word(self.region)} and country"

    def method(self) -> str:
        return (
            "Regions and countries were counted in one release and made consistent by least "
            "squares; every country is the sum of its regions."
        )


def country_of(level: str) -> str:
    return level.split(SEPARATOR, 1)[0]


def _countries(ref: ColumnRef) -> list[str]:
    return [country_of(level) for level in ref.column.levels]
