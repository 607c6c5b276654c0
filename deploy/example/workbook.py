"""One organisation's files as the workbook that an office keeps: a sheet for each table, its
columns titled as people title them, and a condition that some rows call by an older name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from openpyxl import Workbook

_ORGANISATION = "als-forum"
_TABLES = ("members", "symptoms", "treatments", "outcomes")
_WRITTEN = {"member": "Patient ID", "alsfrs_r": "ALSFRS-R", "edss": "EDSS", "phq9": "PHQ9"}
_OLDER, _EVERY = "Motor neurone disease", 10  # in place of `als`, in each tenth row of members


def write_workbook(folder: Path) -> Path:
    """Write `als-forum.xlsx` beside the folders of `write_example`; returns where it is."""
    book = Workbook(write_only=True)
    for table in _TABLES:
        sheet = book.create_sheet(table.capitalize())
        for row in _rows(folder / _ORGANISATION / f"{table}.csv"):
            sheet.append(row)
    path = folder / f"{_ORGANISATION}.xlsx"
    book.save(path)
    return path


def _rows(path: Path) -> Iterator[list[str | float]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        yield [_title(name) for name in next(reader)]
        for number, row in enumerate(reader):
            yield [
                _OLDER if cell == "als" and number % _EVERY == 0 else _cell(cell) for cell in row
            ]


def _title(name: str) -> str:
    for known, written in _WRITTEN.items():
        name = name.replace(known, written)
    return name[0].upper() + name[1:].replace("_", " ")


def _cell(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
