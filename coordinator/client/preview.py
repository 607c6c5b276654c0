"""What a question would cost and how far off its answer may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from coordinator.client.errors import Explained
from models import planner
from models.aggregates.requests import Analysis
from models.digits import digits, many
from models.lines import lines
from privacy import errors
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput, Code
from privacy.units import Rho

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

_SHORT = 12


@dataclass(frozen=True)
class Remaining:
    """Budgets as epsilon: `study` is left of the study's allowance, `node` of the period of
    the node (`node_name`) with least; `after` is left of the smaller after this question, and
    `more` questions of its cost could follow."""

    study: float
    node: float | None
    node_name: str
    after: float
    more: int

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        node = said["node"]
        return cls(
            study=float(said["study"]["epsilon"]),
            node=None if node is None else float(node["left"]["epsilon"]),
            node_name="" if node is None else str(node["node"]),
            after=float(said["after"]["epsilon"]),
            more=int(said["more"]),
        )

    def __str__(self) -> str:
        node = f", {self.node:.4g} of {self.node_name}'s period" if self.node is not None else ""
        many = "1 more question" if self.more == 1 else f"about {self.more:,} more questions"
        return (
            f"epsilon {self.study:.4g} of the study's allowance{node}; after this "
            f"{self.after:.4g}, {many} like it"
        )


@dataclass(frozen=True)
class Earlier:
    """A stored release that answers the question, or holds what it asks; `study.release(…)`
    opens it."""

    release: str
    released_at: str
    relation: str
    sentence: str
    epsilon: float

    def __str__(self) -> str:
        return (
            f"{self.sentence}, epsilon {self.epsilon:.4g}, on {self.released_at[:10]} "
            f"({self.relation}): study.release({self.release[:_SHORT]!r})"
        )


@dataclass(frozen=True)
class Preview:
    """Cost and expected error, from public facts; nothing was spent.

    `left` is the epsilon that is left of the study's allowance, None where nothing is kept
    (mock data), like `budget`. Half-widths are of 95 % intervals, per cell.
    """

    planned: planner.Preview
    can_answer: tuple[str, ...]
    cannot_answer: Mapping[str, str]
    left: float | None
    affordable: bool
    budget: Remaining | None = None
    answered: Earlier | None = None
    related: tuple[Earlier, ...] = ()
    left_rho: Rho | None = None
    declining: int = 0  # organisations that will not answer, for whatever reason
    asked: tuple[Analysis, Dictionary] | None = field(default=None, repr=False, compare=False)

    @property
    def epsilon(self) -> float:
        """What to pass to `run`: as asked, or as found for the target error."""
        return float(self.planned.epsilon)

    @property
    def charged(self) -> float:
        """What one run is charged, as epsilon at the study's delta, memberships included."""
        return 0.0 if self.answered else self.planned.epsilon_charged

    @property
    def rho(self) -> str:
        """What one run is charged if it is not answered already, exactly."""
        return self.planned.rho

    @property
    def half_width(self) -> float | None:
        """Expected half-width per cell; None where it depends on the cohort's size."""
        return self.planned.half_width

    @property
    def noise_share(self) -> float | None:
        """Part of the expected variance that is privacy noise."""
        return self.planned.noise_share

    @property
    def sentence(self) -> str:
        return self.planned.sentence

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line per cell: members to expect, half-widths, how much of the variance is noise."""
        import pandas as pd

        if self.asked is None:
            raise BadInput("this preview does not know its question", instead="preview it again")
        columns = ("members", "half_noise", "half_sampling", "half_width", "noise_share")
        found = lines(self.planned, *self.asked)
        rows = [
            [", ".join(filter(None, each.cell)), *(getattr(each, name) for name in columns)]
            for each in found
        ]
        return pd.DataFrame(rows, columns=["cell", *columns]).astype(dict.fromkeys(columns, float))

    def plot(self) -> ChartType:
        """An Altair chart of the expected interval, split into sampling and noise."""
        from coordinator.client.plots.previews import chart_of_preview

        return chart_of_preview(self.planned)

    def to_json(self) -> dict[str, Any]:
        return {
            "preview": self.planned.to_json(),
            "can_answer": list(self.can_answer),
            "cannot_answer": dict(self.cannot_answer),
            "declining": self.declining,
            "left": self.left,
            "affordable": self.affordable,
            "budget": None if self.budget is None else vars(self.budget),
            "answered": None if self.answered is None else vars(self.answered),
            "related": [vars(each) for each in self.related],
        }

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Self:
        """From the coordinator's answer."""
        answered = answer["answered"]
        return cls(
            planned=planner.Preview.from_json(answer["preview"]),
            can_answer=tuple(answer["can_answer"]),
            cannot_answer=dict(answer["cannot_answer"]),
            left=float(answer["left"]["epsilon"]),
            left_rho=Rho.parse(answer["left"]["rho"]),
            affordable=bool(answer["affordable"]),
            budget=Remaining.from_json(answer["budget"]),
            answered=None if answered is None else Earlier(**answered),
            related=tuple(Earlier(**each) for each in answer["related"]),
            declining=int(answer["declining"]),
        )

    def __str__(self) -> str:
        lines = [str(self.planned)]
        if self.cannot_answer:
            others = ", ".join(f"{node} ({why})" for node, why in self.cannot_answer.items())
            lines.append(_line("not now", others))
        if self.declining:
            lines.append(_line("declining", f"{self.declining} organisations will not answer"))
        if self.budget is not None:
            short = "" if self.affordable else " — not enough for this question"
            lines.append(_line("left", f"{self.budget}{short}"))
        if self.answered is not None:
            lines.append(_line("answered", f"already, so it costs nothing: {self.answered}"))
        lines += [_line("answered", f"already: {each}") for each in self.related]
        return "\n".join(lines)

    __repr__ = __str__


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"


@contextmanager
def reworded() -> Iterator[None]:
    """Say in words why no epsilon reaches a target error, and why a plan is absurd."""
    try:
        yield
    except errors.Refused as refused:
        words = _words(refused)
        if not words:
            raise
        raise Explained(refused.code, words, refused.public_fields) from None


def _words(refused: errors.Refused) -> str:
    said = refused.public_fields
    of = f" with {many(int(said['members']), 'member')}" if "members" in said else ""
    match refused.code:
        case Code.OUT_OF_REACH if said.get("sampling"):
            return (
                f"No epsilon reaches ± {digits(float(said['target']), 6)}: sampling alone is "
                f"± {digits(float(said['sampling']))}{of}."
            )
        case Code.OUT_OF_REACH:
            return f"No epsilon reaches ± {digits(float(said['target']), 6)}{of}."
        case Code.TOO_MANY_CELLS if "members" in said:
            return f"{many(int(said['cells']), 'cell')} are too many{of}: {said['instead']}."
        case _:
            return ""
