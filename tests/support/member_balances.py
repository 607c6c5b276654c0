"""Individual accounting, kept member by member in plain numbers: what the tables must agree with.

One node, one period. A history is a list of steps; what each member really lost is counted apart
from what they are charged, and never read by the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from privacy.accounting.individual import MemberCost, Missed, has_room
from privacy.mechanism import GaussianSum
from privacy.units import Rho

Cost = Callable[[GaussianSum, int], Rho]


def charged(event: GaussianSum, squared: int) -> Rho:
    return MemberCost.of(event).of_norm(squared)


def true_loss(event: GaussianSum, squared: int) -> Fraction:
    """rho of one answered opening for this member, exactly."""
    return Fraction(
        event.memberships**2 * squared, 2 * (event.nodes - event.margin) * 4**event.log2_sigma
    )


@dataclass(frozen=True)
class Run:
    """A plan: the mechanism of each round and each member's squared norm in it (0: not asked)."""

    name: str
    rounds: Sequence[tuple[GaussianSum, Sequence[int]]]
    attempts: int = 1

    @property
    def reserved(self) -> Rho:
        return Rho.total(event.rho for event, _ in self.rounds) * self.attempts


@dataclass
class Model:
    """The balances of some members, under `bound`. `cost` is a parameter for mutants."""

    members: int
    bound: Rho
    cost: Cost = charged
    spent: list[Rho] = field(default_factory=list)
    lost: list[Fraction] = field(default_factory=list)
    waiting: dict[tuple[str, int, int], dict[int, Rho]] = field(default_factory=dict)
    out: dict[str, set[int]] = field(default_factory=dict)
    public: Rho = Rho.ZERO
    known: Rho = Rho.ZERO
    paid: dict[str, Rho] = field(default_factory=dict)  # of each run, in public

    def __post_init__(self) -> None:
        self.spent = [Rho.ZERO] * self.members
        self.lost = [Fraction(0)] * self.members

    def read(self, run: Run, number: int, attempt: int) -> list[int]:
        """Begin and read one opening; the members who are in it."""
        event, squares = run.rounds[number]
        self.waiting.pop((run.name, number, attempt), None)
        before = self.paid.get(run.name, Rho.ZERO)
        need = run.reserved - before if before == Rho.ZERO else event.rho
        out = self.out.setdefault(run.name, set())
        for member in range(self.members):
            if not has_room(self.bound, self.due(member), need):
                out.add(member)
        inside = [m for m in range(self.members) if squares[m] and m not in out]
        self.waiting[run.name, number, attempt] = {m: self.cost(event, squares[m]) for m in inside}
        return inside

    def due(self, member: int) -> Rho:
        waiting = (each.get(member, Rho.ZERO) for each in self.waiting.values())
        return self.spent[member] + Rho.total(waiting)

    def commit(self, run: Run, number: int, attempt: int, inside: Sequence[int]) -> None:
        """The ledger charges it, and it leaves: only now something is lost."""
        event, squares = run.rounds[number]
        for member in inside:
            self.lost[member] += true_loss(event, squares[member])
        self.public += event.rho
        self.paid[run.name] = self.paid.get(run.name, Rho.ZERO) + event.rho
        self.known += event.rho
        for member, units in self.waiting.pop((run.name, number, attempt)).items():
            self.spent[member] += units

    def abandon(self, run: Run, number: int, attempt: int) -> None:
        """It was read and never left."""
        self.waiting.pop((run.name, number, attempt), None)

    def lose_the_book(self, spent: Sequence[Rho], known: Rho) -> None:
        """Older balances are put in place of these; the ledger knows better."""
        missed = Missed.between(known, self.public, self.public, same_period=True)
        self.spent = [each + missed.now for each in spent]
        self.known = self.public

    @property
    def figures(self) -> Mapping[int, int]:
        return {member: self.due(member).units for member in range(self.members)}
