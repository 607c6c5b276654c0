"""Coverage of odds ratios from noisy tables, and how fast and how well many pairs are screened.

The naive interval takes the noisy counts for exact (Woolf's, half a member added). Run as
`python -m bench.bench_screening`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.aggregates.disproportionality import FIGURES, P_VALUE, Screen, figures
from models.aggregates.noisy_rates import Rates, discoveries, log_ratio
from models.result import Z95

Floats = NDArray[np.float64]

LOW, HIGH = 93.0, 97.0
SIZES, NOISES = (300, 2000, 20000), (2.0, 5.0, 16.0)
RATIOS = (1.0, 4.0)
SHARE = 0.1  # of members with the drug, and of members with the event
FEW = 10.0  # expected members with both below which an interval may cover more
DRUGS, EVENTS, PLANTED = 40, 50, 10
SECONDS = 3.0


def _both(ratio: float) -> float:
    """The share with both at which the odds ratio is `ratio`, by bisection."""
    low, high = 0.0, SHARE
    for _ in range(80):
        share = (low + high) / 2
        found = share * (1 - 2 * SHARE + share) / (SHARE - share) ** 2
        low, high = (share, high) if found < ratio else (low, share)
    return low


def coverage(
    rng: np.random.Generator, members: int, noise_sd: float, ratio: float, runs: int
) -> Any:
    """(covered, naive) in percent."""
    both = _both(ratio)
    shares = [both, SHARE - both, SHARE - both, 1 - 2 * SHARE + both]
    seen = rng.multinomial(members, shares, runs) + rng.normal(0, noise_sd, (runs, 4))
    a, b, c, d = (Rates(seen[:, at].copy(), noise_sd) for at in range(4))
    found = log_ratio([a, d], [b, c], np.zeros(runs))
    truth = math.log(ratio)
    held = np.maximum(np.rint(seen), 0.0) + 0.5
    middle = np.log(held[:, 0] * held[:, 3] / held[:, 1] / held[:, 2])
    naive = np.abs(middle - truth) <= Z95 * np.sqrt((1 / held).sum(axis=1))
    hits = (found.low <= truth) & (truth <= found.high)
    return 100 * float(hits.mean()), 100 * float(naive.mean())


def coverages(quick: bool) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(20240301)
    runs = 500 if quick else 4000
    for members in SIZES[1:2] if quick else SIZES:
        for noise_sd in NOISES[1:2] if quick else NOISES:
            for ratio in RATIOS:
                covered, naive = coverage(rng, members, noise_sd, ratio, runs)
                slack = 300 * math.sqrt(LOW / 100 * (1 - LOW / 100) / runs)
                visible = members * _both(ratio) > max(FEW, 2 * noise_sd)
                yield {
                    "what": f"coverage of an odds ratio of {ratio:g}: n = {members}, "
                    f"noise sd of a cell {noise_sd:g}",
                    "value": round(covered, 1),
                    "unit": f"% (naive {naive:.1f})",
                    "target": "93 to 97 (more with few members), within 3 Monte-Carlo errors",
                    "ok": LOW - slack <= covered and (covered <= HIGH + slack or not visible),
                }


def population(rng: np.random.Generator, members: int, noise_sd: float) -> Screen:
    """Three drugs a member at most, events in 4 %, four times as often in the planted pairs."""
    drug = np.zeros((members, DRUGS), dtype=bool)
    for _ in range(3):
        drug[np.arange(members), rng.integers(0, DRUGS, members)] = True
    risk = np.full((members, EVENTS), 0.04)
    for pair in range(PLANTED):
        risk[drug[:, pair], pair] *= 4
    event = rng.random((members, EVENTS)) < risk
    both = drug.T.astype(float) @ event
    margin_sd = 4 * noise_sd
    drugs = drug.sum(axis=0) + rng.normal(0, margin_sd, DRUGS)
    events = event.sum(axis=0) + rng.normal(0, margin_sd, EVENTS)
    return Screen(
        both=(both + rng.normal(0, noise_sd, both.shape)).ravel(),
        drug=np.repeat(drugs, EVENTS),
        event=np.tile(events, DRUGS),
        every=np.full(DRUGS * EVENTS, members + rng.normal(0, margin_sd)),
        pair_sd=noise_sd,
        margin_sd=margin_sd,
    )


def screens(quick: bool) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(20240302)
    labels = tuple(
        (figure, str(pair)) for figure in (*FIGURES, P_VALUE) for pair in range(DRUGS * EVENTS)
    )
    runs = 1 if quick else 10
    found, false, spent = 0, 0, 0.0
    for _ in range(runs):
        seen = population(rng, 20_000, 5.0)
        began = time.perf_counter()
        figures(seen, labels)
        spent = max(spent, time.perf_counter() - began)
        signals = discoveries(seen.p_values()).reshape(DRUGS, EVENTS)
        planted = int(signals[range(PLANTED), range(PLANTED)].sum())
        found, false = found + planted, false + int(signals.sum()) - planted
    what = "2,000 pairs, 20,000 members, noise sd 5"
    yield {
        "what": f"estimates of {what}",
        "value": round(spent, 2),
        "unit": "s",
        "target": f"at most {SECONDS:g}, with the network",
        "ok": spent <= SECONDS,
    }
    share = 100 * false / max(found + false, 1)
    yield {
        "what": f"planted pairs (fourfold risk) found: {what}",
        "value": round(100 * found / (runs * PLANTED), 1),
        "unit": f"% (false among signals {share:.1f} %)",
        "target": "",
        "ok": True,
    }


def run(quick: bool = False) -> list[dict[str, Any]]:
    return [*coverages(quick), *screens(quick)]


def main() -> None:
    for row in run():
        mark = "ok" if row["ok"] else "MISSED"
        print(f"{mark:7}{row['value']:8.2f} {row['unit']:24} {row['what']}")


if __name__ == "__main__":
    main()
