"""Count, mean, standard deviation and histograms of three sites as a Flower simulation.

Runs in an environment of its own (`flwr[simulation]`): one server, one client per site, one
message there and back. The sites send exact sums and counts of bins; nothing is hidden.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from flwr.client import ClientApp
from flwr.common import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.server import Grid, ServerApp
from flwr.simulation import run_simulation

JOB = json.loads(sys.argv[1])

client = ClientApp()
server = ServerApp()


@client.query()
def sums(message: Message, context: Context) -> Message:
    """Every column's count, sum, sum of squares and bins at one site."""
    site = JOB["organisations"][int(context.node_config["partition-id"])]
    table = pq.read_table(Path(JOB["folder"]) / site / "members.parquet")
    found = []
    for column in JOB["columns"]:
        values = table[column].to_numpy()
        bins, _ = np.histogram(values, bins=JOB["bins"], range=(JOB["low"], JOB["high"]))
        found.append([len(values), values.sum(), np.square(values).sum(), *bins])
    record = RecordDict({"sums": ArrayRecord([np.array(found)])})
    return Message(record, reply_to=message)


@server.main()
def ask(grid: Grid, _context: Context) -> None:
    """Ask every site once and add up."""
    nodes: list[int] = []
    while len(nodes) < len(JOB["organisations"]):
        nodes = list(grid.get_node_ids())
    asked = [
        Message(RecordDict({"job": ConfigRecord({"job": "sums"})}), node, "query") for node in nodes
    ]
    replies = list(grid.send_and_receive(asked))
    total = sum(reply.content["sums"].to_numpy_ndarrays()[0] for reply in replies)
    count, summed, squared = total[:, 0], total[:, 1], total[:, 2]
    mean = summed / count
    print(count, mean, np.sqrt(squared / count - mean**2), total[:, 3:])


if __name__ == "__main__":
    run_simulation(server, client, num_supernodes=len(JOB["organisations"]))
