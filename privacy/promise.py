"""What an organisation promises its members, in words, epsilon and odds: a period's and a life's.

Everything here is read off the ledger's public balances and its policy, so a node, a member's
page and an auditor say the same.

Guarantee: no figure is smaller than what the policy in force lets anybody lose. Losses of periods
add up (privacy.accounting.filter); k memberships where m are paid for lose (k/m)^2 times as much,
since their vectors add up before they are squared.
Assumes: later periods are under the policy in force now; k organisations that all promise this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from privacy.accounting.conversion import epsilon_of_rho
from privacy.ledger.fields import parse_rho
from privacy.ledger.state import LedgerState
from privacy.odds import MAX_MEMBERSHIPS, Odds, odds_of_rho
from privacy.units import Rho

BASELINE = 0.1
PERIODS = (1, 5, 10, 20)  # years of membership that are shown
LONG = 10


@dataclass(frozen=True)
class Loss:
    """What one person loses at most over so many periods at so many organisations."""

    periods: int
    organisations: int
    rho: Rho
    epsilon: float
    odds: Odds

    @property
    def words(self) -> str:
        periods = "1 period" if self.periods == 1 else f"{self.periods} periods"
        at = "" if self.organisations == 1 else f" at {self.organisations} organisations"
        return f"{periods}{at}: epsilon {shown(self.epsilon)}; {self.odds.sentence}"


@dataclass(frozen=True)
class Promise:
    """The limits that members are promised, and how far they have been used.

    `bound` is one member's in a period. Where members are charged one by one, `ceiling` is what
    all questions of a period may cost in public. `lifetime` is one member's over all periods.
    `so_far` is what was charged in public in the `periods` that there were.
    """

    bound: Rho
    ceiling: Rho | None
    lifetime: Rho | None
    delta: Fraction
    memberships: int
    periods: int
    so_far: Rho

    @classmethod
    def of(cls, state: LedgerState) -> Self | None:
        """The promise of a ledger; None before it has a policy."""
        policy = state.policy
        if policy is None:
            return None
        return cls(
            bound=parse_rho(policy.yearly_rho),
            ceiling=None if policy.ceiling_rho is None else parse_rho(policy.ceiling_rho),
            lifetime=None if policy.lifetime_rho is None else parse_rho(policy.lifetime_rho),
            delta=state.delta,
            memberships=policy.max_memberships,
            periods=state.periods,
            so_far=state.total_charged,
        )

    def loss(self, periods: int = 1, organisations: int | None = None) -> Loss:
        """The most that is lost in so many periods; at the memberships that are paid for, or more.

        Raises BadInput for more than 100 organisations.
        """
        places = self.memberships if organisations is None else organisations
        rho = self.bound * periods
        rho = rho if self.lifetime is None else min(rho, self.lifetime)
        return self._loss(rho, periods, places)

    def _loss(self, rho: Rho, periods: int, organisations: int) -> Loss:
        counted = max(organisations, self.memberships)
        times = Fraction(counted, self.memberships) ** 2
        whole = Rho.round_up(rho.fraction * times)
        epsilon = epsilon_of_rho(whole, self.delta)
        odds = odds_of_rho(whole, self.delta, BASELINE)
        return Loss(periods, organisations, whole, epsilon, odds)

    @property
    def known(self) -> Loss:
        """What was lost so far, at most."""
        return self._loss(self.so_far, self.periods, self.memberships)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a page or a report."""
        return {
            "words": list(self.words),
            "so_far": {"epsilon": self.known.epsilon, "sentence": self.known.odds.sentence},
            "losses": [
                {
                    "periods": each.periods,
                    "organisations": each.organisations,
                    "rho": each.rho.text,
                    "epsilon": each.epsilon,
                    "shown": shown(each.epsilon),
                    "sentence": each.odds.sentence,
                }
                for each in self.losses
            ],
        }

    @property
    def losses(self) -> tuple[Loss, ...]:
        """A period, and a life of several; then the same for people in more places."""
        more = [
            each for each in (self.memberships + 1, self.memberships + 2) if each <= MAX_MEMBERSHIPS
        ]
        return (
            *(self.loss(periods) for periods in PERIODS),
            *(self.loss(periods, places) for places in more for periods in (1, LONG)),
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The promise in sentences."""
        year, epsilon = self.loss(), shown(self.loss().epsilon)
        return (
            "All that is answered here in one period, of a year at least, changes what anybody can"
            f" conclude or decide about one member by at most epsilon {epsilon}, at delta"
            f" {float(self.delta):g}.",
            "Suppose that something about you comes about with a chance of 10 in 100 if you take no"
            f" part. For one period: {year.odds.sentence}.",
            *self._individual(),
            "A new period begins only by an entry that a steward signs and that others witness:"
            " never by an import, another dictionary, a withdrawal or a clock.",
            "Nothing ever resets. Whoever stays for several periods loses the sum of what was lost"
            f" in each. {self._life()}",
            self._places(),
            f"So far, in {self.periods} {'period' if self.periods == 1 else 'periods'}, at most"
            f" epsilon {shown(self.known.epsilon)} was lost: {self.known.odds.sentence}.",
        )

    def _individual(self) -> tuple[str, ...]:
        if self.ceiling is None:
            return ("Everybody is charged for every question, whether it counted them or not.",)
        ceiling = shown(epsilon_of_rho(self.ceiling, self.delta))
        return (
            "Everybody is charged for what they themselves added, and is not counted any more in a"
            " period in which that is used up. Only they can see what they have left. Each such"
            " balance is kept by the node; what outsiders can check is that all questions of a"
            f" period together stay within epsilon {ceiling}, as if everybody were in each.",
        )

    def _life(self) -> str:
        if self.lifetime is None:
            return "No limit over all periods is set."
        return (
            "Over all periods together it is at most epsilon"
            f" {shown(epsilon_of_rho(self.lifetime, self.delta))}; after that nobody is counted."
        )

    def _places(self) -> str:
        m = self.memberships
        paid = "one organisation" if m == 1 else f"up to {m} organisations"
        twice = self.loss(1, m + 1)
        return (
            f"This pays for people who are members of {paid}. Members of k organisations lose k x k"
            f" times what one membership loses, not k times: at {m + 1} that promise this, epsilon"
            f" {shown(twice.epsilon)} in one period."
        )


def shown(epsilon: float) -> str:
    """Rounded up, so that it looks no smaller than it is."""
    return f"{math.ceil(epsilon * 100 - 1e-9) / 100:.2f}".rstrip("0").rstrip(".")
