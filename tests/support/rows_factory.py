"""Small dictionaries and members' rows, hostile ones included, for tests of analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.aggregates.requests import (
    Analysis,
    Associations,
    Count,
    Disproportionality,
    Histogram,
    Mean,
    Sum,
    Survival,
)
from models.rows import Rows, TableRows, ranks
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.contract.dictionary import Rows as RowsKind


def categorical(name: str, *levels: str) -> Column:
    return Column(name=name, type=ColumnType.CATEGORICAL, levels=levels)


def number(
    name: str, bounds: tuple[str, str] | None = None, bins: Sequence[str] = (), unit: str = ""
) -> Column:
    lower, upper = bounds or (None, None)
    return Column(
        name=name, type=ColumnType.NUMBER, lower=lower, upper=upper, bins=tuple(bins), unit=unit
    )


def one_row(name: str, *columns: Column) -> Table:
    return Table(name=name, key="id", rows=RowsKind.ONE, columns=columns)


def many_rows(name: str, most: int, *columns: Column) -> Table:
    return Table(name=name, key="id", rows=RowsKind.MANY, max_rows_per_member=most, columns=columns)


def clinic() -> Dictionary:
    """One table with a row per member, two with up to three and two."""
    return Dictionary(
        tables=(
            one_row(
                "members",
                categorical("condition", "als", "ms", "mood"),
                categorical("sex", "f", "m"),
                number("age", ("0", "110"), ("0", "18", "40", "65", "110"), "years"),
                number("change", ("-20", "5")),
                Column(name="born", type=ColumnType.DATE),
                Column(name="smoker", type=ColumnType.BOOLEAN, levels=("false", "true")),
                Column(name="story", type=ColumnType.TEXT),
                Column(name="email", type=ColumnType.TEXT, identifier=True),
                number("height"),
            ),
            many_rows(
                "symptoms",
                3,
                categorical("symptom", "pain", "fatigue"),
                number("severity", ("0", "10"), ("0", "4", "7", "10")),
            ),
            many_rows("treatments", 2, categorical("drug", "a", "b", "c"), number("dose")),
        )
    )


ANALYSES: tuple[Analysis, ...] = (
    Count(),
    Count(by=("condition",)),
    Count(by=("drug", "condition", "symptom")),
    Count(by=("severity", "symptom", "age")),
    Histogram(column="severity"),
    Histogram(column="age"),
    Mean(column="age"),
    Mean(column="severity"),
    Sum(column="change"),
    Sum(column="severity"),
    Survival(time="age", event="smoker", by=("sex",), edges=("0", "30", "60")),
)


def hostile_rows(dictionary: Dictionary, members: int, seed: int) -> Rows:
    """Rows that an importer would refuse or cap: more per member than declared, in any table,
    numbers far out of bounds, infinities, and many missing values."""
    rng = np.random.default_rng(seed)
    tables = {}
    for table in dictionary.tables:
        most = 1 if table.max_rows_per_member == 1 else 3 * table.max_rows_per_member
        member = np.repeat(np.arange(members), rng.integers(0, most + 1, size=members))
        values = {
            column.name: _wild(rng, column, len(member))
            for column in table.columns
            if column.type is not ColumnType.TEXT
        }
        tables[table.name] = TableRows(member, ranks(member), values)
    return Rows(dictionary, members, tables)


def _wild(rng: np.random.Generator, column: Column, rows: int) -> Any:
    match column.type:
        case ColumnType.INTEGER | ColumnType.NUMBER:
            numbers = rng.choice([-np.inf, np.inf, np.nan, -1e9, 1e300, 0.0], size=rows)
            return np.where(rng.random(rows) < 0.6, rng.normal(5, 40, size=rows), numbers)
        case ColumnType.DATE:
            return np.full(rows, np.datetime64("NaT", "D"))
        case _:
            return rng.integers(-1, len(column.levels), size=rows)


@st.composite
def dictionaries(draw: st.DrawFn) -> Dictionary:
    """One table of each kind with random levels, bounds, bins and rows per member."""
    low = draw(st.integers(-100, 100))
    high = low + draw(st.integers(1, 200))
    edges = (str(low), str(low + (high - low) / 2), str(high))
    levels = [f"level{i}" for i in range(draw(st.integers(2, 4)))]
    bounds = (str(low), str(high))
    return Dictionary(
        tables=(
            one_row("p", categorical("c", *levels), number("x", bounds, edges)),
            many_rows(
                "q",
                draw(st.integers(1, 5)),
                categorical("d", *levels),
                number("y", bounds, edges),
            ),
            many_rows("r", draw(st.integers(1, 3)), categorical("e", *levels)),
        )
    )


def analyses() -> st.SearchStrategy[Analysis]:
    """Any analysis over the columns of `dictionaries`."""
    cells = st.lists(st.sampled_from(["c", "x", "d", "y", "e"]), unique=True, max_size=4)
    value = st.sampled_from(["x", "y"])
    return st.one_of(
        cells.map(lambda by: Count(by=tuple(by))),
        st.sampled_from(["c", "x", "d", "y"]).map(lambda name: Histogram(column=name)),
        value.map(lambda name: Mean(column=name)),
        value.map(lambda name: Sum(column=name)),
        st.just(Survival(time="x", event="c", happened="level1")),
        st.just(Disproportionality(drug="d", event="e")),
        st.just(Disproportionality(drug="d", event="y")),
        st.just(Associations(exposures=("c",), outcomes=("x",))),
    )
