"""Individual accounting: a member is charged for what they add, and sits out when it is used up.

The public filter (`privacy.accounting.filter`) charges everybody what a question can cost at most.
Most members pay less: who is not in a cohort adds the zero vector, and few vectors are as long as
the bound. Here every member has a balance of their own. One opening costs the member whose
vector has squared norm n

    memberships^2 * n / (2 * (K - t) * 4^m)

and a member takes part only while their own balance has room for all that the run may cost.

Guarantee: if every opening passed through here, a member's charges within a period are at most
the bound, and all that was released in it is bound-zCDP for this member, although each question
is chosen after earlier answers. A person at m organisations that all count on m memberships keeps
the bound as well: the true loss (sum of their norms)^2 is at most the mean of the m balances.
Assumes: a member's vector depends on what was released before and on their own records alone, and
so do their charges: nothing here is computed from other members. What balances do not know
of (`Missed`) is charged to everybody alike, from the public ledger. Noise does not depend
on who takes part. Whether a question is answered, and what the ledger says, does not depend on
balances.
Source: Feldman and Zrnic 2021 (arXiv 2008.11193), individual Renyi filters, of which zCDP is
the case where every order is charged alike; Whitehouse et al. 2023 (arXiv 2203.05481).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Self

from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from privacy.units import UNITS_PER_RHO, Rho

MOST_CEILING = Rho(2**80)  # above epsilon = 10^6: balances are whole numbers of a database


@dataclass(frozen=True)
class MemberCost:
    """The cost of one opening by a member's own squared norm: squared * top // bottom + 1 units.

    Strictly above the formula, as in `privacy.mechanism`, which pays for a sum of discrete
    Gaussians not being one; the zero vector costs nothing. Guarantee: at the bound itself
    it is the event's own cost, and it never falls as the norm grows.
    """

    top: int
    bottom: int

    @classmethod
    def of(cls, event: GaussianSum) -> Self:
        top = event.memberships**2 * UNITS_PER_RHO
        bottom = 2 * (event.nodes - event.margin) * 4**event.log2_sigma
        shared = gcd(top, bottom)
        return cls(top // shared, bottom // shared)

    def of_norm(self, squared: int) -> Rho:
        """`squared` is the squared L2 norm of the integers that the member adds, after clipping."""
        if type(squared) is not int or squared < 0:
            raise BadInput("a squared norm is a whole number, at least 0")
        return Rho(squared * self.top // self.bottom + 1) if squared else Rho.ZERO


def has_room(bound: Rho, spent: Rho, need: Rho) -> bool:
    """May a member who `spent` so much take part in what costs `need` at most?

    `need` is public: of a run, before its first opening, all that is set aside for it; later, what
    the one opening costs. Who sat out once sits out to the end of the run.
    """
    return spent + need <= bound


@dataclass(frozen=True)
class Missed:
    """Public losses that the balances do not know of: everybody is charged all of it.

    Such are openings from before individual accounting began, or while it was off, what was
    lost with an older copy of the balances, and what was read and never left. `now` counts for
    the present period, `earlier` for those before.
    """

    now: Rho
    earlier: Rho

    @classmethod
    def between(cls, known: Rho, total: Rho, period: Rho, *, same_period: bool) -> Self:
        """`known` of the ledger's `total` is in the balances; `period` of it is the present's.

        Guarantee: at least what was lost since in the present period.
        """
        gap = Rho(max(0, total.units - known.units))
        now = gap if same_period else min(gap, period)
        return cls(now, gap - now)


def presumed(total: Rho, period: Rho) -> Missed:
    """Where somebody unknown starts: at the most that anybody can have lost here.

    It is read off the public ledger. The highest balance of other members would say
    something about them.
    """
    return Missed(period, total - period)
