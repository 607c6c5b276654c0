"""The same calls on made-up members, in this process, with the noise a real answer would have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from coordinator.client.errors import checking
from coordinator.client.facts import Budget, Loss
from coordinator.client.preview import Preview
from coordinator.client.question import Question, Terms
from coordinator.client.result import Asked, Noise, Result
from coordinator.client.titles import titles_of
from models import planner
from models.derivation import Round, rounds_of
from models.mock import mock_rows, mock_run
from models.rows import Rows
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.contract import study as contract
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code
from privacy.randomness import Entropy
from privacy.units import Rho

NODES = ("mock-a", "mock-b", "mock-c")


@dataclass(frozen=True)
class MockBackend:
    """Answers questions from made-up rows; `members` and `seed` fix the rows, not the noise."""

    facts: contract.Study
    dictionary: Dictionary
    members: int
    seed: int
    entropy: Entropy = os.urandom

    @cached_property
    def rows(self) -> Rows:
        return mock_rows(self.dictionary, self.members, self.seed)

    def preview(self, question: Question, epsilon: str, members: int | None) -> Preview:
        with checking(Code.BAD_REQUEST):
            planned = planner.preview(
                question.analysis,
                question.cohort,
                self.dictionary,
                epsilon=epsilon,
                delta=self.facts.delta_fraction,
                nodes=len(NODES),
                margin=self._margin,
                memberships=self.facts.max_memberships,
                assumed_members=members or self.members,
            )
        return Preview(planned, NODES, {}, None, True)

    def run(self, question: Question, terms: Terms) -> Result:
        rounds = self._rounds(question, terms.epsilon)
        rho = Rho.total(each.rho for each in rounds)
        with checking(Code.BAD_REQUEST):
            answer = mock_run(
                question.analysis,
                question.cohort,
                self.dictionary,
                epsilon=terms.epsilon,
                delta=self.facts.delta_fraction,
                nodes=len(NODES),
                margin=self._margin,
                entropy=self.entropy,
                memberships=self.facts.max_memberships,
                rows=self.rows,
            )
        return Result(
            asked=Asked(
                self.facts.id,
                self.facts.purpose,
                question.sentence,
                question.analysis_json,
                question.cohort,
            ),
            answer=answer,
            rho=rho.fraction,
            epsilon=epsilon_of_rho(rho, self.facts.delta_fraction),
            delta=self.facts.delta_fraction,
            noise=Noise(rounds[-1].mechanism, len(NODES)),
            receipts=(),
            identity="",
            release="",
            run="",
            repeat=False,
            mock=True,
            rounds=len(rounds),
            titles=lambda: titles_of(self.dictionary),
        )

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
