"""Symptoms: for each member a few, with whether they are there and how severe they are."""

from __future__ import annotations

import numpy as np

from deploy.example.draw import Row, as_rows, whole, with_gaps
from deploy.example.figures import (
    CONDITIONS,
    MISSING_IN_ROWS,
    PRESENCE_UNKNOWN,
    SYMPTOMS,
    SYMPTOMS_FEWEST,
    SYMPTOMS_MOST,
)
from deploy.example.people import People

HEADER = ("member", "symptom", "present", "severity")
SPREAD = 1.9


def symptom_rows(rng: np.random.Generator, people: People, missing: str) -> list[Row]:
    """The rows of symptoms.csv, members in order.

    A member is asked about SYMPTOMS_FEWEST to SYMPTOMS_MOST different symptoms, drawn by the
    weights of their condition (the largest of log-weight plus Gumbel noise).
    """
    names = list(SYMPTOMS)
    table = np.array([[SYMPTOMS[name][c] for name in names] for c in CONDITIONS])
    weight, chance, mean = (table[people.condition, :, part] for part in range(3))
    order = np.argsort(-(np.log(weight) + rng.gumbel(size=weight.shape)), axis=1, kind="stable")
    asked = rng.integers(SYMPTOMS_FEWEST, SYMPTOMS_MOST + 1, size=people.size)
    member = np.repeat(np.arange(people.size), asked)
    place = np.arange(len(member)) - np.repeat(np.cumsum(asked) - asked, asked)
    symptom = order[member, place]
    present = rng.random(len(member)) < chance[member, symptom]
    unknown = rng.random(len(member)) < PRESENCE_UNKNOWN
    felt = np.clip(mean[member, symptom] + SPREAD * rng.standard_normal(len(member)), 1, 10)
    severity = np.where(unknown, np.nan, np.where(present, felt, 0.0))
    columns = (
        [people.keys[i] for i in member.tolist()],
        [names[i] for i in symptom.tolist()],
        np.where(unknown, "unknown", np.where(present, "yes", "no")).tolist(),
        with_gaps(rng, whole(severity, 0, 10), MISSING_IN_ROWS),
    )
    return as_rows(columns, missing)
