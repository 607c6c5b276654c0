"""Members judged in a node's database are counted as the members in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.cohort.parse import parse_cohort
from models.reference import cohort_mask
from models.regression.request import Regression
from models.released.evaluate import Evaluate
from models.released.regression import ReleasedRegression
from node import engine_stream
from node.engine import total
from tests.support.data_factory import TODAY
from tests.support.imported import imported_world

FORMULAS = [
    ("flag0 ~ grade1 + C(kind0) + missing(grade1)", "binomial"),
    ("grade0 ~ kind1 + grade1", "linear"),
    ("grade1 ~ kind0 + missing(grade0) + flag0", "linear"),
]


@pytest.mark.parametrize("batch", [7, 65_536])
@pytest.mark.parametrize("case", range(len(FORMULAS)))
def test_judged_members_give_the_integers_of_the_reference(
    case: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_stream, "BATCH", batch)
    world, records, rows = imported_world(3, members=60)
    cohort = parse_cohort("grade0 > 1 or flag0 is missing", world.dictionary)
    text, family = FORMULAS[case]
    fields: dict[str, Any] = {"formula": text, "family": family}
    fit = Regression(**fields).normalised(world.dictionary)
    draw = np.random.default_rng(case).normal(0, 0.3, fit.model(world.dictionary).width)
    model = ReleasedRegression(
        analysis=fit,
        coefficients=tuple(f"{each:.6g}" for each in draw),
        spread=("0.1", "0.5", "0.7"),
    )
    asked = Evaluate(model=model, by=("kind0", "kind1")).normalised(world.dictionary)
    shape = asked.contribution(world.dictionary, 2**12)
    found = total(records, shape, cohort, purpose=None, today=TODAY)
    assert found.any()
    np.testing.assert_array_equal(found, shape.fold(rows, cohort_mask(cohort, rows)))
