"""How many made-up members each condition of a cohort leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.cohort.parse import parse_cohort
from models.reference import cohort_mask
from models.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

EVERYONE = "all members"


@dataclass(frozen=True)
class Step:
    """What is left once `condition` and all before it hold; `lost` fell out at this one."""

    condition: str
    members: int
    lost: int


@dataclass(frozen=True)
class Attrition:
    """A cohort step by step, on made-up members."""

    steps: tuple[Step, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One line per condition, in the order written: condition, members, lost."""
        import pandas as pd

        return pd.DataFrame(
            [(step.condition, step.members, step.lost) for step in self.steps],
            columns=["condition", "members", "lost"],
        )

    def __str__(self) -> str:
        return f"MOCK DATA: made-up members\n{self.table.to_string(index=False)}"

    __repr__ = __str__


def attrition(rows: Rows, conditions: Sequence[str]) -> Attrition:
    """Count members of `rows` who meet the first condition, the first two, and so on.

    Raises BadInput for a condition that does not parse.
    """
    left = np.ones(rows.members, dtype=np.bool_)
    steps = [Step(EVERYONE, rows.members, 0)]
    for condition in conditions:
        left &= cohort_mask(parse_cohort(condition, rows.dictionary), rows)
        members = int(left.sum())
        steps.append(Step(condition, members, steps[-1].members - members))
    return Attrition(tuple(steps))
