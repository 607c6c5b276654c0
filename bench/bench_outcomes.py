"""Models of patients' outcomes: against the pooled fit, a curator's, and other private methods.

Four known data sets, each divided anew for every seed into patients to fit and patients to judge
on. A margin is how many organisations may be lost or collude; with a margin of 0 the noise is a
trusted curator's. What the other methods see, and how they were set, stands in `bench.peers`.
Coefficients are judged as they are reported; beside stand those that were measured, and those
drawn in for prediction, which are in the same answer. Run as `python -m bench outcomes`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch

from bench.curves import half_width
from bench.net_support import Row, observed
from bench.outcome_data import Absent, Study, affairs, breast_cancer, light_chains
from bench.outcome_fits import CURATOR, Asked, Fit, Split, Trust, private, splits
from bench.peers.logistic import FAMILIES, Peer

SEEDS, FEWER = 100, 20
CANCER, AFFAIRS, CHAINS = 0.98, 0.09, 0.99
CANCER_SURVIVAL = 0.97


def run(quick: bool = False) -> list[Row]:
    """Rows of what was measured; quick takes four seeds, and fewer settings of the others."""
    torch.set_num_threads(1)
    many, few = (4, 4) if quick else (SEEDS, FEWER)
    cancer = breast_cancer()
    assert cancer.survival is not None
    logistic = list(splits(cancer, cancer.logistic, many))
    return [
        *quality(logistic, "1", CANCER, margin=1),
        *beside(logistic, "1", quick=quick),
        *quality(list(splits(cancer, cancer.survival, many)), "1", CANCER_SURVIVAL, margin=1),
        *coefficients(list(splits(affairs(), affairs().logistic, many)), "3", AFFAIRS, margin=1),
        *_chains(few),
    ]


def _chains(seeds: int) -> list[Row]:
    try:
        study = light_chains()
    except Absent as absent:
        return [observed("flchain", f"not measured: {absent}")]
    assert study.survival is not None
    return [
        row
        for asked in (study.survival, study.logistic)
        for row in quality(list(splits(study, asked, seeds)), "1", CHAINS, margin=2)
    ]


def _label(study: Study, asked: Asked, epsilon: str) -> str:
    kind = "survival" if asked.kind == "cox" else "logistic"
    return f"{study.name} {kind}, n = {study.size}, ε = {epsilon}"


def _fits(given: Sequence[Split], epsilon: str, trust: Trust) -> list[Fit]:
    return [private(each, epsilon, trust) for each in given]


def quality(given: Sequence[Split], epsilon: str, target: float, margin: int) -> list[Row]:
    """How well patients who were left out are ordered, of the pooled fit's."""
    first = given[0]
    name, nodes = _label(first.study, first.asked, epsilon), first.study.nodes
    measure = "C-index" if first.asked.kind == "cox" else "AUC"
    pooled = [each.quality(each.pooled) for each in given]
    rows = [observed(f"{name}: {measure}, pooled, no privacy", statistics.fmean(pooled))]
    for trust in (CURATOR, Trust(nodes, margin)):
        fits = _fits(given, epsilon, trust)
        ratios = [
            each.quality(fit.drawn) / best
            for each, fit, best in zip(given, fits, pooled, strict=True)
        ]
        errors = [each.error(fit.reported) for each, fit in zip(given, fits, strict=True)]
        beside = f"± {half_width(ratios):.4f}, way {fits[0].way}"
        found, curator = statistics.fmean(ratios), trust == CURATOR
        what = f"{name}: {measure} ÷ pooled, {_who(trust)}"
        rows.append(
            observed(what, found, f"({beside})")
            if curator
            else _at_least(what, found, f"({beside})", target)
        )
        rows.append(observed(f"{name}: coefficient error, {_who(trust)}", statistics.fmean(errors)))
    return rows


def coefficients(given: Sequence[Split], epsilon: str, target: float, margin: int) -> list[Row]:
    """The relative error of reported coefficients."""
    study = given[0].study
    rows = []
    for trust in (CURATOR, Trust(study.nodes, margin)):
        fits = _fits(given, epsilon, trust)
        errors = [each.error(fit.reported) for each, fit in zip(given, fits, strict=True)]
        name = f"{_label(study, given[0].asked, epsilon)}: coefficient error, {_who(trust)}"
        unit = f"(± {half_width(errors):.3f}, way {fits[0].way})"
        found = statistics.fmean(errors)
        rows.append(
            observed(name, found, unit) if trust == CURATOR else _no_more(name, found, unit, target)
        )
    return rows


def beside(given: Sequence[Split], epsilon: str, *, quick: bool) -> list[Row]:
    """Coefficient errors of other methods and ours, with a curator's noise, and with as much as
    organisations of which one may be lost or collude must add."""
    study = given[0].study
    name, rows = _label(study, given[0].asked, epsilon), []
    for trust in (Trust(study.nodes, 0), Trust(study.nodes, 1)):
        noise, errors = f"noise of margin {trust.margin}", []
        for family, peers in FAMILIES.items():
            tried = peers[:2] if quick else peers
            error, area, setting = min(
                _judged(peer, given[: FEWER if _slow(peer) else None], epsilon, trust)
                for peer in tried
            )
            errors.append(error)
            rows.append(
                observed(f"{name}: coefficient error, {family}, {noise}", error, f"({setting})")
            )
            rows.append(observed(f"{name}: AUC ÷ pooled, {family}, the same setting", area))
        rows += _ours(given, epsilon, trust, min(errors))
    return rows


def _ours(given: Sequence[Split], epsilon: str, trust: Trust, best: float) -> list[Row]:
    fits = _fits(given, epsilon, trust)
    name, rows = _label(given[0].study, given[0].asked, epsilon), []
    for kind, words in _KINDS.items():
        mean = statistics.fmean(
            each.error(getattr(fit, kind)) for each, fit in zip(given, fits, strict=True)
        )
        what = f"{name}: coefficient error, {_who(trust)}, {words}"
        rows.append(_no_more(what, mean, "", best) if kind == "reported" else observed(what, mean))
    return rows


_KINDS = {
    "reported": "as reported",
    "measured": "as measured, the middles of intervals",
    "drawn": "drawn in for prediction",
}


def _slow(peer: Peer) -> bool:
    return hasattr(peer, "steps")


def _judged(
    peer: Peer, given: Sequence[Split], epsilon: str, trust: Trust
) -> tuple[float, float, str]:
    """Mean error and ratio of areas of one setting."""
    louder = math.sqrt(trust.nodes / (trust.nodes - trust.margin))
    errors, areas = [], []
    for each in given:
        y = each.happened(each.train).astype(np.float64)
        found = peer.fit(each.seen, y, float(epsilon), each.seed, louder)
        errors.append(each.error(found))
        areas.append(each.quality(found) / each.quality(each.pooled))
    return statistics.fmean(errors), statistics.fmean(areas), peer.name


def _who(trust: Trust) -> str:
    if trust == CURATOR:
        return "ours at a trusted curator"
    return f"ours, {trust.nodes} organisations, margin {trust.margin}"


def _at_least(what: str, value: float, unit: str, target: float) -> Row:
    row = observed(what, value, unit)
    return {**row, "target": f">= {target:g}", "ok": value >= target}


def _no_more(what: str, value: float, unit: str, target: float) -> Row:
    return {**observed(what, value, unit), "target": f"<= {target:.3g}", "ok": value <= target}
