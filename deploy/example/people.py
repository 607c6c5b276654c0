"""The members of one organisation: what does not change from row to row, and their first scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.example.draw import Codes, Numbers, Row, as_rows, pick, whole, with_gaps, written
from deploy.example.figures import (
    ALS_LOSS_MEAN,
    ALS_LOSS_SHAPE,
    CONDITIONS,
    CONSENT_SHARE,
    FATIGUE_STUDY_REFUSED,
    MISSING_IN_PEOPLE,
    PEOPLE,
    Organisation,
)

HEADER = (
    *("member", "age", "sex", "region", "condition", "years_since_onset"),
    *("alsfrs_r", "alsfrs_r_loss", "edss", "phq9", "consent", "consent_fatigue_research"),
)
ALSFRS_R_BEST = 48.0
MONTHS_PER_YEAR = 12.0


@dataclass(frozen=True)
class People:
    """Arrays over the members. Scores that a condition does not have are NaN."""

    keys: list[str]
    condition: Codes  # index into CONDITIONS
    years: Numbers
    loss: Numbers  # ALSFRS-R points per month
    alsfrs_r: Numbers
    edss: Numbers
    phq9: Numbers

    @property
    def size(self) -> int:
        return len(self.keys)


def draw_people(rng: np.random.Generator, organisation: Organisation) -> People:
    """Conditions, time since onset and first scores."""
    n = organisation.members
    shares = np.array([organisation.conditions[name] for name in CONDITIONS])
    condition: Codes = rng.choice(len(CONDITIONS), size=n, p=shares / shares.sum())
    als, ms, mood = (condition == code for code in range(len(CONDITIONS)))
    loss = rng.gamma(ALS_LOSS_SHAPE, ALS_LOSS_MEAN / ALS_LOSS_SHAPE, size=n)
    done = rng.beta(2.0, 2.6, size=n)  # how much of the score is gone at the first visit
    als_years = done * ALSFRS_R_BEST / (loss * MONTHS_PER_YEAR)
    years = np.select([als, ms], [als_years, rng.gamma(1.8, 6.5, size=n)], rng.gamma(1.6, 6.0, n))
    edss = np.round(2 * (1.0 + 0.16 * years + rng.gamma(2.0, 0.8, size=n))) / 2
    phq9 = rng.beta(2.4, 2.8, size=n) * 27
    return People(
        keys=[f"{organisation.prefix}{number:05d}" for number in range(1, n + 1)],
        condition=condition,
        years=years,
        loss=np.where(als, loss, np.nan),
        alsfrs_r=np.where(als, ALSFRS_R_BEST * (1 - done), np.nan),
        edss=np.where(ms, edss, np.nan),
        phq9=np.where(mood | (rng.random(n) < 0.3), np.where(mood, phq9, phq9 / 2), np.nan),
    )


def people_rows(rng: np.random.Generator, organisation: Organisation, people: People) -> list[Row]:
    """The rows of members.csv."""
    names = [CONDITIONS[code] for code in people.condition.tolist()]
    age = np.array([PEOPLE[name].age_mean for name in names])
    age = age + rng.standard_normal(people.size) * [PEOPLE[name].age_sd for name in names]
    women = rng.random(people.size) < [PEOPLE[name].women for name in names]
    described = (
        whole(age, 18, 95),
        ["female" if woman else "male" for woman in women.tolist()],
        pick(rng, organisation.regions, people.size),
        names,
        written(people.years, 0, 60, 1),
        whole(people.alsfrs_r, 0, 48),
        written(people.loss, 0, 4, 2),
        written(people.edss, 0, 10, 1),
        whole(people.phq9, 0, 27),
    )
    gapped = [with_gaps(rng, column, MISSING_IN_PEOPLE) for column in described]
    gapped[3] = names  # the condition is always known
    columns = [people.keys, *gapped, *_consent(rng, people.size)]
    return as_rows(columns, organisation.missing)


def _consent(rng: np.random.Generator, size: int) -> tuple[list[str], list[str]]:
    """Consent to research in general, and to fatigue research, which a few of these refuse."""
    general = rng.random(size) < CONSENT_SHARE
    fatigue = general & (rng.random(size) >= FATIGUE_STUDY_REFUSED)
    return _yes_or_no(general.tolist()), _yes_or_no(fatigue.tolist())


def _yes_or_no(given: list[bool]) -> list[str]:
    return ["yes" if each else "no" for each in given]
