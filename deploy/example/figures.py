"""Every figure the example is drawn from: published ones first, then those that were chosen.

Published

- ALS, points of the ALSFRS-R lost per month: mean 0.89, 95 % of people between 0.04 and 1.96, in
  seven cohorts with 7,030 people and 31,746 scores (PRECISION-ALS). A Gamma distribution of shape
  3.94 and mean 0.89 has that mean and upper end. It enters as `ALS_LOSS_*`; the number of
  visits, 31,746 / 7,030 = 4.5 on average, as `VISITS_MEAN`.
- Lithium in ALS: 149 people treated, compared with 447 matched controls; no effect on the score
  after twelve months (Wicks and others 2011). It enters as the share of people with ALS who take
  lithium, 149 / 596, and as the absence of any effect: the loss is drawn before the treatments
  and nothing changes it afterwards. (The share is that of a matched comparison, not of all
  people with ALS.)
- What drugs are taken for: modafinil for its licensed purpose in 34 of 1,755 reports,
  amitriptyline in 104 of 1,197 (Frost and others 2011). They enter as the probability of the
  licensed purpose in `PURPOSES`, whatever the member's condition.
- Dry mouth in 88 of 220 reports on amitriptyline (the same study): `SIDE_EFFECTS`.

Chosen, to be plausible; not from a source: how many members an organisation has and in which mix,
ages, sexes and regions, MS and mood scores, which symptoms go with which condition, every other
treatment's share, the purposes other than the licensed one, the other side effects, the reasons to
stop, 90 % consent, and 2-4 % missing values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Shares = Mapping[str, float]

CONDITIONS = ("als", "ms", "mood")

ALS_LOSS_SHAPE = 3.94
ALS_LOSS_MEAN = 0.89
VISITS_MEAN = 31_746 / 7_030
VISITS_MOST = 8

LITHIUM_SHARE_IN_ALS = 149 / (149 + 447)
MODAFINIL_LICENSED = 34 / 1_755
AMITRIPTYLINE_LICENSED = 104 / 1_197
AMITRIPTYLINE_DRY_MOUTH = 88 / 220

CONSENT_SHARE = 0.90
FATIGUE_STUDY_REFUSED = 0.05
MISSING_IN_PEOPLE = 0.02
MISSING_IN_ROWS = 0.04
SYMPTOMS_FEWEST = 3
SYMPTOMS_MOST = 6
TREATMENTS_MOST = 3


@dataclass(frozen=True)
class Organisation:
    """One organisation: how many members, who they are, and how it writes a missing value."""

    folder: str
    prefix: str
    members: int
    conditions: Shares
    regions: Shares
    missing: str


ORGANISATIONS = (
    Organisation(
        folder="als-forum",
        prefix="F",
        members=2_400,
        conditions={"als": 0.72, "ms": 0.16, "mood": 0.12},
        regions={"europe": 0.62, "north_america": 0.28, "elsewhere": 0.10},
        missing="",
    ),
    Organisation(
        folder="ms-network",
        prefix="N",
        members=2_100,
        conditions={"als": 0.10, "ms": 0.74, "mood": 0.16},
        regions={"europe": 0.48, "north_america": 0.40, "elsewhere": 0.12},
        missing="NA",
    ),
    Organisation(
        folder="mood-circle",
        prefix="C",
        members=1_600,
        conditions={"als": 0.09, "ms": 0.15, "mood": 0.76},
        regions={"europe": 0.35, "north_america": 0.49, "elsewhere": 0.16},
        missing="?",
    ),
)


@dataclass(frozen=True)
class Person:
    """Who has a condition: age (mean, standard deviation, years) and share of women."""

    age_mean: float
    age_sd: float
    women: float


PEOPLE: Mapping[str, Person] = {
    "als": Person(60.0, 11.0, 0.42),
    "ms": Person(47.0, 11.5, 0.74),
    "mood": Person(41.0, 13.5, 0.62),
}

# For each symptom: how likely a member of each condition is asked about it (a weight), has it
# when asked, and how severe it then is on average (1 to 10).
SYMPTOMS: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "fatigue": {"als": (3, 0.78, 5.2), "ms": (4, 0.83, 6.0), "mood": (3, 0.72, 5.5)},
    "muscle_weakness": {"als": (4, 0.94, 7.0), "ms": (2, 0.62, 4.8), "mood": (0.2, 0.15, 2.5)},
    "stiffness": {"als": (2, 0.60, 4.6), "ms": (2.5, 0.66, 5.2), "mood": (0.3, 0.20, 2.8)},
    "pain": {"als": (1.5, 0.48, 4.0), "ms": (2, 0.58, 4.9), "mood": (1, 0.38, 4.2)},
    "excess_saliva": {"als": (1.5, 0.42, 4.4), "ms": (0.2, 0.06, 2.0), "mood": (0.1, 0.04, 2.0)},
    "numbness": {"als": (0.3, 0.12, 2.4), "ms": (2.5, 0.70, 4.7), "mood": (0.2, 0.10, 2.2)},
    "bladder_problems": {"als": (0.3, 0.16, 2.9), "ms": (1.8, 0.60, 4.8), "mood": (0.2, 0.08, 2.5)},
    "brain_fog": {"als": (0.6, 0.26, 3.1), "ms": (2, 0.61, 4.7), "mood": (2, 0.60, 5.0)},
    "depressed_mood": {"als": (1.2, 0.40, 4.1), "ms": (1.6, 0.48, 4.6), "mood": (4, 0.84, 6.4)},
    "anxiety": {"als": (1.2, 0.42, 4.2), "ms": (1.2, 0.42, 4.3), "mood": (3.5, 0.76, 6.0)},
    "insomnia": {"als": (1.2, 0.44, 4.3), "ms": (1.2, 0.43, 4.4), "mood": (2.5, 0.64, 5.4)},
}
PRESENCE_UNKNOWN = 0.03

# Share of a condition's members who take each treatment. Where a member would take more than
# TREATMENTS_MOST, the later ones of this order are dropped; no published share is touched by that.
TREATMENTS: Mapping[str, Shares] = {
    "lithium": {"als": LITHIUM_SHARE_IN_ALS, "ms": 0.01, "mood": 0.22},
    "riluzole": {"als": 0.58, "ms": 0.0, "mood": 0.0},
    "interferon_beta": {"als": 0.0, "ms": 0.27, "mood": 0.0},
    "glatiramer": {"als": 0.0, "ms": 0.24, "mood": 0.0},
    "natalizumab": {"als": 0.0, "ms": 0.13, "mood": 0.0},
    "sertraline": {"als": 0.08, "ms": 0.10, "mood": 0.33},
    "lamotrigine": {"als": 0.01, "ms": 0.03, "mood": 0.27},
    "amitriptyline": {"als": 0.16, "ms": 0.14, "mood": 0.11},
    "modafinil": {"als": 0.05, "ms": 0.22, "mood": 0.09},
    "baclofen": {"als": 0.22, "ms": 0.30, "mood": 0.01},
}


def _licensed(name: str, share: float, others: Shares) -> Shares:
    """The licensed purpose with its share, and the others sharing what is left."""
    total = sum(others.values())
    return {name: share, **{other: (1 - share) * w / total for other, w in others.items()}}


PURPOSES: Mapping[str, Shares] = {
    "lithium": {"disease_course": 0.55, "mood": 0.45},
    "riluzole": {"disease_course": 1.0},
    "interferon_beta": {"disease_course": 1.0},
    "glatiramer": {"disease_course": 1.0},
    "natalizumab": {"disease_course": 1.0},
    "sertraline": {"mood": 0.85, "anxiety": 0.15},
    "lamotrigine": {"mood": 0.80, "pain": 0.20},
    "amitriptyline": _licensed(
        "mood", AMITRIPTYLINE_LICENSED, {"pain": 5, "sleep": 3, "excess_saliva": 2}
    ),
    "modafinil": _licensed(
        "daytime_sleepiness", MODAFINIL_LICENSED, {"fatigue": 7, "thinking": 2, "mood": 1}
    ),
    "baclofen": {"stiffness": 0.9, "pain": 0.1},
}
SIDE_EFFECTS: Mapping[str, Shares] = {
    "lithium": {"none": 0.40, "tremor": 0.30, "nausea": 0.15, "weight_gain": 0.15},
    "riluzole": {"none": 0.62, "nausea": 0.20, "fatigue": 0.18},
    "interferon_beta": {"none": 0.35, "flu_like": 0.50, "fatigue": 0.15},
    "glatiramer": {"none": 0.55, "skin_reaction": 0.45},
    "natalizumab": {"none": 0.70, "fatigue": 0.20, "headache": 0.10},
    "sertraline": {"none": 0.50, "nausea": 0.25, "insomnia": 0.15, "headache": 0.10},
    "lamotrigine": {"none": 0.65, "headache": 0.20, "skin_reaction": 0.15},
    "amitriptyline": _licensed(
        "dry_mouth", AMITRIPTYLINE_DRY_MOUTH, {"none": 6, "drowsiness": 5, "weight_gain": 3}
    ),
    "modafinil": {"none": 0.58, "headache": 0.20, "insomnia": 0.14, "nausea": 0.08},
    "baclofen": {"none": 0.55, "drowsiness": 0.33, "nausea": 0.12},
}
EFFECTIVENESS: Shares = {
    "none": 0.16,
    "slight": 0.24,
    "moderate": 0.26,
    "major": 0.12,
    "cannot_tell": 0.22,
}
STOP_REASONS: Shares = {
    "still_taking": 0.62,
    "side_effects": 0.14,
    "not_effective": 0.13,
    "cost": 0.04,
    "advice": 0.07,
}
