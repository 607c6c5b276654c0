"""How long a message takes to three node processes and back, over TLS, and what it leaves behind.

python -m bench.bench_transport [--quick]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator.courier import Courier
from coordinator.flower_bridge import FlowerBridge
from privacy.contract.packet import Packet
from tests.support.fleet import Fleet, all_online, until

NAMES = ("a", "b", "c")
ROUND_TRIP_MS = 60.0
DRIFT_MB = 5.0
Row = dict[str, Any]


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of what was measured, its target and whether that was met."""
    with tempfile.TemporaryDirectory() as directory:
        fleet = Fleet.make(Path(directory), NAMES)
        with fleet.bridge() as bridge:
            processes = [fleet.process(name, bridge.port) for name in NAMES]
            try:
                until(all_online(bridge, len(NAMES)), 30)
                return _measure(fleet, bridge, processes, quick)
            finally:
                for process in processes:
                    process.terminate()
                for process in processes:
                    process.wait(10)


def _measure(
    fleet: Fleet,
    bridge: FlowerBridge,
    processes: Sequence[subprocess.Popen[bytes]],
    quick: bool,
) -> list[Row]:
    courier = fleet.courier(bridge)
    pids = {"coordinator link": None, "node": processes[0].pid}
    _round_trips(courier, 20, b"")
    idle = {name: pss_mb(pid) for name, pid in pids.items()}
    before = sum(bridge.requests().values())
    empty = _round_trips(courier, 200, b"")
    requests = (sum(bridge.requests().values()) - before) / 200 / len(NAMES)
    large = _round_trips(courier, 5 if quick else 20, bytes(2**20))
    burst_ms = _burst(courier, 50)
    _round_trips(courier, 20, b"")
    settled = {name: pss_mb(pid) for name, pid in pids.items()}
    many = 500 if quick else 3000
    _round_trips(courier, many, b"")
    rows = [
        _row("round trip to 3 nodes, p50", _percentile(empty, 50), "ms", ROUND_TRIP_MS),
        _row("round trip to 3 nodes, p95", _percentile(empty, 95), "ms", 2 * ROUND_TRIP_MS),
        _row("requests per node and round trip", requests, "requests", 2.1),
        _row("round trip with 1 MiB both ways, p50", _percentile(large, 50), "ms", 500.0),
        _row("50 questions at once, all answered", burst_ms, "ms", 500.0),
        _row("messages left stored", float(sum(bridge.held().values())), "messages", 0.0),
    ]
    rows += [_row(f"memory of a {name} (PSS)", idle[name], "MB", 150.0) for name in pids]
    rows += [
        _row(f"growth of a {name} over {many} round trips", drift, "MB", DRIFT_MB)
        for name, drift in ((name, pss_mb(pids[name]) - settled[name]) for name in pids)
    ]
    return rows


def _round_trips(courier: Courier, count: int, blob: bytes) -> list[float]:
    """Milliseconds of each of `count` exchanges with all nodes, one after the other."""
    times = []
    for number in range(count):
        packets = {name: Packet(b"%d" % number, blob) for name in NAMES}
        start = time.perf_counter()
        answers = courier.ask(packets, 10)
        times.append((time.perf_counter() - start) * 1e3)
        assert answers == packets
    return times


def _burst(courier: Courier, askers: int) -> float:
    threads = [
        threading.Thread(target=_round_trips, args=(courier, 1, b"%d" % number))
        for number in range(askers)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - start) * 1e3


def pss_mb(pid: int | None) -> float:
    """Proportional set size of a process (this one for None), in MB."""
    text = Path(f"/proc/{pid or 'self'}/smaps_rollup").read_text()
    return (
        int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))) / 1024
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _row(what: str, value: float, unit: str, target: float) -> Row:
    return {
        "what": what,
        "value": round(value, 2),
        "unit": unit,
        "target": target,
        "ok": value <= target,
    }


if __name__ == "__main__":
    for row in run("--quick" in sys.argv):
        print("{what:50s} {value:10.2f} {unit:9s} target {target:g}  ok={ok}".format(**row))
