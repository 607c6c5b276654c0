"""Outcomes: one row per visit, with the score that goes with the member's condition."""

from __future__ import annotations

import numpy as np

from deploy.example.draw import Row, as_rows, whole, with_gaps, written
from deploy.example.figures import MISSING_IN_ROWS, VISITS_MEAN, VISITS_MOST
from deploy.example.people import People

HEADER = ("member", "months", "alsfrs_r_visit", "edss_visit", "phq9_visit")
MONTHS_BETWEEN_VISITS = 3
EDSS_PER_YEAR = 0.1


def outcome_rows(rng: np.random.Generator, people: People, missing: str) -> list[Row]:
    """The rows of outcomes.csv, members in order and each member's visits in time.

    The ALSFRS-R falls by the member's own loss, whatever they take.
    """
    visits = np.minimum(1 + rng.poisson(VISITS_MEAN - 1, size=people.size), VISITS_MOST)
    member = np.repeat(np.arange(people.size), visits)
    place = np.arange(len(member)) - np.repeat(np.cumsum(visits) - visits, visits)
    months = MONTHS_BETWEEN_VISITS * place.astype(np.float64)
    measured = rng.standard_normal((3, len(member))) * np.array([[1.0], [0.35], [2.2]])
    alsfrs_r = people.alsfrs_r[member] - people.loss[member] * months + measured[0]
    edss = people.edss[member] + EDSS_PER_YEAR * months / 12 + measured[1]
    phq9 = people.phq9[member] + measured[2]
    columns = (
        [people.keys[i] for i in member.tolist()],
        whole(months, 0, 24),
        with_gaps(rng, whole(alsfrs_r, 0, 48), MISSING_IN_ROWS),
        with_gaps(rng, written(np.round(2 * edss) / 2, 0, 10, 1), MISSING_IN_ROWS),
        with_gaps(rng, whole(phq9, 0, 27), MISSING_IN_ROWS),
    )
    return as_rows(columns, missing)
