"""What training and scoring share: the groups reported on, and the error to expect of an area."""

from __future__ import annotations

import math

from models.aggregates.columns import celled
from models.aggregates.expected import Expected
from models.figures.named import column_named
from models.neural.scoring import BINS, Tables
from models.noise_law import NoiseLaw
from models.result import Z95
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

_SPREAD = 0.06  # variance of a member's rank among the others, about, at an area of 0.75


def groups_of(dictionary: Dictionary, names: tuple[str, ...]) -> tuple[ColumnRef, ...]:
    """Raises BadInput for a column without cells, twice given, or of many rows."""
    refs = tuple(celled(column_named(dictionary, name)) for name in names)
    if len({ref.name for ref in refs}) < len(refs) or any(ref.many for ref in refs):
        raise BadInput("groups are columns of one row per member, each once", where="by")
    return refs


def expected_area(tables: Tables, law: NoiseLaw, members: int) -> Expected:
    """Of the area under the curve of all members, where half of them have the event and the
    area is 0.75."""
    sd = law.sd_grid / tables.weight(law.mechanism.delta_grid)
    noise = Z95 * sd * math.sqrt(2 * BINS * _SPREAD) * 2 / members
    sampling = Z95 * math.sqrt(4 * _SPREAD / members)
    return Expected(noise, sampling, "", f"{members:,} members, half with the event, area 0.75")
