"""Federated averaging of a logistic regression by Flower's own strategy, for comparison only.

Every site trains on its rows for some epochs of mini-batch steps and sends its weights, which
are averaged by numbers of rows. Nothing is hidden and no noise is added.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()
BATCH, RATE = 256, 0.1


def rows(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """The site's covariates with a leading one, and its outcomes."""
    held = np.load(str(context.node_config["rows"]))
    return held[:, :-1], held[:, -1]


@client.train()
def train(message: Message, context: Context) -> Message:
    """Some epochs of mini-batch gradient steps from the weights received."""
    x, y = rows(context)
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    weights = weights.copy()
    shuffled = np.random.default_rng(1).permutation(len(y))
    for _ in range(int(context.run_config["epochs"])):
        for start in range(0, len(y), BATCH):
            part = shuffled[start : start + BATCH]
            risk = 1 / (1 + np.exp(-x[part] @ weights))
            weights -= RATE * x[part].T @ (risk - y[part]) / len(part)
    record = RecordDict(
        {"arrays": ArrayRecord([weights]), "metrics": MetricRecord({"num-examples": len(y)})}
    )
    return Message(record, reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """All rounds, then the weights as JSON where the run's configuration says."""
    covariates = int(context.run_config["covariates"])
    strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=3, min_train_nodes=3)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(covariates)]),
        num_rounds=int(context.run_config["rounds"]),
    )
    (weights,) = result.arrays.to_numpy_ndarrays()
    Path(str(context.run_config["out"])).write_text(json.dumps(weights.tolist()))
