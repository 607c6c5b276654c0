"""A released regression as two files: numbers in safetensors, and in JSON what they mean.

Reading them executes nothing: the analysis is one of a closed list, its coefficients follow from
its formula and the dictionary in it, and its numbers must be finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.description import description_bytes, read_description
from models.neural.frames import rows_with
from models.neural.tensors import from_bytes, to_bytes
from models.regression.batch import Batch, Floats, batch_of
from models.regression.cox import Cox
from models.regression.families import Linear, Ordinal
from models.regression.fit import Fit, Fitted, Spread, inside, probabilities
from models.regression.outcome import Glm
from models.regression.progression import Progression
from models.regression.request import Regression
from models.regression.special import logistic
from models.regression.survival import PiecewiseHazard
from models.released.members import numbers
from models.released.regression import ReleasedRegression, cumulative
from models.rows import Columns, Rows
from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput

FORMAT = "regression 1"
_FIELDS = {"format", "analysis", "dictionary", "names", "spread", "numbers_sha256", "card"}
_SHAPES = {"coefficients": 1, "prediction": 1, "covariance_sampling": 2, "covariance_noise": 2}


class _Analysis(Fact):
    """Reads the one of the closed list."""

    analysis: Annotated[Regression | Cox | Progression, Field(discriminator="kind")]


@dataclass(frozen=True, repr=False, eq=False)
class FittedRegression:
    """A released regression. `dictionary`: the one it was fitted with; `fit`: see
    `models.regression.fit`; `card`: see `models.released.card`, as JSON."""

    analysis: Fitted
    dictionary: Dictionary
    fit: Fit
    card: Mapping[str, Any]

    def __repr__(self) -> str:
        told = zip(self.fit.names, self.fit.values, strict=True)
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in told)
        return f"FittedRegression({self.analysis.kind} {self.analysis.formula!r}: {numbers})"

    @cached_property
    def model(self) -> Glm | PiecewiseHazard:
        return self.analysis.model(self.dictionary)

    def files(self) -> tuple[bytes, bytes]:
        """(model.safetensors, model.json)."""
        fit = self.fit
        data = to_bytes(
            {
                "coefficients": fit.values,
                "prediction": fit.shrunk,
                "covariance_sampling": fit.sampling,
                "covariance_noise": fit.privacy,
            },
            {"format": FORMAT},
            "F64",
        )
        spread = {name: getattr(fit.spread, name) for name in ("centre", "scale", "error")}
        description = {
            "format": FORMAT,
            "analysis": self.analysis.to_json(),
            "dictionary": self.dictionary.to_json(),
            "names": list(fit.names),
            "spread": spread,
            "numbers_sha256": sha256_hex(data),
            "card": dict(self.card),
        }
        return data, description_bytes(description)

    @classmethod
    def from_files(cls, data: bytes, description: bytes) -> Self:
        """Read `files`' form. Raises BadInput for anything else: other fields, another analysis,
        shapes that do not follow from it, numbers that are not finite or not those described."""
        told = read_description(description, FORMAT, _FIELDS, "numbers_sha256", "a regression")
        names = told["names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput("not the description of a regression", where="model.json")
        canonical_bytes(told["analysis"])
        dictionary = Dictionary.from_json(told["dictionary"])
        asked = _Analysis.from_json({"analysis": told["analysis"]}).analysis
        if asked.normalised(dictionary) != asked:
            raise BadInput("an analysis whose columns are not written in full", where="model.json")
        found, _ = from_bytes(data, "F64")
        if sha256_hex(data) != told["numbers_sha256"]:
            raise BadInput("the numbers are not those described", where="model.safetensors")
        size = len(names)
        _check(found, asked, dictionary, size)
        fit = Fit(
            names=tuple(names),
            values=found["coefficients"],
            sampling=found["covariance_sampling"],
            privacy=found["covariance_noise"],
            shrunk=found["prediction"],
            spread=_spread(told["spread"]),
        )
        return cls(asked, dictionary, fit, told["card"])

    def released(self, grid: tuple[str, ...] = (), horizon: str = "") -> ReleasedRegression:
        """As a question about it holds it. Raises BadInput."""
        if not isinstance(self.analysis, Cox) and (grid or horizon):
            raise BadInput("a grid and a horizon are of survival models", where="grid")
        spread = self.fit.spread
        return ReleasedRegression(
            analysis=self.analysis,
            coefficients=tuple(f"{each:.12g}" for each in self.fit.shrunk),
            spread=(f"{spread.centre:.6g}", f"{spread.scale:.6g}", f"{spread.error:.6g}"),
            grid=grid,
            horizon=horizon,
        )

    def predict(
        self, of: Rows | Columns | Mapping[str, Columns], horizon: float | None = None
    ) -> NDArray[np.float64]:
        """What the model says of each member, NaN where something is missing: risks [members] of
        an event, probabilities [members, levels], numbers [members] in the outcome's unit, or of
        a survival model the risk of the event by `horizon` (the end of its grid unless given).

        `of` is a frame, or several tables by name (see `models.neural.frames.rows_with`), or rows
        in memory. Raises BadInput for rows of another dictionary, and a column that is not there.
        """
        rows = of if isinstance(of, Rows) else rows_with(self.reads, self.dictionary, of)
        if rows.dictionary.digest != self.dictionary.digest:
            raise BadInput(
                "the model was fitted with another dictionary",
                where="dictionary",
                instead=f"use the one whose digest is {self.dictionary.digest}",
            )
        return self.scored(rows, horizon)

    @property
    def reads(self) -> tuple[ColumnRef, ...]:
        """The columns that a prediction takes. Raises BadInput where a member has many rows."""
        columns = self.model.design.columns
        if any(ref.many for ref in columns):
            raise BadInput("a model of several rows per member predicts none", where="model")
        if self.model.tells_apart:
            raise BadInput("a model that tells organisations apart predicts none", where="model")
        return tuple(sorted(columns, key=lambda ref: ref.name))

    @property
    def answers(self) -> tuple[str, ...]:
        """What the columns of `predict` are."""
        model = self.model
        if isinstance(model, Glm) and isinstance(model.family, Ordinal):
            return model.outcome.column.column.levels
        return ("score",)

    def scored(self, rows: Rows, horizon: float | None = None) -> NDArray[np.float64]:
        """The same of rows that hold `reads`, of this dictionary."""
        everyone = np.ones(rows.members, dtype=np.bool_)
        batch = batch_of(rows, self.reads, everyone)
        said = self._said(batch, horizon)
        known = self.model.design.rows(batch).known
        said[~known] = np.nan
        return said

    def _said(self, batch: Batch, horizon: float | None) -> Floats:
        model, theta = self.model, inside(self.model, self.fit.shrunk)
        found = model.design.rows(batch)
        match model:
            case PiecewiseHazard():
                end = model.edges[-1] if horizon is None else horizon
                if not model.edges[0] < end <= model.edges[-1]:
                    raise BadInput("no time of the model's grid", where="horizon")
                slopes, times = theta[model.baselines :], (0.0, end)
                hazard = cumulative(model, theta[: model.intervals], times)[0]
                eta = found.x @ slopes
                return np.asarray(-np.expm1(-hazard * np.exp(np.clip(eta, -30, 30))))
            case Glm():
                slopes, rest = theta[: model.width], theta[model.width :]
                if isinstance(model.family, Ordinal):
                    return probabilities(rest, found.x @ slopes + found.offset)
                if isinstance(model.family, Linear) or model.family.log_link:
                    return numbers(model, slopes, found.x, found.offset)
                return logistic(found.x @ slopes + found.offset)
            case _:
                assert_never(model)


def _check(
    found: Mapping[str, NDArray[Any]], asked: Fitted, dictionary: Dictionary, size: int
) -> None:
    """Raises BadInput for arrays of other names, and shapes that the analysis does not have."""
    model = asked.model(dictionary)
    wanted = model.width
    if isinstance(model, Glm) and isinstance(model.family, Ordinal):
        wanted = model.size
    if set(found) != set(_SHAPES) or size != wanted:
        raise BadInput(f"{wanted} coefficients with their covariances belong here", where="model")
    for name, dimensions in _SHAPES.items():
        if found[name].shape != (size,) * dimensions:
            raise BadInput(f"{name} of shape {(size,) * dimensions} belongs here", where="model")
    for name in ("covariance_sampling", "covariance_noise"):
        if np.any(np.diag(found[name]) < 0) or not np.allclose(found[name], found[name].T):
            raise BadInput(f"{name} is no covariance", where="model")


def _spread(value: Any) -> Spread:
    keys = ("centre", "scale", "error")
    if not isinstance(value, dict) or set(value) != set(keys):
        raise BadInput("spread has a centre, a scale and an error", where="model.json")
    if not all(isinstance(value[key], float) and abs(value[key]) <= 1e12 for key in keys):
        raise BadInput("spread holds numbers", where="model.json")
    if not (value["scale"] > 0 and value["error"] > 0):
        raise BadInput("scale and error are above 0", where="model.json")
    return Spread(*(value[key] for key in keys))
