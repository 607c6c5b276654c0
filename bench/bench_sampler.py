"""Our exact discrete Gaussian sampler beside OpenDP's, both exact on integers, sigma = 2^20.

The two alternate within one run, so that both see the same machine; a ratio is the median of
the ratios of neighbouring runs. Ours is timed as a node uses it: a fresh key, then the draws.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import opendp.prelude as dp

from privacy.discrete_gaussian import noise_share

LOG2_SIGMA = 20
SIZES = (1_000, 1_000_000)
TARGET = 5.0


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Draws per second and their ratio at 10^3 and 10^6 draws; quick takes fewer repeats."""
    opendp = _opendp_sampler()
    rows: list[dict[str, Any]] = []
    for n in SIZES:
        rows += _compare(opendp, n, _repeats(n, quick))
    return rows


def _repeats(n: int, quick: bool) -> int:
    if n <= 1_000:
        return 20 if quick else 100
    return 1 if quick else 3


def _opendp_sampler() -> Callable[[int], object]:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64")
    add_noise = dp.m.make_gaussian(*space, scale=float(2**LOG2_SIGMA))
    return lambda n: add_noise(np.zeros(n, dtype=np.int64))


def _compare(opendp: Callable[[int], object], n: int, repeats: int) -> list[dict[str, Any]]:
    noise_share(os.urandom, LOG2_SIGMA, n)  # both have made their tables before the clock runs
    opendp(10)
    pairs = [
        (_seconds(lambda: noise_share(os.urandom, LOG2_SIGMA, n)), _seconds(lambda: opendp(n)))
        for _ in range(repeats)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(their / our for our, their in pairs)
    size = f"{n:,} draws at once"
    speed = {"unit": "draws/s", "target": None, "ok": True, "repeats": repeats}
    return [
        {"what": f"Cairn sampler, {size}", "value": n / ours, **speed},
        {"what": f"OpenDP sampler, {size}", "value": n / theirs, **speed},
        {
            "what": f"speed of ours over OpenDP's, {size}",
            "value": ratio,
            "unit": "times",
            "target": f">= {TARGET:g}",
            "ok": ratio >= TARGET,
            "repeats": repeats,
        },
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
