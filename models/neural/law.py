"""The training law: from noised sums of clipped vectors to the next weights, by public steps.

One round divides the opened sum by the noised number of members and takes one step of Adam or of
gradient descent with momentum. All of it is post-processing of what was opened.

Source: Kingma and Ba 2015 (arXiv 1412.6980) for Adam; Abadi et al. 2016 (arXiv 1607.00133) for
clipped and noised gradients, here of every member in every round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from models.neural.step import unit
from models.neural.tensors import from_bytes, to_bytes
from privacy.errors import BadInput

Floats = NDArray[np.float32]
Optimiser = Literal["adam", "sgd"]

FEWEST = 10.0  # members that a sum is divided by at least: noise can make any number of none
SECOND = 0.99  # how much of the mean square Adam keeps
TINY = 1e-8
_ARRAYS = ("weights", "first", "second", "base")


@dataclass(frozen=True)
class Law:
    """`rate` and `momentum` of the optimiser; `clip`: the largest norm of a member's vector."""

    optimiser: Optimiser
    rate: float
    momentum: float
    clip: float


@dataclass(frozen=True, repr=False, eq=False)
class State:
    """What every node is told before a round: weights, the optimiser's memory, steps taken, the
    noised number of members, and the noised level of the outcome (shares, or a mean). Public."""

    weights: Floats
    first: Floats
    second: Floats
    steps: int
    members: float
    base: Floats

    @classmethod
    def start(cls, weights: Floats, members: float, base: Floats) -> State:
        nothing = np.zeros_like(weights)
        return cls(weights, nothing, nothing, 0, max(members, FEWEST), base)

    def to_bytes(self) -> bytes:
        notes = {"members": repr(float(self.members)), "steps": str(self.steps)}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return to_bytes(arrays, notes)

    @classmethod
    def from_bytes(cls, data: bytes, length: int) -> State:
        """Raises BadInput for bytes that are no state of `length` finite weights."""
        found = cls.read(data)
        if found.weights.shape != (length,):
            raise BadInput(f"a state of this network has {length} weights", where="state")
        return found

    @classmethod
    def read(cls, data: bytes) -> State:
        """The state of some network; raises BadInput."""
        arrays, notes = from_bytes(data)
        if set(arrays) != set(_ARRAYS) or set(notes) != {"members", "steps"}:
            raise BadInput("not a state of training", where="state")
        if len({arrays[name].shape for name in _ARRAYS[:3]}) > 1 or arrays["base"].ndim != 1:
            raise BadInput("a state's arrays are of one length", where="state")
        try:
            steps, members = int(notes["steps"]), float(notes["members"])
        except ValueError:
            raise BadInput("not a state of training", where="state") from None
        if not FEWEST <= members < math.inf or not 0 <= steps <= 1000:
            raise BadInput("not a state of training", where="state")
        return cls(steps=steps, members=members, **arrays)

    def near(self, other: State) -> bool:
        """Whether two states agree but for how machines round."""
        pairs = [
            (getattr(self, name), getattr(other, name)) for name in _ARRAYS if name != "second"
        ]
        return (
            self.steps == other.steps
            and math.isclose(self.members, other.members, rel_tol=1e-9)
            and all(_close(one, two, 1e-6) for one, two in pairs)
            and _close(self.second, other.second, 1e-10)
        )


def _close(one: Floats, two: Floats, least: float) -> bool:
    return one.shape == two.shape and np.allclose(one, two, rtol=1e-4, atol=least)


def mean_gradient(
    law: Law, state: State, totals: NDArray[np.int64], delta_grid: int
) -> NDArray[np.float64]:
    """The noised sum in units of the loss, divided by the noised number of members."""
    scale = unit(law.clip, delta_grid, len(totals)) / state.members
    return np.asarray(totals * scale, dtype=np.float64)


def stepped(law: Law, state: State, gradient: NDArray[np.float64]) -> State:
    """The state after one step along `gradient`; weights stay finite for every gradient."""
    steps = state.steps + 1
    match law.optimiser:
        case "sgd":
            first = law.momentum * state.first.astype(np.float64) + gradient
            second = state.second.astype(np.float64)
            move = first
        case "adam":
            first = law.momentum * state.first.astype(np.float64) + (1 - law.momentum) * gradient
            second = SECOND * state.second.astype(np.float64) + (1 - SECOND) * gradient**2
            mean = first / (1 - law.momentum**steps)
            move = mean / (np.sqrt(second / (1 - SECOND**steps)) + TINY)
        case _:
            assert_never(law.optimiser)
    weights = state.weights - law.rate * move
    return replace(
        state, weights=_kept(weights), first=_kept(first), second=_kept(second), steps=steps
    )


def _kept(numbers: NDArray[np.float64]) -> Floats:
    """As float32, within what it holds."""
    most = 1e30
    return np.clip(np.nan_to_num(numbers, nan=0.0), -most, most).astype(np.float32)


def default_rate(optimiser: Optimiser, rounds: int) -> float:
    """The rate for a number of rounds: a diverging one is as bad as one that never arrives.

    Chosen on simulated members (2,000 and 5,000, three kinds of truth, ε of 1 and 3); see
    `bench.bench_neural` for what it does on others.
    """
    return 0.45 / math.sqrt(rounds) if optimiser == "adam" else 60.0 / rounds


def default_momentum(optimiser: Optimiser) -> float:
    return 0.7 if optimiser == "adam" else 0.5
