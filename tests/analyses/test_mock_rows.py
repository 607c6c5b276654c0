"""Made-up members have the declared shape, come from the dictionary alone, and repeat."""

from __future__ import annotations

import numpy as np
import pytest

from models.mock import mock_rows
from models.rows import is_known
from privacy.errors import BadInput
from tests.support.rows_factory import clinic


def test_rows_are_as_declared() -> None:
    rows = mock_rows(clinic(), members=400, seed=1)
    for table in clinic().tables:
        data = rows.tables[table.name]
        assert data.rank.max() < table.max_rows_per_member
        assert data.member.max() < 400
        for column in table.columns:
            if column.name not in data.values:
                continue
            values = data.values[column.name]
            known = values[is_known(values)]
            assert 0.9 < len(known) / len(values) < 1
            if column.levels:
                counts = np.bincount(known, minlength=len(column.levels))
                assert counts.argmax() == 0
                assert counts.min() > 0
            elif column.bounds:
                assert column.bounds[0] <= known.min() < known.max() <= column.bounds[1]


def test_many_row_tables_have_members_without_rows() -> None:
    data = mock_rows(clinic(), members=400, seed=1).tables["symptoms"]
    assert len(np.unique(data.member)) < 400


def test_the_same_seed_gives_the_same_rows() -> None:
    first, second, third = (mock_rows(clinic(), members=50, seed=seed) for seed in (7, 7, 8))
    ages = [each.tables["members"].values["age"] for each in (first, second, third)]
    np.testing.assert_array_equal(ages[0], ages[1])
    assert not np.array_equal(ages[0], ages[2])


def test_there_is_a_member() -> None:
    with pytest.raises(BadInput):
        mock_rows(clinic(), members=0)
