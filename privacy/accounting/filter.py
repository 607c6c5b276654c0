"""The filter refuses, the odometer reports; both read nothing but the ledger's sums.

The filter is the plain sum of rho. It stays valid when each question is chosen after reading
earlier answers, whatever the order and however the costs depend on them.

Source: Whitehouse, Ramdas, Rogers and Wu 2023 (arXiv 2203.05481), fully adaptive composition:
a zCDP filter that stops before the running sum exceeds the budget is rho-zCDP in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from privacy.accounting.conversion import epsilon_of_rho
from privacy.errors import Code, Refused
from privacy.units import Rho


def remaining(budget: Rho, spent: Rho) -> Rho:
    """What is left of `budget`; zero when it has been lowered below what is spent."""
    return budget - spent if spent <= budget else Rho.ZERO


def admit(budget: Rho, spent: Rho, cost: Rho) -> None:
    """Return only if `cost` still fits.

    `spent` counts what is committed and what is reserved.
    Guarantee: if every charge passed through here, the sum of charges is at most `budget`.
    Raises Refused(BUDGET_EXCEEDED) with `needed` and `left`, both rho as rational text.
    """
    if not spent + cost <= budget:
        left = remaining(budget, spent)
        raise Refused(Code.BUDGET_EXCEEDED, needed=cost.text, left=left.text)


@dataclass(frozen=True)
class Loss:
    """The odometer's reading: what has been spent, as rho and as epsilon at `delta`."""

    rho: Rho
    delta: Fraction

    @property
    def epsilon(self) -> float:
        """Rounded up; see `epsilon_of_rho`."""
        return epsilon_of_rho(self.rho, self.delta)
