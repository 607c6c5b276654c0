"""Outlines of countries, from the package countryinfo: nothing is fetched.

Outlines are coarse (tenths of a degree) and some small countries have none; these are drawn as
dots where they lie. What they look like decides no question of who borders on whom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from countryinfo import CountryInfo, CountryNotFoundError, all_countries

Ring = list[list[float]]
_DIGITS = 2
_LEAST = 6.0  # degrees that a view shows at least
_ROOM = 0.25  # of the view, around the countries


@dataclass(frozen=True)
class Country:
    """A country by its two letters, where it lies, and its outline as rings of polygons."""

    code: str
    name: str
    longitude: float
    latitude: float
    polygons: tuple[tuple[Ring, ...], ...]

    @property
    def box(self) -> Box:
        """Of the largest polygon: land far away does not stretch the view."""
        boxes = [Box.of(polygon[0]) for polygon in self.polygons]
        return max(boxes, key=lambda box: box.area) if boxes else self.place

    @property
    def place(self) -> Box:
        return Box(self.longitude, self.latitude, self.longitude, self.latitude)

    def feature(self, **said: Any) -> dict[str, Any]:
        """The outline as GeoJSON, with `said` for its properties."""
        shape = {"type": "MultiPolygon", "coordinates": [list(each) for each in self.polygons]}
        return {"type": "Feature", "geometry": shape, "properties": said}


@dataclass(frozen=True)
class Box:
    """West, south, east and north, in degrees."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, ring: Ring) -> Box:
        across, up = [point[0] for point in ring], [point[1] for point in ring]
        return cls(min(across), min(up), max(across), max(up))

    @property
    def area(self) -> float:
        return (self.east - self.west) * (self.north - self.south)

    def meets(self, other: Box) -> bool:
        across = self.west < other.east and other.west < self.east
        return across and self.south < other.north and other.south < self.north


@cache
def countries() -> dict[str, Country]:
    """Every country that lies somewhere, by its ISO 3166-1 code."""
    read = (_country(info) for info in all_countries())
    return {country.code: country for country in read if country is not None}


def find(code: str) -> Country | None:
    """The country of a code of two letters, if it is one."""
    return countries().get(code)


def _country(info: CountryInfo) -> Country | None:
    try:
        code, (latitude, longitude) = info.iso(2), info.latlng()
        name, shapes = info.name(), info.geo_json()
    except (CountryNotFoundError, KeyError, TypeError, ValueError):
        return None
    polygons = tuple(_polygons(shapes)) if code != "AQ" else ()
    return Country(str(code), str(name), float(longitude), float(latitude), polygons)


def _polygons(shapes: Any) -> Iterator[tuple[Ring, ...]]:
    for feature in (shapes or {}).get("features", ()):
        shape = feature["geometry"]
        many = shape["type"] == "MultiPolygon"
        for polygon in shape["coordinates"] if many else [shape["coordinates"]]:
            yield tuple(_ring(ring, hole=at > 0) for at, ring in enumerate(polygon))


def _ring(ring: Sequence[Sequence[float]], *, hole: bool) -> Ring:
    """Rounded, and clockwise around land: the other way round it is the rest of the Earth."""
    kept = [[round(each, _DIGITS) for each in point] for point in ring]
    turned = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(kept))
    return kept if (turned < 0) != hole else kept[::-1]


def view(chosen: Iterable[Country]) -> Box:
    """A box around some countries with room to breathe, of at least some degrees."""
    boxes = [country.box for country in chosen]
    west, east = min(box.west for box in boxes), max(box.east for box in boxes)
    south, north = min(box.south for box in boxes), max(box.north for box in boxes)
    across = max(_LEAST, (east - west) * (1 + _ROOM)) / 2
    up = max(_LEAST, (north - south) * (1 + _ROOM)) / 2
    middle, centre = (west + east) / 2, (south + north) / 2
    return Box(middle - across, max(centre - up, -60.0), middle + across, min(centre + up, 80.0))


def mercator(latitude: float) -> float:
    """How far up a latitude lies on Mercator's map, in radians."""
    return math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
