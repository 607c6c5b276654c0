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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coordinator.study_values import (
    at_least,
    decimal_text,
    number,
    period,
    text,
    text_list,
    whole,
    yes_or_no,
)
from models.aggregates.requests import KINDS
from privacy.accounting.conversion import DEFAULT_DELTA, parse_budget
from privacy.contract.canonical import rational
from privacy.contract.signing import PublicKey
from privacy.contract.study import PURPOSE, STUDY_ID, ConsentRule, Policy, Study
from privacy.errors import BadInput

_STUDY_KEYS = {
    "id",
    "version",
    "title",
    "purpose",
    "summary",
    "consent",
    "period",
    "epsilon_allowance",
    "analyses",
    "by_organisation",
    "investigators",
}
_POLICY_KEYS = {
    "yearly_epsilon",
    "min_cohort",
    "t_drop",
    "t_collude",
    "max_memberships",
    "delta",
    "declared_members",
}


@dataclass(frozen=True)
class StudyDraft:
    """A study as written, before dictionary and investigators are filled in."""

    id: str
    version: int
    title: str
    purpose: str
    summary: str
    consent: ConsentRule
    starts: date
    ends: date
    epsilon_allowance: str
    analyses: tuple[str, ...]
    by_organisation: bool
    investigators: tuple[str, ...]  # public keys in base64; () until they are known


@dataclass(frozen=True)
class PolicyDraft:
    """Limits that hold for every study of the file; what a node starts its policy from."""

    yearly_epsilon: str
    min_cohort: int
    t_drop: int
    t_collude: int
    max_memberships: int
    delta: Fraction
    declared_members: int | None


@dataclass(frozen=True)
class StudyFile:
    """What study.toml says."""

    studies: tuple[StudyDraft, ...]
    policy: PolicyDraft

    def study_facts(
        self, dictionary_digest: str, investigators: tuple[str, ...]
    ) -> tuple[Study, ...]:
        """The studies as they will be signed.

        `investigators` (public keys in base64) are used where the file names none.
        """
        return tuple(
            _study(draft, self.policy, dictionary_digest, investigators) for draft in self.studies
        )

    def policy_facts(self) -> Policy:
        """The policy an organisation's node starts with: its floors are the studies' limits."""
        draft = self.policy
        return Policy(
            yearly_epsilon=draft.yearly_epsilon,
            delta=rational(draft.delta),
            min_cohort=draft.min_cohort,
            min_collude=draft.t_collude,
            max_drop=draft.t_drop,
            max_memberships=draft.max_memberships,
        )


def load_study_file(content: str, where: str, today: date) -> StudyFile:
    """Read study.toml. `where` names the file in errors; raises BadInput on the first mistake."""
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"not TOML ({error})", where=where) from None
    _only(document, {"study", "policy"}, where)
    written = document.get("study", [])
    if not isinstance(written, list) or not written:
        raise BadInput("no study", where=where, instead="write at least one [[study]] table")
    studies = tuple(_draft(entry, i, where, today) for i, entry in enumerate(written, 1))
    ids = [study.id for study in studies]
    for study_id in ids:
        if ids.count(study_id) > 1:
            raise BadInput("two studies have this id", where=f"{where}, study {study_id!r}")
    return StudyFile(studies, _policy(document.get("policy", {}), studies, where))


def _only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise BadInput(
                f"unknown key {key!r}", where=where, instead="known: " + ", ".join(sorted(allowed))
            )


def _draft(entry: Any, position: int, where: str, today: date) -> StudyDraft:
    place = f"{where}, study number {position}"
    if not isinstance(entry, Mapping):
        raise BadInput("not a table", where=place, instead="write [[study]]")
    study_id = text(entry, "id", place)
    if not STUDY_ID.fullmatch(study_id):
        raise BadInput("id has lower-case letters, digits and hyphens only", where=f"{place}, id")
    place = f"{where}, study {study_id!r}"
    _only(entry, _STUDY_KEYS, place)
    starts, ends = period(entry.get("period"), f"{place}, period", today)
    return StudyDraft(
        id=study_id,
        version=whole(entry, "version", place, default=1, least=1),
        title=text(entry, "title", place, default=study_id),
        purpose=_purpose(entry, place),
        summary=text(entry, "summary", place, default=""),
        consent=_consent(entry.get("consent", "required"), f"{place}, consent"),
        starts=starts,
        ends=ends,
        epsilon_allowance=_allowance(entry, place),
        analyses=_analyses(entry, place),
        by_organisation=yes_or_no(entry, "by_organisation", place),
        investigators=_investigators(entry, place),
    )


def _purpose(entry: Mapping[str, Any], place: str) -> str:
    purpose = text(entry, "purpose", place, default="research")
    if not PURPOSE.fullmatch(purpose):
        raise BadInput(
            "a purpose has lower-case letters, digits, hyphens and underscores only",
            where=f"{place}, purpose",
        )
    return purpose


def _consent(value: Any, place: str) -> ConsentRule:
    match value:
        case "required" | True:
            return ConsentRule.REQUIRED
        case "none" | False:
            return ConsentRule.NONE
        case _:
            raise BadInput("not a consent rule", where=place, instead='write "required" or "none"')


def _allowance(entry: Mapping[str, Any], place: str) -> str:
    where = f"{place}, epsilon_allowance"
    if "epsilon_allowance" not in entry:
        raise BadInput("missing", where=where, instead="write for example epsilon_allowance = 10")
    return _epsilon(entry["epsilon_allowance"], where)


def _epsilon(value: Any, where: str) -> str:
    try:
        allowance = decimal_text(number(value, where))
        parse_budget(allowance)
    except BadInput:
        raise BadInput("not a number above 0 and at most 1e24", where=where) from None
    return allowance


def _analyses(entry: Mapping[str, Any], place: str) -> tuple[str, ...]:
    analyses = text_list(entry, "analyses", place)
    for analysis in analyses:
        if analysis not in KINDS:
            raise BadInput(
                f"no analysis {analysis!r}",
                where=f"{place}, analyses",
                instead="known: " + ", ".join(KINDS),
            )
    return analyses


def _investigators(entry: Mapping[str, Any], place: str) -> tuple[str, ...]:
    keys = text_list(entry, "investigators", place)
    for key in keys:
        try:
            PublicKey.from_text(key)
        except BadInput:
            raise BadInput(
                "not a public key",
                where=f"{place}, investigators",
                instead="write 32 bytes in base64",
            ) from None
    return keys


def _policy(table: Any, studies: tuple[StudyDraft, ...], where: str) -> PolicyDraft:
    place = f"{where}, [policy]"
    if not isinstance(table, Mapping):
        raise BadInput("not a table", where=place, instead="write [policy]")
    _only(table, _POLICY_KEYS, place)
    declared = whole(table, "declared_members", place, default=0, least=0) or None
    return PolicyDraft(
        yearly_epsilon=_yearly(table, studies, place),
        min_cohort=whole(table, "min_cohort", place, default=0, least=0),
        t_drop=whole(table, "t_drop", place, default=0, least=0),
        t_collude=whole(table, "t_collude", place, default=1, least=1),
        max_memberships=whole(table, "max_memberships", place, default=1, least=1, most=100),
        delta=_delta(table, declared, place),
        declared_members=declared,
    )


def _yearly(table: Mapping[str, Any], studies: tuple[StudyDraft, ...], place: str) -> str:
    """The sum of the allowances unless the file says otherwise, exact to the last digit."""
    where = f"{place}, yearly_epsilon"
    if "yearly_epsilon" in table:
        return _epsilon(table["yearly_epsilon"], where)
    total = sum((Fraction(study.epsilon_allowance) for study in studies), Fraction(0))
    exact = Decimal(total.numerator * 10**30 // total.denominator).scaleb(-30)
    return _epsilon(exact, where)


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
    draft: StudyDraft, policy: PolicyDraft, dictionary: str, investigators: tuple[str, ...]
) -> Study:
    return Study(
        id=draft.id,
        version=draft.version,
        title=draft.title,
        purpose=draft.purpose,
        consent=draft.consent,
        starts=draft.starts.isoformat(),
        ends=draft.ends.isoformat(),
        epsilon_allowance=draft.epsilon_allowance,
        delta=rational(policy.delta),
        dictionary=dictionary,
        investigators=draft.investigators or investigators,
        analyses=draft.analyses,
        by_organisation=draft.by_organisation,
        min_cohort=policy.min_cohort,
        t_drop=policy.t_drop,
        t_collude=policy.t_collude,
        max_memberships=policy.max_memberships,
    )
