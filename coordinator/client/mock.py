"""The same calls on made-up members, in this process, with the noise a real answer would have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from coordinator.client.attrition import Attrition, attrition
from coordinator.client.errors import checking
from coordinator.client.facts import Budget, Loss
from coordinator.client.preview import Preview
from coordinator.client.question import Question, Terms
from coordinator.client.result import Asked, Noise, Result
from coordinator.client.titles import titles_of
from models import planner
from models.mock import mock_rows, mock_run
from models.rows import Rows
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.contract import study as contract
from privacy.contract.dictionary import Dictionary
from privacy.errors import Code
from privacy.mechanism import GaussianSum, plan_mechanism
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
        mechanism = self._mechanism(terms.epsilon)
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
            rho=mechanism.rho.fraction,
            epsilon=epsilon_of_rho(mechanism.rho, self.facts.delta_fraction),
            delta=self.facts.delta_fraction,
            noise=Noise(mechanism, len(NODES)),
            receipts=(),
            identity="",
            release="",
            run="",
            repeat=False,
            mock=True,
            titles=lambda: titles_of(self.dictionary),
        )

    def attrition(self, conditions: Sequence[str]) -> Attrition:
        """How many made-up members each condition leaves."""
        with checking(Code.BAD_EXPRESSION, "cohort"):
            return attrition(self.rows, conditions)

    @property
    def _margin(self) -> int:
        return min(self.facts.t_drop + self.facts.t_collude, len(NODES) - 1)

    def _mechanism(self, epsilon: str) -> GaussianSum:
        rho = rho_of_epsilon(parse_epsilon(epsilon), self.facts.delta_fraction)
        return plan_mechanism(rho, len(NODES), self._margin, self.facts.max_memberships)


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
