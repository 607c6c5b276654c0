"""Who may see what: a researcher only studies whose investigators include their key.

What a caller may not see answers exactly as what does not exist.
"""

from __future__ import annotations

import re

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
    every = store.studies.every_version()
    return [
        facts.study.digest
        for facts in every
        if _may_see(principal, facts) and study_id in ("", facts.study.id)
    ]


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


def answer_for(store: Store, principal: Principal, run: RunFacts) -> ReleaseFacts | None:
    """The release of a run, unless the caller manages the network without reading results."""
    if run.release is None or principal.role is Role.ADMIN:
        return None
    return store.releases.get(run.release)
