"""Fitted regressions as forest plots: coefficients, or hazard ratios on a log axis."""

from __future__ import annotations

import altair as alt

from coordinator.client.plots.dots import Dots, dot_plot, dropped_note, error_note
from coordinator.client.plots.points import Points
from coordinator.client.plots.sheet import Drawing, Sheet
from models.regression.cox import RATIO
from models.regression.effect_reading import AFTER, BEFORE, DIFFERENCE, EFFECT
from models.regression.reading import COEFFICIENT

_INTERCEPT, _THRESHOLD = "Intercept", " | "
_TERM = (("by1", ""),)
_SCALES = {
    "binomial": "log odds",
    "ordinal": "log odds of a higher level",
    "poisson": "log rate",
    "negative_binomial": "log rate",
}


def hazards(sheet: Sheet) -> Drawing:
    """Hazard ratios with a line at 1."""
    points = sheet.points(log=(RATIO,)).figure(RATIO)
    look = Dots(f"{RATIO} (log axis)", _TERM, log=True, at=1.0)
    return _drawn(points, look, "")


def regression(sheet: Sheet) -> Drawing:
    """Coefficients with a line at nothing, in the unit of the linear predictor."""
    family = str(sheet.analysis.get("family", "linear"))
    outcome = str(sheet.analysis.get("formula", "")).split("~")[0].strip()
    scale = _SCALES.get(family) or sheet.title(outcome).unit
    return _coefficients(sheet, scale, thresholds=family == "ordinal")


def progression(sheet: Sheet) -> Drawing:
    """Effects on the slope, in the outcome's unit per unit of time."""
    outcome, time = (sheet.title(str(sheet.analysis[name])) for name in ("outcome", "time"))
    per = time.unit.removesuffix("s") or time.short
    return _coefficients(sheet, f"{outcome.unit or outcome.short} per {per}")


def effect(sheet: Sheet) -> Drawing:
    """The difference with a line at nothing, and below how alike both arms were and are."""
    points, outcome = sheet.points(), sheet.title(str(sheet.analysis["outcome"]))
    unit = "share" if sheet.analysis.get("happened") else outcome.unit
    look = Dots(f"{DIFFERENCE} ({unit})" if unit else DIFFERENCE, _TERM, at=0.0)
    difference = points.figure(EFFECT).where_is("by1", DIFFERENCE)
    alike = points.where(lambda row: row["by0"] in (BEFORE, AFTER))
    balance = Dots("standardised difference of arms", (("by0", "figure"), *_TERM), at=0.0)
    charts = dot_plot(difference, look), dot_plot(alike, balance)
    says = (
        error_note(difference),
        "The arms' means are in the table.",
        dropped_note(alike, balance),
    )
    return Drawing(alt.vconcat(*charts, spacing=24), says)


def _coefficients(sheet: Sheet, scale: str, *, thresholds: bool = False) -> Drawing:
    """All but intercept and thresholds, which would stretch the axis; those where alone."""
    points = sheet.points().figure(COEFFICIENT)
    inner = points.where(
        lambda row: row["by1"] != _INTERCEPT and not (thresholds and _THRESHOLD in row["by1"])
    )
    left_out = f"{'Thresholds are' if thresholds else 'The intercept is'} in the table."
    shown = inner if inner.rows else points
    look = Dots(f"coefficient ({scale})" if scale else COEFFICIENT, _TERM, at=0.0)
    return _drawn(shown, look, left_out if len(shown.rows) < len(points.rows) else "")


def _drawn(points: Points, look: Dots, left_out: str) -> Drawing:
    says = (error_note(points), left_out, dropped_note(points, look))
    return Drawing(dot_plot(points, look), says)
