"""A ledger folded into its balances: what is set aside, what is charged, what is in force.

    reserve   sets aside max_attempts times all rounds' rho       before data is read
    commit    charges its round's rho, once per (plan, round, attempt)  before a byte leaves
    released | aborted | expired   frees what was set aside and not charged; the plan is over
    lost      frees nothing

`LedgerState` is a value: `apply` returns the next one. Balances are whole units of 2^-60, so
that the charged total is the sum of the commits' rho to the last bit, in any order.

Guarantee: in every reachable state, charged + set aside is at most the period's budget and at
most the study's quota, or it was so when the last reservation was admitted and a steward has
lowered a limit since. Nothing refunds a charge. A period's budget is renewed by a `period`
entry alone; a study's quota never is: it counts what the study was charged in every period.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

from privacy.accounting.filter import admit, remaining
from privacy.checkpoint import LOG
from privacy.contract.canonical import parse_rational
from privacy.contract.researcher_key import first_key
from privacy.ledger.entry import (
    FIRST_PREV,
    Approval,
    Genesis,
    Mechanism,
    PolicySet,
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.history_entry import BudgetForfeited, HistoryBroken
from privacy.ledger.link_entry import Linkage, LinkBegun
from privacy.ledger.steward_entry import PeriodOpened, StewardInvited
from privacy.ledger.stewards import Steward
from privacy.units import Rho

V = TypeVar("V")


class _Value:
    """A frozen dataclass whose next value is made ten times faster than by `replace`."""

    def having(self, **changes: Any) -> Self:
        """The same with these fields changed; raises TypeError for a name that is none."""
        fields, other = vars(self), object.__new__(type(self))
        vars(other).update(fields, **changes)
        if len(vars(other)) != len(fields):
            raise TypeError(f"no fields: {sorted(changes.keys() - fields.keys())}")
        return other


@dataclass(frozen=True)
class OpenRound:
    """One round of an open plan, and what one attempt of it costs."""

    mechanism: Mechanism
    cost: Rho


@dataclass(frozen=True)
class OpenPlan(_Value):
    """A plan that was reserved, at `reserved_at`, and has not ended."""

    plan: str
    study: str
    study_digest: str
    accounts: tuple[str, ...]  # whose parts of the study's quota it is charged to
    rounds: tuple[OpenRound, ...]
    max_attempts: int
    reserved_at: str
    expires: str
    committed: tuple[tuple[int, int], ...] = ()  # (round, attempt), ascending
    lost: tuple[tuple[int, int], ...] = ()
    charged: Rho = Rho.ZERO

    @cached_property
    def reserved(self) -> Rho:
        """What all rounds and attempts may cost; the same as long as the plan is open."""
        return Rho.total(each.cost for each in self.rounds) * self.max_attempts

    @property
    def held(self) -> Rho:
        """Still set aside."""
        return self.reserved - self.charged

    def has_passed(self, opening: tuple[int, int]) -> bool:
        """Whether this (round, attempt) or a later one was charged."""
        return bool(self.committed) and opening <= self.committed[-1]


class _Reserved:
    """Every plan and question ever reserved, by the number of the reservation.

    Grows only; states share it and know how many reservations are theirs.
    """

    def __init__(self, order: Mapping[str, int] = MappingProxyType({})) -> None:
        self._order = dict(order)
        self._count = max(self._order.values(), default=-1) + 1

    def holds(self, digest: str, length: int) -> bool:
        return self._order.get(digest, length) < length

    def extended(self, digests: Collection[str], length: int) -> _Reserved:
        """With `digests` as reservation `length`; copies only when two histories part."""
        shared = self
        if self._count > length:
            shared = _Reserved({d: at for d, at in self._order.items() if at < length})
        shared._order.update(dict.fromkeys(digests, length))
        shared._count = length + 1
        return shared


@dataclass(frozen=True)
class LedgerState(_Value):
    """The balances after `size` entries. `LedgerState()` is the empty ledger.

    `roster` and `dictionary` are the digests in force ("" for none), `consent_epoch` the newest
    month with a root of consent, `texts` every text that members were asked with, `confirmed` the
    fingerprints that the steward compared out of band. `approvals` holds what is in force, by
    study digest, `decisions` the newest word on every version, `endorsed` whose key approved
    first where two have to, `reviewed` what patient reviewers signed off, `looked` what a steward
    said to single questions, by mark. `charged` and `held` are by study id, over all periods;
    `parts` is charged and held together, by account; `period_charged` counts the current
    period, `total_charged` all of them, of which there were `periods`, what was forfeited, and
    linkages, which are no study's: `linkage_charged`. `linkage` is in force, `linking` was begun
    and not ended; `links` counts those begun in the period, `link_sessions` names all there ever
    were. `faults` are the histories that broke and that no steward accepted.
    """

    size: int = 0
    head: str = FIRST_PREV
    at: str = ""
    genesis: Genesis | None = None
    key: str = ""  # the node's, in force
    former_keys: tuple[tuple[str, int], ...] = ()  # and how many entries each of them signed
    coordinator: str = ""  # its key in force; "" for the one that the node was set up with
    former_coordinators: tuple[tuple[str, int], ...] = ()  # and how many lines each of them signed
    decided_coordinators: int = 0  # how many of them a steward decided about
    forked: str = ""  # a second successor of a former key, until a steward has decided
    forks: frozenset[str] = frozenset()  # digests of such changes
    policy: PolicySet | None = None
    period: PeriodOpened | None = None
    periods: int = 0
    roster: str = ""
    roster_epoch: int = 0
    confirmed: frozenset[str] = frozenset()
    dictionary: str = ""
    consent_epoch: str = ""
    texts: frozenset[str] = frozenset()
    paused: bool = False
    backed_up: str = ""  # when the newest backup was begun
    leaving: Literal["", "leaving", "left"] = ""
    approvals: Mapping[str, Approval] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()  # researchers' keys, and digests of delegations
    successors: Mapping[str, str] = field(default_factory=dict)  # of researchers' keys
    decisions: Mapping[str, str] = field(default_factory=dict)
    endorsed: Mapping[str, str] = field(default_factory=dict)
    stewards: Mapping[str, Steward] = field(default_factory=dict)  # by public key
    former_stewards: frozenset[str] = frozenset()
    invited: Mapping[str, StewardInvited] = field(default_factory=dict)
    signatures: frozenset[str] = frozenset()  # of stewards, used up
    reviewed: frozenset[str] = frozenset()
    looked: Mapping[str, bool] = field(default_factory=dict)
    plans: Mapping[str, OpenPlan] = field(default_factory=dict)
    charged: Mapping[str, Rho] = field(default_factory=dict)
    held: Mapping[str, Rho] = field(default_factory=dict)
    parts: Mapping[str, Rho] = field(default_factory=dict)
    period_charged: Rho = Rho.ZERO
    total_charged: Rho = Rho.ZERO
    total_held: Rho = Rho.ZERO
    noticed: Mapping[str, str] = field(default_factory=dict)  # last day of each sort of attempt
    faults: Mapping[str, HistoryBroken] = field(default_factory=dict)  # by whose history
    abandoned: frozenset[str] = frozenset()  # checkpoints of entries that a backup lost
    linkage: Linkage | None = None
    linking: LinkBegun | None = None
    links: int = 0
    link_sessions: frozenset[str] = frozenset()
    linkage_charged: Rho = Rho.ZERO
    reservations: int = 0
    _reserved: _Reserved = field(default_factory=_Reserved, compare=False, repr=False)

    @property
    def delta(self) -> Fraction:
        """The delta at which this ledger states epsilon."""
        return parse_rational(self.genesis.delta) if self.genesis else Fraction(0)

    @property
    def budget(self) -> Rho:
        """The period's limit; a policy that is stricter than the period's entry prevails.

        Where members are charged one by one it is the public ceiling.
        """
        if self.period is None or self.policy is None:
            return Rho.ZERO
        return min(parse_rho(self.period.budget_rho), parse_rho(self.policy.public_rho))

    @property
    def spent(self) -> Rho:
        """What the filter counts against the period's budget: charged and set aside."""
        return self.period_charged + self.total_held

    @property
    def lifetime(self) -> Rho | None:
        """The limit of all periods together, where it is the ledger's to keep; None for none."""
        if self.policy is None or self.policy.lifetime_rho is None or self.policy.individual:
            return None
        return parse_rho(self.policy.lifetime_rho)

    def admit(self, cost: Rho) -> None:
        """Return only if `cost` fits into the period's budget and the limit of a lifetime.

        Raises Refused(BUDGET_EXCEEDED).
        """
        admit(self.budget, self.spent, cost)
        if self.lifetime is not None:
            admit(self.lifetime, self.total_charged + self.total_held, cost)

    @property
    def left(self) -> Rho:
        left = remaining(self.budget, self.spent)
        if self.lifetime is None:
            return left
        return min(left, remaining(self.lifetime, self.total_charged + self.total_held))

    def study_spent(self, study: str) -> Rho:
        """What counts against a study's quota, over all its versions and periods."""
        return self.charged.get(study, Rho.ZERO) + self.held.get(study, Rho.ZERO)

    def study_quota(self, approval: Approval) -> Rho:
        """What an approved study may lose here: what was approved, and the policy's limit."""
        limit = self.policy.study_rho if self.policy else None
        return _least(parse_rho(approval.rho), limit)

    def researcher_quota(self, approval: Approval) -> Rho | None:
        """What one investigator of the study may spend of its quota; None: all of it."""
        limit = self.policy.researcher_rho if self.policy else None
        if approval.researcher_rho is None and limit is None:
            return None
        return _least(self.study_quota(approval), approval.researcher_rho, limit)

    def part_spent(self, account: str) -> Rho:
        """What counts against one researcher's or one delegation's part."""
        return self.parts.get(account, Rho.ZERO)

    def own_account(self, study: str, researcher: str) -> str:
        """The name under which a researcher's part is counted, whatever key they have by now."""
        return researcher_account(study, first_key(researcher, self.successors))

    def _parts(self, open_plan: OpenPlan, change: Rho, back: bool = False) -> dict[str, Rho]:
        now = {account: self.part_spent(account) for account in open_plan.accounts}
        moved = {name: was - change if back else was + change for name, was in now.items()}
        return {**self.parts, **moved}

    @property
    def halted(self) -> bool:
        """Whether the coordinator's log or key broke: nothing is reserved and nothing leaves."""
        return LOG in self.faults or bool(self.forked)

    @property
    def approved(self) -> frozenset[str]:
        """Digests of the study versions in force."""
        return frozenset(self.approvals)

    def knows(self, *digests: str) -> bool:
        """Whether one of these plans or questions was ever reserved here, open or not."""
        return any(self._reserved.holds(digest, self.reservations) for digest in digests)

    def due(self, at: str) -> tuple[str, ...]:
        """Open plans whose time has run out at instant `at`: ready for an `expired` entry."""
        return tuple(plan for plan, open_plan in self.plans.items() if open_plan.expires <= at)

    def reserved_plan(self, open_plan: OpenPlan, question: str) -> LedgerState:
        """With `open_plan` set aside in answer to `question`."""
        study, cost = open_plan.study, open_plan.reserved
        return self.having(
            plans=_with(self.plans, open_plan.plan, open_plan),
            held=_with(self.held, study, self.held.get(study, Rho.ZERO) + cost),
            parts=self._parts(open_plan, cost),
            total_held=self.total_held + cost,
            reservations=self.reservations + 1,
            _reserved=self._reserved.extended((open_plan.plan, question), self.reservations),
        )

    def charged_plan(self, open_plan: OpenPlan, opening: tuple[int, int]) -> LedgerState:
        """With one opening moved from set aside to charged."""
        study, cost = open_plan.study, open_plan.rounds[opening[0]].cost
        after = open_plan.having(
            committed=(*open_plan.committed, opening),
            charged=open_plan.charged + cost,
        )
        return self.having(
            plans=_with(self.plans, open_plan.plan, after),
            held=_with(self.held, study, self.held[study] - cost),
            charged=_with(self.charged, study, self.charged.get(study, Rho.ZERO) + cost),
            period_charged=self.period_charged + cost,
            total_charged=self.total_charged + cost,
            total_held=self.total_held - cost,
        )

    def lost_plan(self, open_plan: OpenPlan, opening: tuple[int, int]) -> LedgerState:
        """With one charged opening marked as lost."""
        after = open_plan.having(lost=(*open_plan.lost, opening))
        return self.having(plans=_with(self.plans, open_plan.plan, after))

    def ended_plan(self, open_plan: OpenPlan) -> LedgerState:
        """With the plan over and what it never charged free again."""
        study = open_plan.study
        plans = {name: other for name, other in self.plans.items() if name != open_plan.plan}
        return self.having(
            plans=plans,
            held=_with(self.held, study, self.held[study] - open_plan.held),
            parts=self._parts(open_plan, open_plan.held, back=True),
            total_held=self.total_held - open_plan.held,
        )

    def opened_period(self, period: PeriodOpened) -> LedgerState:
        """With a new budget. What is set aside stays set aside and counts against it."""
        return self.having(
            period=period, periods=self.periods + 1, period_charged=Rho.ZERO, links=0
        )

    def begun_link(self, begun: LinkBegun) -> LedgerState:
        """With a linkage under way and charged."""
        cost = parse_rho(begun.rho)
        return self.having(
            linking=begun,
            links=self.links + 1,
            link_sessions=self.link_sessions | {begun.session},
            linkage_charged=self.linkage_charged + cost,
            period_charged=self.period_charged + cost,
            total_charged=self.total_charged + cost,
        )

    def keys_of(self, name: str) -> tuple[str, ...]:
        """The keys of the stewards of this name."""
        return tuple(key for key, each in self.stewards.items() if each.name == name)

    def forfeited(self, said: BudgetForfeited, at: str) -> LedgerState:
        """With what was left charged, and a period begun whose budget is charged whole.

        Plans that were reserved stay so; their studies' quotas count as used up.
        """
        quotas = {a.study: self.study_quota(a) for a in self.approvals.values()}
        used = {study: max(q, self.charged.get(study, q)) for study, q in quotas.items()}
        period = PeriodOpened(starts=at, ends=said.ends, budget_rho=said.rho, by=said.by)
        began = self.opened_period(period).having(
            charged={**self.charged, **used}, abandoned=self.abandoned | set(said.held)
        )
        whole = max(parse_rho(said.rho), began.budget)
        return began.having(
            period_charged=whole, total_charged=self.total_charged + self.left + whole
        )

    def decided(self, approval: Approval) -> LedgerState:
        """With one study version in force, in place of any other of it; or no longer."""
        digest, approved = approval.study_digest, approval.decision == "approved"
        others = {
            d: a
            for d, a in self.approvals.items()
            if d != digest and not (approved and a.study == approval.study)
        }
        if approved:
            others[digest] = approval
        endorsed = {d: by for d, by in self.endorsed.items() if d != digest}
        decisions = _with(self.decisions, digest, approval.decision)
        return self.having(approvals=others, decisions=decisions, endorsed=endorsed)


def researcher_account(study: str, researcher: str) -> str:
    """The name under which one investigator's part of a study is counted."""
    return f"researcher {study} {researcher}"


def delegation_account(digest: str) -> str:
    """The name under which one delegation's part is counted."""
    return f"delegation {digest}"


def _least(quota: Rho, *limits: str | None) -> Rho:
    return min(quota, *(parse_rho(limit) for limit in limits if limit is not None), quota)


def _with(mapping: Mapping[str, V], key: str, value: V) -> dict[str, V]:
    return {**mapping, key: value}
