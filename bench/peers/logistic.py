"""Private logistic regressions of other kinds, each by a trusted curator who sees every row.

`louder` is by how much more noise than a curator's they get: over organisations of which some may
be lost or collude, as they would need to be.
They are given what ours is given: columns scaled by public bounds, with a leading one, and no
deviation or covariance of the data for free. Each has settings that its caller tries in turn; the
best of them on the very figure that is reported counts, and the trying costs nothing, which
favours them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer
from scipy.optimize import brentq, minimize
from scipy.stats import norm

Floats = NDArray[np.float64]
DELTA = 1e-6


@dataclass(frozen=True)
class DpSgd:
    """Poisson-sampled, clipped, noised steps by Opacus, its noise by its own PRV accountant.

    Source: Abadi et al. (2016), arXiv 1607.00133.
    """

    rate: float
    clip: float
    steps: int = 100
    sampled: float = 0.2

    @property
    def name(self) -> str:
        return f"DP-SGD (Opacus), rate {self.rate:g}, clip {self.clip:g}, {self.steps} steps"

    def fit(self, x: Floats, y: Floats, epsilon: float, seed: int, louder: float = 1.0) -> Floats:
        torch.manual_seed(seed)
        draw = np.random.default_rng([seed, 5])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = GradSampleModule(_line(x.shape[1]))
            optimiser = DPOptimizer(
                torch.optim.SGD(module.parameters(), lr=self.rate),
                noise_multiplier=louder * noise_multiplier(epsilon, self.sampled, self.steps),
                max_grad_norm=self.clip,
                expected_batch_size=max(round(self.sampled * len(y)), 1),
            )
            for _ in range(self.steps):
                chosen = draw.random(len(y)) < self.sampled
                optimiser.zero_grad()
                seen, known = torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])
                _loss(module(seen)[:, 0], known).backward()
                optimiser.step()
        return np.concatenate([each.detach().numpy().ravel() for each in module.parameters()])


def _line(width: int) -> torch.nn.Linear:
    """The leading one of `x` is the intercept."""
    line = torch.nn.Linear(width, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(line.weight)
    return line


def _loss(found: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(found, known)


@cache
def noise_multiplier(epsilon: float, sampled: float, steps: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=DELTA,
                sample_rate=sampled,
                steps=steps,
                accountant="prv",
            )
        )


@dataclass(frozen=True)
class ObjectivePerturbation:
    """The exact minimum of a ridge objective with a random linear term; rows are cut to `bound`.

    With loss of a row beta-smooth (beta = bound²/4) and its gradient at most `bound` long, ridge
    weight `ridge` * beta, and noise s: delta = 2 H(e^(epsilon - |log(1 - 1/ridge)|)), H the
    hockey-stick divergence of N(bound/s, 1) from N(0, 1).
    Source: Kifer, Smith and Thakurta (2012), COLT; for this bound of generalised linear models
    Redberg, Koskela and Wang (2023), NeurIPS, where epsilon - … is above bound²/(2 s²). That bound
    is taken as it stands there.
    """

    ridge: float
    bound: float

    @property
    def name(self) -> str:
        return f"objective perturbation, ridge {self.ridge:g} beta, rows to {self.bound:g}"

    def fit(self, x: Floats, y: Floats, epsilon: float, seed: int, louder: float = 1.0) -> Floats:
        rows, sign = shortened(x, self.bound), 2 * y - 1
        weight = self.ridge * self.bound**2 / 4
        scale = louder * self.bound * _perturbation(epsilon - abs(math.log1p(-1 / self.ridge)))
        push = np.random.default_rng([seed, 6]).normal(0, scale, x.shape[1])

        def objective(b: Floats) -> tuple[float, Floats]:
            margin = sign * (rows @ b)
            slope = -(sign / (1 + np.exp(margin))) @ rows + weight * b + push
            loss = np.logaddexp(0, -margin).sum() + weight / 2 * b @ b + push @ b
            return float(loss), slope

        found = minimize(objective, np.zeros(x.shape[1]), jac=True, tol=1e-10)
        return np.asarray(found.x)


@cache
def _perturbation(epsilon: float) -> float:
    """The least s/bound with 2 H(e^epsilon) at most DELTA and epsilon at least 1/(2 s²)."""
    if epsilon <= 0:
        raise ValueError("the ridge is too small for this epsilon")

    def excess(s: float) -> float:
        shift = 1 / s
        stick = norm.cdf(shift / 2 - epsilon / shift)
        stick -= math.exp(epsilon) * norm.cdf(-shift / 2 - epsilon / shift)
        return float(math.log(max(2 * stick, 1e-300)) - math.log(DELTA))

    return max(float(brentq(excess, 0.05, 1e4)), 1 / math.sqrt(2 * epsilon))


@dataclass(frozen=True)
class OneShotGram:
    """One noisy sum of x x' and x (y - 1/2), and the line of a quadratic that stands for the loss.

    Rows are cut to `bound`; `curve` is the quadratic's second derivative; `ridge` is in units of
    the noise on a product times the root of the columns. Noise by the exact Gaussian mechanism.
    Source: Huggins, Adams and Broderick (2017), NeurIPS (PASS-GLM); Balle and Wang (2018), ICML.
    """

    bound: float
    curve: float = 0.22
    ridge: float = 1.0

    @property
    def name(self) -> str:
        return f"one-shot noisy Gram, rows to {self.bound:g}, ridge {self.ridge:g}"

    def fit(self, x: Floats, y: Floats, epsilon: float, seed: int, louder: float = 1.0) -> Floats:
        rows, width = shortened(x, self.bound), x.shape[1]
        tilt = 2 * self.bound  # how loud x (y - 1/2), at most bound/2 long, speaks
        scale = math.hypot(self.bound**2, tilt * self.bound / 2) * gaussian(epsilon) * louder
        draw = np.random.default_rng([seed, 8])
        upper = np.triu(draw.normal(0, scale / math.sqrt(2), (width, width)), 1)
        noise = upper + upper.T + np.diag(draw.normal(0, scale, width))
        gram = rows.T @ rows + noise
        right = rows.T @ (y - 0.5) + draw.normal(0, scale / tilt, width)
        floor = self.ridge * scale * math.sqrt(width)
        values, axes = np.linalg.eigh(gram)
        firm = (axes * (np.maximum(values, 0) + floor)) @ axes.T
        return np.asarray(np.linalg.solve(self.curve * firm, right))


@cache
def gaussian(epsilon: float) -> float:
    """The least noise of the Gaussian mechanism for sensitivity 1."""

    def excess(s: float) -> float:
        shift = 1 / s
        delta = norm.cdf(shift / 2 - epsilon / shift)
        delta -= math.exp(epsilon) * norm.cdf(-shift / 2 - epsilon / shift)
        return float(math.log(max(delta, 1e-300)) - math.log(DELTA))

    return float(brentq(excess, 0.05, 1e4))


def shortened(x: Floats, bound: float) -> Floats:
    """Rows longer than `bound` scaled to it."""
    length = np.sqrt((x**2).sum(axis=1))
    return np.asarray(x * np.minimum(1.0, bound / np.maximum(length, 1e-12))[:, None])


Peer = DpSgd | ObjectivePerturbation | OneShotGram
FAMILIES: dict[str, tuple[Peer, ...]] = {
    "DP-SGD through Opacus": tuple(
        DpSgd(rate, clip, steps)
        for rate in (0.1, 0.3, 1.0)
        for clip in (0.3, 1.0)
        for steps in (50, 200)
    ),
    "objective perturbation": tuple(
        ObjectivePerturbation(ridge, bound)
        for ridge in (2.0, 6.0, 12.0, 25.0, 50.0, 100.0, 200.0)
        for bound in (1.2, 1.5, 2.0)
    ),
    "one-shot noisy Gram": tuple(
        OneShotGram(bound, ridge=ridge)
        for bound in (1.0, 1.2, 1.5, 2.0)
        for ridge in (0.3, 1.0, 2.0, 3.0, 4.0, 8.0)
    ),
}
