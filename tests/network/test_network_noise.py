"""The noise in a total that went through the whole network: its law, with mutants to reject.

One question with thousands of cells is thousands of independent draws. All bounds hold for a
right network but with probability 1e-9, and seeded entropy makes every run the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from node import runner
from node.charges import Charge
from node.cut import Beginning
from node.gate import Asked
from privacy.contract.messages import Ask
from tests.support import net_data
from tests.support.distributions import ALPHA, fits, gaussian_cdf
from tests.support.network import Network

WIDE = net_data.DICTIONARY.replace("bins = [0, 18, 40, 65, 110]", "bins = 4000")
ASKED = {"kind": "count", "by": ["age", "treatment"]}
CELLS = 12_000


def _noise(network: Network, cohort: str = "") -> tuple[NDArray[np.float64], int]:
    """What was added to every cell, and how many nodes' shares are in it."""
    compiled = network.plan(network.question(ASKED, cohort))
    opened = network.open(compiled)
    exact = np.zeros(CELLS, dtype=np.int64)
    for name in opened.survivors:
        service = network.nodes[name].service
        derived = compiled.derivation
        asked = (
            derived.contribution_at(0, b""),
            derived.cohort,
            Asked(str(network.study.consent_purpose), network.study.use),
        )
        today = network.clock().date()
        charge = Charge(compiled.envelope.digest, 0, 0, derived.rounds[0].mechanism)
        began = Beginning(today, service.runner.cut())
        exact += service.runner.engine(*asked, today, began, charge)
    assert len(opened.total) == CELLS
    sigma = 2.0 ** compiled.plan.rounds[0].mechanism["log2_sigma"]
    return (opened.total - exact) / sigma, len(opened.survivors)


def variance_is(noise: NDArray[np.float64], shares: int) -> bool:
    """Is the variance that of so many whole shares? (chi-square, both sides)"""
    statistic = float(np.sum(noise**2)) / shares
    low, high = chi2.ppf([ALPHA / 2, 1 - ALPHA / 2], len(noise))
    return bool(low <= statistic <= high)


def _mutant(
    patch: pytest.MonkeyPatch, broken: Callable[[Any, int, int], NDArray[np.int64]]
) -> None:
    """One node of the network draws its share in another way."""
    calls, real = count(), runner.noise_share

    def share(entropy: Any, log2_sigma: int, length: int) -> NDArray[np.int64]:
        drawn: Any = broken if next(calls) == 0 else real
        return np.asarray(drawn(entropy, log2_sigma, length))

    patch.setattr(runner, "noise_share", share)


@pytest.fixture
def wide(make: Callable[..., Network]) -> Network:
    return make(dictionary=WIDE, epsilon_allowance="100")


def test_the_noise_is_the_sum_of_every_nodes_share(wide: Network) -> None:
    noise, shares = _noise(wide)
    assert shares == 3
    assert variance_is(noise, 3)
    assert not variance_is(noise * 0.9, 3)
    assert not variance_is(noise * 1.1, 3)
    grid = np.rint(noise * 2**20).astype(np.int64)
    assert fits(grid, gaussian_cdf(2**20 * np.sqrt(3)))
    bound = norm.ppf(1 - ALPHA / 2) * np.sqrt(3 / CELLS)
    assert abs(noise.mean()) < bound


def test_neighbouring_cells_and_two_questions_have_independent_noise(wide: Network) -> None:
    first, _ = _noise(wide)
    second, _ = _noise(wide, "age >= 0")
    assert variance_is((first[::2] + first[1::2]) / np.sqrt(2), 3)
    assert variance_is((first + second) / np.sqrt(2), 3)
    assert not variance_is((first + first) / np.sqrt(2), 3)
    bound = norm.ppf(1 - ALPHA / 2) / np.sqrt(CELLS)
    assert abs(np.corrcoef(first, second)[0, 1]) < bound


def test_with_a_node_lost_the_survivors_shares_are_there_and_no_more(
    make: Callable[..., Network],
) -> None:
    network = make(nodes=net_data.MORE_NODES, t_drop=1, dictionary=WIDE, epsilon_allowance="100")
    network.wire.lose_reply("stroke-club", Ask.CONTRIBUTE)
    noise, shares = _noise(network)
    assert shares == 4
    assert variance_is(noise, 4)
    assert not variance_is(noise, 5)
    assert not variance_is(noise, 3)


def _silent(_entropy: Any, _log2_sigma: int, length: int) -> NDArray[np.int64]:
    return np.zeros(length, dtype=np.int64)


def _halved(entropy: Any, log2_sigma: int, length: int) -> NDArray[np.int64]:
    return _REAL(entropy, log2_sigma - 1, length)


_REAL = runner.noise_share


@pytest.mark.parametrize("broken", [_silent, _halved])
def test_a_node_with_too_little_noise_is_noticed(
    wide: Network, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    _mutant(monkeypatch, broken)
    noise, _ = _noise(wide)
    assert not variance_is(noise, 3)


def test_a_second_attempt_draws_anew(wide: Network) -> None:
    """The first attempt's masked vector and the second's share no noise."""
    wide.wire.lose_reply("ms-league", Ask.CONTRIBUTE, times=1)
    drawn: list[NDArray[np.int64]] = []

    with pytest.MonkeyPatch.context() as patch:

        def share(entropy: Any, log2_sigma: int, length: int) -> NDArray[np.int64]:
            drawn.append(_REAL(entropy, log2_sigma, length))
            return drawn[-1]

        patch.setattr(runner, "noise_share", share)
        assert wide.ask(ASKED, max_attempts=2).release
    assert len(drawn) == 6
    bound = norm.ppf(1 - ALPHA / 2) / np.sqrt(CELLS)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < bound
