"""Why the sampler is exact, piece by piece: tables, ties, coins, and that nothing is a float."""

from __future__ import annotations

import ast
import inspect
import math
from functools import cache
from types import ModuleType

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from privacy import discrete_gaussian, randomness
from privacy.discrete_gaussian import _cumulative, _rejected, _search, _table, _uniform_below
from privacy.randomness import Keystream
from tests.support.distributions import ALPHA
from tests.support.seeded import seeded_stream

Words = NDArray[np.uint64]


class Scripted(Keystream):
    """A keystream that says what the test wrote."""

    def __init__(self, *words: int) -> None:
        self.left = list(words)

    def u64(self, n: int) -> Words:
        taken, self.left = self.left[:n], self.left[n:]
        assert len(taken) == n, "the script is too short"
        return np.array(taken, dtype=np.uint64)


@cache
def exact_cumulative(log2_buckets: int) -> list[mpmath.mpf]:
    """P(bucket <= i) by plain summation with 800 bits."""
    with mpmath.workprec(800):
        step = 2 ** (2 * log2_buckets + 1)
        weights = [mpmath.exp(-mpmath.mpf(i * i) / step) for i in range(40 * 2**log2_buckets)]
        total = mpmath.fsum(weights)
        sums, running = [], mpmath.mpf(0)
        for weight in weights:
            running += weight
            sums.append(running / total)
        return sums


@pytest.mark.parametrize("log2_buckets", [3, 4, 5])
@pytest.mark.parametrize("bits", [64, 128, 192, 320])
def test_every_bit_of_the_tables_is_right(log2_buckets: int, bits: int) -> None:
    ours = _cumulative(log2_buckets, bits)
    with mpmath.workprec(800):
        exact = [int(mpmath.floor(p * 2**bits)) for p in exact_cumulative(log2_buckets)]
    assert list(ours) == exact[: len(ours)]
    assert ours[-1] == 2**bits - 1
    assert ours[-2] < 2**bits - 1


@pytest.mark.parametrize("log2_buckets", [3, 4, 5])
def test_the_short_table_agrees_with_the_long_one(log2_buckets: int) -> None:
    table = _table(log2_buckets)
    for cell in range(2**16):
        first, last = cell << 48, ((cell + 1) << 48) - 1
        below, at_most = (
            table.thresholds.searchsorted(np.array([first, last], dtype=np.uint64), side="left"),
            table.thresholds.searchsorted(np.uint64(last), side="right"),
        )
        if table.cells[cell] != 2**16 - 1:
            assert below[0] == at_most == table.cells[cell]


def test_a_word_equal_to_a_threshold_is_settled_by_the_next_bits() -> None:
    with mpmath.workprec(800):
        exact = [int(mpmath.floor(p * 2**192)) for p in exact_cumulative(5)]
    for i, threshold in enumerate(_table(5).thresholds[:250]):
        second, third = (exact[i] >> 64) % 2**64, exact[i] % 2**64
        words = np.array([threshold], dtype=np.uint64)
        assert _search(Scripted(second - 1), 5, words) == [i]
        assert _search(Scripted(second + 1), 5, words) == [i + 1]
        assert _search(Scripted(second, third - 1), 5, words) == [i]
        assert _search(Scripted(second, third + 1), 5, words) == [i + 1]
        assert threshold == 0 or _search(Scripted(), 5, words - np.uint64(1)) == [i]


def test_the_far_tail_is_reached_and_beyond_the_bound_is_an_error() -> None:
    ones = 2**64 - 1
    word = np.array([ones], dtype=np.uint64)
    assert 290 < _search(Scripted(0), 5, word)[0] < _search(Scripted(ones, 0), 5, word)[0] < 1024
    with pytest.raises(OverflowError):
        _search(Scripted(*[ones] * 13, 0), 5, word)
    with pytest.raises(OverflowError):
        _search(Scripted(0), 3, word)


@pytest.mark.parametrize("bits", [7, 9, 21, 41])
@pytest.mark.parametrize("share", [0.0, 0.003, 0.2, 0.5, 1.0])
def test_the_coin_has_probability_exp_minus_g(bits: int, share: float) -> None:
    n, numerator = 400_000, int(share * 2**bits)
    stream = seeded_stream(f"coin {bits} {share}")
    rejected = _rejected(stream, stream.u64(n), np.full(n, numerator, dtype=np.uint64), bits)
    assert len(set(rejected.tolist())) == rejected.size
    g = numerator / 2**bits
    assert stats.binomtest(rejected.size, n, -math.expm1(-g)).pvalue > ALPHA
    if share >= 0.5:  # the first terms of the series are told from the exponential
        for short in (min(1.0, g), g - g * g / 2):
            assert stats.binomtest(rejected.size, n, short).pvalue < ALPHA


@pytest.mark.parametrize("bound", [2, 3, 4, 7, 10])
def test_uniform_below_is_exactly_uniform(bound: int) -> None:
    draws = _uniform_below(seeded_stream(bound), bound, 200_000)
    counts = np.bincount(draws.astype(np.int64), minlength=bound)
    assert counts.size == bound
    assert stats.chisquare(counts).pvalue > ALPHA


def test_words_past_the_last_multiple_are_drawn_again() -> None:
    top = 2**64 - 1
    assert list(_uniform_below(Scripted(top, 4), 3, 1)) == [1]
    assert list(_uniform_below(Scripted(top, 5, top, 8), 5, 2)) == [3, 0]
    assert list(_uniform_below(Scripted(top), 4, 1)) == [3]


def test_the_largest_numbers_of_the_acceptance_step_fit() -> None:
    """The module's bounds, recomputed in Python integers for every bucket that is allowed."""
    for log2_sigma in range(3, 21):
        buckets = min(log2_sigma, 5)
        width = 2 ** (log2_sigma - buckets)
        start = (4**buckets - 1) * width
        magnitude = start + width
        assert width * (start + magnitude) < 2 ** (2 * log2_sigma + 1) <= 2**41
        assert magnitude <= 2**25


@pytest.mark.parametrize("module", [discrete_gaussian, randomness])
def test_no_floating_point_in_the_sampling_path(module: ModuleType) -> None:
    """The one division is between a Fraction and an integer, when the tables are made."""
    tree = ast.parse(inspect.getsource(module))
    divisions = [node for node in ast.walk(tree) if isinstance(node, ast.Div)]
    assert len(divisions) == (module is discrete_gaussian)
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        name = getattr(node, "id", getattr(node, "attr", ""))
        assert not str(name).startswith("float")
        assert name not in {"exp", "log", "sqrt", "random", "double"}


@pytest.mark.parametrize("log2_sigma", [3, 4, 12, 20])
def test_every_array_between_keystream_and_share_is_of_integers(
    log2_sigma: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    for name in ("_buckets", "_search", "_accepted", "_rejected", "_uniform_below"):
        inner = getattr(discrete_gaussian, name)

        def watched(*args: object, inner: object = inner) -> object:
            result = inner(*args)  # type: ignore[operator]
            arrays = [value for value in (*args, result) if isinstance(value, np.ndarray)]
            seen.update(array.dtype.kind for array in arrays)
            return result

        monkeypatch.setattr(discrete_gaussian, name, watched)
    discrete_gaussian.sample(seeded_stream("kinds"), log2_sigma, 200_000)
    assert seen <= {"u", "i"}
    assert "u" in seen
