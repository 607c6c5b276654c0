"""Our own figures beside a second recomputation that shares no code with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.audit.report import NodeReport, Report, Spent
from coordinator.audit.second import NO_SOFTWARE, same_epsilon, same_rho
from privacy.errors import BadInput, VerificationFailed

_PROGRAM = Path(__file__).with_name("second.py")


@dataclass(frozen=True)
class Second:
    """What the second recomputation found where it agrees: one epsilon by node, and a tighter one.

    `tight` is None where the loss is too small or too large to be computed quickly.
    """

    software: str
    checked: int
    epsilon: dict[str, float]
    tight: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        return {
            "software": self.software,
            "checked": self.checked,
            "epsilon": self.epsilon,
            "tight": self.tight,
        }


def second_recomputation(folder: Path, report: Report) -> Second:
    """Recompute a verified bundle by dp-accounting, in a process of its own, and compare.

    Raises BadInput where dp-accounting is not installed, VerificationFailed naming the first
    figure on which the two do not agree.
    """
    line = [sys.executable, "-P", str(_PROGRAM), str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode == NO_SOFTWARE:
        raise BadInput(
            "dp-accounting is not installed", instead="pip install 'cairn-network[audit]'"
        )
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise VerificationFailed(f"the second recomputation stopped: {why[0]}")
    return compare(json.loads(done.stdout), report)


def compare(found: dict[str, Any], report: Report) -> Second:
    """Hold what `coordinator.audit.second` found against a report's figures."""
    for wrong in found["disagreements"]:
        what = f"{wrong['what']} is {wrong['stated']}; recomputed a second time, {wrong['own']!r}"
        raise VerificationFailed(what, where=wrong["where"])
    if set(found["nodes"]) != {node.node for node in report.nodes}:
        raise VerificationFailed("the second recomputation read other ledgers")
    for node in report.nodes:
        _compare_node(node, found["nodes"][node.node])
    return Second(
        software=found["software"],
        checked=found["checked"],
        epsilon={node: each["epsilon"] for node, each in found["nodes"].items()},
        tight={node: each["tight"] for node, each in found["nodes"].items()},
    )


def _compare_node(node: NodeReport, own: dict[str, Any]) -> None:
    charged = {study for study, spent in node.studies.items() if spent.rho.units}
    if not set(own["studies"]) <= charged or not (
        own["forfeited"] or set(own["studies"]) == charged
    ):
        raise VerificationFailed("other studies were charged", where=node.node)
    more = own["forfeited"]  # what was forfeited is charged beyond every question
    _same(f"{node.node}: in all", node.spent, own, more)
    _same(f"{node.node}: this period", node.period_spent, own["period"], more)
    for study, figures in own["studies"].items():
        _same(f"{node.node}: {study}", node.studies[study], figures, more)
    tight = own["tight"]
    if tight is not None and not tight <= node.spent.epsilon * (1 + 1e-3):
        raise VerificationFailed("epsilon is below the exact curve's", where=node.node)


def _same(where: str, spent: Spent, own: dict[str, Any], more: bool) -> None:
    """Raise VerificationFailed unless both are equal; with `more`, ours may be the larger."""
    rho = float(spent.rho.fraction)
    for what, stated, second, equal in (
        ("rho", rho, own["rho"], same_rho(rho, own["rho"], own["charges"])),
        ("epsilon", spent.epsilon, own["epsilon"], same_epsilon(spent.epsilon, own["epsilon"])),
    ):
        if not (equal or (more and stated > second)):
            said = f"{what} is {stated!r}; recomputed a second time, {second!r}"
            raise VerificationFailed(said, where=where)
