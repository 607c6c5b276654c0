"""Training networks over the organisations, and judging released models of any kind there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from coordinator.client.errors import BadInput, checking
from coordinator.client.job import Job
from coordinator.client.model import load_model
from coordinator.client.question import Epsilon, Question
from coordinator.client.result import Result
from coordinator.client.usual_names import check_settings
from coordinator.client.words import Names, decimal, name, names, optional, whole
from models.aggregates.requests import Analysis, Evaluate, Train
from models.neural.architecture import Gru, Mlp, ResNet
from models.neural.specification import Specification
from models.neural.trained import TrainedNetwork
from models.released.files import ReleasedModel
from models.released.fitted import FittedRegression
from models.released.network import ReleasedNetwork, weights_text
from models.released.regression import ReleasedRegression
from privacy import errors
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code

NETWORKS: dict[str, type[Mlp | ResNet | Gru]] = {"mlp": Mlp, "resnet": ResNet, "gru": Gru}

Number = float | int | str
Model = ReleasedModel | Result | Job | str | Path


class Learning(ABC):
    """What is asked of members to train and to judge networks. Raises BadInput as analyses do."""

    @abstractmethod
    def asked(self, analysis: Analysis) -> Question:
        """The analysis of these members."""

    @abstractmethod
    def declared(self) -> Dictionary:
        """What the study's columns mean."""

    @overload
    def train(
        self,
        network: str = ...,
        *,
        outcome: str,
        features: Names,
        epsilon: None = None,
        **settings: Any,
    ) -> Question: ...

    @overload
    def train(
        self,
        network: str = ...,
        *,
        outcome: str,
        features: Names,
        epsilon: Epsilon,
        **settings: Any,
    ) -> Job: ...

    def train(
        self,
        network: str = "mlp",
        *,
        outcome: str,
        features: Names,
        event: str | None = None,
        rounds: int = 20,
        by: Names | None = None,
        clip: Number = 1,
        optimiser: str = "adam",
        rate: Number | None = None,
        momentum: Number | None = None,
        local_steps: int = 1,
        local_rate: Number = "0.1",
        proximal: Number = 0,
        seed: int = 0,
        epsilon: Epsilon | None = None,
        max_attempts: int = 1,
        **settings: Any,
    ) -> Question | Job:
        """A network ("mlp", "resnet" or "gru") that predicts `outcome`, trained in rounds.

        `event` is the level of a two-level outcome that is predicted, `by` names groups to report
        on, and `settings` are the network's own (`widths=[32, 16]`). With `epsilon` it is asked
        at once and the job comes back; without, a question to preview and run like any other.

        Raises BadInput for columns that are none and settings that the network does not take. Asked
        on
        made-up members it needs torch here (the extra `neural`); else torch is needed at nodes
        alone.

        Example:
            `study.train("mlp", outcome="any(symptoms: symptom == 'fatigue')", features=["age",
            "sex"],
            widths=[8], rounds=10)`
        """
        if network not in NETWORKS:
            raise BadInput(
                f"no network {network!r}", where="network", instead="write " + ", ".join(NETWORKS)
            )
        check_settings(NETWORKS[network], settings)
        asked = {
            "specification": {
                "network": {"kind": name(network), **_plain(settings)},
                "outcome": name(outcome),
                "event": None if event is None else name(event),
                "features": list(names(features, "features")),
                "seed": whole(seed, "seed"),
            },
            "rounds": whole(rounds, "rounds"),
            "clip": decimal(clip, "clip"),
            "optimiser": name(optimiser),
            "rate": optional(rate, "rate"),
            "momentum": optional(momentum, "momentum"),
            "local_steps": whole(local_steps, "local_steps"),
            "local_rate": decimal(local_rate, "local_rate"),
            "proximal": decimal(proximal, "proximal"),
            "by": list(names(by)),
        }
        question = self.asked(_train(asked))
        if epsilon is None:
            return question
        return question.start(epsilon=epsilon, max_attempts=max_attempts)

    def evaluate(
        self,
        model: Model,
        by: Names | None = None,
        *,
        grid: Sequence[Number] | None = None,
        horizon: Number | None = None,
    ) -> Question:
        """How well a released network or regression predicts among these members: ranking (area
        under the curve, C-index), size of errors and calibration, in all and by group.

        `model` is what `load_model` gave, a result or job of training, glm or cox, or the file's
        path. Of hazards, `grid` are the times by which pairs are told apart and `horizon` is the
        one of them by which risks are.

        Raises BadInput for a model of another dictionary.

        Example: `study.where("sex == 'female'").evaluate(fit, by="condition").run(epsilon=1)`
        """
        found = _model(model)
        if found.dictionary.digest != self.declared().digest:
            raise BadInput(
                "the model was made with another dictionary",
                where="model",
                instead=f"ask a study whose dictionary is {found.dictionary.digest}",
            )
        times = tuple(decimal(each, "grid") for each in grid or ())
        with checking(Code.BAD_REQUEST):
            asked = _released(found, times, "" if horizon is None else decimal(horizon, "horizon"))
            return self.asked(Evaluate(model=asked, by=names(by)))


def _train(fields: Mapping[str, Any]) -> Train:
    """Raises BadInput that names the setting as it is written."""
    with checking(Code.BAD_REQUEST):
        try:
            return Train.from_json({"kind": "train", **fields})
        except errors.BadInput as wrong:
            named = [part for part in wrong.where.split(".") if not part.isdigit()]
            raise BadInput(wrong.what, where=named[-1], instead=wrong.instead) from None


def _released(
    model: ReleasedModel, grid: tuple[str, ...], horizon: str
) -> ReleasedNetwork | ReleasedRegression:
    if isinstance(model, FittedRegression):
        return model.released(grid, horizon)
    if grid or horizon:
        raise BadInput("a grid and a horizon are of survival models", where="grid")
    return ReleasedNetwork(
        specification=Specification.from_json(model.specification.to_json()),
        weights=weights_text(model.weights),
        base=tuple(decimal(repr(round(each, 6)), "base") for each in model.base),
    )


def _model(model: Model) -> ReleasedModel:
    match model:
        case TrainedNetwork() | FittedRegression():
            return model
        case Result():
            return model.model()
        case Job():
            return model.result.model()
        case str() | Path():
            return load_model(model)
        case _:
            raise BadInput("a model is a released one or its file", where="model")


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Lists as JSON has them."""
    return {
        key: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in settings.items()
    }
