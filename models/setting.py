"""Where a question is asked: the public facts of study and network that its price depends on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from models.aggregates.requests import Analysis
from models.noise_law import NoiseLaw
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.mechanism import GaussianSum, plan_mechanism


@dataclass(frozen=True)
class Setting:
    """`nodes` take part, of which `margin` may drop or collude; a person is a member at up to
    `memberships` of them. Losses are told at `delta`."""

    delta: Fraction
    nodes: int
    margin: int
    memberships: int = 1

    def mechanism(self, epsilon: str) -> GaussianSum:
        """What a question of `epsilon` (decimal text) is asked with.

        Raises BadInput, and Refused(BAD_EPSILON) where it is too small for one grid unit.
        """
        rho = rho_of_epsilon(parse_epsilon(epsilon), self.delta)
        return plan_mechanism(rho, self.nodes, self.margin, self.memberships)

    def law(self, analysis: Analysis, dictionary: Dictionary, epsilon: str) -> NoiseLaw:
        """The noise of the answer when nobody is lost."""
        del analysis, dictionary
        return NoiseLaw(self.mechanism(epsilon), survivors=self.nodes)
