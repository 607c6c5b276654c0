"""A folder of files for a network of real processes, and what to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.support import net_data

REPOSITORY = Path(__file__).resolve().parents[2]
STUDIES = """
[[study]]
id = "als-progression"
title = "What people with ALS take"
purpose = "disease-research"
consent = "required"
period = ["2020-01-01", "2099-12-31"]
epsilon_allowance = 1000
"""


def write_layout(root: Path, count: int = 60) -> Path:
    """What `python -m deploy.local` takes: two files, and three organisations' folders."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dictionary.toml").write_text(net_data.DICTIONARY)
    (root / "study.toml").write_text(STUDIES)
    for number, name in enumerate(net_data.NODES, 1):
        people = net_data.members(number, count)
        net_data.write(root / name, people, net_data.symptoms(people, number))
    return root


PATIENCE = 4  # times what a quiet machine needs: a loaded one is no failure


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + PATIENCE * seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not in {PATIENCE * seconds} s: {what}")
        time.sleep(0.05)
