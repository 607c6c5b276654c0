"""What each member is charged for: the squared norm of the very vector that is added up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from models import reference
from models.cohort.expression import Everyone
from models.cohort.parse import parse_cohort
from models.contribution import CellCounts, Contribution, Rollup
from node.engine import total
from node.engine_cohort import Expr, listed
from node.engines.protocol import Engine, Reading
from privacy.contract.dictionary import Dictionary
from tests.engines.test_engine_contract import imported, reference_rows
from tests.support.data_factory import (
    TODAY,
    cohort_text,
    make_cohort,
    make_contribution,
    make_world,
)
from tests.support.engines import Engines


class Listening:
    """An account that nobody pays: it keeps who would be charged for what."""

    def __init__(self, engine: Engine, out: list[int]) -> None:
        self._engine, self._out = engine, out
        self.squared: dict[int, int] = {}

    @property
    def sitting_out(self) -> Expr | None:
        return listed(self._out) if self._out else None

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        with self._engine.reading() as reading:
            yield reading

    def charge(self, reading: Reading, norms: Expr) -> None:
        for batch in reading.batches(norms, 1000):
            pairs = zip(batch["member_ix"].tolist(), batch["squared"].tolist(), strict=True)
            for member, squared in pairs:
                assert member not in self.squared, "each member once"
                self.squared[member] = squared


def expected(shape: Contribution, rows: np.ndarray) -> dict[int, int]:
    squares = [sum(int(value) ** 2 for value in row) for row in rows]
    assert all(each <= shape.norm_squared for each in squares)
    return {member: each for member, each in enumerate(squares) if each}


@pytest.mark.parametrize("seed", range(4))
def test_norms_are_those_of_the_reference_after_every_bound(
    engines: Engines, tmp_path: Path, seed: int
) -> None:
    """Random tables with gaps, cohorts, consent and members who sit out."""
    rng = random.Random(70 + seed)
    world = make_world(rng)
    engine = engines.holding(imported(world, tmp_path / "files"))
    rows, consent = reference_rows(world)
    # `member_ix` follows the organisation's keys in their order.
    order = sorted(range(rows.members), key=lambda at: list(world.people)[at])
    for _ in range(8):
        shape = make_contribution(rng, world.dictionary)
        text = cohort_text(make_cohort(rng, world.dictionary), rng)
        cohort = parse_cohort(text, world.dictionary)
        purpose = rng.choice([None, "research"])
        out = sorted(rng.sample(range(rows.members), rng.randrange(rows.members // 2)))
        account = Listening(engine, out)
        found = total(engine, shape, cohort, purpose=purpose, today=TODAY, account=account)
        mask = reference.cohort_mask(cohort, rows)
        mask = mask if purpose is None else mask & consent
        mask[[order[member] for member in out]] = False
        assert found.tolist() == reference.total(shape, rows, mask).tolist()
        vectors = reference.contribute(shape, rows, mask)[order]
        charged = {member: each for member, each in account.squared.items() if each}
        if isinstance(shape, Rollup):
            _at_most_its_bound(charged, expected(shape, vectors), shape)
        else:
            assert charged == expected(shape, vectors)


def _at_most_its_bound(charged: dict[int, int], exact: dict[int, int], shape: Rollup) -> None:
    assert charged.keys() == exact.keys()
    for member, squared in exact.items():
        assert squared <= charged[member] <= shape.norm_squared


def coarse(dictionary: Dictionary, name: str) -> Rollup:
    ref = dictionary.resolve(name)
    cells = len(ref.column.cell_labels)
    return Rollup(CellCounts((ref,), 3, 1), (tuple(at % 2 for at in range(cells)),))


def test_a_member_of_one_cell_pays_exactly_for_its_coarser_views(
    engines: Engines, tmp_path: Path
) -> None:
    world = make_world(random.Random(3))
    engine = engines.holding(imported(world, tmp_path / "files"))
    rows, _ = reference_rows(world)
    named = (column for table in world.dictionary.tables for column in table.columns)
    one_row = next(t for t in world.dictionary.tables if t.rows.value == "one")
    name = next(c.name for c in one_row.columns if len(c.cell_labels or ()) > 1)
    assert named
    shape = coarse(world.dictionary, f"{one_row.name}.{name}")
    account = Listening(engine, [])
    total(engine, shape, Everyone(), purpose=None, today=TODAY, account=account)
    everyone = np.ones(rows.members, dtype=bool)
    squares = sorted(expected(shape, reference.contribute(shape, rows, everyone)).values())
    assert sorted(account.squared.values()) == squares
