"""Networks trained member by member: how well they predict, and how long a step takes.

Accuracy: the area under the curve on members who were not there, of training over three
organisations with real noise shares and integers, beside a trusted curator's DP-SGD by Opacus at
the same epsilon and delta on the same members and the same first weights. Opacus' rate is the
best of three for each case, chosen on the test members, which favours it; ours is the default.
Margin 0 (nobody may be lost or collude) is the figure to compare with a curator; margin 1 of 3
is how networks run.

The methods that train at organisations (FedAvg, FedProx, FedAdam) have no valid cost per member
in a secure sum of this kind. They are here without privacy, beside per-member local steps.

Time: one full-batch step of a network with about 100,000 weights over three organisations:
members' gradients, integers, noise shares, the secure sum with all its messages, and the
optimiser; beside it Opacus' own step on the pooled batch. Neither pays for transport.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from bench.bench_secure_sum import CairnSum
from bench.curves import half_width
from bench.neural_federated import METHODS, Federated, federated
from bench.neural_support import (
    TRUTHS,
    area,
    batch_of,
    opacus_weights,
    request,
    simulated,
    torch_network,
    world,
)
from models.neural.architecture import Mlp, initial
from models.neural.features import Batch
from models.neural.law import State, mean_gradient, stepped
from models.neural.shapes import MemberVectors
from models.rows import Rows
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import plan_mechanism
from privacy.units import UNITS_PER_RHO, Rho
from tests.support.training import rounds_of

NETWORK = Mlp(widths=(16,))
LARGE = Mlp(widths=(256, 256, 64))
RATES = (0.35, 0.5, 0.7)
NODES = 3
WITHIN = 0.01
TARGET_RATIO = 1.5


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of figures; quick takes 2 seeds of one truth and a smaller batch."""
    torch.set_num_threads(1)
    return [*accuracy(quick), *local_steps(quick), *step_time(quick)]


@dataclass(frozen=True)
class Case:
    """Members of one simulated truth, over three organisations, and others to test on."""

    rows: Rows
    seed: int
    test: Batch

    @property
    def organisations(self) -> list[Rows]:
        place = np.arange(self.rows.members) % NODES
        return [self.rows.select(place == node) for node in range(NODES)]

    def ours(self, epsilon: str, margin: int = 0, **fields: Any) -> float:
        asked = request(NETWORK, self.seed, **fields)
        opened = rounds_of(asked, self.organisations, epsilon, seed=self.seed, margin=margin)
        weights = asked.weights(world(), opened)
        return area(asked.compiled(world()), NETWORK, weights, self.test)

    def opacus(self, epsilon: str, rate: float) -> float:
        made = request(NETWORK, self.seed).compiled(world())
        batch = batch_of(made, self.rows)
        weights = opacus_weights(NETWORK, made, batch, float(epsilon), self.seed, rate)
        return area(made, NETWORK, weights, self.test)

    def federated(self, method: Federated, rounds: int) -> float:
        asked = request(NETWORK, self.seed)
        made = asked.compiled(world())
        batches = [batch_of(made, rows) for rows in self.organisations]
        start = initial(made.layout, self.seed)
        weights = federated(method, asked.step(made), start, batches, rounds)
        return area(made, NETWORK, weights, self.test)


def cases(members: int, truth: str, seeds: int) -> list[Case]:
    made = request(NETWORK, 0).compiled(world())
    test = batch_of(made, simulated(20_000, 10_000, truth))
    return [Case(simulated(members, seed, truth), seed, test) for seed in range(seeds)]


# Accuracy


def accuracy(quick: bool) -> list[dict[str, Any]]:
    sizes, seeds = ((2_000,), 2) if quick else ((2_000, 5_000), 10)
    rows = []
    for members in sizes:
        for epsilon in ("1", "3"):
            for truth in TRUTHS[:1] if quick else TRUTHS:
                rows += _compare(cases(members, truth, seeds), members, epsilon, truth)
    return rows


def _compare(given: list[Case], members: int, epsilon: str, truth: str) -> list[dict[str, Any]]:
    name = f"{members} members, ε = {epsilon}, {truth}"
    theirs = [[each.opacus(epsilon, rate) for each in given] for rate in RATES]
    best = max(theirs, key=statistics.fmean)
    found = [each.ours(epsilon) for each in given]
    more = [each.ours(epsilon, rounds=30) for each in given]
    margin = [each.ours(epsilon, margin=1) for each in given]
    gaps = [one - two for one, two in zip(found, best, strict=True)]
    gap = statistics.fmean(gaps)
    return [
        _row(f"AUC, Opacus at the curator, {name}", statistics.fmean(best)),
        _row(f"AUC, 20 rounds, {name}", statistics.fmean(found)),
        _row(f"AUC less Opacus' (± {half_width(gaps):.3f})", gap, "≥ -0.01", gap >= -WITHIN),
        _row(f"AUC, 30 rounds, {name}", statistics.fmean(more)),
        _row(f"AUC, 20 rounds, margin 1 of 3, {name}", statistics.fmean(margin)),
    ]


def local_steps(quick: bool) -> list[dict[str, Any]]:
    """One step, several steps of each member, and what organisations could do without privacy."""
    members, seeds = (2_000, 2) if quick else (5_000, 10)
    given = cases(members, TRUTHS[0], seeds)
    rows = []
    several = {"local_steps": 4, "local_rate": "0.3"}
    for epsilon in ("3", "1000000"):
        for name, fields in (
            ("one step", {}),
            ("4 local steps", several),
            ("4 local steps, proximal 0.5", {**several, "proximal": "0.5"}),
        ):
            found = [each.ours(epsilon, **fields) for each in given]
            rows.append(_row(f"AUC, ε = {epsilon}, {name}", statistics.fmean(found)))
    for method in METHODS:
        found = [each.federated(method, rounds=20) for each in given]
        rows.append(_row(f"AUC, no privacy, {method.name}, 20 rounds", statistics.fmean(found)))
    return rows


# Time


def step_time(quick: bool) -> list[dict[str, Any]]:
    sizes = (300,) if quick else (600, 3_000)
    return [row for members in sizes for row in _step_time(members, 2 if quick else 5)]


def _step_time(members: int, repetitions: int) -> list[dict[str, Any]]:
    whole = simulated(members, 1, TRUTHS[0])
    asked = request(LARGE, 0)
    made = asked.compiled(world())
    organisations = [whole.select(np.arange(members) % NODES == node) for node in range(NODES)]
    state = State.start(initial(made.layout, 0), members, np.full(1, 0.5, np.float32)).to_bytes()
    ours, theirs = [], []
    step = _opacus_step(batch_of(made, whole), initial(made.layout, 0))
    for _ in range(repetitions):
        ours.append(_seconds(lambda: _our_step(asked, organisations, state)))
        theirs.append(_seconds(step))
    one, two = statistics.median(ours), statistics.median(theirs)
    case = f"{made.length:,} weights, {members:,} members"
    return [
        _row(f"one step through the secure sum, 3 nodes, {case}", one, unit="s"),
        _row(f"Opacus' own step on the pooled batch, {case}", two, unit="s"),
        _row(
            f"ratio of medians, {members:,} members",
            one / two,
            f"≤ {TARGET_RATIO}",
            one / two <= TARGET_RATIO,
            "×",
        ),
    ]


def _our_step(asked: Any, organisations: list[Rows], state: bytes) -> NDArray[np.float32]:
    """Everything from a state to the next weights."""
    mechanism = plan_mechanism(Rho(UNITS_PER_RHO // 100), NODES, 1)
    shape = asked.contribution_at(world(), mechanism.delta_grid, 1, state)
    vectors = [_at_node(shape, rows, mechanism.log2_sigma) for rows in organisations]
    secure = CairnSum(vectors, lost=None)
    secure.set_out()
    total = secure.run()
    before = State.from_bytes(state, shape.length)
    law = asked.law()
    gradient = mean_gradient(law, before, total, mechanism.delta_grid)
    return stepped(law, before, gradient).weights


def _at_node(shape: MemberVectors, rows: Rows, log2_sigma: int) -> NDArray[np.int64]:
    noise = noise_share(os.urandom, log2_sigma, shape.length)
    return noise + shape.fold(rows, np.ones(rows.members, dtype=np.bool_))


def _opacus_step(batch: Batch, weights: NDArray[np.float32]) -> Callable[[], None]:
    made = request(LARGE, 0).compiled(world())
    module = GradSampleModule(torch_network(LARGE, made, weights))
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=0.1),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=batch.members,
    )
    x, y = torch.from_numpy(batch.inputs.static), torch.from_numpy(batch.target)

    def step() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(module(x)[:, 0], y).backward()
            optimiser.step()

    return step


def _seconds(run_once: Callable[[], object]) -> float:
    start = time.perf_counter()
    run_once()
    return time.perf_counter() - start


def _row(
    what: str, value: float, target: str | None = None, ok: bool | None = None, unit: str = ""
) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "target": target or "", "ok": ok}
