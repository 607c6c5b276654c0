"""Exact discrete Gaussian noise with sigma a power of two, in whole numbers only.

Target: P(y) proportional to exp(-y^2 / 2^(2m+1)) over all integers y, where sigma = 2^m.

Each side of zero is cut into buckets of w = 2^(m-b) integers, b = min(m, 5). Bucket i starts at
i*w, where the density is exp(-i^2 / 2^(2b+1)), whatever m is. One draw:

1. Take bucket i with probability proportional to exp(-i^2 / 2^(2b+1)), by inversion: a uniform U
   against the cumulative probabilities. U is read 64 bits at a time and the probabilities are
   known to as many bits as are asked for; a draw that 64 bits leave open is settled by more.
2. Take a sign and an offset j in [0, w): y = i*w + j, or -(i*w + j + 1). So every integer is met
   once.
3. With d = |y| - i*w accept with probability exp(-g), g = d*(2*i*w + d) / 2^(2m+1). That coin is
   exact: draw A_k ~ Bernoulli(g/k) for k = 1, 2, ... until the first 0, and accept when that k is
   odd. Nearly always A_1 = 0, so that one comparison of integers settles it.

Bounds in 64 bits: buckets i >= 4^b raise OverflowError, nothing is clamped. Below that d <= w
gives g <= (2i+1) / 2^(2b+1) < 1, so the numerator of g is below 2^(2m+1) <= 2^41, and
|y| <= 4^b * w <= 2^25. The refused buckets start at 2^b sigma: 16 sigma for m = 4 (probability
below 10^-55), 32 sigma for m >= 5 (below 10^-222), and 8 sigma for m = 3 (below 10^-14), which
no mechanism uses.

Guarantee: given uniform words the distribution is the target's; no floating-point number occurs.
Source: step 3 is algorithm 1 of Canonne, Kamath and Steinke 2020 (arXiv 2004.00010); inversion
with bits on demand goes back to Knuth and Yao 1976.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from privacy.errors import BadInput
from privacy.randomness import Entropy, Keystream, fresh_keystream

MIN_LOG2_SIGMA = 3
MAX_LOG2_SIGMA = 20
SHARE_BLOCK = 1024

_MAX_LOG2_BUCKETS = 5
_WORD_BITS = 64
_CELL_BITS = 16
_OPEN = 2**16 - 1
_CHUNK = 2**15

Words = NDArray[np.uint64]


def noise_share(entropy: Entropy, log2_sigma: int, length: int) -> NDArray[np.int64]:
    """One node's noise for one opening: `length` draws in grid units, sigma = 2^log2_sigma.

    Guarantee: the key is fresh, so a copied or restored machine never repeats a share; work is
    done in whole blocks of 1024 draws, so a vector's length below that is not seen in the time.
    Assumes: called before any member's data is read.
    Raises BadInput for a length below 1 or a sigma out of range.
    """
    if type(length) is not int or not length >= 1:
        raise BadInput("a noise share has at least one coordinate")
    whole = -(-length // SHARE_BLOCK) * SHARE_BLOCK
    return sample(fresh_keystream(entropy), log2_sigma, whole)[:length].copy()


def sample(stream: Keystream, log2_sigma: int, n: int) -> NDArray[np.int64]:
    """`n` independent draws of the discrete Gaussian with sigma = 2^log2_sigma (3 to 20).

    Raises BadInput for parameters out of range, OverflowError as the module says.
    """
    if type(log2_sigma) is not int or not MIN_LOG2_SIGMA <= log2_sigma <= MAX_LOG2_SIGMA:
        raise BadInput(f"log2_sigma is from {MIN_LOG2_SIGMA} to {MAX_LOG2_SIGMA}")
    if type(n) is not int or not n >= 0:
        raise BadInput("the number of draws is a whole number")
    out = np.empty(n, dtype=np.int64)
    filled = 0
    while filled < n:
        wanted = min(n - filled, _CHUNK)
        drawn = _accepted(stream, log2_sigma, wanted + wanted // 32 + 64)[:wanted]
        out[filled : filled + len(drawn)] = drawn
        filled += len(drawn)
    return out


def _accepted(stream: Keystream, log2_sigma: int, tries: int) -> NDArray[np.int64]:
    """Those of `tries` candidates that step 3 accepts, in the order drawn."""
    log2_buckets = min(log2_sigma, _MAX_LOG2_BUCKETS)
    log2_width = log2_sigma - log2_buckets
    # The top 16 bits of `place` choose the bucket, bit 47 the sign, the lowest the offset.
    place, coin = stream.u64(tries), stream.u64(tries)
    start = _buckets(stream, log2_buckets, place) << log2_width
    sign = (place >> 47) & 1
    distance = (place & (2**log2_width - 1)) + sign
    magnitude = start + distance
    numerator = distance * (start + magnitude)
    rejected = _rejected(stream, coin, numerator, 2 * log2_sigma + 1)
    values = ((magnitude ^ -sign) + sign).view(np.int64)
    return np.delete(values, rejected)


def _rejected(stream: Keystream, coin: Words, numerator: Words, bits: int) -> NDArray[np.intp]:
    """Where the coin with probability exp(-numerator / 2^bits) falls on its other side."""
    unused = _WORD_BITS - bits
    running = np.flatnonzero((coin >> unused) < numerator)
    rejected = [running[:0]]
    k = 2
    while running.size:
        below = (stream.u64(running.size) >> unused) < numerator[running]
        one = below & (_uniform_below(stream, k, running.size) == 0)
        if k % 2 == 0:
            rejected.append(running[~one])
        running = running[one]
        k += 1
    return np.concatenate(rejected)


def _uniform_below(stream: Keystream, bound: int, n: int) -> Words:
    """Uniform on [0, bound), exactly: words past the last whole multiple are drawn again."""
    last = 2**_WORD_BITS - 2**_WORD_BITS % bound - 1
    words = stream.u64(n)
    while (over := np.flatnonzero(words > last)).size:
        words[over] = stream.u64(over.size)
    return words % bound


def _buckets(stream: Keystream, log2_buckets: int, place: Words) -> Words:
    """Step 1 for every word, by its top 16 bits; other bits come from `stream` when needed."""
    table = _table(log2_buckets)
    narrow = table.cells[place >> (_WORD_BITS - _CELL_BITS)]
    undecided = np.flatnonzero(narrow == _OPEN)
    index: Words = narrow.astype(np.uint64)
    if undecided.size:
        cell_mask = np.uint64(2**_WORD_BITS - 2 ** (_WORD_BITS - _CELL_BITS))
        rest = stream.u64(undecided.size) & ~cell_mask
        words = (place[undecided] & cell_mask) | rest
        index[undecided] = _search(stream, log2_buckets, words)
    return index


def _search(stream: Keystream, log2_buckets: int, words: Words) -> Words:
    """Step 1 for whole 64-bit words; raises OverflowError for a bucket of 4^b or more."""
    thresholds = _table(log2_buckets).thresholds
    index = thresholds.searchsorted(words).astype(np.uint64)
    for tie in np.flatnonzero(thresholds[index] == words):
        index[tie] = _settle(stream, log2_buckets, int(words[tie]))
    if index.max() >= 4**log2_buckets:
        raise OverflowError("noise beyond the bound of the sampler")
    return index


def _settle(stream: Keystream, log2_buckets: int, word: int) -> int:
    """Step 1 when the first 64 bits of U equal a threshold's: read on until they differ."""
    bits = _WORD_BITS
    while True:
        bits += _WORD_BITS
        word = word << _WORD_BITS | int(stream.u64(1)[0])
        thresholds = _cumulative(log2_buckets, bits)
        index = bisect_left(thresholds, word)
        if thresholds[index] != word:
            return index


@dataclass(frozen=True)
class _Table:
    """`thresholds`: the first 64 bits of each cumulative probability. `cells`: for each value of
    the top 16 bits the bucket, or `_OPEN` where a threshold falls inside the cell."""

    thresholds: Words
    cells: NDArray[np.uint16]


@lru_cache(maxsize=4)
def _table(log2_buckets: int) -> _Table:
    thresholds = np.array(_cumulative(log2_buckets, _WORD_BITS), dtype=np.uint64)
    starts = np.arange(2**_CELL_BITS, dtype=np.uint64) << (_WORD_BITS - _CELL_BITS)
    cells = thresholds.searchsorted(starts).astype(np.uint16)
    cells[thresholds >> (_WORD_BITS - _CELL_BITS)] = _OPEN
    return _Table(thresholds, cells)


@lru_cache(maxsize=16)
def _cumulative(log2_buckets: int, bits: int) -> tuple[int, ...]:
    """floor(2^bits * P(bucket <= i)) for i = 0, 1, ... up to the first that is 2^bits - 1.

    U with leading bits `word` falls in bucket #{i: floor_i < word} unless word equals a floor_i.
    """
    guard = 64
    while True:
        floors = _floors(_weights(log2_buckets, bits + guard), log2_buckets, bits)
        if floors is not None:
            return floors
        guard *= 2


def _floors(weights: list[tuple[int, int]], log2_buckets: int, bits: int) -> tuple[int, ...] | None:
    """The floors that the weights' bounds imply; None when the bounds are too wide to tell."""
    last_high = weights[-1][1]
    rest_low = sum(low for low, _ in weights)
    rest_high = sum(high for _, high in weights) + (last_high << (2 * log2_buckets + 2))
    sum_low = sum_high = 0
    floors: list[int] = []
    for low, high in weights:
        sum_low, sum_high = sum_low + low, sum_high + high
        rest_low, rest_high = rest_low - low, rest_high - high
        floor = (sum_low << bits) // (sum_low + rest_high)
        if floor != (sum_high << bits) // (sum_high + rest_low):
            return None
        floors.append(floor)
        if floor == 2**bits - 1:
            return tuple(floors)
    return None


def _weights(log2_buckets: int, precision: int) -> list[tuple[int, int]]:
    """Bounds below and above 2^precision * exp(-i^2 / 2^(2b+1)), i = 0, 1, ..., until below is 0.

    Later weights fall faster than the powers of exp(-2^-(2b+1)), so that they sum to at most the
    last upper bound times 2^(2b+2).
    """
    low_1, high_1 = _exp_bounds(2 * log2_buckets + 1, precision)
    low, high = (2**precision,) * 2
    ratio_low, ratio_high = low_1, high_1
    weights = [(low, high)]
    while low:
        low = low * ratio_low >> precision
        high = -(-high * ratio_high >> precision)
        ratio_low = ratio_low * low_1 * low_1 >> 2 * precision
        ratio_high = -(-ratio_high * high_1 * high_1 >> 2 * precision)
        weights.append((low, high))
    return weights


def _exp_bounds(k: int, precision: int) -> tuple[int, int]:
    """Bounds on 2^precision * exp(-2^-k): partial sums of an alternating series, rounded out."""
    total = term = Fraction(1)
    j = 0
    while True:
        j += 1
        before, term = total, -term / (j << k)
        total += term
        if abs(term) < Fraction(1, 2**precision):
            low, high = sorted((before * 2**precision, total * 2**precision))
            return low.__floor__(), high.__ceil__()
