"""The examples' members in this process: questions of all organisations without a network.

For trying a question, and for the figures in the documents. Answers say that the members are
made up, carry the noise of a real answer, and cost nothing.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from coordinator.client.mock import MockBackend, MockSource
from coordinator.client.question import Question, Terms
from coordinator.client.result import Result
from coordinator.client.study import Study
from coordinator.study_file import load_study_file
from deploy import lung
from deploy.example import outcomes, people, symptoms, treatments
from deploy.example.draw import Row
from deploy.example.figures import ORGANISATIONS
from models.dictionary_file import load_dictionary
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Dictionary
from privacy.randomness import Entropy

_CONSENT = people.HEADER.index("consent")
_TODAY = date(2026, 1, 1)
_HEADERS = {
    "members": people.HEADER,
    "symptoms": symptoms.HEADER,
    "treatments": treatments.HEADER,
    "outcomes": outcomes.HEADER,
}


@dataclass(frozen=True)
class ExampleBackend(MockBackend):
    """Answers from the example's members instead of rows made up from the dictionary."""

    @cached_property
    def rows(self) -> Rows:
        return example_rows(self.dictionary, self.seed)


def example_study(seed: int = 1, entropy: Entropy = os.urandom) -> Study:
    """The study `als-progression` on the example's consenting members.

    The same seed gives the members that `write_example` writes; `entropy` is the noise's.
    """
    dictionary = load_dictionary(_text("dictionary.toml"), "dictionary.toml")
    file = load_study_file(_text("study.toml"), "study.toml", _TODAY)
    facts = file.study_facts(dictionary.digest, ())[0]
    members = sum(organisation.members for organisation in ORGANISATIONS)
    return Study(facts.id, MockSource(ExampleBackend(facts, dictionary, members, seed, entropy)))


def example_rows(dictionary: Dictionary, seed: int = 1) -> Rows:
    """Every consenting member's rows, of all three organisations."""
    gathered: dict[str, list[Row]] = {name: [] for name in _HEADERS}
    for number, organisation in enumerate(ORGANISATIONS):
        rng = np.random.default_rng([seed, number])
        members = people.draw_people(rng, organisation)
        rows = people.people_rows(rng, organisation, members)
        kept = {row[0] for row in rows if row[_CONSENT] == "yes"}
        gap = organisation.missing
        drawn = {
            "members": rows,
            "symptoms": symptoms.symptom_rows(rng, members, gap),
            "treatments": treatments.treatment_rows(rng, members, gap),
            "outcomes": outcomes.outcome_rows(rng, members, gap),
        }
        for name, each in drawn.items():
            gathered[name] += [_known(row, gap) for row in each if row[0] in kept]
    tables = {name: _columns(_HEADERS[name], rows) for name, rows in gathered.items()}
    return from_tables(dictionary, tables)


@dataclass(frozen=True)
class LungBackend(MockBackend):
    """Answers from the patients of the NCCTG lung cancer data."""

    @cached_property
    def rows(self) -> Rows:
        with TemporaryDirectory() as folder:
            lung.write_lung_example(Path(folder))
            rows = [row for name in lung.ORGANISATIONS for row in _read(Path(folder) / name)]
        header, *_ = rows
        listed = {name: [row[name] or None for row in rows] for name in header}
        return from_tables(self.dictionary, {"members": listed})

    def run(self, question: Question, terms: Terms) -> Result:
        """As of any question in this process; but nobody here is made up."""
        return replace(super().run(question, terms), mock=False)


def lung_study(entropy: Entropy = os.urandom) -> Study:
    """The study `lung-survival` on its 227 patients; needs lifelines (the extra `demo`)."""
    dictionary = load_dictionary(lung.DICTIONARY, "dictionary.toml")
    facts = load_study_file(lung.STUDY, "study.toml", _TODAY).study_facts(dictionary.digest, ())[0]
    return Study(facts.id, MockSource(LungBackend(facts, dictionary, 227, 1, entropy)))


def _read(folder: Path) -> list[dict[str, str]]:
    with (folder / "members.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _known(row: Row, gap: str) -> Row:
    return ["" if field == gap else field for field in row]


def _columns(header: Sequence[str], rows: Iterable[Row]) -> dict[str, list[str | None]]:
    columns = zip(*rows, strict=True)
    return {
        name: [field or None for field in column]
        for name, column in zip(header, columns, strict=True)
    }


def _text(name: str) -> str:
    return files("deploy.example").joinpath(name).read_text("utf-8")
