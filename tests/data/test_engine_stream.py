"""Rows that a node streams into a sum give the integers of the reference, batch by batch."""

from __future__ import annotations

import numpy as np
import pytest

from models.cohort.parse import parse_cohort
from models.reference import cohort_mask
from models.regression.member_sum import MemberSum
from models.regression.request import Regression, model_of
from node import engine_stream
from node.engine import total
from node.records import Records
from tests.support.data_factory import TODAY, World
from tests.support.imported import imported_world

FORMULAS = [
    ("flag0 ~ grade1 + C(kind0) + missing(grade1)", "binomial"),
    ("grade0 ~ kind1 + organisation", "linear"),
    ("grade2 ~ kind2 + grade0 + C(kind1)", "linear"),
    ("flag3 ~ grade3", "binomial"),
]


@pytest.mark.parametrize("batch", [7, 65_536])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_streamed_rows_give_the_integers_of_the_reference(
    seed: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_stream, "BATCH", batch)
    world, records, rows = imported_world(seed, members=60)
    rng = np.random.default_rng(seed)
    cohort = parse_cohort("grade0 > 1 or flag0 is missing", world.dictionary)
    mask = cohort_mask(cohort, rows)
    for text, family in FORMULAS:
        if (
            family == "binomial"
            and len(world.dictionary.resolve(text.split()[0]).column.levels) < 2
        ):
            continue
        asked = Regression(formula=text, family=family, organisations=("a", "b"), way="newton")
        asked = asked.normalised(world.dictionary)
        for number in (0, 1):
            shape = _shape(asked, world, number, rng)
            found = total(records, shape, cohort, purpose=None, today=TODAY, site="b")
            np.testing.assert_array_equal(found, shape.fold(rows, mask, "b"))


def _shape(asked: Regression, world: World, number: int, rng: np.random.Generator) -> MemberSum:
    state = b""
    if number:
        count = model_of(asked, world.dictionary).size
        state = (rng.normal(size=count) * 0.1).astype("<f8").tobytes()
    return asked.contribution_at(world.dictionary, 2**20, number, state)


def test_an_empty_node_gives_zeros() -> None:
    world, _, _ = imported_world(1, members=60)
    asked = Regression(formula="grade0 ~ grade1").normalised(world.dictionary)
    shape = asked.contribution(world.dictionary, 2**20)
    everyone = parse_cohort("", world.dictionary)
    empty = Records.open(":memory:")
    assert not total(empty, shape, everyone, purpose=None, today=TODAY).any()
    _, records, _ = imported_world(1, members=60)
    nobody = parse_cohort("grade0 > 100", world.dictionary)
    assert not total(records, shape, nobody, purpose=None, today=TODAY).any()
