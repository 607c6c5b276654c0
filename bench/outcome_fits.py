"""One split of patients, and every fit of it: pooled, private over organisations, at a curator.

Coefficients are compared on the inside of a design (columns scaled by public bounds), times the
standard deviation of each column: the relative error is the length of the difference over the
length of the pooled coefficients, the intercept left out, which has no deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd
import statsmodels.api as sm
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index
from numpy.typing import NDArray

from bench.curves import auc
from bench.outcome_data import Study
from models.contribution import Contribution
from models.derivation import rounds_of
from models.in_memory import answer
from models.noise_law import NoiseLaw
from models.reference import total
from models.regression.batch import batch_of
from models.regression.cox import Cox
from models.regression.request import Regression
from models.result import Result
from models.rows import Rows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.mechanism import GaussianSum, plan_mechanism

Floats = NDArray[np.float64]
Asked = Regression | Cox
DELTA = Fraction(1, 10**6)
NEGLIGIBLE = "1e15"  # an epsilon at which no noise is left
TRAINED = 0.75  # of the patients


@dataclass(frozen=True)
class Trust:
    """Who adds the noise: `nodes` of which `margin` may be lost or collude; a curator is 1, 0."""

    nodes: int
    margin: int


CURATOR = Trust(1, 0)


@dataclass(frozen=True, repr=False, eq=False)
class Split:
    """The patients that a model is fitted to, and those that it is judged on."""

    study: Study
    asked: Asked
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    @cached_property
    def rows(self) -> Rows:
        return self.study.rows(self.train)

    @cached_property
    def seen(self) -> Floats:
        """[trained, width]: covariates inside."""
        return self._covariates(self.rows)

    @cached_property
    def judged(self) -> Floats:
        return self._covariates(self.study.rows(self.test))

    def _covariates(self, rows: Rows) -> Floats:
        design = self.asked.normalised(self.study.dictionary).model(self.study.dictionary).design
        everyone = np.ones(rows.members, dtype=bool)
        return np.asarray(design.rows(batch_of(rows, design.columns, everyone)).x)

    def happened(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        column = self.asked.event if isinstance(self.asked, Cox) else _outcome(self.asked)
        return (self.study.frame[column].to_numpy() == "true")[places]

    def times(self, places: NDArray[np.int64]) -> Floats:
        assert isinstance(self.asked, Cox)
        return self.study.frame[self.asked.time].to_numpy(dtype=float)[places]

    def quality(self, inside: Floats) -> float:
        """The area under the curve or Harrell's C on the patients left out."""
        risk, happened = self.judged @ inside, self.happened(self.test)
        if isinstance(self.asked, Cox):
            return float(concordance_index(self.times(self.test), -risk, happened))
        return auc(risk, happened)

    @cached_property
    def pooled(self) -> Floats:
        """Coefficients inside, without privacy, by statsmodels or lifelines."""
        y = self.happened(self.train)
        if isinstance(self.asked, Regression):
            fit = sm.GLM(y * 1.0, self.seen, family=sm.families.Binomial()).fit()
            return np.asarray(fit.params)
        named = pd.DataFrame(self.seen, columns=[f"x{at}" for at in range(self.seen.shape[1])])
        known = named.assign(T=self.times(self.train), E=y)
        return np.asarray(CoxPHFitter().fit(known, "T", "E").params_)

    def error(self, inside: Floats) -> float:
        """The relative error of coefficients; see above."""
        spread = self.seen.std(axis=0)
        far = np.linalg.norm((inside - self.pooled) * spread)
        return float(far / np.linalg.norm(self.pooled * spread))


def _outcome(asked: Regression) -> str:
    return asked.formula.split("~")[0].strip()


def splits(study: Study, asked: Asked, seeds: int) -> Iterator[Split]:
    """Three quarters of the patients to fit, each time another."""
    for seed in range(seeds):
        order = np.random.default_rng([17, seed]).permutation(study.size)
        cut = round(TRAINED * study.size)
        yield Split(study, asked, order[:cut], order[cut:], seed)


@dataclass(frozen=True, repr=False, eq=False)
class Fit:
    """Coefficients inside: as they are reported, as they were measured, and as they are drawn in
    for prediction."""

    reported: Floats
    measured: Floats
    drawn: Floats
    result: Result
    way: str


def private(split: Split, epsilon: str, trust: Trust) -> Fit:
    """All rounds of the product's own fit, with noise of the law of its shares.

    The integers of the organisations' members add up to those of all members whatever the
    division, which tests show; so they are added up here at once.
    """
    dictionary = split.study.dictionary
    asked = _chosen(split, epsilon, trust, dictionary)
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    draws = np.random.default_rng([split.seed, trust.nodes, trust.margin])

    def open_total(shape: Contribution, mechanism: GaussianSum) -> Sequence[int]:
        exact = total(shape, split.rows, np.ones(split.rows.members, dtype=bool))
        scale = NoiseLaw(mechanism, mechanism.nodes).sd_grid
        return [int(each) for each in exact + np.rint(scale * draws.normal(size=len(exact)))]

    rounds = rounds_of(asked, dictionary, rho, trust.nodes, trust.margin, 1)
    result = answer(asked, dictionary, rounds, open_total)
    reported, measured, drawn = (
        _inside(split, result, *each)
        for each in (
            ("coefficient", "estimate"),
            ("coefficient", "middle"),
            ("prediction", "estimate"),
        )
    )
    return Fit(reported, measured, drawn, result, asked.way)


def _chosen(split: Split, epsilon: str, trust: Trust, dictionary: Dictionary) -> Asked:
    if epsilon == NEGLIGIBLE:
        return split.asked.model_copy(update={"way": "newton"}).normalised(dictionary)
    rho = rho_of_epsilon(parse_epsilon(epsilon), DELTA)
    law = NoiseLaw(plan_mechanism(rho, trust.nodes, trust.margin), trust.nodes)
    asked, _ = split.asked.normalised(dictionary).chosen(dictionary, law, len(split.train))
    return asked.normalised(dictionary)


def _inside(split: Split, result: Result, figure: str, number: str) -> Floats:
    """Coefficients of an answer (outside) as those of the scaled columns."""
    dictionary = split.study.dictionary
    design = split.asked.normalised(dictionary).model(dictionary).design
    found = {row.cell[1]: getattr(row, number) for row in result.rows if row.cell[0] == figure}
    return np.linalg.solve(design.back[0], np.array([found[name] for name in design.names]))
