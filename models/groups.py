"""Into how many groups a question puts the members, and whether that is too many for them."""

from __future__ import annotations

import math

from models.aggregates.catalogue import cells
from models.aggregates.expected import Expected
from models.aggregates.requests import (
    Analysis,
    Count,
    Density,
    Histogram,
    Incidence,
    Map,
    Prevalence,
    Survival,
    Table,
)
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code, Refused


def groups(analysis: Analysis, dictionary: Dictionary) -> int | None:
    """How many groups the members are divided into, each of which has figures of its own.

    None for what looks for the few among many (screens, rankings, reports), where empty cells
    are to be expected, and for what does not divide.
    """
    match analysis:
        case Count() | Histogram() | Table() | Density() | Map() | Incidence():
            return len(cells(analysis, dictionary))
        case Prevalence(by=by) | Survival(by=by):
            return math.prod(len(dictionary.resolve(name).column.cell_labels) for name in by)
        case _:
            return None


def refuse_absurd(
    analysis: Analysis, dictionary: Dictionary, expected: Expected | None, members: int | None
) -> None:
    """Raises Refused(TOO_MANY_CELLS) where less than one member is to be expected in a group
    and the answer could not tell them from none.

    That is: fewer members than groups, and the noise of a count reaches further than a group's
    average, or what is no count carries no information. `members` is what somebody knows; with
    None nothing is refused. Nothing is spent and nothing is read.
    """
    number = groups(analysis, dictionary)
    if members is None or number is None or members >= number:
        return
    if expected is not None and expected.unit == "members":
        lost = expected.half_noise > members / number
    else:
        lost = expected is None or not math.isfinite(expected.half_width)
    if lost:
        raise Refused(
            Code.TOO_MANY_CELLS,
            cells=number,
            members=members,
            instead="group by fewer columns or by wider bins, so that a cell has members to count",
        )
