"""A preview's line of one figure is the error of that figure, held to answers on even values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from models.aggregates.requests import (
    Analysis,
    Describe,
    MemberSummary,
    Survival,
    Variance,
    normalise,
)
from models.lines import Line, lines
from models.planner import preview
from models.rows import Rows, TableRows
from privacy.contract.dictionary import Dictionary
from tests.support.catalogue_factory import CATALOGUE, answer, by_cell
from tests.support.rows_factory import categorical, clinic, many_rows, number, one_row

MEMBERS = 3000
EVEN = Dictionary(
    tables=(
        one_row("t", number("x", ("0", "100"), ("0", "50", "100")), categorical("g", "a", "b")),
        many_rows("v", 2, number("y", ("-3", "9"))),
    )
)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Values spread evenly over their ranges, as previews assume them; two rows alike."""
    one, twice = np.arange(MEMBERS), np.repeat(np.arange(MEMBERS), 2)
    even = (one + 0.5) / MEMBERS
    members = TableRows(one, np.zeros(MEMBERS, np.int64), {"x": even * 100, "g": one % 2})
    visits = TableRows(twice, np.tile([0, 1], MEMBERS), {"y": np.repeat(even, 2) * 12 - 3})
    return Rows(EVEN, MEMBERS, {"t": members, "v": visits})


def told(analysis: Analysis, dictionary: Dictionary, members: int = MEMBERS) -> tuple[Line, ...]:
    terms = {"epsilon": "1", "delta": Fraction(1, 10**6), "nodes": 3, "margin": 1}
    planned = preview(analysis, "", dictionary, assumed_members=members, **terms)  # type: ignore[arg-type]
    return lines(planned, normalise(analysis, dictionary), dictionary)


@pytest.mark.parametrize(
    "analysis",
    [
        Variance(column="x"),
        MemberSummary(figure="mean(y)", by=("g",)),
        MemberSummary(figure="max(v.y)", range=("0", "9")),
        Describe(columns=("x", "g")),
    ],
)
def test_every_figure_has_its_own_error(rows: Rows, analysis: Analysis) -> None:
    runs = [by_cell(answer(analysis, rows, epsilon="1", seed=seed)) for seed in range(12)]
    for line in told(analysis, EVEN):
        halves = [(run[line.cell].high - run[line.cell].low) / 2 for run in runs]
        assert line.half_width is not None
        tolerance = 0.35 if "max" in str(analysis) else 0.15  # a third is clamped to one end
        assert np.median(halves) == pytest.approx(line.half_width, rel=tolerance), line.cell


def test_the_deviation_is_what_a_target_is_for() -> None:
    planned = preview(
        Variance(column="x"), "", EVEN, epsilon="1", delta=Fraction(1, 10**6), nodes=3, margin=1
    )
    assert planned.figure == "standard deviation"
    assert "standard deviation ± " in str(planned)
    found = {line.cell[0]: line for line in told(Variance(column="x"), EVEN, 1000)}
    assert found["standard deviation"].half_width == pytest.approx(planned.half_width)


def test_ratios_and_tests_have_no_error_told() -> None:
    analysis = Survival(time="x", event="g", happened="a", by=(), edges=("0", "50", "100"))
    found = {line.cell[0]: line.half_width for line in told(analysis, EVEN)}
    assert found["survival"] is not None
    assert found["median survival"] is None
    assert found["restricted mean"] is None


@pytest.mark.parametrize("analysis", CATALOGUE, ids=lambda each: each.kind)
def test_there_is_a_line_for_every_cell(analysis: Analysis) -> None:
    found = told(analysis, clinic(), 50_000)
    for line in found:
        odd = any("ratio" in part or "p-value" in part for part in line.cell)
        assert line.half_width is None or not odd
    assert any(line.half_width is not None for line in found)
