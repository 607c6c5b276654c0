"""Where a question is asked: the public facts of study and network that its price depends on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from models.aggregates.requests import Analysis
from models.derivation import Round, rounds_of
from models.noise_law import NoiseLaw
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary


@dataclass(frozen=True)
class Setting:
    """`nodes` take part, of which `margin` may drop or collude; a person is a member at up to
    `memberships` of them. Losses are told at `delta`."""

    delta: Fraction
    nodes: int
    margin: int
    memberships: int = 1

    def rounds(self, analysis: Analysis, dictionary: Dictionary, epsilon: str) -> tuple[Round, ...]:
        """What a question of `epsilon` (decimal text) is asked with, round by round.

        Raises BadInput, and Refused(BAD_EPSILON) where it is too small for one grid unit.
        """
        rho = rho_of_epsilon(parse_epsilon(epsilon), self.delta)
        return rounds_of(analysis, dictionary, rho, self.nodes, self.margin, self.memberships)

    def law(self, analysis: Analysis, dictionary: Dictionary, epsilon: str) -> NoiseLaw:
        """The noise of the last round when nobody is lost."""
        last = self.rounds(analysis, dictionary, epsilon)[-1]
        return NoiseLaw(last.mechanism, survivors=self.nodes)
