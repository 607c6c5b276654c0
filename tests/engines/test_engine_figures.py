"""Figures of many rows (windows, order, dates, slopes) are the same integers on every engine."""

from __future__ import annotations

import random

import pytest

from models import reference
from models.cohort.parse import parse_cohort
from models.figures.parse import parse_figure
from node.engine import total
from tests.data.test_engine import imported
from tests.data.test_figures import cohort_on, in_memory, some_shape
from tests.support.data_factory import TODAY
from tests.support.engines import Engines
from tests.support.figure_factory import figure_words, make_figure, make_timed_world


@pytest.mark.parametrize("seed", range(4))
def test_random_figures_have_the_reference_s_answers(engines: Engines, seed: int) -> None:
    rng = random.Random(seed)
    world = make_timed_world(rng)
    engine, rows = engines.holding(imported(world)), in_memory(world)
    for _ in range(6):
        ref = parse_figure(figure_words(make_figure(rng, world.dictionary)), world.dictionary)
        shape = some_shape(rng, world, ref)
        cohort = parse_cohort(cohort_on(rng, world), world.dictionary)
        mask = reference.cohort_mask(cohort, rows)
        found = total(engine, shape, cohort, purpose=None, today=TODAY)
        assert found.tolist() == reference.total(shape, rows, mask).tolist(), (ref.name, cohort)
