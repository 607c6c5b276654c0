"""Gradients member by member, by torch: the one module that takes them.

The loss of a member is a function of the weights and that member's numbers alone, written for a
single member and then mapped over many: nothing in it can see a second one. Loading this module
loads torch.

Guarantee: row i of the result does not depend on the other rows of the batch.
Source: torch.func.vmap and grad.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import grad, vmap

from models.neural.architecture import Architecture, arrays
from models.neural.features import Batch
from models.neural.forward import Inputs, Ops, outputs
from models.neural.step import Local, Loss, Step

Floats = NDArray[np.float32]
Weights = dict[str, Any]

TORCH = Ops(
    relu=torch.relu,
    tanh=torch.tanh,
    sigmoid=torch.sigmoid,
    sqrt=torch.sqrt,
    join=lambda parts: torch.cat(parts, dim=-1),
)


def member_vectors(step: Step, weights: Floats, batch: Batch) -> list[Floats]:
    """One array [members, *shape] per parameter: what each member would add, unclipped.

    The gradient of the member's loss; with local steps, start minus end of the member's own
    descent, divided by its rate, so that one local step is the gradient. A member who is not
    asked, or whose outcome is not known, is computed like any other: the caller leaves them out.
    """
    start = {name: torch.from_numpy(each) for name, each in arrays(step.layout, weights).items()}
    given = [torch.from_numpy(np.ascontiguousarray(each)) for each in _arrays(batch)]
    with torch.no_grad():
        found = _mapped(step.network, step.loss, step.local)(start, *given)
    return [found[each.name].numpy() for each in step.layout]


def _arrays(batch: Batch) -> list[Floats]:
    inputs = batch.inputs
    return [inputs.static, inputs.visits, inputs.present, batch.target]


@cache
def _mapped(network: Architecture, loss: Loss, local: Local | None) -> Callable[..., Weights]:
    gradient = grad(partial(_loss, network, loss))
    one = gradient if local is None else partial(_descent, gradient, local)
    mapped: Callable[..., Weights] = vmap(one, in_dims=(None, 0, 0, 0, 0))
    return mapped


def _loss(network: Architecture, loss: Loss, weights: Weights, *member: Any) -> Any:
    """The loss of one member: a scalar tensor."""
    static, visits, present, goal = member
    shown = outputs(network, TORCH, weights, Inputs(static, visits, present))
    match loss:
        case "event":
            return torch.nn.functional.softplus(shown[0]) - goal * shown[0]
        case "level":
            places = torch.arange(shown.shape[0])
            return torch.logsumexp(shown, 0) - (shown * (places == goal)).sum()
        case "amount":
            return 0.5 * (shown[0] - goal) ** 2
        case _:
            assert_never(loss)


def _descent(
    gradient: Callable[..., Weights], local: Local, start: Weights, *member: Any
) -> Weights:
    """Steps on one member's own loss, held near the start by the proximal weight."""
    here = start
    for _ in range(local.steps):
        slope = gradient(here, *member)
        here = {
            name: here[name]
            - local.rate * (slope[name] + local.proximal * (here[name] - start[name]))
            for name in here
        }
    return {name: (start[name] - here[name]) / local.rate for name in here}
