"""Who may see what: a researcher only studies whose investigators include their key.

What a caller may not see answers exactly as what does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from coordinator.store.facts import Principal, ReleaseFacts, RunFacts, StudyFacts
from coordinator.store.store import Store
from privacy.contract.token import Role
from privacy.errors import Code, Refused

_DIGEST = 64
_PREFIX = re.compile(r"[0-9a-f]{8,63}")


def _may_see(principal: Principal, facts: StudyFacts) -> bool:
    if principal.role is not Role.RESEARCHER:
        return True
    return not principal.keys.isdisjoint(facts.study.keys)


def visible_studies(store: Store, principal: Principal) -> tuple[StudyFacts, ...]:
    """The newest versions of the studies that this person may see."""
    return tuple(facts for facts in store.studies.newest() if _may_see(principal, facts))


def visible_versions(store: Store, principal: Principal, study_id: str = "") -> list[str]:
    """Digests of the study versions whose runs this person may see, of one study or of all."""
    every = store.studies.every_version(study_id)
    return [facts.study.digest for facts in every if _may_see(principal, facts)]


def visible_study(store: Store, principal: Principal, study_id: str) -> StudyFacts:
    """One study, newest version; raises Refused(UNKNOWN_STUDY)."""
    facts = store.studies.get(study_id)
    if not _may_see(principal, facts):
        raise Refused(Code.UNKNOWN_STUDY)
    return facts


def visible_run(store: Store, principal: Principal, run_id: str) -> RunFacts:
    """One run of a study version that this person may see; raises Refused(NOT_FOUND)."""
    run = store.runs.get(run_id)
    if not _may_see(principal, store.studies.version(run.study_digest)):
        raise Refused(Code.NOT_FOUND)
    return run


def visible_release(
    store: Store, principal: Principal, digest: str
) -> tuple[ReleaseFacts, StudyFacts]:
    """A release with its study version, by its digest or the beginning of it.

    Raises Refused(NOT_FOUND) for none, and for a beginning of several that may be seen.
    """
    whole = len(digest) == _DIGEST or not _PREFIX.fullmatch(digest)
    found = [
        (release, facts)
        for each in ((digest,) if whole else store.releases.beginning(digest))
        for release in (store.releases.get(each),)
        for facts in (store.studies.version(release.study_digest),)
        if _may_see(principal, facts)
    ]
    if len(found) != 1:
        raise Refused(Code.NOT_FOUND)
    return found[0]


def answers_for(
    store: Store, principal: Principal, runs: Sequence[RunFacts]
) -> Iterator[tuple[RunFacts, ReleaseFacts | None]]:
    """Runs with their releases, unless the caller manages the network without reading results."""
    told = () if principal.role is Role.ADMIN else runs
    found = store.releases.those({run.release for run in told if run.release is not None})
    return ((run, found.get(run.release or "")) for run in runs)
