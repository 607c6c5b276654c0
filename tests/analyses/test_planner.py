"""A preview names price and error before anything is spent, and keeps its word."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from models.aggregates.requests import Analysis, Count, Histogram, Mean, Sum
from models.mock import mock_rows, mock_run
from models.planner import Preview, preview
from models.result import Z95
from privacy.errors import BadInput
from tests.support.rows_factory import ANALYSES, clinic
from tests.support.seeded import seeded_entropy

DELTA = Fraction(1, 10**6)


def see(analysis: Analysis, epsilon: str = "1", **more: int | None) -> Preview:
    members = more.get("members")
    return preview(
        analysis,
        "age >= 18",
        clinic(),
        epsilon=epsilon,
        delta=DELTA,
        nodes=3,
        margin=1,
        memberships=more.get("memberships") or 1,
        assumed_members=members,
    )


@pytest.mark.parametrize("analysis", [each for each in ANALYSES if not each.by_size])
def test_the_half_width_is_that_of_the_answer(analysis: Analysis) -> None:
    promised = see(analysis)
    result = mock_run(
        analysis,
        "age >= 18",
        clinic(),
        epsilon="1",
        delta=DELTA,
        nodes=3,
        margin=1,
        entropy=seeded_entropy(1),
    )
    assert promised.cells == len(result.rows)
    for row in result.rows:
        assert promised.half_width == pytest.approx((row.high - row.low) / 2)


def test_the_mean_needs_a_size_and_states_it() -> None:
    unknown = see(Mean(column="age"))
    said = see(Mean(column="age"), members=1000)
    assert unknown == replace(said, members=None)
    assert "1,000 members" in str(unknown)
    few = see(Mean(column="age"), epsilon="0.1", members=60)
    assert few.half_width is None
    assert "no information" in str(few)
    known = see(Mean(column="age"), members=800)
    assert "800 members" in known.assumption
    assert known.half_noise is not None
    assert known.half_sampling is not None
    assert known.half_sampling == pytest.approx(Z95 * 110 / np.sqrt(12 * 800), rel=0.01)


def test_the_mean_comes_out_as_promised() -> None:
    rows = mock_rows(clinic(), members=800, seed=2)
    rng = np.random.default_rng(8)
    rows.tables["members"].values["age"][:] = rng.uniform(0, 110, 800)
    promised = preview(
        Mean(column="age"),
        "",
        clinic(),
        epsilon="1",
        delta=DELTA,
        nodes=3,
        margin=1,
        assumed_members=800,
    )
    (row,) = mock_run(
        Mean(column="age"),
        "",
        clinic(),
        epsilon="1",
        delta=DELTA,
        nodes=3,
        margin=1,
        entropy=seeded_entropy(2),
        rows=rows,
    ).rows
    assert promised.half_width == pytest.approx((row.high - row.low) / 2, rel=0.1)


def test_memberships_are_charged_by_their_square() -> None:
    one, two = see(Count(), epsilon="3"), see(Count(), epsilon="3", memberships=2)
    assert one.epsilon_charged == pytest.approx(3.0, rel=1e-6)
    assert one.epsilon_charged <= 3.0
    assert two.epsilon_charged == pytest.approx(6.53, abs=0.01)
    assert float(Fraction(two.rho)) == pytest.approx(4 * float(Fraction(one.rho)), rel=1e-6)
    assert one.half_width == two.half_width


def test_it_warns_where_noise_dominates() -> None:
    assert "noise is larger than a cell" in str(see(Count(by=("condition", "sex")), members=30))
    assert see(Count(by=("condition", "sex")), members=3000).notes == ()
    assert "% of the variance" in str(see(Mean(column="age"), members=100))
    assert see(Mean(column="age"), epsilon="100", members=1000).notes == ()
    assert see(Sum(column="age"), members=100).notes == ()


def test_it_reads_as_aligned_text_and_travels_as_json() -> None:
    seen = replace(see(Count(by=("condition",))), answering=("north", "south"))
    lines = str(seen).splitlines()
    assert lines[0] == "Counts members by condition, among members with age at least 18"
    assert len({line[13] != " " and line[12] == " " for line in lines[1:]}) == 1
    assert "± 10.9 members" in lines[2]
    assert "north, south" in str(seen)
    assert Preview.from_json(json.loads(json.dumps(seen.to_json()))) == seen
    with pytest.raises(BadInput):
        Preview.from_json({"sentence": "x"})


def test_what_would_be_refused_is_refused_here() -> None:
    with pytest.raises(BadInput):
        see(Histogram(column="height"))
    with pytest.raises(BadInput):
        see(Count(), epsilon="0")
    with pytest.raises(BadInput):
        see(Count(), members=0)
