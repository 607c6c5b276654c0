"""A study as a researcher meets it: what may be asked, of whom, and what is left to spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from coordinator.client.analyses import Asking
from coordinator.client.attrition import Attrition
from coordinator.client.delegating import Delegated
from coordinator.client.errors import BadInput, Refused, checking
from coordinator.client.facts import Budget, ColumnInfo, Source
from coordinator.client.mock import MockBackend, MockSource
from coordinator.client.plan import Plan
from coordinator.client.proposing import Step
from coordinator.client.question import Epsilon, Question, epsilon_text
from coordinator.client.result import Result
from models.aggregates.requests import Analysis, normalise, parse_analysis
from models.changed import changed
from models.cohort.empty import refuse_empty
from models.cohort.parse import parse_cohort
from models.cohort.steps import steps_of
from models.cohort.text import canonical_text
from models.derivation import BY_ORGANISATION
from models.regression.rounds import InRounds
from models.within import cohort_within, declared
from privacy.contract import study as contract
from privacy.contract.dictionary import Dictionary
from privacy.contract.study_life import Act
from privacy.contract.study_words import describe_text
from privacy.errors import Code


class Study(Asking):
    """One study. `where(...)` picks a cohort; without it a question is of all members.

    `net.study("als-progression")` gives one. What it is, it asks the coordinator for, which raises
    NotSignedIn, Unreachable, or Refused for a study that is not there for you.
    """

    def __init__(self, study_id: str, source: Source) -> None:
        self.id = study_id
        self._source = source

    @cached_property
    def facts(self) -> contract.Study:
        """The study as the organisations approved it."""
        return self._source.facts()

    @cached_property
    def dictionary(self) -> Dictionary:
        """Tables and columns with their levels, bounds and bins."""
        return self._source.dictionary()

    @property
    def title(self) -> str:
        return self.facts.title

    @property
    def purpose(self) -> str:
        return self.facts.purpose

    def about(self) -> str:
        """Everything that the organisations approved, in words: one line each.

        Example: `print(study.about())`
        """
        return describe_text(self.facts)

    @property
    def columns(self) -> list[ColumnInfo]:
        """Every column that a question may name."""
        return [
            ColumnInfo(
                name=ref.column.name,
                table=ref.table.name,
                type=ref.column.type.value,
                cells=ref.column.cell_labels,
                lower=ref.column.lower,
                upper=ref.column.upper,
                unit=ref.column.unit,
                label=ref.column.label,
            )
            for ref in self.dictionary.refs.values()
            if not ref.column.identifier
        ]

    @property
    def budget(self) -> Budget:
        """What is left now, from the nodes' newest ledgers."""
        return self._source.budget()

    @property
    def approvals(self) -> dict[str, str]:
        """Each organisation's decision, by node."""
        return self._source.approvals()

    def delegate(self, epsilon: Epsilon, hours: float = 8, to: str | None = None) -> Delegated:
        """Leave for another key to ask this study in your name, for so much and so long.

        `to` is its public key, of a browser for instance; without one a new key is made and
        kept in what is returned. Every node counts what is asked under it and marks it as
        delegated. Raises BadInput.

        Example: `leave = study.delegate(1, hours=8)`
        """
        return self._source.delegate(epsilon_text(epsilon), hours, to)

    def under(self, delegated: Delegated) -> Study:
        """The same study, asked under a delegation instead of with your own key.

        Example: `study.under(study.delegate(1)).count().run(epsilon=0.3)`
        """
        return Study(self.id, self._source.delegated(delegated))

    @property
    def steps(self) -> list[Step]:
        """The steps of the study's life that you are told of: proposals, approvals, questions."""
        return self._source.steps()

    def answer(self, words: str) -> str:
        """Answer what an organisation asked back: the study is proposed again with these words.

        Returns the state after it, as `close` and `publish` do.

        Raises Refused where nothing was asked back, or you are no investigator.

        Example: `study.answer("The columns are needed for the adjusted model.")`
        """
        return self._source.take(Act.PROPOSE, words)

    def close(self) -> str:
        """End the study: no question of it is answered any more.

        Raises Refused if you are no investigator of it.

        Example: `study.close()`
        """
        return self._source.take(Act.CLOSE, "")

    def publish(self, results: str, releases: Sequence[Result | str] = ()) -> str:
        """Publish what a closed study found, in plain words, in the network's public register.

        `releases`, answers of this study or their digests, become public with it, as charts and
        tables; at most twenty. What is public stays so.

        Raises Refused before the study is closed, BadInput for answers of another study.

        Example: `study.publish("Fatigue grows with age.", [result])`
        """
        named = (self.release(each) if isinstance(each, str) else each for each in releases)
        return self._source.take(Act.PUBLISH, results, tuple(each.release for each in named))

    def where(self, cohort: str) -> Selection:
        """The members for whom `cohort` holds, for instance "condition == 'als' and age >= 18".

        Raises BadInput for what is no cohort, and for one that nobody can be in.

        Example: `study.where("condition == 'als' and age >= 18").count()`
        """
        if not isinstance(cohort, str):
            raise BadInput("a cohort is text", where="cohort", code=Code.BAD_EXPRESSION)
        with checking(Code.BAD_EXPRESSION, "cohort"):
            tree = parse_cohort(cohort, self.dictionary)
            refuse_empty(tree)
        return Selection(self, canonical_text(tree), steps_of(cohort))

    def attrition(self, conditions: Sequence[str]) -> Attrition:
        """How many made-up members meet the first condition, the first two, and so on.

        Raises Refused on a network, where the numbers would be members' data.

        Example: `study.mock().attrition(["condition == 'als'", "age >= 50"])`
        """
        if isinstance(conditions, str) or not all(isinstance(each, str) for each in conditions):
            raise BadInput("conditions are a list of texts", where="conditions")
        within = (self.facts.cohort,) if self.facts.cohort else ()
        return self._source.backend.attrition((*within, *conditions))

    def plan(self, epsilon: Epsilon) -> Plan:
        """A pre-registered set of questions that share `epsilon` by weight; see `Plan`.

        Example: `study.plan(epsilon=2).add(study.mean("age"), weight=3)`
        """
        return Plan(self, epsilon)

    def plan_from(self, value: Mapping[str, Any]) -> Plan:
        """The plan that `Plan.to_json` wrote down; raises BadInput.

        Example: `study.plan_from(study.plan(2).add(study.count()).to_json())`
        """
        return Plan.from_json(self, value)

    def release(self, digest: str) -> Result:
        """An earlier answer, by its digest or the first digits of it; costs nothing.

        Raises Refused(NOT_FOUND) where there is none that you may see.

        Example: `study.release("3f9c0a71")`
        """
        if not isinstance(digest, str):
            raise BadInput("a release is named by its digest", where="release")
        found = self._source.backend.release(digest)
        analysis = parse_analysis(found.asked.analysis)
        try:
            return replace(found, question=self.ask(analysis, found.asked.cohort))
        except Refused:  # of who only reads releases, or of a question not taken any more
            return found

    def declared(self) -> Dictionary:
        return self.dictionary

    def asked(self, analysis: Analysis) -> Question:
        """The analysis of all members."""
        return self.ask(analysis, "")

    def mock(self, members: int = 1000, seed: int = 1) -> Study:
        """The same study on made-up members, in this process: costs nothing.

        Example: `study.mock(members=500).count(by="condition").run(epsilon=0.3)`
        """
        return mock_study(self.facts, self.dictionary, members, seed)

    def ask(self, analysis: Analysis, cohort: str) -> Question:
        """Check an analysis against the dictionary and the study, within the study's cohort.

        Raises BadInput, and Refused for an analysis that the study does not allow. Usually one of
        the
        methods for an analysis is called instead.
        """
        if self.facts.analyses and analysis.kind not in self.facts.analyses:
            raise Refused(
                Code.ANALYSIS_NOT_ALLOWED,
                "The study does not allow this analysis.",
                {"allowed": ", ".join(self.facts.analyses)},
            )
        with checking(Code.UNKNOWN_COLUMN, named=Code.BAD_REQUEST):
            full = normalise(self._with_organisations(analysis), self.dictionary)
        with checking(Code.BAD_EXPRESSION, "cohort"):
            within = cohort_within(self.facts, cohort, self.dictionary)
            refuse_empty(within)
        return Question(self.id, full, canonical_text(within), self._source.backend)

    def _with_organisations(self, analysis: Analysis) -> Analysis:
        """The nodes that would answer now are named where figures are by organisation."""
        if not isinstance(analysis, InRounds) or not analysis.by_organisation(self.dictionary):
            return analysis
        if not self.facts.by_organisation:
            raise Refused(
                Code.ANALYSIS_NOT_ALLOWED,
                "The study does not allow figures by organisation.",
                {"analysis": BY_ORGANISATION},
            )
        if analysis.organisations:
            return analysis
        return changed(analysis, organisations=self._source.organisations())

    def __repr__(self) -> str:
        facts = self.facts
        return (
            f"{self._source.label}({self.id!r}: {facts.title}; purpose {facts.purpose}, consent "
            f"{facts.consent.value}, {facts.starts} to {facts.ends}, "
            f"epsilon {facts.epsilon_allowance})"
        )


def mock_study(
    facts: contract.Study, dictionary: Dictionary, members: int = 1000, seed: int = 1
) -> Study:
    """A study on made-up members; every result says so."""
    named = declared(facts, dictionary)
    return Study(facts.id, MockSource(MockBackend(facts, named, members, seed)))


@dataclass(frozen=True)
class Selection(Asking):
    """A cohort of a study, by its canonical text ("" is everyone)."""

    study: Study
    cohort: str
    written: tuple[str, ...] = field(default=(), compare=False)  # its conditions, in that order

    def declared(self) -> Dictionary:
        return self.study.dictionary

    def asked(self, analysis: Analysis) -> Question:
        """The analysis of this cohort."""
        return self.study.ask(analysis, self.cohort)

    def where(self, cohort: str) -> Selection:
        """Narrow further: both conditions hold. Raises BadInput as `study.where` does.

        Example: `study.where("condition == 'als'").where("age >= 50")`
        """
        if not self.cohort:
            return self.study.where(cohort)
        added = self.study.where(cohort)
        if not added.cohort:
            return self
        both = self.study.where(f"({self.cohort}) and ({added.cohort})")
        return replace(both, written=(*self.written, *added.written))

    def attrition(self) -> Attrition:
        """For each condition in turn, how many members remain: on made-up members alone.

        On a network the numbers would be members' data; it is refused there.

        Example: `study.mock().where("condition == 'als' and age >= 50").attrition()`
        """
        return self.study.attrition(self.written)

    def __repr__(self) -> str:
        return f"Selection({self.study.id!r} where {self.cohort or 'everyone'})"
