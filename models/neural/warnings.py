"""What is wrong with a trained network, as far as what was opened says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.neural.law import FEWEST, State
from models.neural.outcome import Amount, Outcome
from models.result import NO_INFORMATION, Estimate

RARE = 0.01  # share of a level below which there was hardly anything to learn of it
_RUN_AWAY = 100.0  # no weight of a network on scaled inputs needs to be larger


def warnings(told: State, outcome: Outcome, rows: Sequence[Estimate]) -> list[str]:
    """Sentences for the answer's notes; none where nothing is wrong. `rows`: the figures."""
    found = []
    if told.members <= FEWEST:
        found.append(
            f"Hardly any members have a known outcome (at most {FEWEST:g}): nothing was learned."
        )
    shares = told.base if len(told.base) > 1 else np.array([told.base[0], 1 - told.base[0]])
    if not isinstance(outcome, Amount) and float(shares.min()) < RARE:
        found.append("The outcome hardly varies: a level has less than 1 % of the members.")
    largest = float(np.abs(told.weights).max())
    if not largest < _RUN_AWAY:
        found.append(
            f"The weights ran away (the largest is {largest:.3g}): train again with a lower rate."
        )
    areas = [row for row in rows if row.cell[1].startswith("AUC") and row.note != NO_INFORMATION]
    if areas and areas[0].low <= 0.5:
        found.append("The area's interval holds 0.5: it may predict no better than chance.")
    return found
