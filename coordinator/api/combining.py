"""Releases that top each other up: checked before anything is spent, combined after."""

from __future__ import annotations

from typing import Any

from coordinator.api.entitlement import visible_release
from coordinator.api.question_schema import CombinedView
from coordinator.api.views import amount, release_view
from coordinator.store.facts import Principal, ReleaseFacts
from coordinator.store.store import Store
from models.aggregates.requests import parse_analysis
from models.combining import check_survivors, combine, disagreement_of
from models.opening import last_opening
from privacy.contract.canonical import parse_canonical
from privacy.contract.plan import Plan
from privacy.errors import Code, Refused
from privacy.units import Rho


def check_tops_up(store: Store, principal: Principal, plan: Plan) -> list[ReleaseFacts]:
    """What a plan's question tops up, which must speak of the same members in the same way.

    Raises Refused(NOT_FOUND) for a release that the caller may not see, and
    Refused(NOT_COMBINABLE) saying what differs.
    """
    topped_up = []
    for digest in plan.tops_up:
        release, _ = visible_release(store, principal, digest)
        what = disagreement_of(store.releases.plan(release), plan)
        if what is not None:
            raise Refused(Code.NOT_COMBINABLE, differs=what)
        check_survivors(plan.participants, _survivors(release))
        topped_up.append(release)
    return topped_up


def combined_view(store: Store, principal: Principal, digest: str) -> CombinedView:
    """The release, those that its question tops up, and what they say together."""
    last, facts = visible_release(store, principal, digest)
    plan = store.releases.plan(last)
    earlier = check_tops_up(store, principal, plan)
    check_survivors(plan.participants, _survivors(last))
    releases = [*earlier, last]
    analysis = parse_analysis(plan.analysis)
    dictionary = store.network.dictionary_version(plan.dictionary)
    made = combine(analysis, dictionary, [last_opening(_statement(each)) for each in releases])
    delta = facts.study.delta_fraction
    spent = amount(Rho.total(Rho.parse(_statement(each)["rho"]) for each in releases), delta)
    return CombinedView(
        study=plan.study,
        analysis=dict(plan.analysis),
        cohort=plan.cohort,
        rho=spent.rho,
        epsilon=spent.epsilon,
        delta=plan.delta,
        variance_grid=str(made.law.variance_grid),
        mechanism=made.law.mechanism.to_json(),
        result=analysis.conclude(dictionary, [made]).to_json(),
        releases=[release_view(each, store.releases.plan(each)) for each in releases],
    )


def _survivors(release: ReleaseFacts) -> list[str]:
    """Of the last round: what is combined has no other."""
    return list(_statement(release)["rounds"][-1]["survivors"])


def _statement(release: ReleaseFacts) -> dict[str, Any]:
    return dict(parse_canonical(release.envelope.body))
