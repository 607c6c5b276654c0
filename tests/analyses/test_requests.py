"""What may be asked: parsed strictly, resolved against the dictionary, refused before spending."""

from __future__ import annotations

from typing import Any

import pytest

from models.aggregates.catalogue import cells, contribution, estimate
from models.aggregates.requests import (
    KINDS,
    Analysis,
    Count,
    Histogram,
    Mean,
    Sum,
    normalise,
    parse_analysis,
)
from models.contribution import BoundedValue
from models.noise_law import NoiseLaw
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum
from tests.support.rows_factory import ANALYSES, categorical, clinic, number, one_row


@pytest.mark.parametrize("analysis", ANALYSES)
def test_json_reads_back(analysis: Analysis) -> None:
    assert parse_analysis(analysis.to_json()) == analysis
    assert analysis.kind in KINDS


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"kind": "median", "column": "age"}, "analysis.kind"),
        ({"column": "age"}, "analysis.kind"),
        ({"kind": ["count"]}, "analysis.kind"),
        ("count", "analysis"),
        ({"kind": "mean"}, "column"),
        ({"kind": "mean", "column": "age", "clip": 3}, "clip"),
        ({"kind": "count", "by": "age"}, "by"),
        ({"kind": "sum", "column": 3}, "column"),
        ({"kind": "count", "by": [1.5]}, ""),
    ],
)
def test_other_json_is_refused_naming_the_field(value: Any, part: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_analysis(value)
    assert part in caught.value.where


def test_columns_get_their_full_names_in_the_order_asked() -> None:
    asked = Count(by=("sex", "symptoms.symptom", "condition"))
    found = normalise(asked, clinic())
    assert found == Count(by=("members.sex", "symptoms.symptom", "members.condition"))
    assert normalise(found, clinic()) == found
    assert cells(found, clinic())[:3] == (
        ("f", "pain", "als"),
        ("f", "pain", "ms"),
        ("f", "pain", "mood"),
    )


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Count(by=("agee",)), "did you mean 'age'"),
        (Histogram(column="height"), "declare bins"),
        (Count(by=("dose",)), "declare bins"),
        (Count(by=("story",)), "text column"),
        (Count(by=("email",)), "identifier"),
        (Histogram(column="born"), "date column"),
        (Mean(column="height"), "declare lower and upper"),
        (Sum(column="dose"), "declare lower and upper"),
        (Mean(column="smoker"), "count(by='smoker')"),
        (Sum(column="condition"), "count(by='condition')"),
        (Mean(column="story"), "no mean or sum"),
        (Sum(column="born"), "no mean or sum"),
        (Mean(column="email"), "identifier"),
        (Count(by=("age", "members.age")), "stands twice"),
    ],
)
def test_what_does_not_fit_says_what_to_write(analysis: Analysis, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(analysis, clinic())
    assert words in str(caught.value)


def test_a_range_without_width_is_refused() -> None:
    flat = Dictionary(tables=(one_row("t", number("x", ("3", "3"))),))
    for analysis in (Mean(column="x"), Sum(column="x")):
        with pytest.raises(BadInput, match="not below"):
            normalise(analysis, flat)


def test_too_many_cells_are_refused() -> None:
    levels = [f"{i}" for i in range(60)]
    columns = [categorical(name, *levels) for name in "abc"]
    wide = Dictionary(tables=(one_row("t", *columns),))
    assert len(cells(normalise(Count(by=("a", "b")), wide), wide)) == 3600
    with pytest.raises(Refused) as caught:
        normalise(Count(by=("a", "b", "c")), wide)
    assert caught.value.code is Code.TOO_MANY_CELLS
    assert caught.value.public_fields == {"cells": 216_000, "most": 100_000}


def test_an_epsilon_that_carries_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="too small"):
        contribution(normalise(Mean(column="age"), clinic()), clinic(), 1)


def test_a_sum_over_many_rows_loses_nothing_to_rounding_that_noise_does_not_cover() -> None:
    """One grid step of a member is far below the noise, however many rows are declared."""
    shape = contribution(normalise(Sum(column="severity"), clinic()), clinic(), 20_000)
    assert isinstance(shape, BoundedValue)
    assert shape.scale == 20_000


def test_a_total_of_another_length_is_refused() -> None:
    law = NoiseLaw(GaussianSum(delta_grid=1000, nodes=3, margin=1), survivors=3)
    for analysis, totals in ((Count(), [1, 2]), (Mean(column="members.age"), [1, 2])):
        with pytest.raises(BadInput, match="total has 2 numbers"):
            estimate(analysis, clinic(), totals, law)
