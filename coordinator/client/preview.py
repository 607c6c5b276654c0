"""What a question would cost and how far off its answer may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from models import planner

if TYPE_CHECKING:
    from altair.typing import ChartType


@dataclass(frozen=True)
class Preview:
    """Cost and expected error, from public facts; nothing was spent.

    `left` is the epsilon that is left of the study's allowance, None where nothing is kept
    (mock data). Half-widths are of 95 % intervals, per cell.
    """

    planned: planner.Preview
    can_answer: tuple[str, ...]
    cannot_answer: Mapping[str, str]
    left: float | None
    affordable: bool

    @property
    def epsilon(self) -> float:
        """What one opening is charged, as epsilon at the study's delta."""
        return self.planned.epsilon_charged

    @property
    def rho(self) -> str:
        """What one opening is charged, exactly."""
        return self.planned.rho

    @property
    def half_width(self) -> float | None:
        """Expected half-width per cell; None where it depends on the cohort's size."""
        return self.planned.half_width

    @property
    def sentence(self) -> str:
        return self.planned.sentence

    def plot(self) -> ChartType:
        """An Altair chart of the expected interval, split into sampling and noise."""
        from coordinator.client.plots.previews import chart_of_preview

        return chart_of_preview(self.planned)

    def to_json(self) -> dict[str, Any]:
        return {
            "preview": self.planned.to_json(),
            "can_answer": list(self.can_answer),
            "cannot_answer": dict(self.cannot_answer),
            "left": self.left,
            "affordable": self.affordable,
        }

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """From the coordinator's answer."""
        return cls(
            planned=planner.Preview.from_json(answer["preview"]),
            can_answer=tuple(answer["can_answer"]),
            cannot_answer=dict(answer["cannot_answer"]),
            left=float(answer["left"]["epsilon"]),
            affordable=bool(answer["affordable"]),
        )

    def __str__(self) -> str:
        lines = [str(self.planned)]
        if self.cannot_answer:
            others = ", ".join(f"{node} ({why})" for node, why in self.cannot_answer.items())
            lines.append(f"  {'not now':<10} {others}")
        if self.left is not None:
            short = "" if self.affordable else " — not enough for this question"
            lines.append(f"  {'left':<10} epsilon {self.left:.4g} of the study's allowance{short}")
        return "\n".join(lines)

    __repr__ = __str__
