"""A lower bound on epsilon from one run with many canaries, each there or not by a fair coin.

Source: Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), theorem 5.2 and its algorithm for
approximate differential privacy.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.stats import binom

from privacy.accounting.conversion import epsilon_of_rho, rho_of_epsilon
from privacy.units import Rho

AUDIT_DELTA = Fraction(1, 10**7)


def p_value(guesses: int, right: int, canaries: int, epsilon: float, delta: float) -> float:
    """Largest probability of `right` or more right guesses under (epsilon, delta)."""
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    if delta == 0:
        return tail
    steps = np.arange(1, right + 1)
    added = np.cumsum(binom.pmf(right - steps, guesses, q)) / steps
    return min(1.0, tail + 2 * canaries * delta * float(added.max(initial=0.0)))


def lower_bound(
    score: np.ndarray, there: np.ndarray, *, delta: float, error: float, most: float = 20.0
) -> float:
    """The largest epsilon refuted with confidence 1 - error, over a few numbers of guesses.

    `score`: larger for a canary that is there; `error` is shared among the numbers of guesses.
    """
    canaries = len(score)
    order = np.argsort(score)
    best, tries = 0.0, (canaries // 50, canaries // 20, canaries // 10, canaries // 5)
    for each in tries:
        right = int(there[order[-each:]].sum() + (~there[order[:each]]).sum())
        low, high = 0.0, most
        for _ in range(20):
            middle = (low + high) / 2
            small = p_value(2 * each, right, canaries, middle, delta) <= error / len(tries)
            low, high = (middle, high) if small else (low, middle)
        best = max(best, low)
    return best


def refutes(score: np.ndarray, there: np.ndarray, rho: float, error: float) -> bool:
    """Whether one run refutes rho-zCDP with confidence 1 - error.

    The claim implies (epsilon, delta) for every delta; it is refuted at AUDIT_DELTA, from one
    number of guesses that was fixed beforehand: the twentieth of all canaries with the largest
    scores is said to be there, that with the smallest not to be. A small delta keeps the
    theorem's second term, 2 * canaries * delta, out of the way.
    """
    epsilon = epsilon_of_rho(Rho.round_up(Fraction(rho)), AUDIT_DELTA)
    canaries = len(score)
    order, each = np.argsort(score), canaries // 20
    right = int(there[order[-each:]].sum() + (~there[order[:each]]).sum())
    return p_value(2 * each, right, canaries, epsilon, float(AUDIT_DELTA)) <= error


def lower_epsilon(
    score: np.ndarray, there: np.ndarray, delta: Fraction, error: float, most: float = 20.0
) -> float:
    """The largest epsilon at `delta` whose rho one run refutes."""
    low, high = 0.0, most
    for _ in range(12):
        middle = (low + high) / 2
        rho = float(rho_of_epsilon(Fraction(middle), delta).fraction)
        low, high = (middle, high) if refutes(score, there, rho, error) else (low, middle)
    return low
