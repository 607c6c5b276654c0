"""Members charged one by one never lose more than their bound, whoever chooses the questions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.accounting.individual import MemberCost, Missed, has_room, presumed
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from privacy.units import UNITS_PER_RHO, Rho
from tests.support.member_balances import Cost, Model, Run, charged, true_loss

EVENTS = st.builds(
    GaussianSum,
    delta_grid=st.integers(1, 2**30),
    nodes=st.integers(3, 100),
    margin=st.integers(1, 2),
    log2_sigma=st.integers(4, 20),
    memberships=st.integers(1, 100),
)


@given(EVENTS, st.data())
def test_a_charge_is_above_the_formula_by_a_unit_at_most(
    event: GaussianSum, data: st.DataObject
) -> None:
    squared = data.draw(st.integers(1, event.delta_grid**2))
    cost = MemberCost.of(event).of_norm(squared)
    assert 0 < cost.fraction - true_loss(event, squared) <= Fraction(1, UNITS_PER_RHO)
    assert cost <= event.rho


@given(EVENTS)
def test_at_the_bound_it_is_the_public_cost_and_nothing_costs_nothing(event: GaussianSum) -> None:
    assert MemberCost.of(event).of_norm(event.delta_grid**2) == event.rho
    assert MemberCost.of(event).of_norm(0) == Rho.ZERO


@pytest.mark.parametrize("squared", [-1, 1.0, True])
def test_a_norm_that_is_none_is_refused(squared: int) -> None:
    with pytest.raises(BadInput):
        MemberCost.of(GaussianSum(8, 3, 1, 4)).of_norm(squared)


# every small history

TINY = GaussianSum(delta_grid=2, nodes=3, margin=1, log2_sigma=4)
WIDE = GaussianSum(delta_grid=3, nodes=3, margin=1, log2_sigma=4)
# one round; two rounds in which the second asks the other member; two attempts
SHAPES = (
    ([(TINY, (4, 1))], 1),
    ([(WIDE, (9, 0)), (TINY, (1, 4))], 1),
    ([(TINY, (3, 2))], 2),
)
BOUND = Rho(WIDE.rho.units + TINY.rho.units + 1)
MOVES = ("answered", "crashed, then answered", "never left", "left out of the rest")
STEPS = 4


def play(model: Model, run: Run, move: str) -> None:
    """One run under one fate of its openings."""
    for number in range(len(run.rounds)):
        for attempt in range(run.attempts):
            inside = model.read(run, number, attempt)
            if move == "crashed, then answered":
                inside = model.read(run, number, attempt)
            if move == "never left":
                model.abandon(run, number, attempt)
            else:
                model.commit(run, number, attempt, inside)
        if move == "left out of the rest":
            return


def histories(make: Callable[[], Model], steps: int = STEPS) -> Iterator[Model]:
    """Every sequence of runs and fates, which holds every adaptive choice of them."""
    for chosen in product(product(SHAPES, MOVES), repeat=steps):
        model = make()
        for at, ((rounds, attempts), move) in enumerate(chosen):
            play(model, Run(f"run {at}", rounds, attempts), move)
        yield model


def worst(make: Callable[[], Model], steps: int = STEPS) -> Fraction:
    """The most that any member ever loses, in every history."""
    return max(max(model.lost) for model in histories(make, steps))


def test_no_member_loses_more_than_the_bound_in_any_small_history() -> None:
    most = worst(lambda: Model(2, BOUND))
    assert BOUND.fraction / 2 < most <= BOUND.fraction
    for model in histories(lambda: Model(2, BOUND), 3):
        for lost, spent in zip(model.lost, model.spent, strict=True):
            assert lost <= spent.fraction, "what is charged covers what is lost"


def test_balances_let_more_be_asked_than_the_public_filter() -> None:
    assert any(model.public > BOUND for model in histories(lambda: Model(2, BOUND), 3))


class ForgetsRetries(Model):
    """A mutant: a second attempt is taken for the first, sent again."""

    def commit(self, run: Run, number: int, attempt: int, inside: object) -> None:
        was = list(self.spent)
        super().commit(run, number, attempt, inside)  # type: ignore[arg-type]
        if attempt:
            self.spent = was


class ForgetsCrashes(Model):
    """A mutant: what was read before a crash is charged again when it is read again."""

    def read(self, run: Run, number: int, attempt: int) -> list[int]:
        before = self.waiting.get((run.name, number, attempt), {})
        inside = super().read(run, number, attempt)
        for member, units in before.items():
            self.spent[member] += units
        return inside


def another_norm(event: GaussianSum, squared: int) -> Rho:
    """A mutant: the norm of some other vector than the one that is added up."""
    return charged(event, squared // 4)


def free(_event: GaussianSum, _squared: int) -> Rho:
    return Rho.ZERO


@pytest.mark.parametrize(
    "mutant",
    [
        lambda: Model(2, BOUND, cost=free),
        lambda: Model(2, BOUND, cost=another_norm),
        lambda: ForgetsRetries(2, BOUND),
    ],
    ids=["free", "another norm", "forgets a retry"],
)
def test_mutants_pass_the_bound_and_are_caught(mutant: Callable[[], Model]) -> None:
    assert worst(mutant, 3) > BOUND.fraction


def floored(event: GaussianSum, squared: int) -> Rho:
    cost = MemberCost.of(event)
    return Rho(squared * cost.top // cost.bottom)


@pytest.mark.parametrize(("cost", "covers"), [(charged, True), (floored, False)])
def test_only_rounding_up_covers_what_is_lost(cost: Cost, *, covers: bool) -> None:
    """With K - t = 3 the formula is between two units."""
    event = GaussianSum(delta_grid=2, nodes=4, margin=1, log2_sigma=20)
    model = Model(1, Rho(2**60), cost=cost)
    for at in range(50):
        run = Run(f"run {at}", [(event, (1,))])
        model.commit(run, 0, 0, model.read(run, 0, 0))
    assert (model.lost[0] < model.spent[0].fraction) is covers


def test_what_is_read_again_after_a_crash_is_paid_once() -> None:
    def paid(kind: type[Model]) -> Rho:
        model = kind(2, Rho(2**60))
        play(model, Run("run", [(TINY, (4, 1))]), "crashed, then answered")
        return model.spent[0]

    assert paid(Model) == charged(TINY, 4)
    assert paid(ForgetsCrashes) == charged(TINY, 4) * 2, "the mutant is caught"


def test_who_sits_out_does_not_come_back_in_a_later_round() -> None:
    """Members may leave a run, never join it: the second round alone would have had room."""
    model = Model(2, BOUND)
    play(model, Run("first", [(TINY, (4, 0))]), "answered")
    play(model, Run("second", [(TINY, (4, 0))]), "answered")
    run = Run("long", [(WIDE, (9, 9)), (TINY, (4, 4))])
    assert has_room(BOUND, model.spent[0], TINY.rho)
    for number in range(2):
        inside = model.read(run, number, 0)
        assert inside == [1]
        model.commit(run, number, 0, inside)


# what balances do not know


@given(st.lists(st.tuples(st.integers(0, 2**70), st.booleans()), max_size=12))
def test_older_balances_are_charged_all_that_they_missed(steps: list[tuple[int, bool]]) -> None:
    """A backup of the balances, put back at any time, counts every loss since at its full cost."""
    public, known, spent, lost = Rho.ZERO, Rho.ZERO, Rho.ZERO, Rho.ZERO
    backup = (spent, known)
    for units, restore in steps:
        cost = Rho(units)
        public, known, spent, lost = public + cost, known + cost, spent + cost, lost + cost
        if restore:
            spent, known = backup
            missed = Missed.between(known, public, public, same_period=True)
            spent, known = spent + missed.now, public
        else:
            backup = (spent, known)
        assert lost <= spent


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_gap_over_a_new_period_counts_for_it_as_much_as_it_can(
    known: int, more: int, period: int
) -> None:
    total = known + more
    period = min(period, total)
    missed = Missed.between(Rho(known), Rho(total), Rho(period), same_period=False)
    assert missed.now.units == min(more, period)
    assert missed.now + missed.earlier == Rho(more)
    assert Missed.between(Rho(total), Rho(known), Rho.ZERO, same_period=True).now == Rho.ZERO


def test_somebody_unknown_starts_at_the_most_that_anybody_can_have_lost() -> None:
    assert presumed(Rho(10), Rho(4)) == Missed(Rho(4), Rho(6))


# one person at several organisations


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_mean_of_a_person_s_balances_covers_their_true_loss(m: int, seed: int) -> None:
    """Each organisation counts on m memberships and knows only its own vector's norm."""
    rng = random.Random(seed)
    event = GaussianSum(delta_grid=50, nodes=10, margin=1, log2_sigma=4, memberships=m)
    balances, lost = [Rho.ZERO] * m, Fraction(0)
    for _ in range(rng.randrange(1, 6)):
        norms = [rng.randrange(51) for _ in range(m)]
        together = GaussianSum(50, 10, 1, 4)
        lost += true_loss(together, sum(norms) ** 2)
        balances = [b + charged(event, n * n) for b, n in zip(balances, norms, strict=True)]
    assert lost <= Rho.total(balances).fraction / m
