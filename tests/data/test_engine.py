"""The engine adds up what a literal reading of each member's rows says, in every world."""

from __future__ import annotations

import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cohort.expression import Everyone
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.contribution import BoundedValue, CellCounts, Summary
from models.dictionary_file import load_dictionary
from node.engine import TotalTooLargeError, prepare, total
from node.importer import import_folder
from node.records import Records
from tests.support.data_factory import (
    TODAY,
    World,
    cohort_text,
    make_cohort,
    make_contribution,
    make_world,
    pooled_total,
    write_csv,
    write_folder,
)

SEEDS = st.integers(0, 2**32 - 1)


def imported(world: World, *, parquet: bool = False) -> Records:
    records = Records.open(":memory:")
    with tempfile.TemporaryDirectory() as folder:
        import_folder(
            records,
            world.dictionary,
            write_folder(world, Path(folder), parquet=parquet),
            consent_purposes=["research"],
        )
    return records


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_engine_equals_a_literal_reading(seed: int) -> None:
    rng = random.Random(seed)
    world = make_world(rng)
    records = imported(world, parquet=rng.random() < 0.5)
    for _ in range(12):
        shape = make_contribution(rng, world.dictionary)
        cohort = make_cohort(rng, world.dictionary)
        purpose = rng.choice([None, "research"])
        parsed = parse_cohort(cohort_text(cohort, rng), world.dictionary)
        found = total(records, shape, parsed, purpose=purpose, today=TODAY)
        expected = pooled_total(world, shape, cohort, consenting=purpose is not None)
        assert found.tolist() == expected
        assert found.dtype == "int64"
        assert parse_cohort(canonical_text(parsed), world.dictionary) == parsed


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_split_over_three_stores_adds_up_to_the_pooled_total(seed: int) -> None:
    rng = random.Random(seed)
    world = make_world(rng, members=24)
    parts: list[World] = [World(world.dictionary, {}, world.consent) for _ in range(3)]
    for key, person in world.people.items():
        rng.choice(parts).people[key] = person
    stores = [imported(part) for part in parts]
    for _ in range(5):
        shape = make_contribution(rng, world.dictionary)
        cohort = make_cohort(rng, world.dictionary)
        parsed = parse_cohort(cohort_text(cohort, rng), world.dictionary)
        found = [total(s, shape, parsed, purpose="research", today=TODAY) for s in stores]
        assert sum(found).tolist() == pooled_total(world, shape, cohort, consenting=True)


VISITS = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns.site]
    levels = ["north", "south"]
    [tables.visits]
    key = "who"
    rows = "many"
    max_rows_per_member = 3
    time = "day"
    [tables.visits.columns.day]
    type = "date"
    [tables.visits.columns.score]
    type = "number"
    bins = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """,
    "dictionary.toml",
)
SITE = VISITS.resolve("site")
SCORE = VISITS.resolve("score")


def visits(tmp_path: Path, rows: list[tuple[str, str, object]]) -> Records:
    people = [{"who": key, "site": "north"} for key in dict.fromkeys(key for key, _, _ in rows)]
    write_csv(tmp_path / "people.csv", ["who", "site"], people)
    listed = [{"who": key, "day": day, "score": score} for key, day, score in rows]
    write_csv(tmp_path / "visits.csv", ["who", "day", "score"], listed)
    records = Records.open(":memory:")
    import_folder(records, VISITS, tmp_path)
    return records


def cells(records: Records, max_cells: int = 3, weight: int = 1) -> list[int]:
    shape = CellCounts((SCORE,), weight, max_cells)
    return total(records, shape, Everyone(), purpose=None, today=TODAY).tolist()


def value(summary: Summary, scale: int = 100) -> BoundedValue:
    return BoundedValue(SCORE, summary, 5.0, 5.0, scale, 1, summary is Summary.MEAN)


def test_a_member_with_1000_rows_counts_no_more_than_declared(tmp_path: Path) -> None:
    flood = [("flood", f"2024-01-{1 + i % 28:02d}", i % 10) for i in range(1000)]
    records = visits(tmp_path, [*flood, ("other", "2024-01-01", 9)])
    assert sum(cells(records)) <= 3 + 1
    summed = total(records, value(Summary.SUM), Everyone(), purpose=None, today=TODAY)
    assert summed[0] == 2
    assert abs(summed[1]) <= 2 * 100
    # a store that kept every row would have counted all ten cells
    assert sum(1 for cell in range(10) if any(s == cell for _, _, s in flood)) == 10


@pytest.mark.parametrize("scale", [2**20, 2**28, 2**29, 2**30 - 1, 2**30])
@pytest.mark.parametrize("summary", [Summary.SUM, Summary.MEAN])
def test_the_finest_grid_has_room_for_every_row(
    tmp_path: Path, summary: Summary, scale: int
) -> None:
    records = visits(tmp_path, [("a", "2024-01-01", 10), ("a", "2024-01-02", 10), ("b", "", 0)])
    summed = total(records, value(summary, scale), Everyone(), purpose=None, today=TODAY)
    added = {Summary.SUM: scale / 3, Summary.MEAN: 0}  # two thirds at the top, a third below
    assert summed[:2].tolist() == pytest.approx([2, added[summary]], abs=1)


def test_repeated_rows_of_one_cell_count_once(tmp_path: Path) -> None:
    same = [("a", "2024-01-01", 4)] * 3
    assert cells(visits(tmp_path, same)) == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_only_the_first_cells_count_where_a_member_may_be_in_fewer(tmp_path: Path) -> None:
    records = visits(tmp_path, [("a", "2024-01-01", s) for s in (8, 2, 5)])
    assert cells(records, max_cells=2, weight=7) == [0, 0, 7, 0, 0, 7, 0, 0, 0, 0]


def test_rows_are_ranked_by_time_then_by_place_in_the_file(tmp_path: Path) -> None:
    rows = [("a", day, s) for day, s in (("", 1), ("2024-02-01", 2), ("2024-01-01", 3))]
    records = visits(tmp_path, [*rows, ("a", "2024-01-01", 4)])
    assert cells(records) == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_the_mean_of_a_member_rounds_half_up_for_either_sign(tmp_path: Path) -> None:
    for scores, expected in (((0, 1), -90), ((0, 0.95), -90), ((9.99, 9.98), 100), ((4.99, 5), 0)):
        records = visits(tmp_path, [("a", "2024-01-01", s) for s in scores])
        shape = BoundedValue(SCORE, Summary.MEAN, 5.0, 5.0, 100, 0, False)
        found = total(records, shape, Everyone(), purpose=None, today=TODAY)
        assert found.tolist() == [expected]


def test_a_store_without_records_answers_zero_in_the_declared_shape() -> None:
    prepare()
    records = Records.open(":memory:")
    shape = CellCounts((SITE, SCORE), 5, 3)
    found = total(records, shape, Everyone(), purpose="research", today=TODAY)
    assert found.tolist() == [0] * 20


def test_a_total_beyond_its_range_is_an_error_and_never_a_number(tmp_path: Path) -> None:
    records = visits(tmp_path, [(f"m{i}", "2024-01-01", 5) for i in range(5)])
    for shape in (
        CellCounts((SITE,), 2**60, 1),
        CellCounts((), 2**60, 1),
        BoundedValue(SCORE, Summary.VALUE, 0.0, 5.0, 2**60, 0, False),
    ):
        with pytest.raises(TotalTooLargeError, match="2\\^62"):
            total(records, shape, Everyone(), purpose=None, today=TODAY)


def test_a_condition_on_a_many_row_table_means_any_row(tmp_path: Path) -> None:
    records = visits(
        tmp_path,
        [("a", "2024-01-01", 1), ("a", "2024-01-02", 9), ("b", "2024-01-01", 5), ("c", "", "")],
    )
    answers = {
        "score < 2": 1,
        "score < 2 and score > 8": 1,
        "score between 2 and 8": 1,
        "score != 5": 1,
        "not score == 5": 2,
        "score is missing": 1,
        "not score < 2 and score is not missing": 1,
        "day == '2024-01-01'": 2,
    }
    for text, expected in answers.items():
        shape = CellCounts((), 1, 1)
        cohort = parse_cohort(text, VISITS)
        assert total(records, shape, cohort, purpose=None, today=TODAY).tolist() == [expected], text


def test_dates_before_the_epoch_and_far_ahead_compare(tmp_path: Path) -> None:
    records = visits(tmp_path, [("a", "0001-01-01", 1), ("b", "9999-12-31", 1)])
    cohort = parse_cohort("day < '1900-01-01'", VISITS)
    found = total(records, CellCounts((), 1, 1), cohort, purpose=None, today=date(2020, 1, 1))
    assert found.tolist() == [1]


def test_questions_asked_at_once_during_an_import_get_their_answers(tmp_path: Path) -> None:
    rng = random.Random(11)
    world = make_world(rng)
    records = imported(world)
    asked = []
    for _ in range(8):
        shape, cohort = make_contribution(rng, world.dictionary), make_cohort(rng, world.dictionary)
        parsed = parse_cohort(cohort_text(cohort, rng), world.dictionary)
        asked.append((shape, parsed, pooled_total(world, shape, cohort, consenting=True)))
    folder = write_folder(world, tmp_path / "again")

    def ask(number: int) -> bool:
        shape, cohort, expected = asked[number % len(asked)]
        found = total(records, shape, cohort, purpose="research", today=TODAY)
        return found.tolist() == expected

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, number) for number in range(24)]
        import_folder(records, world.dictionary, folder, consent_purposes=["research"])
        answers += [pool.submit(ask, number) for number in range(8)]
    assert all(answer.result() for answer in answers)
