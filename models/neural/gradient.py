"""Gradients member by member, by torch: the one module that takes them.

The loss of a member is a function of the weights and that member's numbers alone, written for a
single member and then mapped over many: nothing in it can see a second one. Loading this module
loads torch, and tells it to use one thread for one operation.

Guarantee: row i of the result does not depend on the other rows of the batch, nor on how many
there are, to the last bit. Layers add in one order; members are taken in parts of one size, filled
up with nobody, a multiple of what a processor takes at once, so that no member is in a remainder
that a library computes by another function.
Assumes: elementwise functions of torch give one number one result, wherever in a full part.
Source: torch.func.vmap and grad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import grad, vmap

from models.neural.architecture import Architecture, Gru, arrays
from models.neural.features import Batch
from models.neural.forward import Inputs, Ops, outputs
from models.neural.step import Local, Loss, Outer, Step

Floats = NDArray[np.float32]
Weights = dict[str, Any]

_NUMBERS_AT_ONCE = 3_000_000  # of all members' vectors held together
_LANES = 32  # of the widest processors, two registers of numbers at a time
_MOST = 512
_FACTORED = 128  # members at once whose gradients stay in two factors
_ROUNDED = 64  # members whose integers are made and added up together
KEPT = 16  # numbers per visit and unit of a recurrent network, for the way back

torch.set_num_threads(1)  # several would cut a part where the number of threads says


class _Product(torch.autograd.Function):  # type: ignore[misc]
    """[..., inputs] and [outputs, inputs] to [..., outputs], added up input by input."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Any, weights: Any) -> Any:
        return _added(x.unbind(-1), weights.unbind(-1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, Any], output: Any) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        x, weights = ctx.saved_tensors
        before = _added(slope.unbind(-1), weights.unbind(0)) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return before, None
        outer = slope[..., :, None] * x[..., None, :]  # of one member, who has no more dimensions
        if outer.ndim > weights.ndim:
            outer = outer.flatten(0, -3).sum(0)
        return before, outer


def _added(numbers: Sequence[Any], lines: Sequence[Any]) -> Any:
    total = numbers[0][..., None] * lines[0]
    for number, line in zip(numbers[1:], lines[1:], strict=True):
        total = torch.addcmul(total, number[..., None], line)
    return total


def _ops(product: Callable[[Any, Any], Any]) -> Ops:
    return Ops(
        relu=torch.relu,
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
        sqrt=torch.sqrt,
        join=lambda parts: torch.cat(parts, dim=-1),
        product=product,
    )


TORCH = _ops(_Product.apply)


def member_vectors(step: Step, weights: Floats, batch: Batch) -> list[Floats]:
    """One array [members, *shape] per parameter: what each member would add, unclipped.

    The gradient of the member's loss; with local steps, start minus end of the member's own
    descent, divided by its rate, so that one local step is the gradient. A member who is not
    asked, or whose outcome is not known, is computed like any other: the caller leaves them out.
    """
    most = together(step, batch.inputs.visits.shape[1])
    start = {name: torch.from_numpy(each) for name, each in arrays(step.layout, weights).items()}
    parts = [
        _part(step, start, batch.part(slice(first, first + most)), most)
        for first in range(0, max(batch.members, 1), most)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def member_parts(
    step: Step, weights: Floats, batch: Batch
) -> Iterator[tuple[list[Floats | Outer], NDArray[np.bool_]]]:
    """What `member_vectors` gives, some members at a time, and who of them is known.

    A layer that a member's loss uses once has its gradient as two factors, what went in and the
    slope by what came out: many members fit into memory, and a matrix for each is never written.
    """
    once = step.local is None and not isinstance(step.network, Gru)
    most = _FACTORED if once else together(step, batch.inputs.visits.shape[1])
    for first in range(0, batch.members, most):
        part = batch.part(slice(first, first + most))
        if not once:
            yield list(member_vectors(step, weights, part)), part.known
            continue
        found = _in_factors(step, weights, part)
        for start in range(0, part.members, _ROUNDED):
            some = slice(start, start + _ROUNDED)
            yield [_sliced(each, some) for each in found], part.known[some]


def _sliced(each: Floats | Outer, some: slice) -> Floats | Outer:
    return Outer(each.slope[some], each.given[some]) if isinstance(each, Outer) else each[some]


def _in_factors(step: Step, weights: Floats, batch: Batch) -> list[Floats | Outer]:
    start = {name: torch.from_numpy(each) for name, each in arrays(step.layout, weights).items()}
    large = {name for name, each in start.items() if each.ndim == 2}
    added = {name: torch.zeros(len(start[name])) for name in large}
    small = {name: each for name, each in start.items() if name not in large}
    matrices = {name: start[name] for name in large}
    given = [torch.from_numpy(_filled_up(each, _FACTORED)) for each in _arrays(batch)]
    with torch.no_grad():
        mapped = _factored(step.network, step.loss)
        (slopes, slight), seen = mapped((added, small), matrices, *given)

    def told(found: Any) -> Floats:
        return np.asarray(found.numpy()[: batch.members])

    return [
        Outer(told(slopes[each.name]), told(seen[each.name]))
        if each.name in large
        else told(slight[each.name])
        for each in step.layout
    ]


@cache
def _factored(network: Architecture, loss: Loss) -> Callable[..., Any]:
    """By what is added to a layer's products, and by the other weights; and what went in."""

    def one(free: tuple[Weights, Weights], matrices: Weights, *member: Any) -> tuple[Any, Weights]:
        added, small = free
        names = {id(each): name for name, each in matrices.items()}
        seen: Weights = {}

        def product(x: Any, weights: Any) -> Any:
            name = names[id(weights)]
            seen[name] = x
            return _Product.apply(x, weights) + added[name]

        return _loss(network, loss, {**small, **matrices}, *member, ops=_ops(product)), seen

    mapped: Callable[..., Any] = vmap(grad(one, has_aux=True), in_dims=(None, None, 0, 0, 0, 0))
    return mapped


def together(step: Step, visits: int) -> int:
    """How many members are taken at once; `visits` is the most that one may have."""
    kept = visits * KEPT * step.network.width if isinstance(step.network, Gru) else 0
    most = _NUMBERS_AT_ONCE // max(step.length, kept)
    return max(min(most, _MOST) // _LANES, 1) * _LANES


def _part(step: Step, start: Weights, batch: Batch, most: int) -> list[Floats]:
    given = [torch.from_numpy(_filled_up(each, most)) for each in _arrays(batch)]
    with torch.no_grad():
        found = _mapped(step.network, step.loss, step.local)(start, *given)
    return [found[each.name].numpy()[: batch.members] for each in step.layout]


def _filled_up(array: Floats, most: int) -> Floats:
    """With as many members of zeros as there are fewer than `most`."""
    full = np.zeros((most, *array.shape[1:]), dtype=array.dtype)
    full[: len(array)] = array
    return full


def _arrays(batch: Batch) -> list[Floats]:
    inputs = batch.inputs
    return [inputs.static, inputs.visits, inputs.present, batch.target]


@cache
def _mapped(network: Architecture, loss: Loss, local: Local | None) -> Callable[..., Weights]:
    gradient = grad(partial(_loss, network, loss))
    one = gradient if local is None else partial(_descent, gradient, local)
    mapped: Callable[..., Weights] = vmap(one, in_dims=(None, 0, 0, 0, 0))
    return mapped


def _loss(
    network: Architecture, loss: Loss, weights: Weights, *member: Any, ops: Ops = TORCH
) -> Any:
    """The loss of one member: a scalar tensor."""
    static, visits, present, goal = member
    shown = outputs(network, ops, weights, Inputs(static, visits, present))
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
