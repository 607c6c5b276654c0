"""Networks: training them over the organisations, and scoring members there with a released one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from coordinator.client.errors import BadInput, checking
from coordinator.client.job import Job
from coordinator.client.model import load_model
from coordinator.client.question import Epsilon, Question
from coordinator.client.result import Result
from coordinator.client.words import Names, decimal, name, names, optional, whole
from models.aggregates.requests import Analysis, Evaluate, Train
from models.neural.evaluate import weights_text
from models.neural.specification import Specification
from models.neural.trained import TrainedNetwork
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code

Number = float | int | str
Model = TrainedNetwork | Result | Job | str | Path


class Learning(ABC):
    """What is asked of members to train and to judge networks."""

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
        """
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
        with checking(Code.BAD_REQUEST):
            question = self.asked(Train.from_json({"kind": "train", **asked}))
        if epsilon is None:
            return question
        return question.start(epsilon=epsilon, max_attempts=max_attempts)

    def evaluate(self, model: Model, by: Names | None = None) -> Question:
        """How well a released network predicts among these members: area under the curve, Brier
        score and calibration, in all and by group.

        `model` is what `load_model` gave, a result or job of training, or the file's path.
        """
        network = _network(model)
        if network.dictionary.digest != self.declared().digest:
            raise BadInput(
                "the network was trained with another dictionary",
                where="model",
                instead=f"ask a study whose dictionary is {network.dictionary.digest}",
            )
        specification = Specification.from_json(network.specification.to_json())
        return self.asked(
            Evaluate(
                specification=specification,
                weights=weights_text(network.weights),
                base=tuple(decimal(repr(round(each, 6)), "base") for each in network.base),
                by=names(by),
            )
        )


def _network(model: Model) -> TrainedNetwork:
    match model:
        case TrainedNetwork():
            return model
        case Result():
            return model.model()
        case Job():
            return model.result.model()
        case str() | Path():
            return load_model(model)
        case _:
            raise BadInput("a model is a released network or its file", where="model")


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Lists as JSON has them."""
    return {
        key: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in settings.items()
    }
