"""A second recomputation of every charge, by Google's dp-accounting and by no code of ours.

A program of its own: it reads a bundle's files as plain JSON and imports nothing of this
repository, so that an error in `privacy.accounting` or `privacy.mechanism` cannot repeat itself
here, and dp-accounting's logging cannot touch the program that asks. It takes every signature and
chain as verified by others; what it checks is that figures follow from recorded mechanisms.

    python -P coordinator/audit/second.py BUNDLE    prints its findings as JSON

For one opening the noise multiplier is z = sqrt(K - t) 2^m / (memberships * Delta): K - t honest
shares of sigma = 2^m grid units against one person who moves the total by memberships * Delta.
dp-accounting composes the Gaussian events and converts by Renyi divergences; `tight` is epsilon
from the privacy loss distribution of one Gaussian that loses as much, never above the former.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

RELATIVE = 1e-9  # of rho, for floating point
UNIT = 2.0**-60  # to which every recorded rho is rounded up
EPSILON_RELATIVE = 1e-7
LOOSE_FROM = 5e4  # an epsilon above which dp-accounting has no orders near the best: looser
TIGHT_FROM, TIGHT_TO = 1e-3, 40.0  # epsilons whose loss distribution is quick to compute
NO_SOFTWARE = 3

Charges = Counter[float]  # openings by noise multiplier


def multiplier(mechanism: dict[str, int]) -> float:
    """The noise multiplier of one opening."""
    honest = mechanism["nodes"] - mechanism["margin"]
    moved = mechanism["memberships"] * mechanism["delta_grid"]
    return math.sqrt(honest) * 2.0 ** mechanism["log2_sigma"] / moved


def rho_of(charges: Charges) -> float:
    """The zCDP loss of Gaussian events: 1 / (2 z^2) each."""
    return math.fsum(count / (2 * z * z) for z, count in charges.items())


def epsilon_of(charges: Charges, delta: float) -> float:
    """dp-accounting's epsilon, with orders placed ever closer around the best one."""
    import dp_accounting

    if not charges:
        return 0.0
    event = dp_accounting.ComposedDpEvent(
        [
            dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(z), count)
            for z, count in sorted(charges.items())
        ]
    )
    best = 1 + math.sqrt(math.log(1 / delta) / rho_of(charges))
    found = math.inf
    for reach in (30.0, 1.2, 1.01):
        found, best = _epsilon_near(event, best, reach, delta)
    return found


def _epsilon_near(event: Any, order: float, reach: float, delta: float) -> tuple[float, float]:
    """Epsilon and the best of 200 orders from (order-1)/reach to (order-1)*reach above 1."""
    from dp_accounting.rdp import RdpAccountant

    steps = [reach ** (step / 100 - 1) for step in range(201)]
    accountant = RdpAccountant(orders=[1 + (order - 1) * step for step in steps])
    accountant.compose(event)
    epsilon, best = accountant.get_epsilon_and_optimal_order(delta)
    return float(epsilon), float(best)


def tight_of(charges: Charges, delta: float, epsilon: float) -> float | None:
    """Epsilon of the exact privacy curve, None where it is not quick to compute."""
    from dp_accounting import GaussianDpEvent
    from dp_accounting.pld import PLDAccountant

    if not TIGHT_FROM <= epsilon <= TIGHT_TO:
        return None
    accountant = PLDAccountant(value_discretization_interval=1e-4)
    accountant.compose(GaussianDpEvent(1 / math.sqrt(2 * rho_of(charges))))
    return float(accountant.get_epsilon(delta))


def recompute(folder: Path) -> dict[str, Any]:
    """Every figure of the bundle again, and every statement in it that does not agree."""
    wrong: list[dict[str, Any]] = []
    nodes, checked = {}, 0
    for place in sorted(folder.glob("nodes/*/entries.jsonl")):
        found = _Ledger(place)
        wrong += found.wrong
        checked += found.checked
        nodes[place.parent.name] = found.figures()
    for place in sorted(folder.glob("releases/*.json")):
        wrong += _release(place)
        checked += 1
    software = f"dp-accounting {version('dp-accounting')}"
    return {"software": software, "checked": checked, "nodes": nodes, "disagreements": wrong}


class _Ledger:
    """One node's charges, summed in all, by study and in the newest period."""

    def __init__(self, place: Path) -> None:
        self.name = f"nodes/{place.parent.name}/entries.jsonl"
        self.delta = 0.0
        self.checked = 0
        self.forfeited = False
        self.wrong: list[dict[str, Any]] = []
        self.whole: Charges = Counter()
        self.period: Charges = Counter()
        self.studies: dict[str, Charges] = {}
        self.study_of: dict[str, str] = {}
        for entry in _lines(place):
            self._read(entry)

    def _read(self, entry: dict[str, Any]) -> None:
        body = entry["body"]
        match body["kind"]:
            case "genesis":
                self.delta = _number(body["delta"])
            case "period":
                self.period = Counter()
            case "forfeited":  # a restored ledger charges all that was left: more than any loss
                self.period = Counter()
                self.forfeited = True
            case "reserve":
                self.study_of[body["plan"]] = body["study"]
                own = Counter(multiplier(each["mechanism"]) for each in body["rounds"])
                attempts = body["max_attempts"]
                whole = rho_of(own) * attempts
                self._compare(
                    entry, "reserved rho", body["rho"], whole, len(body["rounds"]) * attempts
                )
            case "link-begun":  # two numbers move by one each; their noise is 2^log2_sigma
                z = 2.0 ** body["log2_sigma"] / math.sqrt(2)
                self._compare(entry, "charged rho", body["rho"], rho_of(Counter([z])), 1)
                for charges in (self.whole, self.period):
                    charges[z] += 1
            case "commit":
                z = multiplier(body["mechanism"])
                self._compare(entry, "charged rho", body["rho"], rho_of(Counter([z])), 1)
                study = self.studies.setdefault(self.study_of[body["plan"]], Counter())
                for charges in (self.whole, self.period, study):
                    charges[z] += 1

    def _compare(self, entry: dict[str, Any], what: str, text: str, own: float, parts: int) -> None:
        self.checked += 1
        if not same_rho(_number(text), own, parts):
            where = f"{self.name}: entry {entry['seq']}"
            self.wrong.append({"where": where, "what": what, "stated": text, "own": own})

    def figures(self) -> dict[str, Any]:
        whole = _figures(self.whole, self.delta)
        return {
            **whole,
            "forfeited": self.forfeited,
            "tight": tight_of(self.whole, self.delta, whole["epsilon"]),
            "period": _figures(self.period, self.delta),
            "studies": {
                study: _figures(each, self.delta) for study, each in sorted(self.studies.items())
            },
        }


def same_rho(stated: float, own: float, parts: int) -> bool:
    """Whether a recorded rho, each of its `parts` rounded up to a unit, is `own`."""
    slack = RELATIVE * own + 2 * parts * UNIT
    return own - RELATIVE * own <= stated <= own + slack


def same_epsilon(stated: float, own: float) -> bool:
    """Whether both are the same minimum over orders; at huge losses, whether it is no larger."""
    if own > LOOSE_FROM:
        return LOOSE_FROM / 2 < stated <= own * (1 + EPSILON_RELATIVE)
    return abs(stated - own) <= EPSILON_RELATIVE * own


def _figures(charges: Charges, delta: float) -> dict[str, Any]:
    return {
        "charges": sum(charges.values()),
        "rho": rho_of(charges),
        "epsilon": epsilon_of(charges, delta),
    }


def _release(place: Path) -> list[dict[str, Any]]:
    body = json.loads(place.read_bytes())["body"]
    charges = Counter(multiplier(each["mechanism"]) for each in body["rounds"])
    rho, delta = rho_of(charges), _number(body["delta"])
    own = epsilon_of(charges, delta)
    where = f"releases/{place.name}"
    wrong = []
    if not same_rho(_number(body["rho"]), rho, len(body["rounds"])):
        wrong.append({"where": where, "what": "rho", "stated": body["rho"], "own": rho})
    if not same_epsilon(float(body["epsilon"]), own):
        wrong.append({"where": where, "what": "epsilon", "stated": body["epsilon"], "own": own})
    return wrong


def _lines(place: Path) -> Iterator[dict[str, Any]]:
    with place.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _number(rational: str) -> float:
    """A rational's nearest float; Python divides integers of any size correctly."""
    over, _, under = rational.partition("/")
    return int(over) / int(under or "1")


def main() -> int:
    """Entry point: one argument, the bundle's folder."""
    try:
        version("dp-accounting")
    except ImportError:
        return NO_SOFTWARE
    sys.stdout.write(json.dumps(recompute(Path(sys.argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
