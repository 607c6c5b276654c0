"""The card of a released model: what it is for, what it cost, how well it does and for whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, assert_never

from models.neural.request import Train
from models.neural.scoring import ALL
from models.regression.cox import RATIO, Cox
from models.regression.fit import Fitted
from models.regression.progression import Progression
from models.regression.reading import COEFFICIENT, FACT
from models.regression.request import Regression
from models.released.doubts import GROUP, doubts
from models.result import Estimate, Result
from privacy.contract.dictionary import Dictionary

LIMITS = (
    "It learned from noised sums: training again with other noise gives other weights.",
    "It is not a medical device, and nobody has shown that acting on it helps a patient.",
    "Its figures are averages over groups; they say nothing about one person.",
)

NOT_JUDGED = "Nobody has yet tried how well it predicts: evaluate it, in all and by group."
_SHOWN = (COEFFICIENT, RATIO, FACT)


@dataclass(frozen=True)
class Provenance:
    """What the model alone does not say: from the study, the plan and the release.

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
class Judgement:
    """How well the model did among other members: an answer of `evaluate`, and what that cost."""

    cohort: str
    epsilon: str
    delta: str
    release: str
    figures: Result

    def to_json(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("cohort", "epsilon", "delta", "release")}
        return {**named, "figures": _finite(self.figures.to_json())}


@dataclass(frozen=True)
class Card:
    """Everything to read before using the model. `model` says in words what it is, `weights` how
    many numbers it holds; `figures` are those of the run itself, of a network how well it predicts
    among those who trained it, of a regression its coefficients."""

    provenance: Provenance
    model: str
    outcome: str
    event: str | None
    features: tuple[str, ...]
    dictionary: str
    weights: int
    law: str
    figures: Result
    judged: tuple[Judgement, ...] = ()
    limits: tuple[str, ...] = LIMITS

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the figures say against using it, group by group."""
        return tuple(dict.fromkeys(each for one in self._performances for each in doubts(one.rows)))

    @property
    def _performances(self) -> tuple[Result, ...]:
        """Every table of (group, figure)."""
        every = (self.figures, *(each.figures for each in self.judged))
        return tuple(each for each in every if each.by[0] == GROUP)

    def to_json(self) -> dict[str, Any]:
        """A plain form of it all."""
        words = ("model", "outcome", "event", "dictionary", "weights", "law")
        return {
            **{name: getattr(self, name) for name in words},
            "provenance": asdict(self.provenance),
            "features": list(self.features),
            "unit": unit(self.provenance),
            "figures": _finite(self.figures.to_json()),
            "judged": [each.to_json() for each in self.judged],
            "warnings": list(self.warnings),
            "limits": list(self.limits),
        }


def card_of_network(
    request: Train,
    dictionary: Dictionary,
    figures: Result,
    provenance: Provenance,
    judged: tuple[Judgement, ...] = (),
) -> Card:
    """`figures`: what `request.conclude` gave."""
    given = request.specification
    return Card(
        provenance=provenance,
        model=f"network ({given.network.kind})",
        outcome=given.outcome,
        event=given.event,
        features=given.features,
        dictionary=dictionary.digest,
        weights=request.compiled(dictionary).length,
        law=request.method(),
        figures=figures,
        judged=judged,
    )


def card_of_regression(
    request: Fitted,
    dictionary: Dictionary,
    figures: Result,
    provenance: Provenance,
    judged: tuple[Judgement, ...] = (),
) -> Card:
    """`figures`: what `request.conclude` gave."""
    outcome, event = _outcome(request, dictionary)
    return Card(
        provenance=provenance,
        model=request.words(),
        outcome=outcome,
        event=event,
        features=tuple(sorted(ref.name for ref in request.model(dictionary).design.columns)),
        dictionary=dictionary.digest,
        weights=sum(row.cell[0] == COEFFICIENT for row in figures.rows),
        law=request.method(),
        figures=figures,
        judged=judged,
    )


def _outcome(request: Fitted, dictionary: Dictionary) -> tuple[str, str | None]:
    match request:
        case Regression():
            return request.model(dictionary).outcome.column.name, request.happened or None
        case Cox():
            return f"{request.event} at {request.time}", request.happened
        case Progression():
            return f"change of {request.outcome} with {request.time}", None
        case _:
            assert_never(request)


def unit(provenance: Provenance) -> str:
    """What the guarantee protects."""
    several = f" at up to {provenance.memberships} organisations" * (provenance.memberships > 1)
    return f"one member with all their records{several}, added or removed"


def markdown(card: Card) -> str:
    """The card to read. Text from outside cannot add headings, links or rows."""
    told = card.provenance
    kind = "Network" if card.figures.by[0] == GROUP else "Regression"
    parts = (
        [f"# {kind} for {_plain(card.outcome)}", "", f"**Purpose.** {_plain(told.purpose)}"],
        [f"**Intended use.** {_plain(told.intended_use)}"],
        ["## Warnings", "", *(f"- {_plain(each)}" for each in card.warnings)]
        if card.warnings
        else [],
        ["## What it is", "", *_table(("", ""), _facts(card))],
        ["## What it cost", "", *_table(("", ""), _costs(told))],
        ["## How it was trained", "", _plain(card.law)],
        _own(card),
        *(_judgement(each) for each in card.judged),
        ["## Limits", "", *(f"- {each}" for each in card.limits)],
    )
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _facts(card: Card) -> list[tuple[str, str]]:
    told = card.provenance
    return [
        ("model", card.model),
        ("study", told.study),
        ("cohort", told.cohort or "all members"),
        ("outcome", card.outcome + (f" = {card.event}" if card.event else "")),
        ("features", ", ".join(card.features)),
        ("weights", f"{card.weights:,}"),
        ("organisations", ", ".join(told.organisations)),
        ("dictionary", card.dictionary),
    ]


def _decimal(exact: str) -> str:
    """A fraction as people read it; the JSON beside the card holds the exact one."""
    return f"{float(Fraction(exact)):.6g}"


def _costs(told: Provenance) -> list[tuple[str, str]]:
    return [
        ("ε", told.epsilon),
        ("δ", told.delta),
        ("ρ", _decimal(told.rho)),
        ("protects", unit(told)),
        ("receipts", ", ".join(told.receipts)),
    ]


def _own(card: Card) -> list[str]:
    """The run's own figures: performance of a network, coefficients of a regression."""
    notes = [f"- {_plain(note)}" for note in card.figures.notes]
    if card.figures.by[0] == GROUP:
        head = ["## How well it predicts", "", *notes, ""]
        return [*head, *_performance(card.figures.rows, "No groups were asked for.")]
    lines = [
        (row.cell[1], _number(row.estimate), _interval(row))
        for row in card.figures.rows
        if row.cell[0] in _SHOWN
    ]
    missing = [] if card.judged else ["", NOT_JUDGED]
    table = _table(("term", "estimate", "95 % interval"), lines)
    return ["## Coefficients", "", *notes, "", *table, *missing]


def _judgement(found: Judgement) -> list[str]:
    cohort = f"Members: {_plain(found.cohort or 'all members')}."
    cost = f"ε {found.epsilon}, δ {found.delta}, release {_plain(found.release)}."
    notes = [f"- {_plain(note)}" for note in found.figures.notes]
    head = ["## How well it predicts when tried on members", "", f"{cohort} {cost}", "", *notes, ""]
    return [*head, *_performance(found.figures.rows, "No groups were asked for.")]


def _performance(rows: Sequence[Estimate], nothing: str) -> list[str]:
    by_group = _figures(rows, whole=False) or [nothing]
    return [*_figures(rows, whole=True), "", "### By group", "", *by_group]


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
