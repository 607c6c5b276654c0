"""Treatments: what a member takes, what for, and how it goes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploy.example.draw import Codes, Row, as_rows, pick, with_gaps
from deploy.example.figures import (
    CONDITIONS,
    EFFECTIVENESS,
    MISSING_IN_ROWS,
    PURPOSES,
    SIDE_EFFECTS,
    STOP_REASONS,
    TREATMENTS,
    TREATMENTS_MOST,
    Shares,
)
from deploy.example.people import People

HEADER = ("member", "treatment", "purpose", "effectiveness", "side_effect", "stop_reason")


def treatment_rows(rng: np.random.Generator, people: People, missing: str) -> list[Row]:
    """The rows of treatments.csv, members in order; whoever takes nothing has no row."""
    names = list(TREATMENTS)
    share = np.array([[TREATMENTS[name][c] for name in names] for c in CONDITIONS])
    takes = rng.random((people.size, len(names))) < share[people.condition]
    takes &= np.cumsum(takes, axis=1) <= TREATMENTS_MOST
    member, treatment = np.nonzero(takes)
    rows = len(member)
    columns = (
        [people.keys[i] for i in member.tolist()],
        [names[i] for i in treatment.tolist()],
        with_gaps(rng, _by_treatment(rng, names, treatment, PURPOSES), MISSING_IN_ROWS),
        with_gaps(rng, pick(rng, EFFECTIVENESS, rows), MISSING_IN_ROWS),
        with_gaps(rng, _by_treatment(rng, names, treatment, SIDE_EFFECTS), MISSING_IN_ROWS),
        with_gaps(rng, pick(rng, STOP_REASONS, rows), MISSING_IN_ROWS),
    )
    return as_rows(columns, missing)


def _by_treatment(
    rng: np.random.Generator, names: list[str], treatment: Codes, table: Mapping[str, Shares]
) -> list[str]:
    """One draw per row, from the shares of the row's treatment."""
    drawn = np.empty(len(treatment), dtype=object)
    for code, name in enumerate(names):
        rows = np.flatnonzero(treatment == code)
        drawn[rows] = pick(rng, table[name], len(rows))
    return [str(word) for word in drawn]
