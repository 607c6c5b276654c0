"""The curve of `python -m bench heart`, drawn from a file of results: `python -m bench.heart_figure
bench/results/….json docs/figures/heart.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from tests.support.catalogue_pages import svg_of

POOLED, ALONE, PRIVATE = "pooled, no privacy", "each hospital alone, no privacy", "private, pooled"
FIGURES = ("AUC", "coefficient error")


def points(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One line per figure, epsilon and fit; what has no epsilon is the same at each."""
    found = [row for row in rows if row.get("benchmark") == "heart" and "figure" in row]
    epsilons = sorted({row["epsilon"] for row in found if row["epsilon"]})
    return pd.DataFrame(
        {"figure": row["figure"], "fit": row["fit"], "epsilon": epsilon, "value": row["value"]}
        for row in found
        for epsilon in ([row["epsilon"]] if row["epsilon"] else epsilons)
    )


def drawn(frame: pd.DataFrame) -> alt.HConcatChart:
    return alt.hconcat(*(_one(frame[frame.figure == figure], figure) for figure in FIGURES))


def _one(frame: pd.DataFrame, figure: str) -> alt.Chart:
    return (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("epsilon:O", title="ε", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=figure, scale=alt.Scale(zero=figure != "AUC")),
            color=alt.Color("fit:N", title=None, sort=[POOLED, PRIVATE, ALONE]),
            strokeDash=alt.StrokeDash("fit:N", legend=None, sort=[POOLED, PRIVATE, ALONE]),
        )
        .properties(width=240, height=200)
    )


def main(results: str, picture: str) -> None:
    rows = json.loads(Path(results).read_text("utf-8"))["rows"]
    Path(picture).parent.mkdir(parents=True, exist_ok=True)
    Path(picture).write_text(svg_of(drawn(points(rows))), "utf-8", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
