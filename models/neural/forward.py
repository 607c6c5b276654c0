"""The networks' meaning, written once for numpy arrays and torch tensors.

`Ops` names the few functions that differ. Inputs carry any leading dimensions: none for one
member (as gradients are taken, member by member), [members] for prediction with numpy. Sums over
what goes into a layer are made in one order (`models.rowwise`), so that what a network says of a
member does not change, in any bit, with the members beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from models.neural.architecture import Activation, Architecture, Gru, Mlp, ResNet
from models.rowwise import product

Array = Any  # numpy or torch
Weights = Mapping[str, Array]
EPSILON = 1e-5  # under the root of a layer norm


@dataclass(frozen=True)
class Ops:
    """Elementwise functions, joining along the last dimension, and `product(x, w)`:
    [..., inputs] and [outputs, inputs] to [..., outputs]."""

    relu: Callable[[Array], Array]
    tanh: Callable[[Array], Array]
    sigmoid: Callable[[Array], Array]
    sqrt: Callable[[Array], Array]
    join: Callable[[list[Array]], Array]
    product: Callable[[Array, Array], Array]

    def activation(self, name: Activation) -> Callable[[Array], Array]:
        match name:
            case "relu":
                return self.relu
            case "tanh":
                return self.tanh
            case "silu":
                return lambda x: x * self.sigmoid(x)
            case _:
                assert_never(name)


@dataclass(frozen=True, repr=False)
class Inputs:
    """`static` [..., features]; `visits` [..., visits, features]; `present` [..., visits]."""

    static: Array
    visits: Array
    present: Array


def _product(x: Array, weights: Array) -> Array:
    lines = x.reshape(-1, x.shape[-1])
    return product(lines, weights.T).reshape(*x.shape[:-1], len(weights))


NUMPY = Ops(
    relu=lambda x: np.maximum(x, 0),
    tanh=np.tanh,
    sigmoid=lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    sqrt=np.sqrt,
    join=lambda parts: np.concatenate(parts, axis=-1),
    product=_product,
)


def outputs(network: Architecture, ops: Ops, weights: Weights, inputs: Inputs) -> Array:
    """[..., outputs]: before any sigmoid or softmax."""
    match network:
        case Mlp():
            hidden = _dense(network.widths, network.activation, ops, weights, inputs.static)
        case ResNet():
            hidden = _resnet(network, ops, weights, inputs.static)
        case Gru():
            ending = _gru(ops, weights, inputs)
            joined = ops.join([ending, inputs.static])
            hidden = _dense(network.head, network.activation, ops, weights, joined)
        case _:
            assert_never(network)
    return _affine(ops, weights, "out", hidden)


def _affine(ops: Ops, weights: Weights, name: str, x: Array) -> Array:
    return ops.product(x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]


def _norm(ops: Ops, weights: Weights, name: str, x: Array) -> Array:
    centred = x - x.mean(-1)[..., None]
    spread = ops.sqrt((centred * centred).mean(-1) + EPSILON)
    return centred / spread[..., None] * weights[f"{name}.scale"] + weights[f"{name}.shift"]


def _dense(
    widths: tuple[int, ...], activation: Activation, ops: Ops, weights: Weights, x: Array
) -> Array:
    act = ops.activation(activation)
    for place in range(len(widths)):
        x = _affine(ops, weights, f"layer{place}", x)
        x = act(_norm(ops, weights, f"norm{place}", x) if f"norm{place}.scale" in weights else x)
    return x


def _resnet(network: ResNet, ops: Ops, weights: Weights, x: Array) -> Array:
    act = ops.activation(network.activation)
    x = _affine(ops, weights, "in", x)
    for place in range(network.blocks):
        inner = _affine(ops, weights, f"up{place}", _norm(ops, weights, f"norm{place}", x))
        x = x + _affine(ops, weights, f"down{place}", act(inner))
    return act(_norm(ops, weights, "norm", x))


def _gru(ops: Ops, weights: Weights, inputs: Inputs) -> Array:
    """The state after the last visit; a visit that is not there leaves the state as it is."""
    hidden = inputs.visits[..., 0, :1] * weights["new.hidden.bias"] * 0.0
    for place in range(inputs.visits.shape[-2]):
        here = inputs.present[..., place][..., None]
        hidden = hidden + here * (
            _cell(ops, weights, inputs.visits[..., place, :], hidden) - hidden
        )
    return hidden


def _cell(ops: Ops, weights: Weights, visit: Array, hidden: Array) -> Array:
    def gate(name: str) -> Array:
        return ops.sigmoid(
            _affine(ops, weights, f"{name}.visit", visit)
            + _affine(ops, weights, f"{name}.hidden", hidden)
        )

    update = gate("update")
    new = ops.tanh(
        _affine(ops, weights, "new.visit", visit)
        + gate("reset") * _affine(ops, weights, "new.hidden", hidden)
    )
    return (1 - update) * new + update * hidden
