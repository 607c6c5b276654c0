"""What answers to a study would look like, on made-up members.

Made of the dictionary and the study alone: no record is read, so it shows the size and the noise
of an answer and nothing of what is true here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.aggregates.requests import Analysis
from models.examples import example_questions
from models.mock import mock_rows, mock_run
from models.result import Result, for_reading
from models.rows import Rows
from models.sentences import sentence
from privacy.contract.dictionary import Dictionary
from privacy.contract.study import Study
from privacy.errors import BadInput, Refused
from privacy.randomness import Entropy

MEMBERS = 1_000
FEWEST_NODES = 3
MOST_LINES = 30
_PART = 10  # of the allowance, for one question
_DRAWN = range(2, 25)  # lines that a chart can show


@dataclass(frozen=True)
class Example:
    """One answer on made-up members; `lines` are (cell, estimate, low, high), rounded."""

    sentence: str
    unit: str
    by: str
    lines: tuple[tuple[str, float, float, float], ...]
    more: int  # lines that are left out
    alike: bool  # whether all lines are one figure of one column's cells

    @property
    def chart(self) -> dict[str, Any] | None:
        """A Vega-Lite drawing of the lines; None for too few or too many of them."""
        if len(self.lines) not in _DRAWN or self.more or not self.alike:
            return None
        values = [
            {"cell": cell, "estimate": estimate, "low": low, "high": high}
            for cell, estimate, low, high in self.lines
        ]
        place = {"field": "cell", "type": "nominal", "sort": None, "title": self.by}
        title = self.unit or "estimate"
        across: dict[str, Any] = {"field": "estimate", "type": "quantitative", "title": title}
        across["axis"] = {"tickCount": 5}
        ends = {"x": across | {"field": "low"}, "x2": {"field": "high"}, "y": place}
        bars = {"mark": {"type": "bar", "color": "#8dbbd6"}, "encoding": {"x": across, "y": place}}
        rules = {"mark": {"type": "rule", "color": "#1d2528", "size": 2}, "encoding": ends}
        return {
            "width": 320,
            "height": {"step": 26},
            "data": {"values": values},
            "layer": [bars, rules],
            "config": {"axis": {"labelFontSize": 11, "titleFontSize": 11}},
        }


@dataclass(frozen=True)
class ExpectedShape:
    """Examples of a study's answers, each at this `epsilon`; `why` says why there are none."""

    epsilon: str
    examples: tuple[Example, ...]
    why: str = ""


def expected_shape(
    study: Study, dictionary: Dictionary, nodes: int, entropy: Entropy
) -> ExpectedShape:
    """Answers as the study's questions could get them, for a tenth of its allowance each."""
    epsilon = format(Decimal(study.epsilon_allowance) / _PART, "f")
    if study.dictionary != dictionary.digest:
        why = "It is written for another dictionary than the one in force here."
        return ExpectedShape(epsilon, (), why)
    asked = example_questions(dictionary, study.names, study.analyses)
    rows = mock_rows(dictionary, MEMBERS, seed=1)
    found = tuple(_examples(study, asked, rows, epsilon, max(nodes, FEWEST_NODES), entropy))
    none = "" if found else "What it may run needs more than columns; ask back for an example."
    return ExpectedShape(epsilon, found, none)


def _examples(
    study: Study,
    asked: tuple[Analysis, ...],
    rows: Rows,
    epsilon: str,
    nodes: int,
    entropy: Entropy,
) -> Iterator[Example]:
    for analysis in asked:
        try:
            made = mock_run(
                analysis,
                study.cohort,
                rows.dictionary,
                epsilon=epsilon,
                delta=study.delta_fraction,
                nodes=nodes,
                margin=min(study.t_drop + study.t_collude, nodes - 1),
                entropy=entropy,
                memberships=study.memberships,
                rows=rows,
            )
        except (BadInput, Refused):
            continue  # the study's own terms do not allow it: no example of it
        yield _example(made, sentence(analysis, study.cohort))


def _example(made: Result, words: str) -> Example:
    lines = tuple(
        (", ".join(filter(None, row.cell)) or made.kind, row.estimate, row.low, row.high)
        for row in for_reading(made).rows[:MOST_LINES]
    )
    by = ", ".join(made.by) or "what"
    more = max(0, len(made.rows) - MOST_LINES)
    return Example(words, made.unit, by, lines, more, alike=len(made.by) == 1)
