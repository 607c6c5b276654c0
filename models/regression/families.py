"""What the outcome's law adds to a regression: first and second derivatives, row by row.

With eta the linear predictor and kappa the law's own parameters (none, the log of a variance, of
a dispersion, or thresholds), `score` is the gradient of a row's log-likelihood by (eta, kappa) and
`information` minus its second derivatives. `information` is observed, `average` is expected.

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition; McCullagh (1980),
JRSS B 42, 109-142 (proportional odds); Cameron and Trivedi (2013), Regression Analysis of Count
Data (NB2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.regression.batch import Floats
from models.regression.special import digamma, logistic, trigamma

LARGEST = 30.0  # beyond it a predictor's effect cannot be told from certainty
QUIET = 0.6  # a spread is needed less exactly than coefficients are
MOST = 1000  # of a drawn count
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class Score:
    """`eta` [n] and `kappa` [n, k]."""

    eta: Floats
    kappa: Floats


@dataclass(frozen=True, eq=False)
class Information:
    """`eta` [n], `mixed` [n, k], `kappa` [n, k, k]."""

    eta: Floats
    mixed: Floats
    kappa: Floats


class Family(ABC):
    """A law of the outcome. `extras` is the number of its own parameters."""

    extras: int = 0
    log_link: bool = False
    uneven: bool = False  # is the likelihood not concave?
    quiet: float = 1.0  # how loud kappa speaks in a mapped score, next to a coefficient

    @abstractmethod
    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score: ...

    @abstractmethod
    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information: ...

    @abstractmethod
    def average(self, eta: Floats, kappa: Floats) -> Information:
        """The expectation of `information` (or of the score's square) over the outcome."""

    @abstractmethod
    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        """An outcome for each standard normal number, nearly of the law."""


def _none(n: int) -> Floats:
    return np.zeros((n, 0))


def _plain(eta: Floats) -> Information:
    return Information(eta, _none(len(eta)), np.zeros((len(eta), 0, 0)))


def _uniform(normal: Floats) -> Floats:
    """The normal law's distribution function, to 2e-4."""
    return logistic(normal * (1.5976 + 0.07056 * normal**2))


def _count(spread: Floats, none: Floats, ratio: Callable[[int], Floats], normal: Floats) -> Floats:
    """The quantiles of a law of counts: `none` is the chance of 0, `ratio(k)` that of k + 1
    over that of k. A count beyond MOST is cut off there; `spread` bounds where to look."""
    uniform, chance, passed = _uniform(normal), none, none.copy()
    found = np.zeros(len(normal))
    last = int(min(float(np.max(spread + 8 * np.sqrt(spread), initial=0.0)) + 20, MOST))
    for k in range(last):
        found += uniform > passed
        chance = chance * ratio(k)
        passed = passed + chance
    return found


def _mean(eta: Floats) -> Floats:
    return np.exp(np.clip(eta, -LARGEST, LARGEST))


@dataclass(frozen=True)
class Logistic(Family):
    """A yes or no, coded 1 and 0."""

    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score:
        return Score(y - logistic(eta), _none(len(y)))

    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information:
        return self.average(eta, kappa)

    def average(self, eta: Floats, kappa: Floats) -> Information:
        p = logistic(eta)
        return _plain(p * (1 - p))

    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        return np.asarray(_uniform(normal) < logistic(eta), dtype=np.float64)


@dataclass(frozen=True)
class Poisson(Family):
    """A count with mean exp(eta)."""

    log_link = True

    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score:
        return Score(y - _mean(eta), _none(len(y)))

    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information:
        return _plain(_mean(eta))

    def average(self, eta: Floats, kappa: Floats) -> Information:
        return _plain(_mean(eta))

    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        mean = _mean(eta)
        return _count(mean, np.exp(-mean), lambda k: mean / (k + 1), normal)


@dataclass(frozen=True)
class Linear(Family):
    """A number with normal error; kappa is the log of the error's variance."""

    extras = 1
    quiet = QUIET

    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score:
        variance = _mean(kappa)[0]
        residual = y - eta
        return Score(residual / variance, ((residual**2 / variance - 1) / 2)[:, None])

    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information:
        return self.average(eta, kappa)

    def average(self, eta: Floats, kappa: Floats) -> Information:
        n = len(eta)
        return Information(
            np.full(n, 1 / _mean(kappa)[0]), np.zeros((n, 1)), np.full((n, 1, 1), 0.5)
        )

    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        return np.asarray(eta + np.sqrt(_mean(kappa)[0]) * normal)


@dataclass(frozen=True)
class NegativeBinomial(Family):
    """A count with mean m = exp(eta) and variance m + a m^2; kappa is the log of a, unless `a`
    is declared as `dispersion`."""

    dispersion: float | None = None
    log_link = True
    quiet = QUIET

    @property
    def extras(self) -> int:  # type: ignore[override]
        return 1 if self.dispersion is None else 0

    @property
    def uneven(self) -> bool:  # type: ignore[override]
        return self.dispersion is None

    def size(self, kappa: Floats) -> float:
        """The dispersion a."""
        return self.dispersion if self.dispersion is not None else float(_mean(kappa)[0])

    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score:
        a, mean = self.size(kappa), _mean(eta)
        by_eta = (y - mean) / (1 + a * mean)
        if not self.extras:
            return Score(by_eta, _none(len(y)))
        r = 1 / a
        step = digamma(y + r) - digamma(np.full_like(y, r)) - np.log1p(a * mean)
        by_a = -r * (step + (mean - y) * a / (1 + a * mean))
        return Score(by_eta, by_a[:, None])

    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information:
        a, mean = self.size(kappa), _mean(eta)
        by_eta = mean * (1 + a * y) / (1 + a * mean) ** 2
        if not self.extras:
            return _plain(by_eta)
        mixed = a * mean * (y - mean) / (1 + a * mean) ** 2
        own = self._own(y, mean, a)
        return Information(by_eta, mixed[:, None], own[:, None, None])

    def _own(self, y: Floats, mean: Floats, a: float) -> Floats:
        """Minus the second derivative by log a = minus log r."""
        r = 1 / a
        first = (
            digamma(y + r)
            - digamma(np.full_like(y, r))
            - np.log1p(a * mean)
            + (mean - y) / (r + mean)
        )
        curve = trigamma(y + r) - trigamma(np.full_like(y, r))
        second = curve + 1 / r - 1 / (r + mean) - (mean - y) / (r + mean) ** 2
        return -(r * first + r * r * second)

    def average(self, eta: Floats, kappa: Floats) -> Information:
        a, mean = self.size(kappa), _mean(eta)
        by_eta = mean / (1 + a * mean)
        if not self.extras:
            return _plain(by_eta)
        own = 0.5 * (a * mean / (1 + a * mean)) ** 2 / (1 + 2 * a)  # small counts; leading order
        n = len(eta)
        return Information(by_eta, np.zeros((n, 1)), np.maximum(own, 1e-6)[:, None, None])

    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        a, mean = self.size(kappa), _mean(eta)
        none = np.exp(-np.log1p(a * mean) / a)
        spread = mean * (1 + a * mean)
        return _count(spread, none, lambda k: (a * k + 1) / (k + 1) * mean / (1 + a * mean), normal)


@dataclass(frozen=True)
class Ordinal(Family):
    """Classes 0, 1, …; P(y <= j) = 1 / (1 + exp(eta - kappa_j)), thresholds ascending."""

    classes: int

    @property
    def extras(self) -> int:  # type: ignore[override]
        return self.classes - 1

    def _sides(self, y: Floats, eta: Floats, kappa: Floats) -> tuple[Floats, ...]:
        """F and f above and below the class, and its probability."""
        edges = np.concatenate([[-np.inf], kappa, [np.inf]])
        place = np.clip(y, 0, self.classes - 1).astype(np.int64)
        with np.errstate(invalid="ignore"):
            above = logistic(np.clip(edges[place + 1] - eta, -700, 700))
            below = logistic(np.clip(edges[place] - eta, -700, 700))
        above = np.where(place == self.classes - 1, 1.0, above)
        below = np.where(place == 0, 0.0, below)
        p = np.maximum(above - below, _LEAST)
        return above, below, above * (1 - above), below * (1 - below), p

    def _spread(self, y: Floats, up: Floats, down: Floats) -> Floats:
        """[n, k]: `up` at the threshold above the class, `down` at the one below."""
        place = np.clip(y, 0, self.classes - 1).astype(np.int64)
        wide = np.zeros((len(y), self.classes + 1))
        lines = np.arange(len(y))
        wide[lines, place + 1] += up
        wide[lines, place] += down
        return wide[:, 1:-1]

    def score(self, y: Floats, eta: Floats, kappa: Floats) -> Score:
        above, below, f_up, f_down, p = self._sides(y, eta, kappa)
        return Score(above + below - 1, self._spread(y, f_up / p, -f_down / p))

    def information(self, y: Floats, eta: Floats, kappa: Floats) -> Information:
        above, below, f_up, f_down, p = self._sides(y, eta, kappa)
        mixed = self._spread(y, -f_up, -f_down)
        slope = self._spread(y, f_up / p, -f_down / p)
        bend = self._spread(y, f_up * (1 - 2 * above) / p, -f_down * (1 - 2 * below) / p)
        own = slope[:, :, None] * slope[:, None, :]
        own[:, np.arange(self.extras), np.arange(self.extras)] -= bend
        return Information(f_up + f_down, mixed, own)

    def average(self, eta: Floats, kappa: Floats) -> Information:
        n, k = len(eta), self.extras
        total = Information(np.zeros(n), np.zeros((n, k)), np.zeros((n, k, k)))
        for level in range(self.classes):
            y = np.full(n, float(level))
            p = self._sides(y, eta, kappa)[-1]
            part = self.information(y, eta, kappa)
            total = Information(
                total.eta + p * part.eta,
                total.mixed + p[:, None] * part.mixed,
                total.kappa + p[:, None, None] * part.kappa,
            )
        return total

    def draw(self, eta: Floats, kappa: Floats, normal: Floats) -> Floats:
        uniform = _uniform(normal)
        upper = logistic(kappa[None, :] - eta[:, None])
        return np.asarray((uniform[:, None] > upper).sum(axis=1), dtype=np.float64)
