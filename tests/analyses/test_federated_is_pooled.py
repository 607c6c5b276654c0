"""Without noise any split of the members over nodes gives the pooled integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.aggregates.catalogue import contribution
from models.aggregates.requests import Analysis, normalise
from models.cohort.parse import parse_cohort
from models.mock import mock_rows
from models.reference import cohort_mask, contribute, total
from privacy.contract.dictionary import Dictionary
from tests.support.rows_factory import ANALYSES, analyses, clinic, dictionaries, hostile_rows


@settings(max_examples=60, deadline=None)
@given(dictionaries(), analyses(), st.integers(1, 5), st.integers(0, 2**32))
def test_any_split_gives_the_pooled_total(
    dictionary: Dictionary, analysis: Analysis, nodes: int, seed: int
) -> None:
    rows = hostile_rows(dictionary, members=12, seed=seed)
    cohort = parse_cohort("c == 'level0' or not y > 3", dictionary)
    shape = contribution(normalise(analysis, dictionary), dictionary, 10_000)
    home = np.random.default_rng(seed).integers(0, nodes, size=rows.members)
    parts = [rows.select(home == node) for node in range(nodes)]
    split = sum(total(shape, part, cohort_mask(cohort, part)) for part in parts)
    np.testing.assert_array_equal(split, total(shape, rows, cohort_mask(cohort, rows)))


def test_the_total_is_the_sum_of_the_members() -> None:
    rows = mock_rows(clinic(), members=200, seed=5)
    mask = cohort_mask(parse_cohort("age >= 18", clinic()), rows)
    for analysis in ANALYSES:
        shape = contribution(normalise(analysis, clinic()), clinic(), 10_000)
        matrix = contribute(shape, rows, mask)
        assert matrix.dtype == np.int64
        np.testing.assert_array_equal(matrix.sum(axis=0), total(shape, rows, mask))
