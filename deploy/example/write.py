"""Writing the example's folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from deploy.example import outcomes, people, symptoms, treatments
from deploy.example.draw import Row
from deploy.example.figures import ORGANISATIONS, Organisation

_SETTINGS = ("dictionary.toml", "study.toml")


def write_example(folder: Path, seed: int = 1) -> None:
    """Write dictionary.toml, study.toml and three organisations' CSV files into `folder`.

    The same seed gives the same bytes. Files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _SETTINGS:
        text = files("deploy.example").joinpath(name).read_text("utf-8")
        (folder / name).write_text(text, "utf-8", newline="\n")
    for number, organisation in enumerate(ORGANISATIONS):
        _write_organisation(folder, organisation, np.random.default_rng([seed, number]))


def _write_organisation(folder: Path, organisation: Organisation, rng: np.random.Generator) -> None:
    where = folder / organisation.folder
    where.mkdir(exist_ok=True)
    members = people.draw_people(rng, organisation)
    gap = organisation.missing
    _write(where / "members.csv", people.HEADER, people.people_rows(rng, organisation, members))
    _write(where / "symptoms.csv", symptoms.HEADER, symptoms.symptom_rows(rng, members, gap))
    _write(
        where / "treatments.csv", treatments.HEADER, treatments.treatment_rows(rng, members, gap)
    )
    _write(where / "outcomes.csv", outcomes.HEADER, outcomes.outcome_rows(rng, members, gap))


def _write(path: Path, header: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
