"""Random worlds with times in them, random figures with their text, and a literal reading of both.

The reading goes member by member and row by row in plain Python, and shares no code with the
parser, the engine or the reference.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from models.dictionary_file import load_dictionary
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from tests.support.data_factory import Row, Rows, World, clamp, rows_used

KINDS = ("any", "count", "first", "last", "mean", "min", "max", "sum", "share", "slope")
DAY_ZERO = date(2020, 1, 1)
PER_UNIT = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}


def make_timed_dictionary(rng: random.Random) -> Dictionary:
    """One table of members with two dates and a counted time, three of many rows."""
    unit = rng.choice(list(PER_UNIT))
    most = [rng.randint(2, 5) for _ in range(3)]
    time = rng.choice(['time = "day"', ""])
    low, high = rng.choice([(0, 48), (-3, 7), (0, 2_000_000_000), (-1, 1)])
    return load_dictionary(
        f"""
        [tables.people]
        key = "who"
        rows = "one"
        [tables.people.columns]
        born = {{ type = "date" }}
        entered = {{ type = "date" }}
        joined = {{ type = "number", unit = "{unit}", lower = -40, upper = 40 }}
        age = {{ type = "integer", lower = 0, upper = 110 }}
        site = {{ levels = ["north", "south"] }}
        [tables.visits]
        key = "who"
        rows = "many"
        max_rows_per_member = {most[0]}
        {time}
        [tables.visits.columns]
        day = {{ type = "date" }}
        score = {{ type = "number", lower = {low}, upper = {high} }}
        grade = {{ type = "integer", lower = 0, upper = 10, bins = [0, 3, 6, 10] }}
        state = {{ levels = ["well", "ill", "worse"] }}
        [tables.takes]
        key = "who"
        rows = "many"
        max_rows_per_member = {most[1]}
        time = "start"
        [tables.takes.columns]
        start = {{ type = "date" }}
        stop = {{ type = "date" }}
        drug = {{ levels = ["a", "b"] }}
        dose = {{ type = "number", lower = 0, upper = 2.5 }}
        [tables.tests]
        key = "who"
        rows = "many"
        max_rows_per_member = {most[2]}
        time = "when"
        [tables.tests.columns]
        when = {{ type = "number", unit = "{unit}", lower = -40, upper = 40 }}
        result = {{ type = "number", lower = -5, upper = 5, bins = [-5, 0, 5] }}
        positive = {{ type = "boolean" }}
        """,
        "dictionary.toml",
    )


def make_timed_world(rng: random.Random, members: int = 30) -> World:
    dictionary = make_timed_dictionary(rng)
    people = {}
    for at in range(members):
        person: Rows = {}
        for table in dictionary.tables:
            count = 1 if table.rows.value == "one" else rng.choice([0, 1, 2, 3, 4, 7])
            person[table.name] = [_row(rng, table) for _ in range(count)]
        people[f"m{at}"] = person
    return World(dictionary, people, {key: rng.random() < 0.8 for key in people})


def _row(rng: random.Random, table: Table) -> Row:
    return {c.name: None if rng.random() < 0.15 else some_value(rng, c) for c in table.columns}


def some_value(rng: random.Random, column: Column) -> Any:
    """Few different days, so that ties and windows' edges are met often."""
    low, high = column.bounds or (0.0, 1.0)
    match column.type:
        case ColumnType.CATEGORICAL | ColumnType.BOOLEAN:
            return rng.choice(column.levels)
        case ColumnType.INTEGER:
            return rng.randint(int(low) - 1, int(high) + 1)
        case ColumnType.DATE:
            return DAY_ZERO + timedelta(days=rng.choice([0, 1, 2, 3, 5, 8, 40, 400]))
        case _:
            whole = float(rng.randint(math.floor(low) - 1, math.ceil(high) + 1))
            return rng.choice([whole, whole, rng.uniform(low, high), low + (high - low) / 3])


# Figures, as a small language of their own


@dataclass(frozen=True)
class Span:
    """Days from an index: a column of `people`, or a figure."""

    index: str | Fig
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Fig:
    kind: str
    table: str
    column: str | None = None
    clock: str | None = None
    where: tuple[Any, ...] | None = None
    spans: tuple[Span, ...] = ()
    test: tuple[Any, ...] | None = None
    rows: int = 1
    days: int = 0


def make_figure(rng: random.Random, dictionary: Dictionary, depth: int = 2) -> Fig:
    table = rng.choice(dictionary.tables[1:])
    kind = rng.choice(KINDS)
    numeric = [c.name for c in table.columns if c.type.value in ("integer", "number")]
    names = [c.name for c in table.columns]
    columns = {"any": [None], "count": [None], "first": names, "last": names, "share": names}
    column = rng.choice(columns.get(kind, numeric))
    clock = _clock(rng, table, column)
    spans = tuple(_span(rng, dictionary, table, depth) for _ in range(rng.choice([0, 0, 1, 1, 2])))
    return Fig(
        kind,
        table.name,
        column,
        clock,
        _condition(rng, table, 2) if rng.random() < 0.6 else None,
        () if len({repr(s.index) for s in spans}) < len(spans) else spans,
        _leaf(rng, table, column) if kind == "share" and column else None,
        rng.choice([2, 2, 3])
        if kind == "slope"
        else rng.choice([1, 1, 2])
        if kind in ("mean", "share")
        else 1,
        rng.choice([1, 3, 30]) if kind == "slope" else 0,
    )


def _times(table: Table) -> list[str]:
    return {"visits": ["day"], "takes": ["start", "stop"], "tests": ["when"]}[table.name]


def _clock(rng: random.Random, table: Table, column: str | None) -> str:
    usual = column if column in ("day", "start", "stop") else _times(table)[0]
    return rng.choice([usual, *_times(table)])


def _span(rng: random.Random, dictionary: Dictionary, table: Table, depth: int) -> Span:
    start, end = sorted(
        rng.choice([-400, -40, -8, -5, -3, -1, 0, 1, 2, 3, 5, 30, 400]) for _ in "ab"
    )
    start, end = rng.choice([(start, end), (start, end), (None, end), (start, None)])
    if depth and rng.random() < 0.4:
        return Span(_index_figure(rng, dictionary, table, depth), start, end)
    index = "joined" if table.name == "tests" else rng.choice(["born", "entered"])
    return Span(index, start, end)


def _index_figure(rng: random.Random, dictionary: Dictionary, table: Table, depth: int) -> Fig:
    while True:
        found = make_figure(rng, dictionary, depth - 1)
        timed = found.kind in ("first", "last") and found.column in ("day", "start", "stop", "when")
        if timed and (found.column == "when") == (table.name == "tests"):
            return found


def _condition(rng: random.Random, table: Table, depth: int) -> tuple[Any, ...]:
    kind = rng.choice(["leaf", "leaf", "and", "or", "not"]) if depth else "leaf"
    if kind == "leaf":
        return _leaf(rng, table, rng.choice(table.columns).name, gaps=True)
    inner = [_condition(rng, table, depth - 1) for _ in range(1 if kind == "not" else 2)]
    return (kind, *inner)


def _leaf(rng: random.Random, table: Table, name: str, gaps: bool = False) -> tuple[Any, ...]:
    column = next(c for c in table.columns if c.name == name)
    if gaps and rng.random() < 0.15:
        return (rng.choice(["missing", "not missing"]), name)
    value = some_value(rng, column)
    if column.levels:
        return (rng.choice(["==", "!="]), name, value)
    if rng.random() < 0.3:
        return ("between", name, *sorted([value, some_value(rng, column)]))
    return (rng.choice(["==", "!=", "<", "<=", ">", ">="]), name, value)


# Their text


def figure_words(figure: Fig) -> str:
    head = figure.table if figure.column is None else f"{figure.table}.{figure.column}"
    if figure.test is not None:
        head = _leaf_words(figure.test).replace(str(figure.column), head, 1)
    parts = [f"{figure.kind}({head} on {figure.table}.{figure.clock}"]
    if figure.where is not None:
        parts.append(f": ({_condition_words(figure.where)})")
    parts += [f" {_span_words(span)}" for span in figure.spans]
    if figure.kind == "slope":
        parts.append(f" needing {figure.rows} rows over {figure.days} days")
    elif figure.rows > 1:
        parts.append(f" needing {figure.rows} rows")
    return "".join(parts) + ")"


def _span_words(span: Span) -> str:
    index = span.index if isinstance(span.index, str) else figure_words(span.index)
    if span.start is None:
        side = "before" if (span.end or 0) < 0 else "after"
        return f"up to {abs(span.end or 0)} days {side} {index}"
    if span.end is None:
        return f"from {abs(span.start)} days {'before' if span.start < 0 else 'after'} {index}"
    if span.start >= 0:
        return f"within {span.start} to {span.end} days after {index}"
    if span.end <= 0:
        return f"within {-span.end} to {-span.start} days before {index}"
    return f"within {-span.start} days before to {span.end} days after {index}"


def _condition_words(condition: tuple[Any, ...]) -> str:
    match condition:
        case ("and" | "or" as word, left, right):
            return f"({_condition_words(left)}) {word} ({_condition_words(right)})"
        case ("not", inner):
            return f"not ({_condition_words(inner)})"
    return _leaf_words(condition)


def _leaf_words(leaf: tuple[Any, ...]) -> str:
    match leaf:
        case ("missing" | "not missing" as word, name):
            return f"{name} is {word}"
        case ("between", name, low, high):
            return f"{name} between {_written(low)} and {_written(high)}"
        case (sign, name, value):
            return f"{name} {sign} {_written(value)}"
    raise ValueError(leaf)


def _written(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str | date) else repr(value)


# What they mean


def figure_of(figure: Fig, person: Rows, dictionary: Dictionary) -> Any:
    """The member's figure, None where it is unknown."""
    table = next(t for t in dictionary.tables if t.name == figure.table)
    rows = [
        {c.name: clamp(c, row[c.name]) for c in table.columns}
        for row in rows_used(table, person[figure.table])
    ]
    if figure.where is not None:
        rows = [row for row in rows if _meets(figure.where, row) is True]
    for span in figure.spans:
        index = _index_of(span, person, dictionary)
        if index is None:
            return None
        rows = [row for row in rows if _within(row[str(figure.clock)], index, span, dictionary)]
    return _made_of(figure, rows, table, dictionary)


def _index_of(span: Span, person: Rows, dictionary: Dictionary) -> Any:
    if isinstance(span.index, Fig):
        return figure_of(span.index, person, dictionary)
    (row,) = person["people"]
    column = next(c for c in dictionary.tables[0].columns if c.name == span.index)
    return clamp(column, row[span.index])


def _within(time: Any, index: Any, span: Span, dictionary: Dictionary) -> bool:
    if time is None:
        return False
    days = _day(time, dictionary) - _day(index, dictionary)
    return (span.start is None or days >= span.start) and (span.end is None or days <= span.end)


def _day(time: Any, dictionary: Dictionary) -> int:
    if isinstance(time, date):
        return time.toordinal()
    unit = dictionary.refs["tests.when"].column.unit
    return math.floor(time * PER_UNIT[unit] + 0.5)


def _meets(condition: tuple[Any, ...], row: Row) -> bool | None:
    match condition:
        case ("and", left, right):
            sides = (_meets(left, row), _meets(right, row))
            return False if False in sides else None if None in sides else True
        case ("or", left, right):
            sides = (_meets(left, row), _meets(right, row))
            return True if True in sides else None if None in sides else False
        case ("not", inner):
            found = _meets(inner, row)
            return None if found is None else not found
        case ("missing", name):
            return row[name] is None
        case ("not missing", name):
            return row[name] is not None
    known = row[condition[1]]
    return None if known is None else _compares(condition, known)


def _compares(leaf: tuple[Any, ...], value: Any) -> bool:
    match leaf:
        case ("between", _, low, high):
            return bool(low <= value <= high)
        case (sign, _, other):
            if sign in ("==", "!="):
                return bool((value == other) == (sign == "=="))
            signs = {"<": value < other, "<=": value <= other, ">": value > other}
            return bool(signs.get(sign, value >= other))
    raise ValueError(leaf)


def _made_of(figure: Fig, rows: list[Row], table: Table, dictionary: Dictionary) -> Any:
    name = str(figure.column)
    known = [row for row in rows if figure.column is not None and row[name] is not None]
    match figure.kind:
        case "any":
            return "true" if rows else "false"
        case "count":
            return float(len(rows))
        case "first" | "last":
            timed = [row for row in known if row[str(figure.clock)] is not None]
            timed.sort(key=lambda row: row[str(figure.clock)])  # stable: ties stay in order
            return None if not timed else timed[0 if figure.kind == "first" else -1][name]
        case "min" | "max":
            pick = min if figure.kind == "min" else max
            return pick((row[name] for row in known), default=None)
        case "share":
            held = [row for row in known if _compares(figure.test or (), row[name])]
            return float(len(held)) / float(len(known)) if len(known) >= figure.rows else None
    column = next(c for c in table.columns if c.name == name)
    if figure.kind == "slope":
        return _slope(figure, known, column, table, dictionary)
    steps, unit = _steps(column, known, name, min(2**31, 2**52 // table.max_rows_per_member))
    if len(steps) < figure.rows:
        return None
    per = float(len(steps)) if figure.kind == "mean" else 1.0
    return float(sum(steps)) / per / unit if unit >= 1 else float(sum(steps)) / per * (1 / unit)


def _steps(column: Column, known: list[Row], name: str, finest: int) -> tuple[list[int], float]:
    """Each value in decimal steps, and how many steps make one."""
    low, high = column.bounds or (0.0, 0.0)
    digits = 0 if column.type is ColumnType.INTEGER else 6
    while max(abs(low), abs(high)) * 10.0**digits + 1 > finest:
        digits -= 1
    if digits < 0:
        over = float(10**-digits)
        return [math.floor(row[name] / over + 0.5) for row in known], 1 / over
    times = float(10**digits)
    return [math.floor(row[name] * times + 0.5) for row in known], times


def _slope(
    figure: Fig, known: list[Row], column: Column, table: Table, dictionary: Dictionary
) -> float | None:
    timed = [row for row in known if row[str(figure.clock)] is not None]
    days = [_day(row[str(figure.clock)], dictionary) for row in timed]
    if len(days) < figure.rows or max(days) - min(days) < figure.days:
        return None
    base = date(1900, 1, 1).toordinal()
    if figure.table == "tests":
        base = _day(-40.0, dictionary)
    t = [day - base for day in days]
    finest = min(2**31, 2**45 // table.max_rows_per_member**2)
    q, unit = _steps(column, timed, str(figure.column), finest)
    n = len(t)
    top = n * sum(a * b for a, b in zip(t, q, strict=True)) - sum(t) * sum(q)
    bottom = n * sum(a * a for a in t) - sum(t) ** 2
    slope = float(top) / float(bottom) * 30.4375
    return slope / unit if unit >= 1 else slope * (1 / unit)
