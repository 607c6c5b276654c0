"""What the release library already says of a question, to somebody who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.api.question_schema import Earlier
from coordinator.store.facts import ReleaseFacts, StudyFacts
from coordinator.store.store import Store
from models.aggregates.requests import Analysis, parse_analysis
from models.cohort_size import size_told
from models.opening import last_opening
from models.related import Relation, relation
from models.sentences import sentence
from privacy.contract.canonical import parse_canonical
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.errors import BadInput

LOOKED_AT = 200  # newest releases of a study version
OFFERED = 5
Now = tuple[tuple[str, ...], str]  # the nodes that would answer, and the data epoch


@dataclass(frozen=True)
class Stored:
    """A release of the study with what it answers."""

    release: ReleaseFacts
    plan: Plan
    analysis: Analysis

    def of(self, now: Now) -> bool:
        """Was it asked of those who would answer now, in this data epoch?"""
        return (self.plan.participants, self.plan.epoch) == now

    def view(self, relation: Relation) -> Earlier:
        said = parse_canonical(self.release.envelope.body)
        return Earlier(
            release=self.release.digest,
            released_at=said["released_at"],
            relation=relation.value,
            sentence=sentence(self.analysis, self.plan.cohort),
            epsilon=float(said["epsilon"]),
        )


def stored(store: Store, facts: StudyFacts, cohort: str) -> tuple[Stored, ...]:
    """The newest releases of this study version for this cohort (canonical text)."""
    found = []
    for release, plan in store.releases.of_study(facts.study.digest, LOOKED_AT):
        if plan.cohort != cohort or plan.dictionary != facts.study.dictionary:
            continue
        try:
            found.append(Stored(release, plan, parse_analysis(plan.analysis)))
        except BadInput:  # of a newer program
            continue
    return tuple(found)


def related(
    asked: Analysis, dictionary: Dictionary, among: Sequence[Stored], but: str, now: Now
) -> list[Earlier]:
    """At most five releases that hold what `asked` asks, the closest first; `but` is left out."""
    ranks = list(Relation)
    found = [
        (ranks.index(what), each.view(what))
        for each in among
        for what in (relation(asked, each.analysis, dictionary),)
        if what is not None and each.release.digest != but
        if what is not Relation.COVARIATES or each.of(now)
    ]
    return [view for _, view in sorted(found, key=lambda pair: pair[0])[:OFFERED]]


def members_by(among: Sequence[Stored], dictionary: Dictionary) -> tuple[int, str] | None:
    """The cohort's noised size by the release that is surely of most, and which that is."""
    told = [(size, each) for each in among for size in (_members(each, dictionary),) if size]
    if not told:
        return None
    (members, _), best = max(told, key=lambda pair: pair[0][1])
    return max(1, round(members)), f"noised, by release {best.release.digest[:12]}"


def _members(each: Stored, dictionary: Dictionary) -> tuple[float, float] | None:
    if len(each.analysis.shares(dictionary)) != 1:
        return None
    opening = last_opening(parse_canonical(each.release.envelope.body))
    return size_told(each.analysis, dictionary, opening)
