"""Answers of three nodes to a question about given rows, with seeded noise shares."""

from __future__ import annotations

from fractions import Fraction

from models.aggregates.requests import Analysis
from models.mock import mock_run
from models.result import Estimate
from models.rows import Rows
from tests.support.seeded import seeded_entropy


def answered(
    analysis: Analysis, rows: Rows, epsilon: str = "1e15", seed: object = 1
) -> dict[tuple[str, ...], Estimate]:
    """Rows of the answer by cell; at the epsilon unless given the noise is negligible."""
    result = mock_run(
        analysis,
        "",
        rows.dictionary,
        epsilon=epsilon,
        delta=Fraction(1, 10**6),
        nodes=3,
        margin=1,
        entropy=seeded_entropy(f"answered {seed}"),
        rows=rows,
    )
    return {row.cell: row for row in result.rows}
