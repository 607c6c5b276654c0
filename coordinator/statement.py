"""What a release says: the figures of its rounds, and the evidence for each.

The numbers of the last round stand in it; those of the others are named by their hash, as are
transcripts and states, and all of them can be recomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from coordinator.store.openings import StoredOpening
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import sha256_hex
from privacy.contract.plan import Plan, PlannedRound
from privacy.units import Rho


def totals_digest(totals: Sequence[int]) -> str:
    """SHA-256 of the totals as 64-bit integers, little end first."""
    return sha256_hex(np.array(totals, dtype="<i8").tobytes())


def release_statement(
    plan_digest: str, plan: Plan, done: Sequence[StoredOpening], delta: Fraction, at: str
) -> dict[str, Any]:
    """The body of the release of a run whose every round is `done`."""
    return {
        "plan": plan_digest,
        "identity": plan.identity,
        "rounds": [_round(planned, each) for planned, each in zip(plan.rounds, done, strict=True)],
        "totals": [str(total) for total in done[-1].totals],
        "rho": plan.rho,
        "epsilon": repr(epsilon_of_rho(Rho.parse(plan.rho), delta)),
        "delta": plan.delta,
        "released_at": at,
    }


def _round(planned: PlannedRound, stored: StoredOpening) -> dict[str, Any]:
    return {
        "mechanism": planned.mechanism,
        "rho": planned.rho,
        "survivors": list(stored.survivors),
        "receipts": stored.receipts,
        "totals": totals_digest(stored.totals),
        "transcript": stored.transcript,
        "state": sha256_hex(stored.state),
    }


def charged_fields(
    plan: Plan, attempts: Sequence[int], opened: int, delta: Fraction
) -> dict[str, str | int]:
    """What a run that was stopped cost: each organisation was charged at most this.

    `attempts` were begun in each of the first rounds, of which `opened` were opened.
    """
    costs = zip(plan.rounds, attempts, strict=False)
    rho = Rho.total(Rho.parse(each.rho) * times for each, times in costs)
    return {
        "rho": rho.text,
        "epsilon": repr(epsilon_of_rho(rho, delta)),
        "round": opened,
        "rounds": len(plan.rounds),
    }
