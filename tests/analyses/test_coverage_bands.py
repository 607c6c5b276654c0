"""Bands of a catalogue: public edges around what released totals say, and nothing narrower."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.aggregates.requests import parse_analysis
from models.coverage import EDGES, Band, band_of, covered, layouts
from models.dictionary_file import load_dictionary
from models.result import Estimate, Result, normal_estimate

DICTIONARY = load_dictionary(
    """
[tables.members]
key = "member"
rows = "one"
columns.region = { levels = ["north", "south"] }
columns.condition = { levels = ["als", "ms"] }
columns.age = { type = "integer", lower = 0, upper = 110 }
[tables.visits]
key = "member"
rows = "many"
max_rows_per_member = 3
columns.state = { levels = ["well", "ill"] }
""",
    "dictionary.toml",
)
LAYOUT = "members.condition"
bounds = st.floats(-1e6, 1e6, allow_nan=False)


@given(bounds, bounds)
def test_a_band_holds_the_interval_between_the_nearest_edges(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    band = band_of(low, high)
    assert band.at_least in EDGES
    assert band.at_least <= max(low, 0)
    assert not any(band.at_least < edge <= low for edge in EDGES)
    if band.below is None:
        assert high >= EDGES[-1]
    else:
        assert band.below in EDGES
        assert high < band.below
        assert not any(high < edge < band.below for edge in EDGES[1:])


@pytest.mark.parametrize(
    ("band", "words"),
    [
        (Band(0, 10), "fewer than 10"),
        (Band(1000, 3000), "1,000 to 3,000"),
        (Band(300000, None), "300,000 or more"),
    ],
)
def test_bands_in_words(band: Band, words: str) -> None:
    assert str(band) == words


def test_conditions_lie_first_and_columns_of_many_rows_lie_nowhere() -> None:
    assert layouts(DICTIONARY) == (LAYOUT, "members.region")


def _counted(by: list[str], cells: dict[tuple[str, ...], float]) -> Result:
    rows = tuple(normal_estimate(cell, value, 3.0) for cell, value in cells.items())
    return Result("count", tuple(by), rows)


def _read(analysis: dict[str, object], result: Result) -> dict[tuple[str, str], Estimate]:
    full = parse_analysis(analysis)
    found = covered(full, DICTIONARY, result, LAYOUT)
    return {(each.level, each.column): each.told for each in found}


def test_cells_of_a_level_are_added_up_with_their_noise() -> None:
    by = ["members.region", LAYOUT]
    cells = {("north", "als"): 40.0, ("north", "ms"): 7.0, ("south", "als"): 60.0}
    cells[("south", "ms")] = -2.0
    found = _read({"kind": "count", "by": by}, _counted(by, cells))
    assert found.keys() == {("als", "members.region"), ("ms", "members.region")}
    als = found["als", "members.region"]
    assert als.estimate == 100.0
    assert als.se_noise == pytest.approx(18**0.5)
    assert found["ms", "members.region"].estimate == 5.0


def test_a_count_by_the_level_alone_tells_its_members() -> None:
    result = _counted([LAYOUT], {("als",): 40.0, ("ms",): 7.0})
    found = _read({"kind": "count", "by": [LAYOUT]}, result)
    assert found["als", ""] == found["als", LAYOUT]
    assert found["ms", ""].estimate == 7.0


def test_margins_and_shares_of_a_table_are_not_counted_again() -> None:
    rows = (
        normal_estimate(("members", "als"), 40.0, 3.0),
        normal_estimate(("members", "ms"), 7.0, 3.0),
        normal_estimate(("members", "all"), 47.0, 5.0),
        normal_estimate(("share", "als"), 0.8, 0.1),
    )
    found = _read({"kind": "table", "by": [LAYOUT]}, Result("table", ("figure", "condition"), rows))
    assert found["als", ""].estimate == 40.0


@pytest.mark.parametrize(
    "analysis",
    [
        {"kind": "count", "by": ["members.region"]},
        {"kind": "count", "by": [LAYOUT, "visits.state"]},
        {"kind": "count", "by": [LAYOUT, "members.region", "visits.state"]},
        {"kind": "count"},
        {"kind": "mean", "column": "members.age"},
    ],
)
def test_what_counts_a_member_twice_or_not_by_level_tells_nothing(
    analysis: dict[str, object],
) -> None:
    assert _read(analysis, _counted([], {})) == {}
