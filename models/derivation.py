"""From a signed question to everything that costs privacy, by one function all parties repeat.

Coordinator and nodes both call `derive`; a node refuses a plan whose mechanism, cost, length
or rounds differ from its own derivation. Nothing here depends on data.

Guarantee: the derived rounds together, each opened once, cost at most the question's epsilon
for one membership, at the study's delta, whatever each round is asked with: the cost of every
round is fixed before the first, and `contribution_at` checks its bound for the state that came.
Assumes: the contribution bound of `models.contribution`.
Source: the conversion in `privacy.accounting.conversion`; zCDP adds up over rounds of which each
depends on the answers before it (Bun and Steinke 2016, arXiv 1605.02065, lemma 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.aggregates.requests import Analysis, normalise, parse_analysis
from models.cohort.expression import Expression
from models.cohort.text import canonical_text
from models.combining import check_topping_up
from models.contribution import Contribution
from models.regression.rounds import InRounds
from models.sentences import sentence
from models.within import cohort_within, declared
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan, PlannedRound, Question, identity_of
from privacy.contract.study import Study
from privacy.errors import BadInput, Code, Refused
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho

BY_ORGANISATION = "figures by organisation"
MAX_LENGTH = 1_000_000
MAX_ATTEMPTS = 10
MAX_ROUNDS = 256
MAX_STATE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Round:
    """One opening of a run: its mechanism, and how many numbers it opens."""

    mechanism: GaussianSum
    length: int

    @property
    def rho(self) -> Rho:
        """The cost of one attempt, memberships included."""
        return self.mechanism.rho

    @property
    def planned(self) -> PlannedRound:
        """As it stands in a plan."""
        return PlannedRound(
            mechanism=self.mechanism.to_json(), rho=self.rho.text, length=self.length
        )


@dataclass(frozen=True)
class Derivation:
    """A question made exact. `rho` is the cost of the run, every round once."""

    analysis: Analysis
    analysis_json: dict[str, Any]
    dictionary: Dictionary
    cohort: Expression
    cohort_text: str
    rounds: tuple[Round, ...]
    sentence: str
    tops_up: tuple[str, ...] = ()

    @property
    def rho(self) -> Rho:
        return Rho.total(each.rho for each in self.rounds)

    @property
    def planned(self) -> tuple[PlannedRound, ...]:
        return tuple(each.planned for each in self.rounds)

    def contribution_at(self, number: int, state: bytes) -> Contribution:
        """What one member adds in round `number` when everybody was told `state`.

        Guarantee: `norm_squared` is at most the round's `delta_grid` squared and the length is
        the planned one, checked for this very state, whoever made it.
        Raises BadInput for bytes that are no state of this analysis, for a first state other
        than the analysis' own, and for a contribution that is not within its bound.
        """
        if len(state) > MAX_STATE_BYTES:
            raise BadInput(f"a state has at most {MAX_STATE_BYTES} bytes")
        if number == 0 and not self.analysis.same_state(state, self.first_state):
            raise BadInput("not the state that a run of this analysis begins with")
        planned = self.rounds[number]
        delta_grid = planned.mechanism.delta_grid
        shape = self.analysis.contribution_at(self.dictionary, delta_grid, number, state)
        if not shape.norm_squared <= delta_grid**2 or shape.length != planned.length:
            raise BadInput("the contribution is not within its bound or of another length")
        return shape

    @property
    def by_organisation(self) -> bool:
        """Is a figure of single organisations estimated?"""
        return isinstance(self.analysis, InRounds) and bool(self.analysis.organisations)

    @property
    def first_state(self) -> bytes:
        """What the first round is asked with: nothing was opened before it."""
        return self.analysis.state(self.dictionary, ())

    def identity(
        self,
        study_digest: str,
        dictionary: Dictionary,
        participants: tuple[str, ...],
        epoch: str,
        linkage: str = "",
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
            linkage=linkage,
        )


def derive(
    question: Question, study: Study, dictionary: Dictionary, participants: tuple[str, ...]
) -> Derivation:
    """Compile `question` for the nodes of a plan, in its order.

    Guarantee: only columns that the study names are read, and only members in its cohort.
    Raises BadInput for a question that the dictionary does not allow (nothing is spent), and
    Refused for one outside the study (OUTSIDE_STUDY where it names another column than the
    study's) or the limits of a run.
    """
    try:
        return _derive(question, study, declared(study, dictionary), participants)
    except BadInput:
        if study.variables:
            _refuse_outside(question, study, dictionary, participants)
        raise


def _refuse_outside(
    question: Question, study: Study, dictionary: Dictionary, participants: tuple[str, ...]
) -> None:
    """Refuse what would be a question if the study named more columns."""
    everything = study.model_copy(update={"variables": ()})
    try:
        _derive(question, everything, dictionary, participants)
    except BadInput:
        return
    raise Refused(Code.OUTSIDE_STUDY, what="variables")


def _derive(
    question: Question, study: Study, dictionary: Dictionary, participants: tuple[str, ...]
) -> Derivation:
    analysis = normalise(parse_analysis(question.analysis), dictionary)
    if study.analyses and analysis.kind not in study.analyses:
        raise Refused(Code.ANALYSIS_NOT_ALLOWED, analysis=analysis.kind)
    if not 1 <= question.max_attempts <= MAX_ATTEMPTS:
        raise Refused(Code.TOO_MANY_ATTEMPTS, most=MAX_ATTEMPTS)
    check_by_organisation(analysis, study, participants)
    check_topping_up(analysis, dictionary, question.tops_up)
    cohort = cohort_within(study, question.cohort, dictionary)
    rho = rho_of_epsilon(parse_epsilon(question.epsilon), study.delta_fraction)
    margin = study.t_drop + study.t_collude
    derived = Derivation(
        analysis=analysis,
        analysis_json=analysis.to_json(),
        dictionary=dictionary,
        cohort=cohort,
        cohort_text=canonical_text(cohort),
        rounds=rounds_of(analysis, dictionary, rho, len(participants), margin, study.memberships),
        sentence=sentence(analysis, canonical_text(cohort)),
        tops_up=question.tops_up,
    )
    derived.contribution_at(0, derived.first_state)
    return derived


def check_by_organisation(analysis: Analysis, study: Study, participants: tuple[str, ...]) -> None:
    """Refuse figures by organisation that nobody approved, or of others than the participants.

    Guarantee: where it passes, every organisation that the analysis tells apart takes part, at
    its own place, and the study that each of them approved says so. Members keep their bound
    either way: it does not depend on who is told apart.
    Raises Refused(ANALYSIS_NOT_ALLOWED, OTHER_ORGANISATIONS).
    """
    if not isinstance(analysis, InRounds) or not analysis.organisations:
        return
    if not study.by_organisation:
        raise Refused(Code.ANALYSIS_NOT_ALLOWED, analysis=BY_ORGANISATION)
    if analysis.organisations != participants:
        raise Refused(
            Code.OTHER_ORGANISATIONS,
            named=", ".join(analysis.organisations),
            answering=", ".join(participants),
        )


def rounds_of(
    analysis: Analysis, dictionary: Dictionary, rho: Rho, nodes: int, margin: int, memberships: int
) -> tuple[Round, ...]:
    """The rounds of a run that may cost `rho` for one membership.

    Guarantee: one attempt of every round costs at most `rho` * memberships^2 in all: each
    round's part is rounded down, and what an earlier release paid is left out.
    Raises Refused(TOO_MANY_CELLS, BAD_EPSILON), and BadInput for shares that are none.
    """
    parts, spared = analysis.shares(dictionary), analysis.spared(dictionary)
    sound = all(type(part) is int and part >= 1 for part in parts) and spared >= 0
    if not sound or not 1 <= len(parts) <= MAX_ROUNDS:
        raise BadInput(f"a run has 1 to {MAX_ROUNDS} rounds, of whole shares above 0")
    whole = sum(parts) + spared
    mechanisms = [
        plan_mechanism(Rho(rho.units * part // whole), nodes, margin, memberships) for part in parts
    ]
    lengths = [
        analysis.length_at(dictionary, mechanism.delta_grid, number)
        for number, mechanism in enumerate(mechanisms)
    ]
    if max(lengths) > MAX_LENGTH:
        raise Refused(Code.TOO_MANY_CELLS, cells=max(lengths), most=MAX_LENGTH)
    return tuple(map(Round, mechanisms, lengths))


def disagreement(
    plan: Plan, question: Question, own: Derivation, study: Study, dictionary: Dictionary
) -> str | None:
    """What the plan says otherwise than `own`, the derivation of its question; None if nothing.

    A node asks before it answers, an auditor afterwards: neither takes the plan's word.
    """
    identity = own.identity(study.digest, dictionary, plan.participants, plan.epoch, plan.linkage)
    agreements = (
        (bool(plan.linkage) == study.linked, "linkage"),
        (plan.analysis == own.analysis_json, "analysis"),
        (plan.cohort == own.cohort_text, "cohort"),
        (plan.rounds == own.planned, _differing(plan.rounds, own.planned)),
        (plan.rho == own.rho.text, "rho"),
        (plan.max_attempts == question.max_attempts, "max_attempts"),
        (plan.delta == study.delta, "delta"),
        (plan.identity == identity, "identity"),
    )
    return next((what for holds, what in agreements if not holds), None)


def _differing(stated: tuple[PlannedRound, ...], own: tuple[PlannedRound, ...]) -> str:
    """Which part of the rounds is another."""
    if len(stated) != len(own):
        return "rounds"
    pairs = list(zip(stated, own, strict=True))
    if any(left.mechanism != right.mechanism for left, right in pairs):
        return "mechanism"
    return "rho" if any(left.rho != right.rho for left, right in pairs) else "length"
