"""The card of a released network: what it is for, what it cost, how well it does and for whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.neural.request import Train
from models.neural.scoring import ALL
from models.result import Estimate, Result
from privacy.contract.dictionary import Dictionary

LIMITS = (
    "It learned from noised sums: training again with other noise gives other weights.",
    "It is not a medical device, and nobody has shown that acting on it helps a patient.",
    "Its figures are averages over groups; they say nothing about one person.",
)


@dataclass(frozen=True)
class Provenance:
    """What the network alone does not say: from the study, the plan and the release.

    `epsilon`, `delta` and `rho` are of the whole run, as decimal or exact text; `receipts` name
    the release and the ledger entries that charged it.
    """

    study: str
    purpose: str
    intended_use: str
    cohort: str
    organisations: tuple[str, ...]
    epsilon: str
    delta: str
    rho: str
    memberships: int
    receipts: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """Everything to read before using the network."""

    provenance: Provenance
    outcome: str
    event: str | None
    features: tuple[str, ...]
    dictionary: str
    weights: int
    law: str
    figures: Result
    limits: tuple[str, ...] = LIMITS

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("outcome", "event", "dictionary")}
        return {
            **plain,
            "provenance": asdict(self.provenance),
            "features": list(self.features),
            "weights": self.weights,
            "unit": unit(self.provenance),
            "law": self.law,
            "figures": _finite(self.figures.to_json()),
            "limits": list(self.limits),
        }


def card_of(
    request: Train, dictionary: Dictionary, figures: Result, provenance: Provenance
) -> Card:
    """`figures`: what `request.conclude` gave."""
    given = request.specification
    return Card(
        provenance=provenance,
        outcome=given.outcome,
        event=given.event,
        features=given.features,
        dictionary=dictionary.digest,
        weights=request.compiled(dictionary).length,
        law=request.method(),
        figures=figures,
    )


def unit(provenance: Provenance) -> str:
    """What the guarantee protects."""
    several = f" at up to {provenance.memberships} organisations" * (provenance.memberships > 1)
    return f"one member with all their records{several}, added or removed"


def markdown(card: Card) -> str:
    """The card to read. Text from outside cannot add headings, links or rows."""
    told = card.provenance
    lines = [f"# Network for {_plain(card.outcome)}", "", f"**Purpose.** {_plain(told.purpose)}"]
    lines += ["", f"**Intended use.** {_plain(told.intended_use)}", "", "## What it is", ""]
    facts = {
        "study": told.study,
        "cohort": told.cohort or "all members",
        "outcome": card.outcome + (f" = {card.event}" if card.event else ""),
        "features": ", ".join(card.features),
        "weights": f"{card.weights:,}",
        "organisations": ", ".join(told.organisations),
        "dictionary": card.dictionary,
    }
    lines += _table(("", ""), list(facts.items()))
    lines += ["", "## What it cost", ""]
    costs = (
        ("ε", told.epsilon),
        ("δ", told.delta),
        ("ρ", told.rho),
        ("protects", unit(told)),
        ("receipts", ", ".join(told.receipts)),
    )
    lines += [*_table(("", ""), costs), "", "## How it was trained", "", _plain(card.law)]
    lines += ["", "## How well it predicts", ""]
    lines += [f"- {_plain(note)}" for note in card.figures.notes]
    lines += ["", *_figures(card.figures.rows, whole=True), "", "### By group", ""]
    by_group = _figures(card.figures.rows, whole=False)
    lines += by_group or ["No groups were asked for."]
    return "\n".join([*lines, "", "## Limits", "", *(f"- {each}" for each in card.limits), ""])


def _figures(rows: Sequence[Estimate], *, whole: bool) -> list[str]:
    chosen = [row for row in rows if (row.cell[0] == ALL) == whole]
    shown = [(row.cell[0], row.cell[1], _number(row.estimate), _interval(row)) for row in chosen]
    return _table(("group", "figure", "estimate", "95 % interval"), shown) if shown else []


def _interval(row: Estimate) -> str:
    return row.note or f"{_number(row.low)} to {_number(row.high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(_plain(each) for each in line) + " |" for line in lines]


def _plain(text: str) -> str:
    """One line, with what Markdown and HTML would read as more than text escaped."""
    joined = " ".join(text.split())
    for mark in ("\\", "|", "[", "]", "<", ">", "`", "*", "_", "#"):
        joined = joined.replace(mark, {"<": "&lt;", ">": "&gt;"}.get(mark, "\\" + mark))
    return joined


def _finite(value: Any) -> Any:
    """JSON has no infinity: an end of an interval that is open is null."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
