"""`python -m deploy.local DIR`: a network on this machine from a folder of files, with no code.

DIR holds dictionary.toml, study.toml and one folder of CSV or Parquet files per organisation
(docs/formats.md). Every organisation gets its own node, keys, database and ledger; this program
acts as every steward and approves all studies. The network's own state lives in a temporary
folder, or in --state DIR2, and nothing is written into DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.layout import read_layout
from deploy.network import Network, start, stop_signals
from deploy.prepared import prepare_or_resume, utc_now
from privacy.errors import CairnError


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--example", action="store_true", help="write a worked example into DIR")
    parser.add_argument("--json", action="store_true", help="print one line of JSON once ready")
    parser.add_argument("--state", type=Path, help="keep keys, ledgers and records here")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.example:
            return _write_example(chosen.folder)
        return _serve(chosen.folder, chosen.state, as_json=chosen.json)
    except CairnError as error:
        print(f"deploy.local: {error}", file=sys.stderr)
        return 2


def _write_example(folder: Path) -> int:
    from deploy.example import write_example
    from deploy.example.workbook import write_workbook

    write_example(folder)
    write_workbook(folder)
    print(f"written; now run: python -m deploy.local {folder}", file=sys.stderr)
    return 0


def _serve(folder: Path, state: Path | None, *, as_json: bool) -> int:
    def say(line: str) -> None:
        print(f"· {line}", file=sys.stderr, flush=True)

    layout = read_layout(folder, utc_now().date())
    with stop_signals() as stop, _state_folder(state) as root:
        network = start(prepare_or_resume(layout, root, say))
        try:
            say("starting")
            network.wait_ready()
            _announce(network, as_json=as_json)
            stop.wait()
        finally:
            network.stop()
    return 0


@contextmanager
def _state_folder(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="cairn-") as folder:
        yield Path(folder)


def description(network: Network) -> dict[str, object]:
    """What a program needs to know of a running network; tokens included."""
    prepared = network.prepared
    return {
        "url": prepared.url,
        "token": prepared.tokens.researcher.text,
        "auditor_token": prepared.tokens.auditor.text,
        "admin_token": prepared.tokens.admin.text,
        "studies": list(prepared.studies),
        "nodes": [
            {
                "name": node.organisation.id,
                "url": node.url,
                "steward_token": node.home.steward_token(),
                "pid": network.nodes[node.organisation.id].pid,
                "dir": str(node.home.root),
            }
            for node in prepared.nodes
        ],
        "pids": network.pids,
    }


def _announce(network: Network, *, as_json: bool) -> None:
    facts = description(network)
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    print(f"coordinator    {facts['url']}")
    print(f"studies        {', '.join(network.prepared.studies)}")
    for node in network.prepared.nodes:
        print(f"node           {node.url}  {node.organisation.name}")
    print("\nas a researcher:\n")
    print(f"    export CAIRN_URL={facts['url']}")
    print(f"    export CAIRN_TOKEN={facts['token']}")
    print("    cairn study list\n")
    print(f"as an auditor: CAIRN_TOKEN={facts['auditor_token']}")
    print("Ctrl-C stops everything.", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
