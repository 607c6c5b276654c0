"""Importing the client is quick and pulls in none of the heavy or server-side packages."""

from __future__ import annotations

import subprocess
import sys
import time

HEAVY = ("flwr", "torch", "pandas", "duckdb", "fastapi", "sqlalchemy", "pyarrow", "ibis", "uvicorn")
PROGRAM = """
import sys
import coordinator.client
print(",".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
LONGEST_SECONDS = 2.0


def test_the_client_imports_light_and_fast() -> None:
    times = []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        times.append(time.monotonic() - started)
    loaded = set(done.stdout.strip().split(","))
    assert loaded & set(HEAVY) == set()
    assert min(times) < LONGEST_SECONDS
