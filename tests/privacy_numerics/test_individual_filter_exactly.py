"""The promise, computed exactly: all answers of an adaptive analyst, with and without a member.

One node, two rounds, questions chosen after the answer before. The Renyi divergence between the two
worlds' answers, over all answers that can come, stays within alpha times the bound; with a mutant
it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from privacy.accounting.individual import MemberCost, has_room
from privacy.mechanism import GaussianSum
from privacy.units import Rho

EVENT = GaussianSum(delta_grid=16, nodes=3, margin=1, log2_sigma=4)
VARIANCE = 2 * 16**2  # of the two shares that are counted on
REACH = 160  # beyond it lies less than e^-25 of the noise
ANSWERS = np.arange(-REACH, REACH + 1)
ALPHAS = (1.5, 2.0, 4.0, 8.0)
BOUND = Rho(EVENT.rho.units * 5 // 4)  # one whole question and a quarter of another
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Person:
    """What somebody adds to each of the questions."""

    parts: Sequence[int]


# Whom the others are does not matter to the member's own charges: here one who stays to the end.
OTHER = Person((3, -2, 1))
MEMBER = Person((16, -16, 8))
Takes = Callable[[list[int], int], bool]


def honest(answered: list[int], question: int) -> bool:
    """Has the member room for this question after those that were `answered`?"""
    cost = MemberCost.of(EVENT)
    spent = Rho.total(cost.of_norm(MEMBER.parts[each] ** 2) for each in answered)
    need = cost.of_norm(MEMBER.parts[question] ** 2)
    return has_room(BOUND, spent, need)


def forgetful(_answered: list[int], _question: int) -> bool:
    """A mutant: nobody is ever charged."""
    return True


def noise(around: int) -> Vector:
    """The law of an answer: a total with two discrete Gaussian shares, as one of their variance."""
    logs = -((ANSWERS - around) ** 2) / (2 * VARIANCE)
    weights = np.exp(logs)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def chosen(answer: int) -> int:
    """The analyst asks whatever tells most after the first answer."""
    return 1 if answer > 0 else 2


def total(question: int, *, member: bool) -> int:
    return OTHER.parts[question] + (MEMBER.parts[question] if member else 0)


def divergence(takes: Takes, alpha: float, *, swapped: bool) -> float:
    """Of order alpha between the answers of both rounds with and without the member."""
    first = [noise(total(0, member=with_them and takes([], 0))) for with_them in (True, False)]
    sums = []
    for at, answer in enumerate(ANSWERS):
        question = chosen(int(answer))
        inside = takes([0], question)
        second = [
            noise(total(question, member=with_them and inside)) for with_them in (True, False)
        ]
        p, q = first[0][at] * second[0], first[1][at] * second[1]
        p, q = (q, p) if swapped else (p, q)
        sums.append(float(np.sum(p**alpha * q ** (1 - alpha))))
    return math.log(math.fsum(sums)) / (alpha - 1)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_an_adaptive_analyst_learns_no_more_than_the_bound(alpha: float, *, swapped: bool) -> None:
    bound = float(BOUND.fraction) * alpha
    found = divergence(honest, alpha, swapped=swapped)
    assert found <= bound * (1 + 1e-6)
    assert found > 0.5 * bound, "the test tells something"


def test_a_node_that_charges_nobody_is_found() -> None:
    bound = float(BOUND.fraction)
    assert divergence(forgetful, 2.0, swapped=False) > 2.0 * bound * 1.05


def test_the_member_sits_out_of_one_question_and_not_of_the_cheaper_one() -> None:
    assert honest([], 0)
    assert not honest([0], 1)
    quarter = MemberCost.of(EVENT).of_norm(8**2)
    assert honest([0], 2) is has_room(BOUND, EVENT.rho, quarter)
    assert Fraction(quarter.units, EVENT.rho.units) < Fraction(26, 100)
