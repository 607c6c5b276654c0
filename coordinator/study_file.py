"""study.toml: the studies a network offers and the policy its organisations start from.

    [[study]]
    id = "als-progression"
    title = "Progression of ALS under treatment"
    purpose = "research"
    consent = "required"
    period = ["2026-01-01", "2027-12-31"]
    epsilon_allowance = 10

    [policy]
    min_cohort = 20
    t_collude = 1

Every mistake is one line that names the file, the study, the key and the rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coordinator.study_draft import StudyDraft, epsilon, only, read_draft
from coordinator.study_values import at_least, number, text_list, whole
from privacy.accounting.conversion import DEFAULT_DELTA
from privacy.contract.canonical import rational
from privacy.contract.policy import Linking, Policy, Rules
from privacy.contract.study import Investigator, Study
from privacy.errors import BadInput

_POLICY_KEYS = {
    "yearly_epsilon",
    "min_cohort",
    "t_drop",
    "t_collude",
    "max_memberships",
    "link_fields",
    "link_room",
    "delta",
    "declared_members",
}


@dataclass(frozen=True)
class PolicyDraft:
    """Limits that hold for every study of the file; what a node starts its policy from."""

    yearly_epsilon: str
    min_cohort: int
    t_drop: int
    t_collude: int
    max_memberships: int
    link_fields: tuple[str, ...]
    link_room: int
    delta: Fraction
    declared_members: int | None


@dataclass(frozen=True)
class StudyFile:
    """What study.toml says."""

    studies: tuple[StudyDraft, ...]
    policy: PolicyDraft

    def study_facts(
        self, dictionary_digest: str, investigators: tuple[Investigator, ...]
    ) -> tuple[Study, ...]:
        """The studies as they will be signed, once `models.within.check_study` has seen them.

        `investigators` are used where the file names none.
        """
        return tuple(
            _study(draft, self.policy, dictionary_digest, investigators) for draft in self.studies
        )

    def policy_facts(self, partners: Collection[str] = ()) -> Policy:
        """The policy an organisation's node starts with: its floors are the studies' limits.

        `partners` are the other organisations, with whom members are linked where the file says
        by what.
        """
        draft = self.policy
        return Policy(
            yearly_epsilon=draft.yearly_epsilon,
            delta=rational(draft.delta),
            min_cohort=draft.min_cohort,
            min_collude=draft.t_collude,
            max_drop=draft.t_drop,
            max_memberships=draft.max_memberships,
            rules=Rules(linking=_linking(draft, partners)),
        )


def _linking(draft: PolicyDraft, partners: Collection[str]) -> Linking | None:
    if not draft.link_fields or not partners:
        return None
    return Linking(partners=tuple(sorted(partners)), fields=draft.link_fields, room=draft.link_room)


def load_study_file(content: str, where: str, today: date) -> StudyFile:
    """Read study.toml. `where` names the file in errors; raises BadInput on the first mistake."""
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"not TOML ({error})", where=where) from None
    only(document, {"study", "policy"}, where)
    written = document.get("study", [])
    if not isinstance(written, list) or not written:
        raise BadInput("no study", where=where, instead="write at least one [[study]] table")
    studies = tuple(read_draft(entry, i, where, today) for i, entry in enumerate(written, 1))
    ids = [study.id for study in studies]
    for study_id in ids:
        if ids.count(study_id) > 1:
            raise BadInput("two studies have this id", where=f"{where}, study {study_id!r}")
    return StudyFile(studies, _policy(document.get("policy", {}), studies, where))


def _policy(table: Any, studies: tuple[StudyDraft, ...], where: str) -> PolicyDraft:
    place = f"{where}, [policy]"
    if not isinstance(table, Mapping):
        raise BadInput("not a table", where=place, instead="write [policy]")
    only(table, _POLICY_KEYS, place)
    declared = whole(table, "declared_members", place, default=0, least=0) or None
    return PolicyDraft(
        yearly_epsilon=_yearly(table, studies, place),
        min_cohort=whole(table, "min_cohort", place, default=0, least=0),
        t_drop=whole(table, "t_drop", place, default=0, least=0),
        t_collude=whole(table, "t_collude", place, default=1, least=1),
        max_memberships=whole(table, "max_memberships", place, default=1, least=1, most=100),
        link_fields=tuple(sorted(set(text_list(table, "link_fields", place)))),
        link_room=whole(table, "link_room", place, default=10_000, least=1, most=2**24 - 1),
        delta=_delta(table, declared, place),
        declared_members=declared,
    )


def _yearly(table: Mapping[str, Any], studies: tuple[StudyDraft, ...], place: str) -> str:
    """The sum of the allowances unless the file says otherwise, exact to the last digit."""
    where = f"{place}, yearly_epsilon"
    if "yearly_epsilon" in table:
        return epsilon(table["yearly_epsilon"], where)
    total = sum((Fraction(study.epsilon_allowance) for study in studies), Fraction(0))
    exact = Decimal(total.numerator * 10**30 // total.denominator).scaleb(-30)
    return epsilon(exact, where)


def _delta(table: Mapping[str, Any], declared: int | None, place: str) -> Fraction:
    where = f"{place}, delta"
    delta = Fraction(number(table["delta"], where)) if "delta" in table else DEFAULT_DELTA
    at_least(delta, Fraction(1, 10**300), where)
    if delta > Fraction(1, 1000):
        raise BadInput("delta is at most 0.001", where=where)
    if declared is not None and delta > Fraction(1, 10 * declared):
        raise BadInput(
            f"delta is at most 1 / (10 x declared_members), here {1 / (10 * declared):.1e}",
            where=where,
        )
    return delta


def _study(
    draft: StudyDraft,
    policy: PolicyDraft,
    dictionary: str,
    investigators: tuple[Investigator, ...],
) -> Study:
    written = {field.name: getattr(draft, field.name) for field in fields(draft)}
    return Study(
        **written
        | {
            "starts": draft.starts.isoformat(),
            "ends": draft.ends.isoformat(),
            "investigators": draft.investigators or investigators,
        },
        delta=rational(policy.delta),
        dictionary=dictionary,
        min_cohort=policy.min_cohort,
        t_drop=policy.t_drop,
        t_collude=policy.t_collude,
        max_memberships=policy.max_memberships,
    )
