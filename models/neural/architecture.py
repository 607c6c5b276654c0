"""The closed list of networks: their settings, and the shape and start of every parameter.

A network is a frozen fact. From it follow the names and shapes of its parameters in one fixed
order, and their first values, which come from a public seed and from nothing else.

Guarantee: no layer sees two members. Layers are affine maps, layer norms and a recurrent cell
over one member's own visits; there is no batch norm and nothing drawn at random in training.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from privacy.contract.facts import Fact
from privacy.errors import BadInput

Activation = Literal["relu", "tanh", "silu"]
Width = Annotated[int, Field(ge=1, le=512)]
Vector = NDArray[np.float32]

MAX_PARAMETERS = 1_000_000
MAX_SEED = 2**31 - 1
MAX_UNROLLED = 2**17  # units of a recurrent network times visits, of one member


class Mlp(Fact):
    """Layers of `widths`, each an affine map, a layer norm if asked for, and the activation."""

    kind: Literal["mlp"] = "mlp"
    widths: tuple[Width, ...] = Field(default=(32,), min_length=1, max_length=4)
    activation: Activation = "silu"
    layer_norm: bool = False


class ResNet(Fact):
    """An affine map to `width`, then blocks x + B(act(A(norm(x)))), then norm and activation."""

    kind: Literal["resnet"] = "resnet"
    width: Width = 32
    hidden: Width = 32
    blocks: int = Field(default=2, ge=1, le=8)
    activation: Activation = "silu"


class Gru(Fact):
    """A gated recurrent unit over a member's visits, in order; what it ends with, and the
    member's other features, go through an MLP head of `head` widths."""

    kind: Literal["gru"] = "gru"
    width: Annotated[int, Field(ge=1, le=256)] = 16
    head: tuple[Width, ...] = Field(default=(), max_length=2)
    activation: Activation = "silu"


Architecture = Mlp | ResNet | Gru


@dataclass(frozen=True)
class Sizes:
    """What goes in and comes out: features of a member, of a visit, most visits, outputs."""

    static: int
    visit: int
    visits: int
    outputs: int


@dataclass(frozen=True)
class Parameter:
    """One array. Its first values are `start` throughout, or with `fan_in` uniform within
    sqrt(3 / fan_in) of zero, which has variance 1 / fan_in."""

    name: str
    shape: tuple[int, ...]
    start: float = 0.0
    fan_in: int = 0

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def parameters(network: Architecture, sizes: Sizes) -> tuple[Parameter, ...]:
    """Every parameter, in the order in which a flat vector holds them.

    Raises BadInput where the network does not fit its input, or has over MAX_PARAMETERS.
    """
    if sizes.static + sizes.visit == 0:
        raise BadInput("a network needs at least one feature", where="features")
    match network:
        case Mlp():
            found = _dense(sizes.static, network.widths, norm=network.layer_norm)
            found += _affine("out", network.widths[-1], sizes.outputs)
        case ResNet():
            found = _resnet(network, sizes)
        case Gru():
            found = _gru(network, sizes)
        case _:
            assert_never(network)
    count = sum(each.count for each in found)
    if count > MAX_PARAMETERS:
        raise BadInput(f"{count:,} parameters, and {MAX_PARAMETERS:,} are allowed", where="network")
    return tuple(found)


def _affine(name: str, inputs: int, outputs: int) -> list[Parameter]:
    return [
        Parameter(f"{name}.weight", (outputs, inputs), fan_in=inputs),
        Parameter(f"{name}.bias", (outputs,)),
    ]


def _norm(name: str, width: int) -> list[Parameter]:
    return [Parameter(f"{name}.scale", (width,), start=1.0), Parameter(f"{name}.shift", (width,))]


def _dense(inputs: int, widths: tuple[int, ...], *, norm: bool) -> list[Parameter]:
    found: list[Parameter] = []
    for place, width in enumerate(widths):
        found += _affine(f"layer{place}", inputs, width)
        found += _norm(f"norm{place}", width) if norm else []
        inputs = width
    return found


def _resnet(network: ResNet, sizes: Sizes) -> list[Parameter]:
    found = _affine("in", sizes.static, network.width)
    for place in range(network.blocks):
        found += _norm(f"norm{place}", network.width)
        found += _affine(f"up{place}", network.width, network.hidden)
        found += _affine(f"down{place}", network.hidden, network.width)
    return found + _norm("norm", network.width) + _affine("out", network.width, sizes.outputs)


def _gru(network: Gru, sizes: Sizes) -> list[Parameter]:
    if sizes.visit == 0:
        raise BadInput(
            "a network over visits needs a feature of a many-row table",
            where="features",
            instead="name a column of visits, or take mlp or resnet",
        )
    if sizes.visits * network.width > MAX_UNROLLED:
        raise BadInput(
            f"a width of {network.width} over {sizes.visits:,} visits is too much for a node",
            where="network",
            instead="take a narrower network, or mlp over figures of the visits",
        )
    found: list[Parameter] = []
    for gate in ("reset", "update", "new"):
        found += _affine(f"{gate}.visit", sizes.visit, network.width)
        found += _affine(f"{gate}.hidden", network.width, network.width)
    inputs = network.width + sizes.static
    found += _dense(inputs, network.head, norm=False)
    return found + _affine("out", network.head[-1] if network.head else inputs, sizes.outputs)


def initial(layout: tuple[Parameter, ...], seed: int) -> Vector:
    """Shape [parameters]: the first weights, a function of the seed and the names alone.

    Uniform numbers are read from SHAKE-256, so that no library's generator, nor its state or
    version, has a say in them.
    """
    return np.concatenate([_first(each, seed).ravel() for each in layout])


def _first(parameter: Parameter, seed: int) -> Vector:
    if parameter.fan_in == 0:
        return np.full(parameter.shape, parameter.start, dtype=np.float32)
    label = f"network weights/{seed}/{parameter.name}".encode()
    drawn = np.frombuffer(hashlib.shake_256(label).digest(4 * parameter.count), dtype="<u4")
    unit = (drawn + 0.5) / 2**31 - 1.0
    return (unit * math.sqrt(3 / parameter.fan_in)).astype(np.float32).reshape(parameter.shape)


def arrays(layout: tuple[Parameter, ...], flat: Vector) -> dict[str, Vector]:
    """The flat vector cut into named arrays; raises BadInput for another length."""
    counts = [each.count for each in layout]
    if flat.shape != (sum(counts),):
        raise BadInput(f"the network has {sum(counts)} weights, not {flat.size}", where="weights")
    pieces = np.split(flat, np.cumsum(counts)[:-1])
    return {each.name: part.reshape(each.shape) for each, part in zip(layout, pieces, strict=True)}
