"""The same calls on made-up members, in this process, with the noise a real answer would have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from coordinator.client.attrition import Attrition, attrition
from coordinator.client.delegating import Delegated
from coordinator.client.errors import BadInput, Refused, checking
from coordinator.client.facts import Budget, Loss
from coordinator.client.job import Job
from coordinator.client.model import Origin
from coordinator.client.preview import Preview, reworded
from coordinator.client.proposing import Step
from coordinator.client.question import Question, Terms, Wanted
from coordinator.client.receipts import Asked, Noise, Released
from coordinator.client.result import Result
from coordinator.client.titles import titles_of
from models import planner
from models import result as estimates
from models.aggregates.catalogue import conclude
from models.aggregates.requests import parse_analysis
from models.combining import check_topping_up, combined_result
from models.derivation import Round, rounds_of
from models.mock import mock_opening, mock_openings, mock_rows
from models.opening import Opening
from models.related import Relation, relation
from models.rows import Rows
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.contract import study as contract
from privacy.contract.canonical import digest
from privacy.contract.dictionary import Dictionary
from privacy.contract.study_life import Act
from privacy.contract.time import instant_text
from privacy.errors import Code
from privacy.randomness import Entropy
from privacy.units import Rho

_PREFIX = 8
NODES = ("mock-a", "mock-b", "mock-c")


@dataclass(frozen=True)
class MockRelease:
    """What a made-up answer opened, kept so that it can be topped up."""

    asked: Asked
    every: tuple[Opening, ...]
    answer: estimates.Result
    rounds: tuple[Round, ...]
    releases: tuple[Released, ...]


@dataclass(frozen=True)
class MockBackend:
    """Answers questions from made-up rows; `members` and `seed` fix the rows, not the noise."""

    facts: contract.Study
    dictionary: Dictionary
    members: int
    seed: int
    entropy: Entropy = os.urandom
    library: dict[str, MockRelease] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def rows(self) -> Rows:
        return mock_rows(self.dictionary, self.members, self.seed)

    def preview(self, question: Question, wanted: Wanted) -> Preview:
        with reworded(), checking(Code.BAD_REQUEST):
            planned = planner.preview(
                question.analysis,
                question.cohort,
                self.dictionary,
                epsilon=wanted.epsilon,
                target_error=wanted.target_error,
                delta=self.facts.delta_fraction,
                nodes=len(NODES),
                margin=self._margin,
                memberships=self.facts.max_memberships,
                assumed_members=wanted.members or self.members,
                members_from="your guess" if wanted.members else "made up",
            )
        asked = (question.analysis, self.dictionary)
        return Preview(planned, NODES, {}, None, True, asked=asked)

    def release(self, digest: str) -> Result:
        """An earlier answer of this very study object."""
        found = [kept for name, kept in self.library.items() if name.startswith(digest)]
        if len(found) != 1 or len(digest) < _PREFIX:
            raise Refused(Code.NOT_FOUND, "There is no such made-up release.")
        (kept,) = found
        return replace(self._result(kept), origin=lambda: self._origin(kept.every))

    def opened_before(self, question: Question, epsilon: str) -> str | None:
        """Among the answers of this very study object."""
        del epsilon
        asked = self._asked(question)
        for name, kept in reversed(self.library.items()):
            earlier = parse_analysis(kept.asked.analysis)
            same = kept.asked.cohort == asked.cohort
            found = relation(question.analysis, earlier, self.dictionary) if same else None
            if found is Relation.COVARIATES:
                return name
        return None

    def run(self, question: Question, terms: Terms) -> Result:
        """A new draw every time; what is topped up is looked for among earlier answers."""
        earlier = [self._earlier(question, digest) for digest in terms.tops_up]
        with checking(Code.BAD_REQUEST):
            check_topping_up(question.analysis, self.dictionary, terms.tops_up)
            if len(question.analysis.shares(self.dictionary)) > 1:
                every = self._in_rounds(question, terms)
                answer = conclude(question.analysis, self.dictionary, every)
                kept = self._keep(question, terms, every, answer, [])
                return replace(self._result(kept), origin=lambda: self._origin(every))
            (only,) = self._rounds(question, terms.epsilon)
            made = mock_opening(
                question.analysis, question.cohort, only.mechanism, self.rows, self.entropy
            )
            opened = [*(only for each in earlier for only in each.every), made]
            answer = combined_result(question.analysis, self.dictionary, opened)
        kept = self._keep(question, terms, (made,), answer, earlier)
        return replace(self._result(kept), origin=lambda: self._origin((made,)))

    def start(self, question: Question, terms: Terms) -> Job:
        """Made-up members answer at once."""
        result = self.run(question, terms)
        view = {"id": "", "state": "released", "round": result.rounds, "rounds": result.rounds}
        return Job(_Answered(result), view, question.sentence, question)

    def _origin(self, every: tuple[Opening, ...]) -> Origin:
        members = self.facts.max_memberships
        return Origin(self.dictionary, members, every[-1], lambda: every)

    def _in_rounds(self, question: Question, terms: Terms) -> tuple[Opening, ...]:
        if question.analysis.needs and find_spec(question.analysis.needs) is None:
            raise BadInput(
                f"made-up members need {question.analysis.needs} here for this analysis",
                instead="install cairn-network[neural], or ask the network",
                code=Code.MISSING_SOFTWARE,
            )
        return mock_openings(
            question.analysis,
            question.cohort,
            self.rows,
            epsilon=terms.epsilon,
            delta=self.facts.delta_fraction,
            nodes=len(NODES),
            margin=self._margin,
            entropy=self.entropy,
            memberships=self.facts.max_memberships,
        )

    def _result(self, kept: MockRelease) -> Result:
        rho = sum((each.rho for each in kept.releases), Fraction(0))
        return Result(
            asked=kept.asked,
            answer=kept.answer,
            rho=rho,
            epsilon=epsilon_of_rho(Rho.round_up(rho), self.facts.delta_fraction),
            delta=self.facts.delta_fraction,
            noise=Noise(kept.rounds[-1].mechanism, len(NODES)),
            receipts=(),
            identity="",
            release=kept.releases[-1].digest,
            run="",
            repeat=False,
            mock=True,
            rounds=len(kept.rounds),
            releases=kept.releases,
            titles=lambda: titles_of(self.dictionary),
        )

    def attrition(self, conditions: Sequence[str]) -> Attrition:
        """How many made-up members each condition leaves."""
        with checking(Code.BAD_EXPRESSION, "cohort"):
            return attrition(self.rows, conditions)

    def _asked(self, question: Question) -> Asked:
        facts, words = self.facts, question.sentence
        return Asked(facts.id, facts.purpose, words, question.analysis_json, question.cohort)

    def _keep(
        self,
        question: Question,
        terms: Terms,
        every: tuple[Opening, ...],
        answer: estimates.Result,
        earlier: list[MockRelease],
    ) -> MockRelease:
        rounds, delta = self._rounds(question, terms.epsilon), self.facts.delta_fraction
        at = instant_text(datetime.now(UTC))
        name = digest([len(self.library), at, question.sentence, self.entropy(16).hex()])
        rho = Rho.total(each.rho for each in rounds)
        released = Released(name, rho.fraction, epsilon_of_rho(rho, delta), at)
        releases = (*(each.releases[-1] for each in earlier), released)
        kept = MockRelease(self._asked(question), every, answer, rounds, releases)
        self.library[name] = kept
        return kept

    def _earlier(self, question: Question, release: str) -> MockRelease:
        kept = self.library.get(release)
        if kept is None or kept.asked != self._asked(question):
            raise BadInput("not an answer of these made-up members", code=Code.NOT_COMBINABLE)
        return kept

    @property
    def _margin(self) -> int:
        return min(self.facts.t_drop + self.facts.t_collude, len(NODES) - 1)

    def _rounds(self, question: Question, epsilon: str) -> tuple[Round, ...]:
        rho = rho_of_epsilon(parse_epsilon(epsilon), self.facts.delta_fraction)
        members = self.facts.max_memberships
        asked, nodes = question.analysis, len(NODES)
        with checking(Code.BAD_REQUEST):
            return rounds_of(asked, self.dictionary, rho, nodes, self._margin, members)


@dataclass(frozen=True)
class _Answered:
    """A run that is over."""

    result: Result

    def look(self, run_id: str, wait_seconds: float) -> Mapping[str, Any]:
        del wait_seconds
        raise Refused(Code.NOT_FOUND, "Made-up members keep no runs.", {"run": run_id})

    def cancel(self, run_id: str) -> Mapping[str, Any]:
        raise Refused(Code.CONFLICT, "The run is over.", {"run": run_id})

    def finished(self, run: Mapping[str, Any], words: str) -> Result:
        del run, words
        return self.result


@dataclass(frozen=True)
class MockSource:
    backend: MockBackend
    label: str = "MockStudy"

    def facts(self) -> contract.Study:
        return self.backend.facts

    def dictionary(self) -> Dictionary:
        return self.backend.dictionary

    def budget(self) -> Budget:
        """Mock data spend nothing: the whole allowance is left."""
        facts = self.backend.facts
        whole = Loss(facts.rho.text, epsilon_of_rho(facts.rho, facts.delta_fraction))
        nothing = Loss(Rho.ZERO.text, 0.0)
        return Budget(whole, nothing, nothing, whole)

    def approvals(self) -> dict[str, str]:
        return {}

    def delegate(self, epsilon: str, hours: float, to: str | None) -> Delegated:
        """Refused: made-up members need no leave."""
        fields: dict[str, str | int | float] = {"epsilon": epsilon, "hours": hours, "to": to or ""}
        raise Refused(Code.NOT_PERMITTED, "Made-up members need no delegation.", fields)

    def delegated(self, under: Delegated) -> MockSource:
        del under
        return self

    def steps(self) -> list[Step]:
        return []

    def take(self, act: Act, note: str, releases: tuple[str, ...] = ()) -> str:
        """Refused: made-up members have no organisations that would decide."""
        fields = {"act": act.value, "words": len(note), "releases": len(releases)}
        raise Refused(Code.NOT_PERMITTED, "A study on made-up members has no life.", fields)

    def organisations(self) -> tuple[str, ...]:
        """Made-up members belong to made-up organisations, in turn."""
        return NODES
