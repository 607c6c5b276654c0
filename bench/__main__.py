"""`python -m bench`: run every benchmark, print one table, write one JSON file."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bench

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the chosen benchmarks (default: all) and report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="for instance: sampler noise")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in _benchmarks(chosen.names):
        began = time.monotonic()
        print(f"… {name}", file=sys.stderr, flush=True)
        module = importlib.import_module(f"bench.bench_{name}")
        found = [{"benchmark": name, **row} for row in module.run(quick=chosen.quick)]
        print(_table(found), flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
        rows += found
    _write(rows, quick=chosen.quick)
    return 0


def _benchmarks(wanted: list[str]) -> list[str]:
    found = [
        module.name.removeprefix("bench_")
        for module in pkgutil.iter_modules(bench.__path__)
        if module.name.startswith("bench_")
    ]
    unknown = set(wanted) - set(found)
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    return wanted or sorted(found)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        (
            str(row["what"]),
            _number(row["value"]) + (f" {row['unit']}" if row.get("unit") else ""),
            str(row.get("target", "")),
            {True: "reached", False: "NOT reached"}.get(row.get("ok"), ""),
        )
        for row in rows
    ]
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(rows: list[dict[str, Any]], *, quick: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    report = {
        "at": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "quick": quick,
        "rows": rows,
    }
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(report, indent=2, default=str) + "\n", "utf-8")
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
