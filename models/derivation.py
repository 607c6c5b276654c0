"""From a signed question to everything that costs privacy, by one function all parties repeat.

Coordinator and nodes both call `derive`; a node refuses a plan whose mechanism, cost, length
or rounds differ from its own derivation. Nothing here depends on data.

Guarantee: the derived mechanism costs at most the question's epsilon per run for one
membership (`rounds` openings together), at the study's delta.
Assumes: the contribution bound of `models.contribution`.
Source: the conversion in `privacy.accounting.conversion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.aggregates.catalogue import contribution
from models.aggregates.requests import Analysis, normalise, parse_analysis
from models.cohort.expression import Expression
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.combining import check_topping_up
from models.contribution import Contribution
from models.sentences import sentence
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan, Question, identity_of
from privacy.contract.study import Study
from privacy.errors import Code, Refused
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho

MAX_LENGTH = 1_000_000
MAX_ATTEMPTS = 10


@dataclass(frozen=True)
class Derivation:
    """A question made exact. `rho` is the cost of one opening, memberships included."""

    analysis: Analysis
    analysis_json: dict[str, Any]
    cohort: Expression
    cohort_text: str
    contribution: Contribution
    mechanism: GaussianSum
    rho: Rho
    rounds: int
    length: int
    sentence: str
    tops_up: tuple[str, ...] = ()

    def identity(
        self, study_digest: str, dictionary: Dictionary, participants: tuple[str, ...], epoch: str
    ) -> str:
        """The name under which this analysis has one stored answer."""
        return identity_of(
            analysis=self.analysis_json,
            cohort=self.cohort_text,
            dictionary=dictionary.digest,
            study_digest=study_digest,
            participants=participants,
            epoch=epoch,
            rho=self.rho.text,
            tops_up=self.tops_up,
        )


def derive(question: Question, study: Study, dictionary: Dictionary, nodes: int) -> Derivation:
    """Compile `question` for `nodes` participants.

    Raises BadInput for a question that the dictionary does not allow (nothing is spent), and
    Refused for one outside the study or the limits of a run.
    """
    analysis = normalise(parse_analysis(question.analysis), dictionary)
    if study.analyses and analysis.kind not in study.analyses:
        raise Refused(Code.ANALYSIS_NOT_ALLOWED, analysis=analysis.kind)
    if not 1 <= question.max_attempts <= MAX_ATTEMPTS:
        raise Refused(Code.TOO_MANY_ATTEMPTS, most=MAX_ATTEMPTS)
    check_topping_up(analysis, dictionary, question.tops_up)
    cohort = parse_cohort(question.cohort, dictionary)
    rho = rho_of_epsilon(parse_epsilon(question.epsilon), study.delta_fraction)
    margin = study.t_drop + study.t_collude
    mechanism = plan_mechanism(rho, nodes, margin, study.max_memberships)
    shape = contribution(analysis, dictionary, mechanism.delta_grid)
    if shape.length > MAX_LENGTH:
        raise Refused(Code.TOO_MANY_CELLS, cells=shape.length, most=MAX_LENGTH)
    return Derivation(
        analysis=analysis,
        analysis_json=analysis.to_json(),
        cohort=cohort,
        cohort_text=canonical_text(cohort),
        contribution=shape,
        mechanism=mechanism,
        rho=mechanism.rho,
        rounds=1,
        length=shape.length,
        sentence=sentence(analysis, canonical_text(cohort)),
        tops_up=question.tops_up,
    )


def disagreement(
    plan: Plan, question: Question, own: Derivation, study: Study, dictionary: Dictionary
) -> str | None:
    """What the plan says otherwise than `own`, the derivation of its question; None if nothing.

    A node asks before it answers, an auditor afterwards: neither takes the plan's word.
    """
    identity = own.identity(study.digest, dictionary, plan.participants, plan.epoch)
    agreements = (
        (plan.analysis == own.analysis_json, "analysis"),
        (plan.cohort == own.cohort_text, "cohort"),
        (plan.mechanism == own.mechanism.to_json(), "mechanism"),
        (plan.rho == own.rho.text, "rho"),
        (plan.rounds == own.rounds, "rounds"),
        (plan.length == own.length, "length"),
        (plan.max_attempts == question.max_attempts, "max_attempts"),
        (plan.delta == study.delta, "delta"),
        (plan.identity == identity, "identity"),
    )
    return next((what for holds, what in agreements if not holds), None)
