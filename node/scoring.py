"""The organisation's own use of a released model: scores of its own members, in a file here.

Nothing is sent, nothing is charged and no entry is written: what stays in the building is no
release. Who may read the file, and what members were told of it, is the organisation's own affair.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.neural.outcome import Level
from models.neural.trained import TrainedNetwork
from models.regression.batch import many_table
from models.released.files import ENDING, MOST_BYTES, ReleasedModel, model_from
from node.engine_figures import asked_members
from node.engine_stream import parts
from node.engines.embedded import DuckDBReading
from node.records import Records
from privacy.errors import BadInput

_OWNER_ALONE = 0o600


def read_model(path: Path) -> ReleasedModel:
    """A saved model and the .json file beside it; nothing in them is run.

    Raises BadInput for files that are missing, larger than a model or anything else.
    """
    if path.suffix != ENDING:
        raise BadInput(f"a model's file ends {ENDING}", where=str(path))
    return model_from(_bytes(path), _bytes(path.with_suffix(".json")))


def _bytes(path: Path) -> bytes:
    most = MOST_BYTES[path.suffix]
    if not path.is_file():
        raise BadInput("cannot be read (no such file)", where=str(path))
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadInput(f"larger than {most} bytes", where=str(path))
    return data


def score(records: Records, model: ReleasedModel, out: Path, horizon: float | None = None) -> int:
    """Write a line per member, with the organisation's own key, and return how many. A member
    without a row in the many-row table that the model reads has none.

    Raises BadInput for a model of another dictionary than the records', and where `out` exists or
    is no .csv file.
    """
    if out.suffix != ".csv":
        raise BadInput("scores are written as .csv", where=str(out))
    if records.dictionary_digest != model.dictionary.digest:
        raise BadInput(
            "the model was made with another dictionary than these records follow",
            where="model",
            instead=f"use one whose dictionary is {records.dictionary_digest}",
        )
    lines = _scores(records, model, horizon)
    heads = next(lines)
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    except OSError as error:
        raise BadInput(f"cannot be written ({error.strerror})", where=str(out)) from None
    with os.fdopen(file, "w", encoding="utf-8", newline="") as target:
        written = csv.writer(target, lineterminator="\n")
        written.writerow(heads)
        count = 0
        for line in lines:
            written.writerow(line)
            count += 1
    return count


def _scores(records: Records, model: ReleasedModel, horizon: float | None) -> Iterator[list[Any]]:
    """The heads of the columns, then the lines."""
    yield ["member", *_heads(model)]
    refs = sorted(model.reads, key=lambda ref: ref.name)
    with records.snapshot() as cursor:
        keys = cursor.execute("SELECT member FROM members ORDER BY member_ix").fetchall()
        alone = frozenset(ref for ref in refs if not ref.many)
        members = asked_members(alone, None)
        for place, rows in parts(DuckDBReading(cursor), refs, many_table(refs), members):
            if isinstance(model, TrainedNetwork):
                said = model.scored(rows)
            else:
                said = model.scored(rows, horizon)
            for at, values in zip(place, said.reshape(len(place), -1), strict=True):
                yield [keys[at][0], *_texts(values)]


def _heads(model: ReleasedModel) -> list[str]:
    if isinstance(model, TrainedNetwork):
        outcome = model.compiled.outcome
        return list(outcome.column.column.levels) if isinstance(outcome, Level) else ["score"]
    return list(model.answers)


def _texts(values: NDArray[np.float64]) -> list[str]:
    """Empty where something that the model reads is missing."""
    return [f"{each:.6g}" if np.isfinite(each) else "" for each in values]
