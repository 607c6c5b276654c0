"""Members by country on a map that needs no network, and by region beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, dropped_note, short
from coordinator.client.plots.marks import BLUE, INK, NOISE_ONLY, table_of
from coordinator.client.plots.points import Point, Points
from coordinator.client.plots.sheet import Drawing, Sheet

if TYPE_CHECKING:
    from altair.typing import ChartType

    from coordinator.client.plots.outlines import Country

ALL = "all"
_WIDTH, _HEIGHT = 520, 320
_WORLD = 100.0  # degrees of longitude beyond which the whole world is shown
_LAND = "#EDEDED"
_COLOUR = alt.condition(alt.datum.whole, alt.value(INK), alt.value(BLUE))
_SHADES = ("#E3EEF7", "#5BA3CF", "#08306B")


def regions(sheet: Sheet) -> Drawing:
    """Countries shaded on a map where their codes are known; every region with its interval."""
    points = sheet.points()
    countries = points.where(lambda row: row["by0"] != ALL and row["by1"] == ALL)
    rows = _listed(points, countries)
    region = sheet.title(str(sheet.analysis.get("region", ""))).short
    look = Dots("members", (("place", region),), zero=True, colour=_COLOUR)
    listed = dot_plot(rows, look)
    note = dropped_note(rows, look)
    found = _found(countries)
    if not found:
        return Drawing(listed, (NOISE_ONLY, note))
    chart = alt.vconcat(_map(countries.rows, found), listed, spacing=20)
    lost = [row["by0"] for row in countries.rows if row["by0"] not in found]
    off = f"Not on the map: {', '.join(lost)}." if lost else ""
    return Drawing(chart, (NOISE_ONLY, off, note))


def _listed(points: Points, countries: Points) -> Points:
    """Every country, in black where its regions follow."""
    rows: list[Point] = []
    for country in countries.rows:
        own = [row for row in points.rows if row["by0"] == country["by0"] and row["by1"] != ALL]
        whole = len(own) > 1 or any(row["by1"] != row["by0"] for row in own)
        rows.append({**country, "place": country["by0"], "whole": whole})
        rows += [{**row, "place": row["by1"], "whole": False} for row in own if whole]
    return Points(tuple(rows))


def _found(countries: Points) -> Mapping[str, Country]:
    """The countries that can be drawn; none where the package with the outlines is not there."""
    if find_spec("countryinfo") is None:
        return {}
    from coordinator.client.plots import outlines

    codes = [row["by0"] for row in countries.rows]
    return {code: country for code in codes if (country := outlines.find(code)) is not None}


def _map(rows: Sequence[Point], found: Mapping[str, Country]) -> ChartType:
    from coordinator.client.plots import outlines

    box = outlines.view(found.values())
    world = box.east - box.west > _WORLD
    others = [
        country.feature(code=code)
        for code, country in outlines.countries().items()
        if code not in found and country.polygons and (world or country.box.meets(box))
    ]
    drawn = [row for row in rows if row["by0"] in found]
    shapes = [found[row["by0"]].feature(**row) for row in drawn if found[row["by0"]].polygons]
    spots = [{**row, **_spot(found[row["by0"]])} for row in drawn]
    most = max((row["estimate"] for row in drawn), default=1.0)
    layers = [
        alt.Chart(table_of(others)).mark_geoshape(
            fill=_LAND, stroke="#BBBBBB", strokeWidth=0.6, clip=True
        ),
        _shaded(shapes, most),
        *_spots(spots, most),
    ]
    if world:
        projection = alt.Projection(type="equalEarth")
    else:
        projection = _zoomed(box.west, box.south, box.east, box.north)
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, projection=projection)


def _zoomed(west: float, south: float, east: float, north: float) -> alt.Projection:
    """Mercator's projection of a box into the chart."""
    from coordinator.client.plots.outlines import mercator

    top, bottom = mercator(north), mercator(south)
    across = _WIDTH / math.radians(east - west)
    scale = min(across, _HEIGHT / (top - bottom))
    middle = math.degrees(2 * math.atan(math.exp((top + bottom) / 2)) - math.pi / 2)
    return alt.Projection(
        type="mercator",
        scale=scale,
        center=[(west + east) / 2, middle],
        translate=[_WIDTH / 2, _HEIGHT / 2],
    )


def _scale(most: float) -> alt.Scale:
    top = max(most, 1.0)
    return alt.Scale(domain=[0, top / 2, top], range=list(_SHADES), clamp=True)


def _shaded(shapes: Sequence[Mapping[str, Any]], most: float) -> alt.Chart:
    legend = alt.Legend(title="members", gradientLength=120)
    colour = alt.Color("properties.estimate:Q", scale=_scale(most), legend=legend)
    tooltip = [
        alt.Tooltip(f"properties.{name}:{kind}", title=title)
        for name, kind, title in (
            ("by0", "N", "country"),
            ("estimate", "Q", "members"),
            ("low", "Q", "95 % from"),
            ("high", "Q", "95 % to"),
        )
    ]
    base = alt.Chart(alt.InlineData(values=list(shapes)))
    return base.mark_geoshape(stroke="white", strokeWidth=0.8, clip=True).encode(
        color=colour, tooltip=tooltip
    )


def _spot(country: Country) -> dict[str, Any]:
    return {
        "longitude": country.longitude,
        "latitude": country.latitude,
        "outlined": bool(country.polygons),
    }


def _spots(spots: Sequence[Point], most: float) -> list[alt.Chart]:
    """A dot for a country without an outline, and everywhere the number of members."""
    written = [{**row, "said": f"{row['by0']} {short(row['estimate'])}"} for row in spots]
    base = alt.Chart(table_of(written))
    dots = base.transform_filter(~alt.datum.outlined).mark_circle(
        size=150, stroke="white", opacity=1, clip=True
    )
    colour = alt.Color("estimate:Q", scale=_scale(most), legend=None)
    place = {"longitude": "longitude:Q", "latitude": "latitude:Q", "text": "said:N"}
    labels = []
    for outlined, lift in ((True, 0), (False, -14)):
        chosen = base.transform_filter(alt.datum.outlined == outlined)
        look = {"fontSize": 11, "fontWeight": "bold", "dy": lift, "clip": True}
        halo = chosen.mark_text(stroke="white", strokeWidth=3, strokeOpacity=0.85, **look)
        labels += [halo.encode(**place), chosen.mark_text(color=INK, **look).encode(**place)]
    return [dots.encode(longitude="longitude:Q", latitude="latitude:Q", color=colour), *labels]
