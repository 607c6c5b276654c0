"""A whole run in one process: the rounds of an analysis over whatever opens their totals.

It is the plain form of what the network does, for made-up members, benchmarks and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from models.aggregates.catalogue import conclude
from models.aggregates.requests import Analysis
from models.contribution import Contribution
from models.derivation import Round
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.mechanism import GaussianSum

OpenTotal = Callable[[Contribution, GaussianSum], Iterable[int]]


def openings(
    analysis: Analysis, dictionary: Dictionary, rounds: Sequence[Round], open_total: OpenTotal
) -> tuple[Opening, ...]:
    """Every round in turn, each asked with what the ones before it opened.

    `open_total` gives the noisy total of a contribution under a mechanism, all nodes surviving.
    """
    opened: list[Opening] = []
    for number, each in enumerate(rounds):
        mechanism, state = each.mechanism, analysis.state(dictionary, opened)
        shape = analysis.contribution_at(dictionary, mechanism.delta_grid, number, state)
        totals = tuple(int(total) for total in open_total(shape, mechanism))
        opened.append(Opening(totals, NoiseLaw(mechanism, mechanism.nodes), state))
    return tuple(opened)


def answer(
    analysis: Analysis, dictionary: Dictionary, rounds: Sequence[Round], open_total: OpenTotal
) -> Result:
    """Estimates with intervals of a run in memory."""
    return conclude(analysis, dictionary, openings(analysis, dictionary, rounds, open_total))
