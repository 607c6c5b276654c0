"""Importing the client is light and pulls in none of the heavy or server-side packages."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("flwr", "torch", "pandas", "duckdb", "fastapi", "sqlalchemy", "pyarrow", "ibis", "uvicorn")
PROGRAM = """
import sys
import coordinator.client
print(len(sys.modules), ",".join(sorted({name.partition(".")[0] for name in sys.modules})), sep=":")
"""
MOST_MODULES = 1_000  # about 700 today: what import time grows with, on any machine


def test_the_client_imports_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    number, _, names = done.stdout.strip().partition(":")
    assert set(names.split(",")) & set(HEAVY) == set()
    assert int(number) < MOST_MODULES
