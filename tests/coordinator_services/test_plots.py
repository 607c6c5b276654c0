"""Charts of every analysis: they validate, hold the table's own numbers, and need no network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import vl_convert

from coordinator.client.mock import MockBackend, MockSource
from coordinator.client.plots.draw import FAMILIES
from coordinator.client.plots.outlines import countries, find, view
from coordinator.client.plots.points import points_of, sampling_part
from coordinator.client.question import Question
from coordinator.client.result import Result
from coordinator.client.study import Study
from coordinator.client.titles import Title, titles_of
from coordinator.study_file import load_study_file
from deploy import lung
from deploy.in_process import example_study
from models.dictionary_file import load_dictionary
from models.result import NO_INFORMATION, Estimate
from models.result import Result as Answer
from tests.support.seeded import seeded_entropy

WORLD = """
[tables.members]
key = "member"
rows = "one"

[tables.members.columns.home]
type = "categorical"
levels = ["DE-BY", "DE-BE", "FR-IDF", "FR-ARA", "IT", "HU", "XX"]
label = "where a member lives"

[tables.members.columns.relapses]
type = "integer"
lower = 0
upper = 20

[tables.members.columns.years]
type = "number"
lower = 0
upper = 30
unit = "years"

[tables.members.columns.age]
type = "integer"
lower = 18
upper = 90
bins = [18, 40, 60, 90]
unit = "years"

[tables.members.columns.code]
type = "categorical"
levels = [LEVELS]
""".replace("LEVELS", ", ".join(f'"code {number}"' for number in range(120)))


def study_of(dictionary_text: str, members: int) -> Study:
    dictionary = load_dictionary(dictionary_text, "dictionary.toml")
    file = load_study_file(lung.STUDY, "study.toml", date(2026, 1, 1))
    facts = file.study_facts(dictionary.digest, ())[0]
    return Study(
        facts.id, MockSource(MockBackend(facts, dictionary, members, 1, seeded_entropy("plots")))
    )


def questions() -> Iterator[tuple[str, Question]]:
    study = example_study(entropy=seeded_entropy("example"))
    als = study.where("condition == 'als' and age >= 18")
    yield "count", study.count()
    yield "count by", als.count(by="treatment")
    yield "count by two", study.count(by=["condition", "treatment"])
    yield "count in panels", study.count(by=["treatment", "purpose"])
    yield "histogram", als.histogram("age")
    yield "mean", als.mean("alsfrs_r_loss")
    yield "sum", study.sum("age")
    yield "table", study.table("condition")
    yield "table of three", study.table(["condition", "sex", "region"])
    yield "prevalence", study.prevalence("symptom", by="condition")
    yield "variance", als.variance("alsfrs_r_loss")
    yield "describe", als.describe("age", "sex", "alsfrs_r_loss")
    yield "quantiles", als.quantiles("alsfrs_r_loss", [0.25, 0.5, 0.75])
    yield "member_summary", als.member_summary("alsfrs_r_visit", "slope", clip=[-3, 1])
    lithium = "any(treatments: treatment == 'lithium')"
    index = "first(outcomes.months: months >= 9)"
    yield "compare", als.compare("alsfrs_r_visit", lithium, index, slopes=[-3, 1])
    yield "glm", study.glm("phq9 ~ age + C(sex) + C(condition)", members=5000)
    yield "ordinal", study.glm("condition ~ age", "ordinal", way="gram")
    slopes = {"lower": -3, "upper": 1}
    yield "progression", als.progression("alsfrs_r_visit", "months", "age + sex", **slopes)
    yield "effect", als.effect("alsfrs_r_loss", lithium, "age + sex", members=1500)
    yield "correlation", als.correlation("age", "alsfrs_r", "alsfrs_r_loss")
    yield "correlation of two", als.correlation("age", "alsfrs_r")
    yield "density", als.density("age", "alsfrs_r_loss")
    yield "map without codes", study.map("region")
    yield "top", als.top("symptom", 11, cap=3)
    yield "report", study.treatment_report("treatment", ["purpose", "stop_reason"])
    yield "screen", study.disproportionality("treatment", "side_effect")
    yield "associations", study.associations(["sex", "condition"], ["region", "age"])
    claim = ("sex", "male", "condition", "als", "above")
    yield "claims", study.associations(claims=[claim])
    network = study.train("mlp", outcome="sex", features=["age", "condition"], rounds=2, widths=[4])
    yield "train", network
    yield "train of levels", study.train(outcome="condition", features=["age"], rounds=1)
    yield "train of an amount", study.train(outcome="age", features=["sex"], rounds=1, by="sex")
    yield "evaluate", study.evaluate(network.run(epsilon=3), by="condition")
    patients = study_of(lung.DICTIONARY, 600)
    asked = ("survival_days", "status")
    grid = [0, 91, 183, 365, 730]
    yield "survival", patients.survival(*asked, happened="died", by="sex", grid=grid)
    yield "survival of all", patients.survival(*asked, happened="died")
    yield "survival in panels", patients.survival(*asked, happened="died", by="ecog", grid=grid)
    yield "cox", patients.cox(*asked, "age + sex", happened="died", grid=grid)
    world = study_of(WORLD, 2000)
    yield "map", world.map("home")
    yield "incidence", world.incidence("relapses", "years", "age", weights=[0.3, 0.5, 0.2], per=100)
    yield "many", world.count(by="code")
    yield "many ranks", world.top("code", 120)


Charts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def answered() -> dict[str, Result]:
    return {name: question.run(epsilon=1) for name, question in questions()}


@pytest.fixture(scope="module")
def charts(answered: dict[str, Result]) -> Charts:
    """Every chart as Vega-Lite; making one checks it against the schema."""
    return {name: result.plot().to_dict() for name, result in answered.items()}


NAMES = [name for name, _ in questions()]


def rows_in(spec: Any) -> Iterator[dict[str, Any]]:
    """Every row of data anywhere in a chart; of outlines, their properties."""
    for part in _parts(spec):
        if "row" in part and "estimate" in part:
            yield part


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    match value:
        case dict():
            yield value
            for each in value.values():
                yield from _parts(each)
        case list():
            for each in value:
                yield from _parts(each)
        case _:
            pass


def title_lines(spec: dict[str, Any]) -> str:
    return " ".join([*spec["title"]["text"], *spec["title"]["subtitle"]])


def test_every_family_of_charts_is_looked_at(answered: dict[str, Result]) -> None:
    assert {result.answer.kind for result in answered.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_renders_without_a_network(charts: Charts, name: str) -> None:
    spec = {part: value for part, value in charts[name].items() if part != "$schema"}
    assert "usermeta" not in spec
    assert not re.search(r'https?:|"url"', json.dumps(spec))
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    assert svg.rstrip().endswith("</svg>")
    assert "NaN" not in svg


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_holds_the_numbers_of_the_table(
    answered: dict[str, Result], charts: Charts, name: str
) -> None:
    table = answered[name].table
    drawn = list(rows_in(charts[name]))
    assert drawn
    for row in drawn:
        line = table.iloc[row["row"]]
        assert row["estimate"] == line["estimate"]
        for end in ("low", "high"):
            assert row[end] == line[end] or (row[end] is None and not row["known"])
        assert row["known"] == (line.get("note", "") != NO_INFORMATION)


@pytest.mark.parametrize("name", NAMES)
def test_titles_are_the_question_and_its_price_alone(
    answered: dict[str, Result], charts: Charts, name: str
) -> None:
    result = answered[name]
    said = title_lines(charts[name])
    assert result.asked.sentence in said
    assert "MADE-UP MEMBERS" in said
    assert "epsilon 1 at delta 1e-06" in said
    rest = said.replace(result.asked.sentence, "")
    for row in result.answer.rows:  # no released number stands in words
        number = f"{row.estimate:.4g}"
        assert len(number) < 4 or number not in rest


def test_every_row_of_a_small_answer_is_drawn(answered: dict[str, Result], charts: Charts) -> None:
    for name in ("count by two", "prevalence", "density", "histogram", "variance", "correlation"):
        drawn = {row["row"] for row in rows_in(charts[name])}
        assert drawn == set(range(len(answered[name].answer.rows))), name


def test_of_many_rows_the_largest_are_drawn_and_the_chart_says_so(
    answered: dict[str, Result], charts: Charts
) -> None:
    result, spec = answered["many"], charts["many"]
    drawn = {row["row"] for row in rows_in(spec)}
    assert drawn == set(result.table["estimate"].nlargest(60).index)
    assert "The 60 largest of 120; all are in the table." in title_lines(spec)


def answer(*rows: Estimate, kind: str = "count") -> Answer:
    return Answer(kind, ("group",), rows, floor=0.0)


def drawn_from(result: Result, answered: Answer, *, raw: bool = True) -> list[dict[str, Any]]:
    chart = replace(result, answer=answered).plot(raw=raw)
    assert vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])
    return list(rows_in(chart.to_dict()))


def test_raw_shows_what_is_below_zero_and_display_clips_it(answered: dict[str, Result]) -> None:
    below = answer(Estimate(("a",), -7.3, 0.0, 4.0, -15.14, 0.54))
    (row, *_) = drawn_from(answered["count by"], below)
    assert (row["estimate"], row["low"], row["high"]) == (-7.3, -15.14, 0.54)
    (row, *_) = drawn_from(answered["count by"], below, raw=False)
    assert (row["estimate"], row["low"], row["high"]) == (0.0, 0.0, 1.0)


def test_rows_without_information_have_no_interval_and_are_told(
    answered: dict[str, Result],
) -> None:
    hidden = Estimate(("a",), 1.0, 0.0, 0.0, 1e-300, 1e300, NO_INFORMATION)
    rows = drawn_from(answered["count by"], answer(hidden, replace(hidden, cell=("b",))))
    assert all(row["low"] is None and row["high"] is None for row in rows)
    chart = replace(answered["count by"], answer=answer(hidden)).plot()
    assert "no information" in vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])


def test_pairs_that_noise_hides_are_counted(answered: dict[str, Result]) -> None:
    result = answered["screen"]
    rows = tuple(
        replace(row, note=NO_INFORMATION) if row.cell[0] != "members" else row
        for row in result.answer.rows
    )
    chart = replace(result, answer=replace(result.answer, rows=rows)).plot().to_dict()
    assert "Of 110 pairs noise hides everything" in title_lines(chart)
    assert vl_convert.vegalite_to_svg(chart, allowed_base_urls=[])


def test_an_answer_without_rows_and_of_an_unknown_kind_is_drawn(
    answered: dict[str, Result],
) -> None:
    assert drawn_from(answered["count by"], answer()) == []
    newer = Answer("newer", ("figure", "group"), (Estimate(("a", "b"), 1, 0.1, 0.2, 0.5, 1.5),))
    (row, *_) = drawn_from(answered["count by"], newer)
    assert row["estimate"] == 1


def test_sampling_is_the_inner_part_of_the_interval() -> None:
    row = Estimate((), 10.0, 3.0, 4.0, 0.0, 25.0)
    assert sampling_part(row) == (10 - 10 * 0.6, 10 + 15 * 0.6)
    assert sampling_part(replace(row, se_sampling=0.0)) == (10.0, 10.0)
    low, high = sampling_part(Estimate((), 2.0, 3.0, 4.0, 0.5, 8.0), log=True)
    assert (low, high) == pytest.approx((2 * 0.25**0.6, 2 * 4**0.6))
    # of an estimate beyond its own interval, as that of a share below zero, none sticks out
    low, high = sampling_part(Estimate((), -0.1, 3.0, 4.0, 0.0, 0.2))
    assert (low, high) == (0.0, pytest.approx(0.08))


def test_ratios_have_a_log_axis_and_a_line_at_one(charts: Charts) -> None:
    for name in ("screen", "associations", "claims", "survival"):
        spec = json.dumps(charts[name])
        assert '"type": "log"' in spec, name
        assert '{"at": 1.0}' in spec, name


def test_a_drawn_curve_is_at_one_half_where_the_median_is(
    answered: dict[str, Result], charts: Charts
) -> None:
    """Straight within a bin, as the median and the restricted mean take it."""
    assert "interpolate" not in json.dumps(charts["survival"])
    rows = answered["survival"].answer.rows
    for group in ("female", "male"):
        curve = [row for row in rows if row.cell[:2] == ("survival", group)]
        times = [0.0, *(float(row.cell[2]) for row in curve)]
        heights = [1.0, *(row.estimate for row in curve)]
        told = next(r for r in rows if r.cell[0].startswith("median") and r.cell[1] == group)
        drawn = np.interp(-0.5, [-height for height in heights], times)
        assert told.note or told.estimate == pytest.approx(drawn, abs=1e-6)


def test_axes_have_the_dictionary_s_titles_and_units(
    answered: dict[str, Result], charts: Charts
) -> None:
    assert "age (years)" in json.dumps(charts["histogram"])
    spec = json.dumps(charts["mean"])
    assert "mean of ALSFRS-R points lost per month (people with ALS)" in spec
    assert "(points per month)" not in spec  # the label says it
    assert "relapses per 100 years" in json.dumps(charts["incidence"])
    untitled = replace(answered["mean"], titles=dict).plot().to_dict()
    assert "mean of alsfrs r loss (points per month)" in json.dumps(untitled)


def test_a_title_says_its_unit_once() -> None:
    assert str(Title("points lost per month", "points per month")) == "points lost per month"
    assert str(Title("age", "years")) == "age (years)"
    assert str(Title("sex")) == "sex"
    titles = titles_of(load_dictionary(WORLD, "d"))
    assert titles["home"] == titles["members.home"] == Title("where a member lives", "", "home")


def test_a_map_draws_outlines_and_places_what_has_none(charts: Charts) -> None:
    spec = charts["map"]
    shaded = [
        part["properties"]
        for part in _parts(spec)
        if part.get("type") == "Feature" and "estimate" in part["properties"]
    ]
    assert {each["by0"] for each in shaded} == {"DE", "FR", "IT"}
    spots = {
        part["by0"]: part["outlined"]
        for part in _parts(spec)
        if "longitude" in part and "row" in part
    }
    assert spots == {"DE": True, "FR": True, "IT": True, "HU": False}
    assert "Not on the map: XX." in title_lines(spec)
    assert "Feature" not in json.dumps(charts["map without codes"])


def test_land_lies_inside_its_outline() -> None:
    """A ring the wrong way round would be the rest of the Earth: areas are those of land."""
    for country in countries().values():
        for polygon in country.polygons:
            outer, *holes = polygon
            assert turn(outer) < 0
            assert all(turn(hole) > 0 for hole in holes)
    france = find("FR")
    assert france is not None
    box = view([france])  # French Guiana does not stretch it
    assert -12 < box.west < -5
    assert 8 < box.east < 14


def turn(ring: list[list[float]]) -> float:
    """Twice the signed area: below 0 for a ring that goes clockwise."""
    return sum(
        (b[0] - a[0]) * (b[1] + a[1]) * -1 for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
    )


def test_a_preview_is_drawn_with_its_parts() -> None:
    study = example_study(entropy=seeded_entropy("preview"))
    preview = study.mean("age").preview(epsilon=1, members=500)
    spec = preview.plot().to_dict()
    halves = {part["part"]: part["high"] for part in _parts(spec) if "part" in part}
    assert halves == {
        "95 % interval": preview.half_width,
        "from sampling": preview.planned.half_sampling,
        "from the privacy noise": preview.planned.half_noise,
    }
    assert vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    hidden = study.mean("age").preview(epsilon=0.01, members=20).plot().to_dict()
    assert "no information" in json.dumps(hidden)


def test_points_are_the_rows_of_the_answer(answered: dict[str, Result]) -> None:
    result = answered["prevalence"]
    points = points_of(result.answer, raw=True)
    assert [row["label"] for row in points.rows[:2]] == ["als, fatigue", "als, muscle_weakness"]
    assert points.levels("by0") == ["als", "ms", "mood"]
    assert len(points.largest(5).rows) == 5
    assert points.largest(5).dropped == len(points.rows) - 5


def test_the_client_does_not_import_altair() -> None:
    code = (
        "import sys, coordinator.client, coordinator.cli.researcher; "
        "sys.exit(any(name in sys.modules for name in ('altair', 'vl_convert', 'countryinfo')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "figure", "title"),
    [
        ("glm", "coefficient", "coefficient (points)"),
        ("ordinal", "coefficient", "coefficient (log odds of a higher level)"),
        ("progression", "coefficient", "coefficient (points per month)"),
        ("cox", "hazard ratio", "hazard ratio (log axis)"),
    ],
)
def test_a_forest_has_a_line_where_there_is_no_effect(
    charts: Charts, answered: dict[str, Result], name: str, figure: str, title: str
) -> None:
    spec = charts[name]
    drawn = {row["by1"] for row in rows_in(spec)}
    table = answered[name].table
    terms = set(table[table.figure == figure].term)
    assert drawn == {each for each in terms if each != "Intercept" and " | " not in each}
    assert {row["by0"] for row in rows_in(spec)} == {figure}
    assert {"at": 1.0 if name == "cox" else 0.0} in list(_parts(spec))
    assert title in json.dumps(spec)
    assert ('"type": "log"' in json.dumps(spec)) == (name == "cox")
    assert ("in the table" in title_lines(spec)) == (name != "cox")
