"""One [[study]] table of study.toml, read into the facts that will be signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeVar

from coordinator.study_values import (
    decimal_text,
    number,
    period,
    switch,
    text,
    text_list,
    whole,
)
from models.aggregates.requests import KINDS
from privacy.accounting.conversion import parse_budget
from privacy.contract.diseases import check_disease
from privacy.contract.duo import Research
from privacy.contract.facts import Fact
from privacy.contract.signing import PublicKey
from privacy.contract.study import (
    PURPOSE,
    STUDY_ID,
    ConsentRule,
    Investigator,
    Protocol,
    ProtocolReference,
    ProtocolText,
)
from privacy.errors import BadInput

F = TypeVar("F", bound=Fact)

_KEYS = {
    "id",
    "version",
    "title",
    "question",
    "summary",
    "protocol",
    "purpose",
    "research",
    "conditions",
    "for_profit",
    "commercial",
    "publishes",
    "returns_results",
    "legal_basis",
    "permit",
    "consent",
    "period",
    "epsilon_allowance",
    "epsilon_per_researcher",
    "cohort",
    "variables",
    "analyses",
    "by_organisation",
    "linked",
    "investigators",
}
_PROTOCOL_RULE = 'write the text, or {reference = "https://…", sha256 = "…"}'
_PERSON_RULE = 'write {name = "…", affiliation = "…", country = "DE", key = "…"}, or the key alone'


@dataclass(frozen=True)
class StudyDraft:
    """A study as written, before dictionary and limits are filled in."""

    id: str
    version: int
    title: str
    question: str
    summary: str
    protocol: Protocol | None
    purpose: str
    research: Research
    conditions: tuple[str, ...]
    for_profit: bool
    commercial: bool
    publishes: bool
    returns_results: bool
    legal_basis: str
    permit: str
    consent: ConsentRule
    starts: date
    ends: date
    epsilon_allowance: str
    epsilon_per_researcher: str | None
    cohort: str
    variables: tuple[str, ...]
    analyses: tuple[str, ...]
    by_organisation: bool
    linked: bool
    investigators: tuple[Investigator, ...]  # () until they are known


def read_draft(entry: Any, position: int, where: str, today: date) -> StudyDraft:
    """Read one table; raises BadInput that names file, study, key and rule."""
    place = f"{where}, study number {position}"
    if not isinstance(entry, Mapping):
        raise BadInput("not a table", where=place, instead="write [[study]]")
    study_id = text(entry, "id", place)
    if not STUDY_ID.fullmatch(study_id):
        raise BadInput("id has lower-case letters, digits and hyphens only", where=f"{place}, id")
    place = f"{where}, study {study_id!r}"
    only(entry, _KEYS, place)
    starts, ends = period(entry.get("period"), f"{place}, period", today)
    conditions = _conditions(entry, place)
    return StudyDraft(
        id=study_id,
        version=whole(entry, "version", place, default=1, least=1),
        title=text(entry, "title", place, default=study_id),
        question=text(entry, "question", place, default=""),
        summary=text(entry, "summary", place, default=""),
        protocol=_protocol(entry.get("protocol"), f"{place}, protocol"),
        purpose=_purpose(entry, place),
        research=_research(entry, conditions, f"{place}, research"),
        conditions=conditions,
        for_profit=switch(entry, "for_profit", place),
        commercial=switch(entry, "commercial", place),
        publishes=switch(entry, "publishes", place),
        returns_results=switch(entry, "returns_results", place),
        legal_basis=text(entry, "legal_basis", place, default=""),
        permit=text(entry, "permit", place, default=""),
        consent=_consent(entry.get("consent", "required"), f"{place}, consent"),
        starts=starts,
        ends=ends,
        epsilon_allowance=_allowance(entry, place),
        epsilon_per_researcher=_per_researcher(entry, place),
        cohort=text(entry, "cohort", place, default=""),
        variables=tuple(sorted(set(text_list(entry, "variables", place)))),
        analyses=_analyses(entry, place),
        by_organisation=switch(entry, "by_organisation", place),
        linked=switch(entry, "linked", place),
        investigators=_investigators(entry, place),
    )


def only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    """Raise BadInput for a key that is not `allowed`, with the nearest that is."""
    for key in table:
        if key not in allowed:
            close = get_close_matches(key, sorted(allowed), n=1)
            known = "known: " + ", ".join(sorted(allowed))
            instead = f"did you mean {close[0]!r}? {known}" if close else known
            raise BadInput(f"unknown key {key!r}", where=where, instead=instead)


def epsilon(value: Any, where: str) -> str:
    """A budget as decimal text; raises BadInput."""
    try:
        allowance = decimal_text(number(value, where))
        parse_budget(allowance)
    except BadInput:
        raise BadInput("not a number above 0 and at most 1e24", where=where) from None
    return allowance


def _protocol(value: Any, where: str) -> Protocol | None:
    match value:
        case None:
            return None
        case str() if value.strip():
            return _fact(ProtocolText, {"kind": "text", "text": value}, where, _PROTOCOL_RULE)
        case Mapping():
            said = {"kind": "reference", **value}
            return _fact(ProtocolReference, said, where, _PROTOCOL_RULE)
        case _:
            raise BadInput("not a protocol", where=where, instead=_PROTOCOL_RULE)


def _fact(kind: type[F], said: Mapping[str, Any], where: str, rule: str) -> F:
    try:
        return kind.from_json(dict(said))
    except BadInput as error:
        field = error.where.partition(".")[2]
        place = f"{where}, {field}" if field else where
        raise BadInput(error.what, where=place, instead=rule) from None


def _purpose(entry: Mapping[str, Any], place: str) -> str:
    purpose = text(entry, "purpose", place, default="research")
    if not PURPOSE.fullmatch(purpose):
        raise BadInput(
            "a purpose has lower-case letters, digits, hyphens and underscores only",
            where=f"{place}, purpose",
        )
    return purpose


def _research(entry: Mapping[str, Any], conditions: tuple[str, ...], where: str) -> Research:
    usual = Research.DISEASE if conditions else Research.HEALTH
    try:
        kind = Research(entry.get("research", usual))
    except ValueError:
        known = ", ".join(each.value for each in Research)
        raise BadInput("not a kind of research", where=where, instead=f"known: {known}") from None
    if kind is Research.DISEASE and not conditions:
        rule = 'write for example conditions = ["MONDO:0004976"]'
        raise BadInput("disease research names its conditions", where=where, instead=rule)
    return kind


def _conditions(entry: Mapping[str, Any], place: str) -> tuple[str, ...]:
    named = text_list(entry, "conditions", place)
    for each in named:
        try:
            check_disease(each)
        except BadInput as error:
            where = f"{place}, conditions"
            raise BadInput(f"{each!r}: {error.what}", where=where, instead=error.instead) from None
    return tuple(sorted(set(named)))


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
    return epsilon(entry["epsilon_allowance"], where)


def _per_researcher(entry: Mapping[str, Any], place: str) -> str | None:
    name = "epsilon_per_researcher"
    return epsilon(entry[name], f"{place}, {name}") if name in entry else None


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


def _investigators(entry: Mapping[str, Any], place: str) -> tuple[Investigator, ...]:
    where = f"{place}, investigators"
    written = entry.get("investigators", [])
    if not isinstance(written, list):
        raise BadInput("not a list", where=where, instead=_PERSON_RULE)
    found = tuple(_investigator(each, where) for each in written)
    if len({each.key for each in found}) != len(found):
        raise BadInput("two investigators have one key", where=where)
    return found


def _investigator(value: Any, where: str) -> Investigator:
    match value:
        case str():
            return _person({"key": value}, where)
        case Mapping():
            return _person(value, where)
        case _:
            raise BadInput("not an investigator", where=where, instead=_PERSON_RULE)


def _person(said: Mapping[str, Any], where: str) -> Investigator:
    try:
        PublicKey.from_text(str(said.get("key", "")))
    except BadInput:
        instead = f"write 32 bytes in base64; {_PERSON_RULE}"
        raise BadInput("not a public key", where=where, instead=instead) from None
    return _fact(Investigator, said, where, _PERSON_RULE)
