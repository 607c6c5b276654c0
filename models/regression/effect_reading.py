"""A comparison's figures in the researcher's units, and what to beware of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from models.regression.effect_fit import Contrast, Summed, arm_sums, balance, contrast
from models.regression.effect_vectors import free_columns
from models.regression.fitting import UNSEEN
from models.regression.newton import Standing
from models.regression.reading import members_row, nothing, told, with_errors, without
from models.regression.syntax import Levels
from models.regression.treated import Propensity
from models.regression.unseen import said, unseen
from models.result import Z95, Estimate, normal_estimate

EFFECT, PROPENSITY = "effect", "propensity"
BEFORE, AFTER = "balance before", "balance after"
DIFFERENCE, TREATED, OTHERS, RATIO = "difference", "treated", "others", "risk ratio"
_FAR = 0.1  # standardised: a difference beyond it is called imbalance


def estimates(
    model: Propensity,
    now: Standing,
    stages: Sequence[Summed],
    noise_members: float,
    *,
    full: bool,
) -> tuple[Estimate, ...]:
    """The effect, balance, the propensity's coefficients and the members; `full` as of
    `contrast`."""
    found = contrast(model, now, stages, full=full)
    if astray(now):
        found = replace(found, sampling=np.full_like(found.sampling, np.nan))
    return (
        *_effect(model, found),
        *_balance(model, now, stages[0]),
        *_propensity(model, now),
        members_row(now, noise_members),
    )


def astray(now: Standing) -> bool:
    """Whether weights by this propensity mean nothing."""
    return bool(now.lost) and now.lost != UNSEEN


def _effect(model: Propensity, found: Contrast) -> list[Estimate]:
    middle, half = model.response.scaling
    rows = []
    for name, turn, shift in (
        (DIFFERENCE, [1.0, 0.0], 0.0),
        (TREATED, [0.5, 0.5], middle),
        (OTHERS, [-0.5, 0.5], middle),
    ):
        at = np.array(turn) * half
        value = shift + float(at @ found.values)
        rows.append(with_errors((EFFECT, name), value, *_variances(at, found)))
    if isinstance(model.response.column, Levels):
        rows.append(_ratio(found))
    return rows


def _variances(at: np.ndarray, found: Contrast) -> tuple[float, float]:
    return float(at @ found.sampling @ at), float(at @ found.privacy @ at)


def _ratio(found: Contrast) -> Estimate:
    """Of both shares, with an interval on the logarithm's scale."""
    difference, both = found.values
    shares = 0.5 + (both - difference) / 4, 0.5 + (both + difference) / 4
    if min(shares) <= 0:
        return nothing((EFFECT, RATIO))
    low, high = np.array([-0.25, 0.25]) / shares[0], np.array([0.25, 0.25]) / shares[1]
    sampling, privacy = _variances(high - low, found)
    if not sampling + privacy < 1:
        return nothing((EFFECT, RATIO))
    value, reach = shares[1] / shares[0], math.exp(Z95 * math.sqrt(sampling + privacy))
    errors = value * math.sqrt(sampling), value * math.sqrt(privacy)
    return Estimate((EFFECT, RATIO), value, *errors, value / reach, value * reach)


def _balance(model: Propensity, now: Standing, first: Summed) -> list[Estimate]:
    found, names = balance(model, now, first), model.design.names
    named = [names[at] for at in free_columns(model)]
    before = zip(named, found.before, found.before_noise, strict=True)
    after = zip(named, found.after, found.after_noise, strict=True)
    lines = chain(((BEFORE, *each) for each in before), ((AFTER, *each) for each in after))
    return [normal_estimate((figure, name), float(v), float(s)) for figure, name, v, s in lines]


def _propensity(model: Propensity, now: Standing) -> list[Estimate]:
    back, _ = model.design.back
    sampling, privacy = (np.diag(back @ each @ back.T) for each in (told(now), now.privacy))
    found = zip(model.design.names, back @ now.theta, sampling, privacy, strict=True)
    rows = [with_errors((PROPENSITY, name), *three) for name, *three in found]
    return without(rows, unseen(model, now).hidden)


def noted(model: Propensity, now: Standing, stages: Sequence[Summed]) -> tuple[str, ...]:
    """From noisy totals alone."""
    arms, notes = arm_sums(now, stages[0]), [now.lost] if now.lost else []
    notes += said(model, now)
    if arms.thin:
        notes.append(
            "Hardly any weight is in one of the arms, as far as the noise lets one see: nobody is "
            "treated, everybody is, or who is treated is nearly certain from the covariates."
        )
    gone = [name for name in stages[-1].lost if name not in stages[0].lost]
    if gone:
        notes.append(
            f"Lost during the run: {', '.join(gone)}. The effect is that of the organisations "
            "that stayed, weighted by what was learnt of all."
        )
    found = balance(model, now, stages[0])
    if np.any(np.abs(found.after) - Z95 * found.after_noise > _FAR):
        notes.append("A covariate still differs between the weighted arms: see balance after.")
    rough = np.maximum(found.before_noise, found.after_noise)
    if np.any(rough > _FAR):
        notes.append("There is too much noise to see from these figures whether arms are balanced.")
    return tuple(notes)
