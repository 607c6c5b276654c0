"""Made-up people of three organisations, some of whom are members of two.

900 memberships of 720 people: 180 people are in two organisations, which write their names each
in its own way. Everybody opted in to linkage and holds a code that only they and their
organisations know. Counted everywhere, they are 900; each once, 720.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

ORGANISATIONS = ("als-forum", "mood-circle", "ms-network")
FIELDS = ("members.birthday", "members.link_code", "members.name")
PEOPLE = 720
IN_TWO = 180
MEMBERSHIPS = PEOPLE + IN_TWO

_GIVEN = ("Zoë", "Jürgen", "Ana-Lucía", "Søren", "Mary", "Paweł", "Renée", "Ivo", "Chloé", "Omar")
_FAMILY = ("Müller", "O'Neill", "García", "Nielsen", "Smith", "Nowak", "Dubois", "Rossi", "Khan")
_HEADER = ("member", "name", "birthday", "link_code", "age", "region", "consent", "consent_linkage")

DICTIONARY = """\
# Members of three organisations. What a person is recognised by is an identifier: it stays at the
# node, and no question can name it.

[tables.members]
key = "member"
rows = "one"

[tables.members.columns.name]
type = "text"
identifier = true

[tables.members.columns.birthday]
type = "date"
identifier = true

[tables.members.columns.link_code]
type = "text"
identifier = true
label = "given to members who opted in to linkage"

[tables.members.columns.age]
type = "integer"
lower = 18
upper = 95
bins = [18, 40, 65, 95]
unit = "years"

[tables.members.columns.region]
type = "categorical"
levels = ["europe", "elsewhere"]
"""

STUDY = """\
[[study]]
id = "everywhere"
title = "How many members organisations have, wherever they are members"
purpose = "member-research"
consent = "required"
period = ["2025-01-01", "2034-12-31"]
epsilon_allowance = 20

[[study]]
id = "each-once"
title = "How many people they are"
purpose = "member-research"
consent = "required"
linked = true
period = ["2025-01-01", "2034-12-31"]
epsilon_allowance = 20

[policy]
yearly_epsilon = 100
min_cohort = 20
t_drop = 0
t_collude = 1
max_memberships = 2
link_fields = ["members.birthday", "members.link_code", "members.name"]
link_room = 400
"""


def write_shared_example(folder: Path, seed: int = 1) -> None:
    """Write dictionary.toml, study.toml and three organisations' members.csv into `folder`.

    The same seed gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.toml").write_text(DICTIONARY, "utf-8")
    (folder / "study.toml").write_text(STUDY, "utf-8")
    rows: list[list[list[str]]] = [[], [], []]
    rng = np.random.default_rng(seed)
    for person in range(PEOPLE):
        who = _person(rng, person)
        homes = [person % 3, (person + 1) % 3] if person < IN_TWO else [person % 3]
        for home in homes:
            rows[home].append([f"{'AMS'[home]}{person:04d}", _written(home, who[0]), *who[1:]])
    for name, listed in zip(ORGANISATIONS, rows, strict=True):
        (folder / name).mkdir(exist_ok=True)
        with (folder / name / "members.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows(listed)


def _person(rng: np.random.Generator, number: int) -> list[str]:
    given, family = _GIVEN[number % len(_GIVEN)], _FAMILY[number % len(_FAMILY)]
    age = int(rng.integers(18, 95))
    birthday = f"{2025 - age}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
    code = "".join(str(digit) for digit in rng.integers(0, 10, size=12))
    region = "europe" if rng.random() < 0.6 else "elsewhere"
    return [f"{given} {family}", birthday, code, str(age), region, "yes", "yes"]


def _written(home: int, name: str) -> str:
    """Each organisation has its own way of writing names."""
    return (name, name.upper(), f"{name} ".replace(" ", "  "))[home]
