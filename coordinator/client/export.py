"""A result as a file: its table with what must go with it, the notes and the release."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.client.errors import BadInput
from coordinator.client.model import save_model
from coordinator.client.scripts import notebook, r_script
from privacy.contract.shown import as_cell

if TYPE_CHECKING:
    from coordinator.client.result import Result

_KEY = b"cairn"


def save(
    result: Result, path: str | Path, intended_use: str = "", judged: Sequence[Result] = ()
) -> None:
    """Write `path` as its ending says: .csv, .parquet, .json, .ipynb (a notebook) or .r (a script),
    or .safetensors for a model.

    A CSV file begins with lines of `#` that say what it is (pandas reads it with comment="#"), and
    no word in it begins as a formula does (`privacy.contract.shown` `as_cell`); a
    Parquet file has the same as JSON in its schema's metadata, under `cairn`. Raises BadInput
    for another ending.
    """
    where = Path(path)
    match where.suffix.lower():
        case ".csv":
            head = "".join(f"# {line}\n" for line in _header(result))
            table = result.table.map(lambda cell: as_cell(cell) if isinstance(cell, str) else cell)
            text = head + table.to_csv(index=False, lineterminator="\n")
            where.write_text(text, "utf-8", newline="\n")
        case ".json":
            text = json.dumps(result.to_json(), indent=2, ensure_ascii=False)
            where.write_text(text + "\n", "utf-8", newline="\n")
        case ".parquet":
            _parquet(result, where)
        case ".ipynb":
            where.write_text(notebook(result, _header(result)), "utf-8", newline="\n")
        case ".r":
            where.write_text(r_script(result, _header(result)), "utf-8", newline="\n")
        case ".safetensors":
            save_model(result, where, intended_use, judged)
        case _:
            raise BadInput(
                "no form for this ending", where=str(where), instead="end it .csv, .parquet, .json"
            )


def _header(result: Result) -> list[str]:
    """Sentence, notes, cost and receipts, each in one line."""
    whose = "made-up members" if result.mock else f"release {result.release}"
    cost = f"epsilon {result.epsilon:.6g} at delta {float(result.delta):.3g}"
    unit = f"unit: {result.answer.unit}" if result.answer.unit else ""
    lines = [
        result.asked.sentence,
        f"{whose}, study {result.asked.study}, {cost}",
        unit,
        *result.answer.notes,
        *(f"receipt: {receipt}" for receipt in result.shown_receipts),
    ]
    return [" ".join(line.split()) for line in lines if line]


def _parquet(result: Result, where: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(result.table, preserve_index=False)
    said = json.dumps(result.to_json(), ensure_ascii=False).encode("utf-8")
    pq.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: said}), where
    )
