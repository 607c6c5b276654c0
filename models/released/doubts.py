"""What a table of performance by group says against using a model for somebody."""

from __future__ import annotations

from collections.abc import Sequence

from models.neural.scoring import ALL
from models.result import NO_INFORMATION, Estimate

GROUP = "group"
_RANKING = ("AUC", "C-index")


def doubts(rows: Sequence[Estimate]) -> tuple[str, ...]:
    """Groups of which nothing is known, and those in which the model ranks or predicts worse
    than in all by more than both intervals allow."""
    ranking = [row for row in rows if row.cell[1].partition(" of ")[0] in _RANKING]
    whole = {row.cell[1]: row for row in ranking if row.cell[0] == ALL}
    found = []
    for row in ranking:
        group, figure = row.cell
        if row.note == NO_INFORMATION:
            found.append(f"Nothing can be said of how well it predicts ({figure}) for {group}.")
        elif group == ALL and row.low <= 0.5:
            found.append(f"The {figure} of all members could be 0.5, which is guessing.")
        elif group != ALL and row.high < whole[figure].low:
            found.append(f"It ranks members worse for {group} than in all ({figure}).")
    return (*found, *_off(rows))


def _off(rows: Sequence[Estimate]) -> list[str]:
    """Where more or fewer have the event than is said, beyond the interval."""
    return [
        f"Risks are off for {row.cell[0]}: {row.cell[1]} is {row.estimate:+.3f}, and its interval "
        "excludes 0."
        for row in rows
        if row.cell[1].startswith(("observed - predicted", "predicted - observed"))
        and row.note != NO_INFORMATION
        and not row.low <= 0 <= row.high
    ]
