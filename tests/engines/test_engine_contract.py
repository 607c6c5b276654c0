"""What every engine must do: the integers of the reference, bit for bit, whatever computes them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from models import reference
from models.changed import changed
from models.cohort.expression import Everyone, Expression
from models.cohort.parse import parse_cohort
from models.contribution import (
    BoundedValue,
    CellCounts,
    Contribution,
    Monomial,
    Products,
    Rollup,
    Stack,
    Summary,
)
from models.dictionary_file import load_dictionary
from models.rows import Rows, from_tables
from node.engine import TotalTooLargeError, total
from node.engines.protocol import Engine
from node.importer import import_folder
from node.records import Records
from privacy.contract.dictionary import Dictionary
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
from tests.support.engines import Engines


def imported(world: World, folder: Path) -> Records:
    records = Records.open(":memory:")
    files = write_folder(world, folder, parquet=True)
    import_folder(records, world.dictionary, files, consent_purposes=["research"])
    return records


def reference_rows(world: World) -> tuple[Rows, np.ndarray]:
    """The world as the reference reads it, and who of its members consents."""
    tables = {}
    for table in world.dictionary.tables:
        named = [(key, row) for key, person in world.people.items() for row in person[table.name]]
        names = {*(column.name for column in table.columns), "tick"}
        columns = {name: [row[name] for _, row in named] for name in names}
        tables[table.name] = {**columns, table.key: [key for key, _ in named]}
    rows = from_tables(world.dictionary, tables, list(world.people))
    return rows, np.array([world.consents(key) for key in world.people])


@pytest.mark.parametrize("seed", range(4))
def test_random_questions_have_the_reference_s_answers(
    engines: Engines, tmp_path: Path, seed: int
) -> None:
    """Every kind of contribution, over random tables with gaps, cohorts and consent."""
    rng = random.Random(seed)
    world = make_world(rng)
    engine = engines.holding(imported(world, tmp_path / "files"))
    rows, consent = reference_rows(world)
    for _ in range(8):
        shape = make_contribution(rng, world.dictionary)
        cohort = make_cohort(rng, world.dictionary)
        purpose = rng.choice([None, "research"])
        parsed = parse_cohort(cohort_text(cohort, rng), world.dictionary)
        found = total(engine, shape, parsed, purpose=purpose, today=TODAY)
        mask = reference.cohort_mask(parsed, rows)
        mask = mask if purpose is None else mask & consent
        assert found.dtype == np.int64
        assert found.tolist() == reference.total(shape, rows, mask).tolist()
        assert found.tolist() == pooled_total(world, shape, cohort, consenting=purpose is not None)


EXTREMES = load_dictionary(
    """
    [tables.people]
    key = "who"
    rows = "one"
    [tables.people.columns]
    any = { type = "number" }
    zero = { type = "number", lower = -20, upper = 20 }
    wide = { type = "number", lower = -1e15, upper = 1e15, bins = 3 }
    born = { type = "date" }
    site = { levels = ["north's", 'a "b"', "c;d"] }
    [tables.visits]
    key = "who"
    rows = "many"
    max_rows_per_member = 3
    [tables.visits.columns]
    dose = { type = "number", lower = 0, upper = 1, bins = 4 }
    """,
    "dictionary.toml",
)
NUMBERS = (
    1.7976931348623157e308,
    -1.7976931348623157e308,
    5e-324,
    -5e-324,
    1e-310,
    2.2250738585072014e-308,
    -0.0,
    0.1 + 0.2,
    20.0,
    20.000000000000004,
    -19.999999999999996,
    1e15,
    -999999999999999.9,
    0.5,
    2**53 + 1.0,
)
DAYS = (date(1, 1, 1), date(1582, 10, 10), date(1900, 2, 28), date(9999, 12, 31), None)


@pytest.fixture
def extremes(engines: Engines, tmp_path: Path) -> tuple[Engine, Rows]:
    """A member per number, in every column; every fifth has nothing else."""
    people = [
        {
            "who": f"m{at}",
            "any": repr(value),
            "zero": repr(value) if at % 5 else "",
            "wide": repr(value),
            "born": DAYS[at % len(DAYS)],
            "site": EXTREMES.resolve("site").column.levels[at % 3] if at % 4 else "",
        }
        for at, value in enumerate(NUMBERS)
    ]
    visits = [
        {"who": f"m{at}", "dose": repr(NUMBERS[(at + turn) % len(NUMBERS)])}
        for at in range(len(NUMBERS))
        for turn in range(at % 5)
    ]
    folder = tmp_path / "files"
    folder.mkdir()
    write_csv(folder / "people.csv", [*people[0]], people)
    write_csv(folder / "visits.csv", ["who", "dose"], visits)
    records = Records.open(":memory:")
    import_folder(records, EXTREMES, folder)
    listed = {"people": people, "visits": visits}
    tables = {
        name: {column: [row[column] or None for row in rows] for column in rows[0]}
        for name, rows in listed.items()
    }
    return engines.holding(records), from_tables(EXTREMES, tables)


def shapes(dictionary: Dictionary, scale: int) -> list[Contribution]:
    site, wide, dose = (dictionary.resolve(name) for name in ("site", "wide", "dose"))
    values = [
        BoundedValue(dictionary.resolve("zero"), Summary.VALUE, 0.0, 20.0, scale, 7, True),
        BoundedValue(dictionary.resolve("any"), Summary.VALUE, 0.0, 3.0, scale, 0, True),
        BoundedValue(dictionary.resolve("any"), Summary.VALUE, 1e15, 0.125, scale, 0, False),
        BoundedValue(dictionary.resolve("any"), Summary.VALUE, -1e300, 1e290, scale, 1, False),
        BoundedValue(wide, Summary.VALUE, 0.0, 1e15, scale, 1, False),
        BoundedValue(dose, Summary.MEAN, 0.5, 0.5, scale, 1, True),
        BoundedValue(dose, Summary.SUM, 0.5, 0.5, scale, 1, False),
    ]
    products = Products(
        (site,), (values[0], values[5]), 3, (Monomial((0, 0)), Monomial((0, 1, 1), 7))
    )
    cells = CellCounts((wide, dose), 2**20, 2)
    rolled = Rollup(CellCounts((site,), 5, 1), ((0, 1, 1), (0, 0, 0)))
    return [*values, products, cells, rolled, Stack((cells, products, values[3]))]


@pytest.mark.parametrize("scale", [1, 1000, 2**30])
def test_extreme_values_round_and_clamp_alike(extremes: tuple[Engine, Rows], scale: int) -> None:
    engine, rows = extremes
    everyone = np.ones(rows.members, dtype=bool)
    for shape in shapes(EXTREMES, scale):
        found = total(engine, shape, Everyone(), purpose=None, today=TODAY)
        assert found.tolist() == reference.total(shape, rows, everyone).tolist(), shape


@pytest.mark.parametrize(
    "text",
    [
        "born < '1582-10-15'",
        "born >= '9999-12-31' or born is missing",
        "not (born > '0001-01-01' and any > 0)",
        "any > 0 and any < 1e-300",
        "zero == 20 or zero == -20 or zero in [0.30000000000000004]",
        'site not in ["north\'s"]',
        "site in ['a \"b\"', 'c;d'] and dose is missing",
        "not dose between 0.1 and 0.5",
    ],
)
def test_cohorts_of_extreme_values_hold_the_same_members(
    extremes: tuple[Engine, Rows], text: str
) -> None:
    engine, rows = extremes
    cohort = parse_cohort(text, EXTREMES)
    shape = CellCounts((EXTREMES.resolve("wide"),), 1, 1)
    found = total(engine, shape, cohort, purpose=None, today=TODAY)
    expected = reference.total(shape, rows, reference.cohort_mask(cohort, rows))
    assert found.tolist() == expected.tolist()


BINS = (
    [repr(-1 + 0.25 * step) for step in range(9)],  # even, and exact in doubles
    [repr(step / 10) for step in range(-10, 11)],  # even in decimals only
    ["-1.0", "-0.5", "0.0", "0.5", "1.0", "20.0"],  # even but for the last
    ["-1.0", "-0.9", "0.3", "0.30000000000000004", "7.0"],
    ["-1e-300", "0.0", "1e-300", "2e-300", "3e-300", "4e-300"],
)


@pytest.mark.parametrize("bins", BINS, ids=len)
def test_a_value_at_an_edge_or_just_below_is_in_its_bin(
    engines: Engines, tmp_path: Path, bins: list[str]
) -> None:
    edges = [float(edge) for edge in bins]
    near = [np.nextafter(edge, toward) for edge in edges for toward in (-np.inf, np.inf)]
    values = [repr(float(value)) for value in (*edges, *near, 0.0, -0.0, 5e-324, 1e308, -1e308)]
    people = [{"who": f"m{at}", "any": value} for at, value in enumerate(values)]
    (tmp_path / "visits.csv").write_text("who,dose\n")
    names = ["who", "any", "zero", "wide", "born", "site"]
    write_csv(tmp_path / "people.csv", names, people)
    records = Records.open(":memory:")
    import_folder(records, EXTREMES, tmp_path)
    columns = {"who": [each["who"] for each in people], "any": values}
    rows = from_tables(EXTREMES, {"people": columns})
    ref = EXTREMES.resolve("any")
    shape = CellCounts((replace(ref, column=changed(ref.column, bins=tuple(bins))),), 1, 1)
    found = total(engines.holding(records), shape, Everyone(), purpose=None, today=TODAY)
    everyone = np.ones(rows.members, dtype=bool)
    assert found.tolist() == reference.total(shape, rows, everyone).tolist()


def test_empty_tables_and_no_records_add_zeros(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("who,any,zero,wide,born,site\n")
    (tmp_path / "visits.csv").write_text("who,dose\n")
    records = Records.open(":memory:")
    for _ in range(2):
        engine = engines.holding(records)
        for shape in shapes(EXTREMES, 1000):
            found = total(engine, shape, Everyone(), purpose="research", today=TODAY)
            assert found.tolist() == [0] * shape.length
        import_folder(records, EXTREMES, tmp_path)


CONSENT = load_dictionary(
    '[tables.people]\nkey = "who"\nrows = "one"\n[tables.people.columns]\nn.type = "number"\n',
    "dictionary.toml",
)
EVENTS = """who,purpose,state,from,until
a,research,given,2026-03-01,2026-03-01
b,research,given,2026-03-02,
c,research,given,,2026-02-28
d,all,given,,
e,all,withdrawn,,
"""


@pytest.mark.parametrize(
    ("day", "purpose", "expected"),
    [
        (date(2026, 2, 28), "research", 2),
        (date(2026, 3, 1), "research", 2),
        (date(2026, 3, 2), "research", 2),
        (date(2026, 3, 1), "Something else", 1),
        (date(2026, 3, 1), None, 6),
    ],
)
def test_consent_holds_from_its_first_day_to_its_last(
    engines: Engines, tmp_path: Path, day: date, purpose: str | None, expected: int
) -> None:
    (tmp_path / "people.csv").write_text("who,n\n" + "".join(f"{who},1\n" for who in "abcdef"))
    (tmp_path / "consent.csv").write_text(EVENTS)
    records = Records.open(":memory:")
    import_folder(records, CONSENT, tmp_path, consent_purposes=["research"])
    engine = engines.holding(records)
    found = total(engine, CellCounts((), 1, 1), Everyone(), purpose=purpose, today=day)
    assert found.tolist() == [expected]


def test_a_total_beyond_its_range_is_an_error_and_never_a_number(
    extremes: tuple[Engine, Rows],
) -> None:
    engine, _ = extremes
    site, wide = EXTREMES.resolve("site"), EXTREMES.resolve("wide")
    shapes_: list[Contribution] = [
        CellCounts((site,), 2**61, 1),
        CellCounts((), 2**60, 1),
        BoundedValue(wide, Summary.VALUE, -2e15, 1e15, 2**60, 0, False),
    ]
    everyone: Expression = Everyone()
    for shape in shapes_:
        with pytest.raises(TotalTooLargeError):
            total(engine, shape, everyone, purpose=None, today=TODAY)
