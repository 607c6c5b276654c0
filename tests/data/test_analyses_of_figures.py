"""Analyses of members' figures: the engine adds up what the reference does, to the last bit."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
import pytest

from bench.bench_compare import ASKED as ASKED_LITHIUM
from bench.bench_compare import DICTIONARY
from models import reference
from models.aggregates.requests import (
    Analysis,
    MemberSummary,
    Quantiles,
    normalise,
)
from models.changed import changed
from models.cohort.expression import Everyone
from node.engine import total
from privacy.contract.canonical import canonical_bytes
from privacy.contract.dictionary import Dictionary
from tests.data.test_engine import imported
from tests.data.test_figures import in_memory
from tests.support.data_factory import TODAY, World
from tests.support.data_factory import Rows as PersonRows
from tests.support.figure_factory import make_timed_world

ASKED: tuple[Analysis, ...] = (
    MemberSummary(figure="share(visits.grade >= 4)", by=("site", "any(takes: dose > 1)")),
    MemberSummary(figure="max(visits.score within 400 days of entered)"),
    Quantiles(column="age", q=("0.25", "0.5")),
    Quantiles(column="mean(visits.score)"),
)


DRUGS = ("lithium", "riluzole")
VISITED = Dictionary(tables=tuple(changed(each, key="who") for each in DICTIONARY.tables))


def make_visited_world(seed: int, members: int = 60) -> World:
    """People with a date and scores a year before and after it, a few of them missing."""
    rng = random.Random(seed)
    people: dict[str, PersonRows] = {}
    for at in range(members):
        start, loss = (
            date(2021, 1, 1) + timedelta(days=rng.randint(0, 300)),
            rng.gammavariate(4, 0.2),
        )
        days = sorted(rng.randint(-365, 365) for _ in range(rng.randint(4, 24)))
        scores = [round(36 - loss * day / 30 + rng.gauss(0, 1)) for day in days]
        people[f"m{at}"] = {
            "members": [{"baseline": start if rng.random() < 0.9 else None}],
            "visits": [
                {"day": start + timedelta(days=day), "score": None if rng.random() < 0.1 else score}
                for day, score in zip(days, scores, strict=True)
            ],
            "treatments": [
                {"drug": drug} for drug in ("lithium", "riluzole") if rng.random() < 0.4
            ],
        }
    return World(VISITED, people, dict.fromkeys(people, True))


@pytest.mark.parametrize("by", [(), ("any(treatments: drug == 'riluzole')",)])
@pytest.mark.parametrize("index", ["members.baseline", "first(visits.day: score <= 34)"])
def test_a_comparison_in_the_engine_is_that_of_the_reference(
    index: str, by: tuple[str, ...]
) -> None:
    world = make_visited_world(7)
    records, rows = imported(world), in_memory(world)
    full = normalise(changed(ASKED_LITHIUM, index=index, by=by, days=60), VISITED)
    for delta_grid in (1000, 2**20, 2**30):
        shape = full.contribution(VISITED, delta_grid)
        found = total(records, shape, Everyone(), purpose=None, today=TODAY)
        wanted = reference.total(shape, rows, np.ones(rows.members, dtype=bool))
        assert found.tolist() == wanted.tolist()
        assert np.count_nonzero(found) > 10


@pytest.mark.parametrize("asked", ASKED, ids=lambda each: str(each.kind))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_engine_equals_the_reference(asked: Analysis, seed: int) -> None:
    world = make_timed_world(random.Random(seed), members=60)
    records, rows = imported(world), in_memory(world)
    full = normalise(asked, world.dictionary)
    everyone = np.ones(rows.members, dtype=bool)
    for number, delta_grid in enumerate((1000, 2**20, 2**30)):
        state = b""
        if number and isinstance(full, Quantiles):
            length = full.length_at(world.dictionary, delta_grid, number)
            state = canonical_bytes(list(range(5, 4 + length)))
        shape = full.contribution_at(world.dictionary, delta_grid, number, state)
        found = total(records, shape, Everyone(), purpose=None, today=TODAY)
        assert found.tolist() == reference.total(shape, rows, everyone).tolist()
        assert found.any()
