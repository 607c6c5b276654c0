"""FedAvg, FedProx and FedAdam, without privacy: here for comparison, and nowhere in the product.

Each organisation trains on all its members and sends its weights. What it sends depends on many
members at once, in a way that has no bound per member, so no noise of ours would protect one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.neural.features import Batch
from models.neural.gradient import member_vectors
from models.neural.law import Law, State, stepped
from models.neural.step import Step

Floats = NDArray[np.float32]


AVERAGE = Law("sgd", 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Federated:
    """Steps at each organisation per round and their rate; the proximal weight; the server."""

    name: str
    steps: int = 5
    rate: float = 0.5
    proximal: float = 0.0
    server: Law = AVERAGE


METHODS = (
    Federated("FedAvg"),
    Federated("FedProx", proximal=0.1),
    Federated("FedAdam", server=Law("adam", 0.1, 0.7, 1.0)),
)


def federated(
    method: Federated, step: Step, start: Floats, batches: list[Batch], rounds: int
) -> Floats:
    """The weights after `rounds` of sending, averaging by members, and the server's step."""
    members = sum(each.members for each in batches)
    state = State.start(start, members, np.full(1, 0.5, np.float32))
    for _ in range(rounds):
        moved = [_moved(method, step, state.weights, each) * each.members for each in batches]
        state = stepped(method.server, state, np.sum(moved, axis=0) / members)
    return state.weights


def _moved(method: Federated, step: Step, start: Floats, batch: Batch) -> NDArray[np.float64]:
    """Start minus end of one organisation's training."""
    here = start.astype(np.float64)
    for _ in range(method.steps):
        vectors = member_vectors(step, here.astype(np.float32), batch)
        slope = np.concatenate([each.mean(axis=0).ravel() for each in vectors])
        here -= method.rate * (slope + method.proximal * (here - start))
    return start - here
