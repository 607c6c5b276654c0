"""Rows that an engine hands to the node, batch by batch, give the integers of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from models.cohort.parse import parse_cohort
from models.reference import cohort_mask
from models.regression.request import Regression
from node import engine_stream
from node.engine import total
from tests.data.test_engine_stream import FORMULAS
from tests.support.data_factory import TODAY
from tests.support.engines import Engines
from tests.support.imported import imported_world


@pytest.mark.parametrize("batch", [7, 65_536])
def test_rows_of_every_engine_give_the_integers_of_the_reference(
    engines: Engines, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_stream, "BATCH", batch)
    world, records, rows = imported_world(2, members=60)
    engine = engines.holding(records)
    cohort = parse_cohort("grade0 > 1 or flag0 is missing", world.dictionary)
    mask = cohort_mask(cohort, rows)
    for formula, family in FORMULAS[1:3]:
        asked = Regression(formula=formula, family=family, organisations=("a", "b"), way="newton")
        asked = asked.normalised(world.dictionary)
        shape = asked.contribution_at(world.dictionary, 2**20, 0, b"")
        found = total(engine, shape, cohort, purpose=None, today=TODAY, site="b")
        np.testing.assert_array_equal(found, shape.fold(rows, mask, "b"))
