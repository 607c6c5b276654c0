"""Runs and releases as pages say them: sentences, rows of a table, files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from models.aggregates.requests import parse_analysis
from models.sentences import sentence

if TYPE_CHECKING:
    import pandas as pd


def worded(asked: dict[str, Any]) -> dict[str, Any]:
    """A run or a release as the operations tell it, with its question in words."""
    return {**asked, "sentence": sentence(parse_analysis(asked["analysis"]), asked["cohort"])}


def cells_of(frame: pd.DataFrame) -> list[list[Any]]:
    """The lines of a table; what is not there is empty."""
    return list(frame.astype(object).where(frame.notna(), "").values.tolist())


def saved(save: Callable[[Path], None], kind: str) -> bytes:
    """What the client writes into a file that ends with `kind`."""
    with TemporaryDirectory() as folder:
        where = Path(folder) / f"file.{kind}"
        save(where)
        return where.read_bytes()
