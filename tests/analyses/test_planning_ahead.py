"""What a preview advises: the least epsilon, a coarser grouping, no absurd plan, every cell."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest

from models.aggregates.requests import (
    Analysis,
    Count,
    Density,
    Disproportionality,
    Histogram,
    Map,
    Mean,
    Prevalence,
    Survival,
    Table,
    Top,
    Variance,
    normalise,
)
from models.coarser import halved
from models.lines import lines
from models.mock import mock_run
from models.planner import Preview, preview
from privacy.errors import BadInput, Code, Refused
from tests.support.rows_factory import clinic
from tests.support.seeded import seeded_entropy

DELTA = Fraction(1, 10**6)


def see(
    analysis: Analysis, epsilon: str = "", target: str = "", members: int | None = None
) -> Preview:
    return preview(
        analysis,
        "",
        clinic(),
        epsilon=epsilon,
        target_error=target,
        delta=DELTA,
        nodes=3,
        margin=1,
        assumed_members=members,
    )


@pytest.mark.parametrize("target", ["0.3", "7", "250", "0.01"])
@pytest.mark.parametrize(
    "analysis",
    [
        Count(),
        Table(by=("condition", "sex")),
        Top(column="symptom", k=2),
        Mean(column="age"),
        Variance(column="age"),
        Prevalence(column="condition", by=("sex",)),
        Survival(time="age", event="smoker", edges=("0", "30", "60", "110")),
    ],
)
def test_the_epsilon_found_is_the_least_of_three_digits(analysis: Analysis, target: str) -> None:
    best = see(analysis, epsilon="1000000", members=2000).half_width
    if best is None or best > float(target):  # sampling alone is more
        with pytest.raises(Refused, match="out_of_reach"):
            see(analysis, target=target, members=2000)
        return
    found = see(analysis, target=target, members=2000)
    assert found.half_width is not None
    assert found.half_width <= float(target)
    assert found.target_error == float(target)
    digits = Decimal(found.epsilon)
    assert len(digits.as_tuple().digits) <= 3 or digits == digits.to_integral()
    lower = digits - Decimal(1).scaleb(digits.adjusted() - 2)
    missed = see(analysis, epsilon=format(lower, "f"), members=2000).half_width
    assert missed is None or missed > float(target)


def test_sampling_alone_may_exceed_the_target() -> None:
    with pytest.raises(Refused) as refused:
        see(Mean(column="age"), target="0.5", members=500)
    assert refused.value.code is Code.OUT_OF_REACH
    fields = refused.value.public_fields
    assert fields["members"] == 500
    assert fields["sampling"] == pytest.approx(1.96 * 110 / math.sqrt(12 * 500), rel=0.01)


@pytest.mark.parametrize("target", ["0", "-1", "nan", "inf", "x", "", "1e400", "³"])
def test_a_target_is_a_number_above_0(target: str) -> None:
    with pytest.raises(BadInput):
        see(Count(), target=target)


def test_either_epsilon_or_a_target() -> None:
    for both in ({"epsilon": "1", "target": "3"}, {}):
        with pytest.raises(BadInput, match="either epsilon or a target"):
            see(Count(), **both)


def test_wider_bins_are_told_better_than_finer_ones_added_up() -> None:
    seen = see(Histogram(column="age"), epsilon="1")
    (wider,) = seen.coarser
    assert wider.words == "with age in 2 bins instead of 4"
    assert wider.half_width == seen.half_width
    assert wider.instead == pytest.approx(wider.half_width * math.sqrt(2))
    assert "instead of ± 15.4 for 2 cells added up" in str(seen)


def test_a_column_dropped_is_the_sum_of_its_levels() -> None:
    seen = see(Table(by=("condition", "sex")), epsilon="1")
    without = {each.words: each for each in seen.coarser}
    assert set(without) == {"without condition", "without sex"}
    assert without["without condition"].merged == 3
    assert without["without condition"].instead == pytest.approx(
        without["without condition"].half_width * math.sqrt(3)
    )


def test_fewer_groups_have_less_noise_in_their_shares() -> None:
    seen = see(Prevalence(column="condition", by=("sex",)), epsilon="0.5", members=1000)
    (whole,) = seen.coarser
    assert whole.words == "without sex"
    alone = see(Prevalence(column="condition"), epsilon="0.5", members=1000)
    assert whole.half_width == alone.half_width
    assert whole.instead == seen.half_width
    assert whole.noise_share == pytest.approx(alone.noise_share)
    assert whole.noise_share_instead == pytest.approx(seen.noise_share)
    assert f"noise {whole.noise_share:.0%} of the variance instead of" in str(seen)


def test_own_edges_are_halved_and_keep_their_ends() -> None:
    assert halved(("0", "1", "2", "3")) == ("0", "2", "3")
    assert halved(("0", "1", "2", "3", "4")) == ("0", "2", "4")
    grid = Density(x="age", y="change", x_edges=("0", "30", "60", "110"), y_edges=("-20", "5"))
    (wider,) = see(grid, epsilon="1").coarser
    assert wider.words == "with age in 2 intervals instead of 3"


def test_nothing_coarser_is_offered_where_there_is_nothing() -> None:
    for analysis in (Count(), Mean(column="age"), Top(column="symptom", k=2)):
        assert see(analysis, epsilon="1").coarser == ()


def test_more_groups_than_members_are_refused_if_nobody_is_told_from_nobody() -> None:
    many = Count(by=("condition", "sex", "age", "smoker"))  # 48 cells
    with pytest.raises(Refused) as refused:
        see(many, epsilon="1", members=40)
    assert refused.value.code is Code.TOO_MANY_CELLS
    assert refused.value.public_fields["cells"] == 48
    assert refused.value.public_fields["members"] == 40
    assert see(many, epsilon="1", members=48).members_per_cell == 1
    assert see(many, epsilon="1").members_per_cell is None
    assert see(many, epsilon="1000000", members=40).half_width is not None
    shares = Prevalence(column="smoker", by=("condition", "sex", "age"))
    with pytest.raises(Refused):
        see(shares, epsilon="1", members=20)


def test_a_search_for_the_few_among_many_is_not_absurd() -> None:
    pairs = Disproportionality(drug="drug", event="symptom")
    for analysis in (pairs, Top(column="drug", k=2)):
        seen = see(analysis, epsilon="1", members=2)
        assert seen.groups is None
        assert seen.members_per_cell is None


def test_a_table_is_previewed_margin_by_margin_as_it_is_answered() -> None:
    _as_answered(Table(by=("condition", "sex")), "members")


def test_a_map_is_previewed_region_by_region_as_it_is_answered() -> None:
    _as_answered(Map(region="condition"), "")


def _as_answered(asked: Analysis, figure: str) -> None:
    analysis = normalise(asked, clinic())
    seen = see(analysis, epsilon="1", members=600)
    result = mock_run(
        analysis,
        "",
        clinic(),
        epsilon="1",
        delta=DELTA,
        nodes=3,
        margin=1,
        entropy=seeded_entropy(4),
    )
    told = {
        row.cell[1:] if figure else row.cell: (row.high - row.low) / 2
        for row in result.rows
        if not figure or row.cell[0] == figure
    }
    found = {each.cell: each for each in lines(seen, analysis, clinic())}
    assert set(found) == set(told)
    for cell, half in told.items():
        assert found[cell].half_width == pytest.approx(half), cell
    assert found[("all", "all")].members == pytest.approx(600)


def test_other_cells_have_the_error_of_the_preview() -> None:
    seen = see(Prevalence(column="condition", by=("sex",)), epsilon="1", members=500)
    found = lines(seen, normalise(Prevalence(column="condition", by=("sex",)), clinic()), clinic())
    assert len(found) == 6
    assert {each.half_width for each in found} == {seen.half_width}
    assert {each.noise_share for each in found} == {seen.noise_share}
    assert {each.members for each in found} == {250}
    lost = see(Mean(column="age"), epsilon="0.1", members=20)
    (line,) = lines(lost, normalise(Mean(column="age"), clinic()), clinic())
    assert (line.half_width, line.noise_share) == (None, None)


def test_it_all_travels_as_json() -> None:
    seen = see(Table(by=("condition", "sex")), target="12", members=900)
    assert Preview.from_json(json.loads(json.dumps(seen.to_json()))) == seen
    broken = {**seen.to_json(), "coarser": [{"words": "x"}]}
    with pytest.raises(BadInput):
        Preview.from_json(broken)
