"""Heart disease at four hospitals: one model of all, one of each, and private ones in between.

A logistic regression of disease on seven covariates, fitted to three quarters of the patients of
every hospital and judged on the others. Local is each hospital's own fit without any privacy,
judged on the patients of all four; a weak ridge keeps it finite where nearly all are diseased.
The records are not part of this repository: name the folder that holds `heart_disease/` of the UCI
collection in CAIRN_BENCH_DATA. Run as `python -m bench heart`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.curves import auc, half_width
from bench.heart_figure import ALONE, POOLED, PRIVATE
from bench.net_support import Row, at_most, observed
from bench.outcome_data import HOSPITALS, Absent, Study, heart_disease
from bench.outcome_fits import NEGLIGIBLE, TRAINED, Split, Trust, private

Floats = NDArray[np.float64]
SEEDS = 50
EPSILONS = ("1", "3", "8")
TRUST = Trust(len(HOSPITALS), 1)
SAME = 1e-5
RIDGE = 0.1  # of a row's largest information, for a hospital's own fit


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured; quick takes four seeds."""
    try:
        study = heart_disease()
    except Absent as absent:
        return [observed("heart disease", f"not measured: {absent}")]
    given = list(splits(study, 4 if quick else SEEDS))
    pooled = [each.quality(each.pooled) for each in given]
    local = [_local(each) for each in given]
    name = f"heart disease, n = {study.size}, 4 hospitals"
    told = _Told(name)
    rows = [
        at_most(f"{name}: noise negligible, farthest from pooled", _farthest(given), "", SAME),
        told("AUC", POOLED, pooled),
        told("AUC", ALONE, [each[0] for each in local]),
        told("coefficient error", ALONE, [each[1] for each in local]),
    ]
    for epsilon in EPSILONS:
        fits = [private(each, epsilon, TRUST) for each in given]
        areas = [each.quality(fit.drawn) for each, fit in zip(given, fits, strict=True)]
        errors = [each.error(fit.drawn) for each, fit in zip(given, fits, strict=True)]
        rows.append(told("AUC", PRIVATE, areas, float(epsilon)))
        rows.append(told("coefficient error", PRIVATE, errors, float(epsilon)))
    return rows


def splits(study: Study, seeds: int) -> Iterator[Split]:
    """Three quarters of every hospital's patients, each time others."""
    assert study.site is not None
    for seed in range(seeds):
        draw = np.random.default_rng([19, seed])
        train, test = [], []
        for site in range(study.nodes):
            order = draw.permutation(np.flatnonzero(study.site == site))
            cut = round(TRAINED * len(order))
            train.append(order[:cut])
            test.append(order[cut:])
        yield Split(study, study.logistic, np.concatenate(train), np.concatenate(test), seed)


def _farthest(given: list[Split]) -> float:
    """The largest difference of a coefficient from statsmodels', in size of the coefficients."""
    far = [
        np.abs(private(each, NEGLIGIBLE, TRUST).reported - each.pooled).max()
        / np.abs(each.pooled).max()
        for each in given[:10]
    ]
    return float(max(far))


def _local(split: Split) -> tuple[float, float]:
    """The hospitals' mean area under the curve, and mean error of coefficients."""
    assert split.study.site is not None
    site, happened = split.study.site[split.train], split.happened(split.train)
    areas, errors = [], []
    for place in range(split.study.nodes):
        here = site == place
        found = _own_fit(split.seen[here], happened[here] * 1.0)
        areas.append(auc(split.judged @ found, split.happened(split.test)))
        errors.append(split.error(found))
    return statistics.fmean(areas), statistics.fmean(errors)


def _own_fit(x: Floats, y: Floats) -> Floats:
    """Newton's method on one hospital's rows."""
    b = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-x @ b))
        curve = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(b))
        b = b + np.linalg.solve(curve, x.T @ (y - p) - RIDGE * b)
    return np.asarray(b)


class _Told:
    """Rows of one data set, which `bench.heart_figure` reads too."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, figure: str, fit: str, values: list[float], epsilon: float = 0.0) -> Row:
        at = f", ε = {epsilon:g}" if epsilon else ""
        what = f"{self.name}: {figure}, {fit}{at}"
        row = observed(what, statistics.fmean(values), f"(± {half_width(values):.3f})")
        return {**row, "figure": figure, "fit": fit, "epsilon": epsilon}
