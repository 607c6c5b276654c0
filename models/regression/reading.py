"""From a finished fit to figures in the researcher's units, with warnings from noisy totals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.regression.batch import Floats
from models.regression.events import eventless, hidden_events
from models.regression.families import Linear, NegativeBinomial, Ordinal
from models.regression.fitting import Course
from models.regression.newton import BLURRED, CAUSED, UNSETTLED, Standing, small_sample
from models.regression.outcome import Glm
from models.regression.outside import outside
from models.regression.population import Covariates
from models.regression.survival import PiecewiseHazard
from models.regression.unclear import Unclear
from models.regression.unseen import said, unseen
from models.result import NO_INFORMATION, Z95, Estimate, normal_estimate

Fitting = Glm | PiecewiseHazard
COEFFICIENT, PREDICTION, FACT = "coefficient", "prediction", "fact"
PRIOR_EFFECT = 0.4  # usual size of a coefficient per standard deviation, on the predictor's scale
UNBOUNDED = 1e300  # an interval's end where nothing is known: a number that JSON can hold
BY_MEMBER = "Standard errors of sampling are clustered by member, whose rows may be alike."
BY_ROW = (
    "Standard errors of sampling take a member's rows for independent: where they are alike, "
    "intervals are too narrow, and coefficients may be off by what is clipped. Ask of one row per "
    "member, of slopes by progression, or with way='newton', which clusters errors by member and "
    "needs much more epsilon."
)
ALIKE = 0.05  # part of members, up to which the covariates reused pass for those asked about
NEAR = 0.1  # of the way to the fit that may be left, in standard errors of sampling
SEPARATED = 6.0  # a predictor's spread beyond which outcomes are nearly certain


@dataclass(frozen=True, eq=False)
class Figures:
    """Coefficients outside, their names and both covariances: `values` as measured, `best` drawn
    in as far as noise demands, `shrunk` for prediction. Nothing is told of those at `hidden`."""

    names: tuple[str, ...]
    values: Floats
    sampling: Floats
    privacy: Floats
    best: Floats
    shrunk: Floats
    hidden: frozenset[int] = frozenset()

    @property
    def told(self) -> Floats:
        """What is told of each: the best guess, within the interval about what was measured."""
        half = Z95 * np.sqrt(np.maximum(np.diag(self.sampling + self.privacy), 0.0))
        return np.clip(self.best, self.values - half, self.values + half)

    def estimates(self) -> tuple[Estimate, ...]:
        return (*self.coefficients(), *self.predictions())

    def coefficients(self) -> list[Estimate]:
        """Of the names; what follows them, a baseline's logarithms, is told elsewhere."""
        variances = np.diag(self.sampling), np.diag(self.privacy)
        found = zip(self.names, self.values, *variances, self.told, strict=False)
        rows = [with_errors((COEFFICIENT, name), *four) for name, *four in found]
        return without(rows, self.hidden)

    def predictions(self) -> list[Estimate]:
        return [
            Estimate((PREDICTION, name), float(v), 0.0, 0.0, float(v), float(v))
            for name, v in zip(self.names, self.shrunk, strict=False)
        ]


def with_errors(
    cell: tuple[str, str],
    value: float,
    sampling: float,
    privacy: float,
    best: float | None = None,
) -> Estimate:
    """A measured value with the variances of both errors. Where `best` is told instead of it, the
    interval stays about the value."""
    if not (math.isfinite(value) and math.isfinite(sampling + privacy)):
        return nothing(cell)
    first, second = math.sqrt(max(sampling, 0.0)), math.sqrt(max(privacy, 0.0))
    half = Z95 * math.hypot(first, second)
    low, high = float(value - half), float(value + half)
    return Estimate(cell, float(value if best is None else best), first, second, low, high)


def nothing(cell: tuple[str, ...]) -> Estimate:
    """A figure of which nothing can be said."""
    return Estimate(cell, 0.0, 0.0, 0.0, -UNBOUNDED, UNBOUNDED, NO_INFORMATION)


def without(rows: Iterable[Estimate], hidden: frozenset[int]) -> list[Estimate]:
    """The rows, of which nothing is told at the places `hidden`."""
    return [nothing(row.cell) if at in hidden else row for at, row in enumerate(rows)]


def figures(model: Glm, now: Standing, levels: tuple[str, ...]) -> Figures:
    """Coefficients and thresholds in the researcher's units. `levels` name an ordinal's classes."""
    matrix, constant = outside(model)
    values = matrix @ now.theta + constant
    best, shrunk = (matrix @ each + constant for each in drawn_in(model, now))
    sampling, privacy = (matrix @ each @ matrix.T for each in (told(now), now.privacy))
    hidden = unseen(model, now).hidden
    return Figures(_names(model, levels), values, sampling, privacy, best, shrunk, hidden)


def told(now: Standing) -> Floats:
    """The covariance of sampling; not a number where nothing can be said."""
    return np.full_like(now.sampling, np.nan) if now.lost else now.sampling


def _names(model: Glm, levels: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(model.family, Ordinal):
        return model.design.names
    return model.design.names + tuple(f"{low} | {high}" for low, high in pairwise(levels))


def drawn_in(model: Fitting, now: Standing) -> tuple[Floats, Floats]:
    """Coefficients drawn towards no effect as far as noise demands, to be told; and as far as the
    whole error demands, for prediction.

    Posterior means of the pooled fit and of the true coefficients, under independent normal
    effects of usual size PRIOR_EFFECT per standard deviation (of the outcome too, in a linear
    model). Without noise the first are as measured.
    """
    whole = now.sampling + now.privacy
    if not np.isfinite(whole).all():
        return now.theta, now.theta
    scale = np.sqrt(np.diag(now.population.covariance))
    free = np.flatnonzero(scale > 0)
    effect = PRIOR_EFFECT
    if isinstance(model.family, Linear):
        effect *= math.exp(float(now.theta[-1]) / 2)
    spread = whole[np.ix_(free, free)] + np.diag((effect / scale[free]) ** 2)
    pull = np.linalg.solve(spread, now.theta[free])
    return now.theta - now.privacy[:, free] @ pull, now.theta - whole[:, free] @ pull


def facts(model: Glm, now: Standing, noise_members: float) -> tuple[Estimate, ...]:
    """How many members (noised), and the outcome's spread where the law has one."""
    found = [members_row(now, noise_members)]
    if isinstance(model.family, Linear):
        name, log_value, factor = "residual variance", now.theta[-1], model.scaling[1] ** 2
    elif isinstance(model.family, NegativeBinomial) and model.family.extras:
        name, log_value, factor = "dispersion", now.theta[-1], 1.0
    else:
        return tuple(found)
    value = factor * math.exp(float(np.clip(log_value, -30, 30)))
    if isinstance(model.family, Linear):
        value *= small_sample(model, now.population)
    errors = [value**2 * float(each[-1, -1]) for each in (told(now), now.privacy)]
    return (*found, with_errors((FACT, name), value, *errors))


def members_row(now: Standing, noise: float) -> Estimate:
    """The noised number of members with everything known."""
    return normal_estimate((FACT, "members"), now.population.counted, noise)


def warnings(model: Fitting, course: Course, now: Standing) -> tuple[str, ...]:
    """What a reader must know, from noisy totals and public facts alone: what the members are
    like comes before what noise does."""
    found = _causes(model, now)
    if course.known is not None:
        found += _strangers(course.known, now)
    if now.lost:
        found.append(CAUSED if found and _by_members(model, now) else now.lost)
    found += hidden_events(model, now.population)
    if course.method == "newton" and not now.lost and not now.left < NEAR:
        found.append("The fit had not converged when the last round was opened.")
    variance = np.diag(now.sampling) + np.diag(now.privacy)
    if not now.lost and np.any(np.diag(now.privacy)[: model.width] > variance[: model.width] / 2):
        found.append("More than half of the variance of a coefficient is privacy noise.")
    if not model.independent:
        found.append(BY_MEMBER if course.clustered else BY_ROW)
    return tuple(found)


def _by_members(model: Fitting, now: Standing) -> bool:
    """Whether a fit by newton is lost for what its members are like, and not for noise."""
    return now.lost in (BLURRED, UNSETTLED) and (_hardly_any(model, now) or not now.drowned)


def _hardly_any(model: Fitting, now: Standing) -> bool:
    return now.population.rows <= 2.0 * model.size


def _causes(model: Fitting, now: Standing) -> list[str]:
    """What of the data may leave coefficients without meaning: said before the noise."""
    found = []
    if _hardly_any(model, now):
        found.append("There are hardly any complete members, as far as the noise lets one see.")
    if now.loose is not None or _undetermined(now):
        found.append(
            "Some coefficients cannot be told apart, as far as the noise lets one see: a column is "
            "constant, a level absent, or columns follow from others."
        )
    found += eventless(model, now.population)
    found += _unclear(model, now.population.unclear, unseen(model, now).hidden)
    found += said(model, now)
    if _spread(model, now) > SEPARATED:
        shown = "" if now.lost else ", and those shown are where the search stopped"
        found.append(
            "The outcome is nearly certain from the covariates (separation): coefficients have "
            f"no finite best value{shown}."
        )
    return found


def _unclear(model: Fitting, unclear: Unclear, hidden: frozenset[int]) -> list[str]:
    """Numbers that hardly vary, and columns that follow from others."""
    names = dict(enumerate(model.names, model.width - len(model.names)))
    first = model.width - len(model.names)
    faint = [names[at] for at in unclear.faint if not model.flat[at] and at - first not in hidden]
    found = []
    if faint:
        found.append(
            f"How much {', '.join(faint)} varies cannot be told from noise; it may be constant, or "
            "its bounds far wider than what members have, which clip(…) in the formula narrows: do "
            "not rely on what is said of it."
        )
    found += [
        f"{' and '.join(names[at] for at in group)} cannot be told apart, as far as the noise lets "
        "one see: their coefficients mean something together only."
        for group in unclear.alike
    ]
    return found


def _strangers(known: Covariates, now: Standing) -> list[str]:
    """Where covariates were learnt of others than those who are asked now."""
    part = known.others(now.population.members, now.population.noise)
    if part < ALIKE:
        return []
    return [
        f"The covariates reused are of other members in {part:.0%} of the cases: of another "
        "outcome other values are missing. Standard errors are widened for it; ask without reuse "
        "where members with and without that outcome differ."
    ]


def _undetermined(now: Standing) -> bool:
    size = np.sqrt(np.maximum(np.diag(now.sampling), 0.0))
    return bool(np.any(size > 1e3))


def _spread(model: Fitting, now: Standing) -> float:
    """The predictor's standard deviation over the covariates' law."""
    if isinstance(model.family, Linear):
        return 0.0
    return float(np.std(now.population.points @ now.theta[: model.width]))
