"""What a node's database hands over gives the vectors of the members in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.cohort.parse import parse_cohort
from models.neural.architecture import Gru, Mlp
from models.neural.law import State
from models.neural.request import Train
from models.neural.specification import Specification
from models.reference import cohort_mask
from models.rows import from_tables
from node import engine_stream
from node.engine import total
from node.importer import import_folder
from node.records import Records
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from tests.support.data_factory import TODAY
from tests.support.imported import imported_world
from tests.support.rows_factory import categorical, one_row

GRID = 2**12
CASES = [
    (Mlp(widths=(4,)), "grade0", ("kind0", "grade1", "flag0", "kind1")),
    (Mlp(widths=(4,)), "grade1", ("grade2", "kind2", "grade0")),
    (Gru(width=3), "grade0", ("grade2", "kind2", "grade1")),
    (Mlp(widths=(4,)), "grade0", ("mean(t2.grade2)", "count(t3)", "any(t2: grade2 > 1)")),
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("batch", [7, 65_536])
def test_a_nodes_sums_are_those_in_memory(
    case: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients to one grid unit per member (single precision in parts of other sizes), tables
    of scores exactly."""
    monkeypatch.setattr(engine_stream, "BATCH", batch)
    network, outcome, features = CASES[case]
    world, records, rows = imported_world(3, members=50)
    cohort = parse_cohort("grade0 > 1 or flag0 is missing", world.dictionary)
    mask = cohort_mask(cohort, rows)
    inner = Specification(network=network, outcome=outcome, features=features)
    request = Train(specification=inner, rounds=2, by=("kind0",)).normalised(world.dictionary)
    length = request.compiled(world.dictionary).length
    weights = np.random.default_rng(1).normal(0, 0.3, length).astype(np.float32)
    state = State.start(weights, 50, np.full(1, 0.2, np.float32)).to_bytes()
    for number in (0, 1, 3):
        shape = request.contribution_at(world.dictionary, GRID, number, state)
        found = total(records, shape, cohort, purpose=None, today=TODAY)
        assert found.any()
        if number == 0:
            continue
        expected = shape.fold(rows, mask)
        most = int(mask.sum()) if number == 1 else 0
        assert np.abs(found - expected).max() <= most


def test_dates_are_read_as_in_memory(tmp_path: Path) -> None:
    """A node's database hands dates over in years; bounds are in days."""
    dictionary = Dictionary(
        tables=(
            one_row(
                "people",
                Column(name="onset", type=ColumnType.DATE, lower="7305", upper="21915"),
                Column(name="seen", type=ColumnType.DATE, lower="7305", upper="21915"),
                categorical("kind", "a", "b"),
            ),
        )
    )
    frame = pd.DataFrame(
        {
            "id": range(60),
            "onset": [f"{1992 + i % 35}-0{1 + i % 9}-1{i % 9}" for i in range(60)],
            "seen": [f"{1991 + i // 2}-11-30" if i % 7 else None for i in range(60)],
            "kind": ["a", "b"] * 30,
        }
    )
    frame.to_csv(tmp_path / "people.csv", index=False)
    records = Records.open(":memory:")
    import_folder(records, dictionary, tmp_path, consent_purposes=frozenset())
    rows = from_tables(dictionary, {"people": frame})
    everyone = parse_cohort("", dictionary)
    for outcome, feature in (("kind", "onset"), ("seen", "onset")):
        inner = Specification(network=Mlp(widths=(4,)), outcome=outcome, features=(feature,))
        request = Train(specification=inner, rounds=1).normalised(dictionary)
        length = request.compiled(dictionary).length
        weights = np.random.default_rng(2).normal(0, 0.4, length).astype(np.float32)
        state = State.start(weights, 60, np.full(1, 0.5, np.float32)).to_bytes()
        shape = request.contribution_at(dictionary, GRID, 2, state)
        found = total(records, shape, everyone, purpose=None, today=TODAY)
        assert len(np.flatnonzero(found)) > 2
        assert np.array_equal(found, shape.fold(rows, np.ones(60, dtype=bool)))


def test_an_empty_node_gives_zeros() -> None:
    world, records, _ = imported_world(1, members=50)
    network, outcome, features = CASES[0]
    inner = Specification(network=network, outcome=outcome, features=features)
    request = Train(specification=inner, rounds=1).normalised(world.dictionary)
    length = request.compiled(world.dictionary).length
    state = State.start(np.ones(length, np.float32), 50, np.full(1, 0.2, np.float32)).to_bytes()
    nobody = parse_cohort("grade0 > 100", world.dictionary)
    for number in (1, 2):
        shape = request.contribution_at(world.dictionary, GRID, number, state)
        for store, cohort in ((Records.open(":memory:"), parse_cohort("", world.dictionary)),
                              (records, nobody)):  # fmt: skip
            assert not total(store, shape, cohort, purpose=None, today=TODAY).any()
