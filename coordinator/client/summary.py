"""An answer in a few sentences: the figures that a reader looks for first, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.digits import digits
from models.result import NO_INFORMATION, Estimate, Result

_MOST = 6
_NOISY = 0.5
_SMALL_P = 1e-4
_ALL = "all"

# Figures that stand first, by kind; of others the first rows
_LEADING = {
    "survival": ("median survival", "restricted mean", "hazard ratio", "log-rank p-value"),
    "incidence": ("rate", "standardised rate"),
    "variance": ("mean", "standard deviation"),
    "top": ("members",),
    "effect": ("effect",),
    "treatment_report": ("members",),
    "disproportionality": ("reporting odds ratio",),
    "associations": ("odds ratio",),
}
_PASSED = ("signal", "associated", "replicated")


def summary(result: Result, sentence: str, *, mock: bool) -> str:
    """At most six figures, then what to bear in mind."""
    rows = _chosen(result)[:_MOST]
    figures = {_figure(result, row) for row in rows}
    only = figures.pop() if len(figures) == 1 else None
    told = "; ".join(_told(result, row, figure=only is None) for row in rows)
    more = len(result.rows) - len(rows)
    parts = [
        "Made-up members." if mock else "",
        f"{sentence}.",
        f"{_opening(result, only)}with 95 % intervals: {told}.",
        f"{more:,} more {'figures are' if more > 1 else 'figure is'} in the table." if more else "",
        _passed(result),
        _noisy(result),
    ]
    return " ".join(part for part in parts if part)


def _opening(result: Result, figure: str | None) -> str:
    """What the numbers are, said once where it is the same for all."""
    if figure:
        return f"{figure[0].upper()}{figure[1:]}, "
    if not result.unit or result.unit.startswith("per "):
        return f"Estimates {result.unit + ', ' if result.unit else ''}"
    return f"In {result.unit}, "


def _figure(result: Result, row: Estimate) -> str:
    return row.cell[0] if result.by and result.by[0] == "figure" else ""


def _chosen(result: Result) -> list[Estimate]:
    """The rows that a reader looks for first; of many pairs those that stand out."""
    names = _LEADING.get(result.kind, ())
    if result.kind == "table":
        return [row for row in result.rows if row.cell[0] == "members" and _ALL not in row.cell]
    if result.kind == "describe":
        moments = ("mean", "standard deviation")
        return [row for row in result.rows if row.cell[1] in moments] or list(result.rows)
    if result.kind == "map":
        return [row for row in result.rows if row.cell[1] == _ALL]
    if result.kind == "treatment_report":
        whole = [row for row in result.rows if row.cell[2] == _ALL]
        return sorted(whole, key=lambda row: -row.estimate)
    found = [row for row in result.rows if row.cell and row.cell[0].startswith(names or ("",))]
    rows = found if names and found else list(result.rows)
    if result.kind in ("disproportionality", "associations"):
        return sorted(rows, key=_standing_out)
    if result.kind == "survival":
        return sorted(rows, key=lambda row: _place(row.cell[0], names))
    return rows


def _place(figure: str, names: Sequence[str]) -> int:
    return next(at for at, name in enumerate(names) if figure.startswith(name))


def _standing_out(row: Estimate) -> tuple[bool, float]:
    """Those that passed first, and of these the ones whose interval is farthest from 1."""
    nearest = max(row.low, 1 / row.high) if row.low > 0 and row.high > 0 else 0.0
    return row.note not in _PASSED, -nearest


def _told(result: Result, row: Estimate, *, figure: bool) -> str:
    named = _figure(result, row)
    words = [named if figure else "", _cell(result, row)]
    name = ", ".join(word for word in words if word)
    said = _said(result, row, named)
    ends = name[-1:] in (")", "]") or name[-1:].isdigit() or row.note == NO_INFORMATION
    apart = ":" if name and ends else ""
    return f"{name}{apart} {said}".strip()


def _said(result: Result, row: Estimate, figure: str) -> str:
    """The number, or that there is none."""
    if row.note == NO_INFORMATION:
        return "no information"
    if "p-value" in figure:
        return "below 0.0001" if row.estimate < _SMALL_P else f"{row.estimate:.2g}"
    note = f", {row.note}" if row.note and row.note not in _PASSED else ""
    if figure.endswith("ratio"):
        middle, low, high = (_short(each) for each in (row.estimate, row.low, row.high))
        return f"{middle} ({low} to {high}){note}"
    share = result.kind == "prevalence" or figure.startswith("share")
    return numbers_of(row, percent=share) + note


def _cell(result: Result, row: Estimate) -> str:
    """The cell in words, without the figure and without parts that say nothing."""
    parts = [part.replace("_", " ") for part in row.cell]
    if result.by and result.by[0] == "figure":
        parts = parts[1:]
    match result.kind:
        case "associations" if len(parts) == 4 and parts[0]:
            return f"{parts[0]} {parts[1]} with {parts[2]} {parts[3]}"
        case "describe":
            return ", ".join(
                part for part in (parts[0], parts[1].removeprefix("members"), parts[2]) if part
            )
        case "disproportionality" | "correlation":
            return " with ".join(parts)
        case "survival":
            groups = ", ".join(part for part in parts[:-1] if part)
            return f"{groups} to {parts[-1]}".strip() if parts[-1] else groups
        case "quantiles":
            return "median" if parts == ["0.5"] else f"quantile {parts[0]}"
        case "treatment_report" | "map" | "top" | "incidence":
            kept = [part for part in dict.fromkeys(parts) if part != _ALL]
            return ", ".join(kept) or _ALL
        case _:
            return ", ".join(part for part in parts if part)


def numbers_of(row: Estimate, *, percent: bool = False) -> str:
    """An estimate and its interval with the digits that its error supports."""
    scale, sign = (100.0, " %") if percent else (1.0, "")
    if row.se <= 0 and row.low == row.high:
        return f"{_short(row.estimate * scale)}{sign}"
    width = row.se if row.se > 0 else (row.high - row.low) / 4
    places = max(0, -math.floor(math.log10(width * scale / 2))) if width > 0 else 0
    ends = (row.estimate, row.low, row.high)
    if all(end == round(end) for end in ends):
        places = 0
    middle, low, high = (_rounded(each * scale, places) for each in ends)
    return f"{middle}{sign} ({low} to {high}{sign})"


def _rounded(value: float, places: int) -> str:
    if abs(value) >= 1e15:
        return "without bound"
    text = f"{value:,.{min(places, 6)}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text


def _short(value: float) -> str:
    """Three digits; thousands in full."""
    return "without bound" if abs(value) >= 1e15 else digits(value)


def _passed(result: Result) -> str:
    """How many pairs stand out: the note of the release says it."""
    said = [note for note in result.notes if "expected to be false" in note]
    return said[0] if said else ""


def _noisy(result: Result) -> str:
    sampled = [row for row in result.rows if row.se_sampling > 0]
    noisy = sum(row.noise_share > _NOISY for row in sampled)
    if not noisy:
        return ""
    if len(sampled) == 1:
        return "Noise is most of the error: more epsilon would narrow the interval."
    return f"In {noisy:,} of {len(sampled):,} estimates noise is most of the error."
