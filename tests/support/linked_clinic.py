"""Three organisations that share some people: who they are, and the truth about them.

Person p is somebody with a name, a day of birth and a code that only they were given. Their
condition and age are the same wherever they are a member; organisations write their names each
in its own way.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from privacy.contract.policy import Linking
from tests.support import net_data

DICTIONARY = net_data.DICTIONARY.replace(
    """[tables.members.columns.email]
type = "text"
identifier = true
""",
    """[tables.members.columns.email]
type = "text"
identifier = true
[tables.members.columns.name]
type = "text"
identifier = true
[tables.members.columns.birthday]
type = "date"
identifier = true
[tables.members.columns.link_code]
type = "text"
identifier = true
""",
)
FIELDS = ("members.birthday", "members.link_code", "members.name")
SPELLINGS = (str, str.upper, lambda name: f"  {name.replace(' ', '-')} ")
ROOM = 24


def linking(node: str, **changes: object) -> Linking:
    """What each organisation agrees to: the two others, by the three fields."""
    partners = tuple(name for name in net_data.NODES if name != node)
    return Linking(**{"partners": partners, "fields": FIELDS, "room": ROOM, **changes})  # type: ignore[arg-type]


def member_of(node: int, people: list[int], opted_in: list[int]) -> pd.DataFrame:
    """One organisation's members: `people` by number, of whom some opted in."""
    rows = [_row(node, person, person in opted_in) for person in people]
    return pd.DataFrame(rows)


def _row(node: int, person: int, opted_in: bool) -> dict[str, object]:
    rng = np.random.default_rng([7, person])
    return {
        "member": f"n{node}-{person:03d}",
        "condition": str(rng.choice(["als", "ms", "mood"])),
        "treatment": str(rng.choice(["none", "riluzole", "other"])),
        "age": round(float(rng.uniform(18, 90)), 1),
        "score": round(float(rng.normal(20, 10)), 2),
        "born": f"{1930 + person % 70}-03-0{1 + person % 9}",
        "story": f"story {person}",
        "email": f"p{person}@node{node}.example.org",
        "name": SPELLINGS[node](f"Zoë Müller {person}"),
        "birthday": f"{1930 + person % 70}-03-0{1 + person % 9}",
        "link_code": f"code-{rng.integers(10**12):012d}",
        "consent": "yes",
        "consent_linkage": "yes" if opted_in else "",
    }


class Frames(dict[str, pd.DataFrame]):
    """Frames by organisation that nobody changes, so that networks made of them are made once."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


@cache
def overlapping(opted_in: bool = True) -> Frames:
    """39 people with 66 memberships, of whom everybody opted in everywhere, or nobody."""
    lists = {
        "als-union": [*range(20), 40, 41],
        "mood-circle": [*range(10, 30), 40, 42],
        "ms-league": [*range(15, 35), 40, 43],
    }
    assert sum(map(len, lists.values())) == MEMBERSHIPS
    return Frames(
        (name, member_of(number, people, people if opted_in else []))
        for number, (name, people) in enumerate(lists.items())
    )


PERSONS = 39
MEMBERSHIPS = 66


@cache
def symptoms(frames: Frames) -> Frames:
    return Frames((name, net_data.symptoms(frame, 1)) for name, frame in frames.items())


class Agreed(dict[str, Linking]):
    """Agreements by organisation."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def agreed(**changes: object) -> Agreed:
    """What all three organisations agree to."""
    return Agreed((name, linking(name, **changes)) for name in net_data.NODES)
