"""Simulated members for training: three truths, twelve features, one of them easy for a line.

`opacus_weights` is the comparison: a trusted curator's DP-SGD by Opacus with Poisson sampling,
its own accountant and its own noise, on the same network from the same first weights.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer

from bench.curves import auc
from models.neural.architecture import Mlp, initial
from models.neural.features import Batch, encode
from models.neural.request import Train
from models.neural.scoring import scores
from models.neural.specification import Compiled, Specification
from models.rows import Rows, TableRows
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.contract.dictionary import Rows as RowsKind

Floats = NDArray[np.float32]
TRUTHS = ("products", "lines", "waves")
NUMBERS, FLAGS = 8, 4
FEATURES = tuple(f"x{i}" for i in range(NUMBERS + FLAGS))
DELTA = 1e-6


def world() -> Dictionary:
    numbers = [
        Column(name=f"x{i}", type=ColumnType.NUMBER, lower="-1", upper="1") for i in range(NUMBERS)
    ]
    flags = [
        Column(name=f"x{NUMBERS + i}", type=ColumnType.BOOLEAN, levels=("false", "true"))
        for i in range(FLAGS)
    ]
    outcome = Column(name="improved", type=ColumnType.BOOLEAN, levels=("false", "true"))
    table = Table(name="p", key="id", rows=RowsKind.ONE, columns=(*numbers, *flags, outcome))
    return Dictionary(tables=(table,))


def simulated(members: int, seed: int, truth: str) -> Rows:
    draw = np.random.default_rng([seed, TRUTHS.index(truth)])
    z = np.clip(draw.normal(size=(members, NUMBERS)), -1 / 0.35, 1 / 0.35)
    flags = draw.random((members, FLAGS)) < [0.3, 0.5, 0.2, 0.4]
    event = draw.random(members) < 1 / (1 + np.exp(-_risk(z, 2.0 * flags - 1, truth)))
    values: dict[str, Any] = {f"x{i}": 0.35 * z[:, i] for i in range(NUMBERS)}
    values |= {f"x{NUMBERS + i}": flags[:, i].astype(np.int64) for i in range(FLAGS)}
    values["improved"] = event.astype(np.int64)
    home = np.arange(members)
    return Rows(world(), members, {"p": TableRows(home, np.zeros_like(home), values)})


def _risk(z: NDArray[np.float64], flag: NDArray[np.float64], truth: str) -> NDArray[np.float64]:
    if truth == "products":
        bent = 0.7 * z[:, 0] * z[:, 1] + 0.8 * np.abs(z[:, 2]) - 0.4 * np.maximum(z[:, 5], 0) ** 2
        return bent + 0.5 * (z[:, 3] + flag[:, 0] * z[:, 4] + flag[:, 1]) - 0.6
    if truth == "lines":
        line = 0.6 * z[:, 0] + 0.5 * z[:, 3] + 0.4 * flag[:, 1] - 0.5 * z[:, 5]
        return line + 0.3 * z[:, 0] * flag[:, 0] - 0.8
    waves = 1.2 * np.sin(1.5 * z[:, 0]) + 0.7 * np.maximum(z[:, 1], 0)
    return waves + 0.5 * z[:, 2] + 0.6 * flag[:, 0] - 1.8


def request(network: Mlp, seed: int, **fields: Any) -> Train:
    inner = Specification(network=network, outcome="improved", features=FEATURES, seed=seed)
    return Train(specification=inner, **fields).normalised(world())


def batch_of(made: Compiled, rows: Rows) -> Batch:
    found = encode(made.encoding, made.outcome, rows, np.ones(rows.members, dtype=np.bool_))
    return found.part(found.known)


def area(made: Compiled, network: Mlp, weights: Floats, test: Batch) -> float:
    """The area under the curve on `test`, by ranks."""
    score = scores(network, made.layout, weights, made.outcome, test)
    return auc(score, test.target > 0)


def torch_network(network: Mlp, made: Compiled, weights: Floats) -> torch.nn.Sequential:
    """torch's own layers with our weights; an MLP with SiLU and no norm."""
    widths = [made.encoding.static_width, *network.widths, 1]
    layers: list[torch.nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [torch.nn.Linear(inputs, outputs)]
        layers += [torch.nn.SiLU()] if place < len(widths) - 2 else []
    module = torch.nn.Sequential(*layers)
    with torch.no_grad():
        place = 0
        for each in module.parameters():
            part = weights[place : place + each.numel()]
            each.copy_(torch.from_numpy(part).reshape(each.shape))
            place += each.numel()
    return module


def flat(module: torch.nn.Module) -> Floats:
    return np.concatenate([each.detach().numpy().ravel() for each in module.parameters()])


def opacus_weights(
    network: Mlp, made: Compiled, batch: Batch, epsilon: float, seed: int, rate: float
) -> Floats:
    """300 Poisson-sampled steps of a tenth of the members each, clip 1, by Opacus."""
    sampled, steps = 0.1, 300
    sigma = noise_multiplier(epsilon, sampled, steps)
    torch.manual_seed(seed)
    draw = np.random.default_rng([seed, 77])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = initial(made.layout, seed)
        module = GradSampleModule(torch_network(network, made, weights))
        optimiser = DPOptimizer(
            torch.optim.SGD(module.parameters(), lr=rate),
            noise_multiplier=sigma,
            max_grad_norm=1.0,
            expected_batch_size=round(sampled * batch.members),
        )
        for _ in range(steps):
            chosen = draw.random(batch.members) < sampled
            x = torch.from_numpy(batch.inputs.static[chosen])
            y = torch.from_numpy(batch.target[chosen])
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(module(x)[:, 0], y).backward()
            optimiser.step()
    return flat(module)


_SIGMAS: dict[tuple[float, float, int], float] = {}


def noise_multiplier(epsilon: float, sampled: float, steps: int) -> float:
    key = (epsilon, sampled, steps)
    if key not in _SIGMAS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _SIGMAS[key] = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=DELTA,
                sample_rate=sampled,
                steps=steps,
                accountant="prv",
            )
    return _SIGMAS[key]
