"""Which columns say when a row was, and which of them a figure goes by.

A time is a date, or a number whose declared unit is days, weeks, months or years from some day
that all organisations agree on; it is counted in whole days (`models.figures.grid`).
"""

from __future__ import annotations

from privacy.contract.dictionary import Column, ColumnRef, ColumnType, Table

DAYS_PER_UNIT = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


def is_time(column: Column) -> bool:
    if column.identifier:
        return False
    counted = column.type in _NUMERIC and days_per_unit(column) is not None
    return column.type is ColumnType.DATE or counted


def days_per_unit(column: Column) -> float | None:
    """Days in one unit of a counted time; None where the unit is none of time."""
    unit = column.unit.strip().lower()
    return DAYS_PER_UNIT.get(unit, DAYS_PER_UNIT.get(unit + "s"))


def same_time(left: Column, right: Column) -> bool:
    """Can the two be subtracted: both dates, or both counted?"""
    return (left.type is ColumnType.DATE) == (right.type is ColumnType.DATE)


def usual_clock(table: Table, column: Column | None) -> ColumnRef | None:
    """What a figure of `column` goes by unless it says `on …`: the column itself where it is a
    date, else the table's declared time, else its only date; None where that is not clear."""
    if column is not None and column.type is ColumnType.DATE:
        return ColumnRef(table, column)
    for each in table.columns:
        if each.name == table.time and is_time(each):
            return ColumnRef(table, each)
    dates = [each for each in table.columns if each.type is ColumnType.DATE]
    usable = [each for each in dates if not each.identifier]
    return ColumnRef(table, usable[0]) if len(usable) == 1 else None
