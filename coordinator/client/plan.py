"""A pre-registered set of questions that share one budget by weight.

plan = study.plan(epsilon=2.0)
plan.add(study.mean("age"), weight=1)
plan.add(study.survival("time", "event", by="arm"), weight=3)
plan.preview()
plan.run()
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

from coordinator.client.errors import BadInput, checking
from coordinator.client.preview import Preview
from coordinator.client.question import Epsilon, Question, decimal_text, epsilon_text
from coordinator.client.result import Result
from models.aggregates.requests import Analysis, parse_analysis
from models.digits import many
from models.sharing import divide
from privacy.accounting.conversion import epsilon_of_rho, rho_of_epsilon
from privacy.contract import study as contract
from privacy.contract.canonical import digest
from privacy.errors import Code
from privacy.units import Rho

if TYPE_CHECKING:
    import pandas as pd

MOST_QUESTIONS = 1000
_FIELDS = {"study", "study_digest", "epsilon", "questions"}
_EACH = {"analysis", "cohort", "weight"}


class Asks(Protocol):
    """A study, as far as a plan needs one."""

    id: str

    @property
    def facts(self) -> contract.Study: ...

    def ask(self, analysis: Analysis, cohort: str) -> Question: ...

    def release(self, digest: str) -> Result: ...


@dataclass(frozen=True)
class Item:
    """One question of a plan, its weight and its part of the budget (decimal text)."""

    question: Question
    weight: str
    epsilon: str

    @cached_property
    def key(self) -> str:
        """What the question is known by, whatever its weight."""
        return _key(self.question)


@dataclass(frozen=True)
class PlanPreview:
    """The previews of a plan's questions, in their order, and what all cost together."""

    epsilon: str
    items: tuple[Item, ...]
    previews: tuple[Preview, ...]

    @property
    def affordable(self) -> bool:
        """Whether what is left pays for all that are not answered yet, as rho adds up."""
        left = [each.left_rho for each in self.previews if each.left_rho is not None]
        return not left or self.rho <= min(left)

    @property
    def left_after(self) -> float | None:
        """Epsilon left of the study's allowance after all of them, None on mock data."""
        left = [each.left_rho for each in self.previews if each.left_rho is not None]
        if not left:
            return None
        rest = min(left) - self.rho if self.affordable else Rho(0)
        return epsilon_of_rho(rest, Fraction(self.previews[0].planned.delta))

    @property
    def rho(self) -> Rho:
        """What the questions not answered yet will be charged."""
        return Rho.total(Rho.parse(each.rho) for each in self.previews if not each.answered)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line per question: its part of the budget and its expected error."""
        import pandas as pd

        columns = ["question", "weight", "epsilon", "half_width", "unit", "noise_share", "answered"]
        rows = [
            [
                each.sentence,
                float(item.weight),
                float(item.epsilon),
                each.half_width,
                each.planned.unit,
                each.noise_share,
                each.answered is not None,
            ]
            for item, each in zip(self.items, self.previews, strict=True)
        ]
        return pd.DataFrame(rows, columns=columns)

    def to_json(self) -> dict[str, Any]:
        return {
            "epsilon": self.epsilon,
            "affordable": self.affordable,
            "questions": [
                {"weight": item.weight, "epsilon": item.epsilon, **each.to_json()}
                for item, each in zip(self.items, self.previews, strict=True)
            ],
        }

    def __str__(self) -> str:
        short = "" if self.affordable else " — not enough is left for all of it"
        lines = [f"{many(len(self.items), 'question')} share epsilon {self.epsilon}{short}"]
        for item, each in zip(self.items, self.previews, strict=True):
            lines.append(f"weight {item.weight}, epsilon {float(item.epsilon):.4g}: {each}")
        if self.left_after is not None:
            lines.append(
                f"after all of them epsilon {self.left_after:.4g} of the allowance is left"
            )
        return "\n".join(lines)

    __repr__ = __str__


class Plan:
    """Questions that are fixed before the first is asked, with one budget.

    Losses add up in rho: whatever the weights, all of them together cost at most `epsilon`.
    `answers` remembers what was answered by each question's key, so that a plan that was
    interrupted asks only what is left.
    """

    def __init__(self, study: Asks, epsilon: Epsilon) -> None:
        self.study = study
        self.epsilon = epsilon_text(epsilon)
        self.answers: dict[str, Result] = {}
        self._asked: list[tuple[Question, str]] = []
        self._begun = False

    def add(self, question: Question, weight: Epsilon = 1) -> Self:
        """Put a question into the plan; returns the plan.

        Raises BadInput for a question of another study, one that stands in the plan already,
        a weight that is no number above 0, and once the first question was asked.

        Example: `plan.add(study.mean("age"), weight=3)`
        """
        if self._begun:
            raise BadInput("the plan was asked already, which fixed its parts", instead="a new one")
        if not isinstance(question, Question):
            raise BadInput("a plan is of questions", where="plan", instead="add(study.count())")
        if question.study != self.study.id:
            raise BadInput("that question is of another study", where="plan")
        if len(self._asked) >= MOST_QUESTIONS:
            raise BadInput(f"a plan has at most {MOST_QUESTIONS:,} questions", where="plan")
        if _key(question) in {_key(each) for each, _ in self._asked}:
            raise BadInput(
                f"the plan has this question already: {question.sentence}",
                where="plan",
                instead="add it once, with more weight",
            )
        self._asked.append((question, _weight(weight)))
        return self

    @property
    def items(self) -> tuple[Item, ...]:
        """The questions with their parts of the budget; raises BadInput for an empty plan."""
        delta = self.study.facts.delta_fraction
        with checking(Code.BAD_REQUEST, "plan"):
            parts = divide(self.epsilon, [Fraction(weight) for _, weight in self._asked], delta)
        pairs = zip(self._asked, parts, strict=True)
        return tuple(Item(question, weight, part) for (question, weight), part in pairs)

    @property
    def rho(self) -> Rho:
        """What all questions may cost together, of one membership."""
        with checking(Code.BAD_EPSILON, "epsilon"):
            return rho_of_epsilon(Fraction(self.epsilon), self.study.facts.delta_fraction)

    def preview(self, *, members: int | None = None) -> PlanPreview:
        """Cost and expected error of every question; spends nothing.

        Example: `print(plan.preview())`
        """
        items = self.items
        seen = tuple(each.question.preview(epsilon=each.epsilon, members=members) for each in items)
        return PlanPreview(self.epsilon, items, seen)

    def run(
        self,
        *,
        max_attempts: int = 1,
        timeout_seconds: float = 120.0,
        each: Callable[[Item, Result], None] = lambda _item, _result: None,
    ) -> tuple[Result, ...]:
        """Ask what was not answered yet, in order, and return every answer.

        Raises what a question raises; run again to go on. `each` hears of every new answer.
        With more than one attempt each question may cost as many times its part.

        Example: `results = plan.run()`
        """
        return tuple(
            result
            for _, result in self.running(
                max_attempts=max_attempts, timeout_seconds=timeout_seconds, each=each
            )
        )

    def running(
        self,
        *,
        max_attempts: int = 1,
        timeout_seconds: float = 120.0,
        each: Callable[[Item, Result], None] = lambda _item, _result: None,
    ) -> Iterator[tuple[Item, Result]]:
        """Answers as they come."""
        items = self.items
        self._begun = True
        for item in items:
            if item.key not in self.answers:
                result = item.question.run(
                    epsilon=item.epsilon, max_attempts=max_attempts, timeout_seconds=timeout_seconds
                )
                self.answers[item.key] = result
                each(item, result)
            yield item, self.answers[item.key]

    def recall(self, releases: Mapping[str, str]) -> Self:
        """Take answers of an interrupted run from the library: a release for each key.

        Example: `study.plan_from(value).recall(releases)`
        """
        for item in self.items:
            if item.key in releases and item.key not in self.answers:
                self.answers[item.key] = _recalled(item, self.study.release(releases[item.key]))
                self._begun = True
        return self

    @property
    def releases(self) -> dict[str, str]:
        """What `recall` takes: the release of every answered question."""
        return {key: result.release for key, result in self.answers.items()}

    def to_json(self) -> dict[str, Any]:
        """The plan as it can be pre-registered: questions and weights, no answers.

        Example: `json.dumps(plan.to_json())`
        """
        return {
            "study": self.study.id,
            "study_digest": self.study.facts.digest,
            "epsilon": self.epsilon,
            "questions": [
                {"analysis": each.analysis_json, "cohort": each.cohort, "weight": weight}
                for each, weight in self._asked
            ],
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON: what to quote in a registration."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls, study: Asks, value: Any) -> Self:
        """Read `to_json`'s form; raises BadInput, also for a plan of another study version."""
        said = _object(value, _FIELDS, "plan")
        if said["study"] != study.id or said["study_digest"] != study.facts.digest:
            raise BadInput("the plan is of another study or version", where="study_digest")
        if not isinstance(said["questions"], list):
            raise BadInput("questions is a list", where="plan")
        plan = cls(study, said["epsilon"])
        for number, each in enumerate(said["questions"]):
            where = f"questions[{number}]"
            question = _object(each, _EACH, where)
            with checking(Code.BAD_REQUEST, where):
                asked = parse_analysis(question["analysis"])
            if not isinstance(question["cohort"], str):
                raise BadInput("a cohort is text", where=where)
            plan.add(study.ask(asked, question["cohort"]), question["weight"])
        return plan

    def __len__(self) -> int:
        return len(self._asked)

    def __repr__(self) -> str:
        return f"Plan({self.study.id!r}: {len(self)} questions share epsilon {self.epsilon})"


def _recalled(item: Item, found: Result) -> Result:
    same = dict(found.asked.analysis) == item.question.analysis_json
    if not same or found.asked.cohort != item.question.cohort:
        raise BadInput("the release answers another question", where=item.key[:12])
    return found


def _object(value: Any, names: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or set(value) != names:
        wanted = ", ".join(sorted(names))
        raise BadInput("not the fields of a plan", where=where, instead=f"exactly {wanted}")
    return value


def _key(question: Question) -> str:
    return digest({"analysis": question.analysis_json, "cohort": question.cohort})


def _weight(weight: Epsilon) -> str:
    plain = decimal_text(weight)
    if plain == "nan" or not Fraction(plain) > 0:
        raise BadInput("a weight is a number above 0", where="weight")
    return plain


def read_plan(text: str, where: str) -> Any:
    """The JSON of a plan's file; raises BadInput."""
    try:
        return json.loads(text)
    except ValueError:
        raise BadInput("is not JSON", where=where) from None
