"""What research a member or an organisation allows, in the terms of the Data Use Ontology.

A study says what it is (`Use`). A member's consent and an organisation's policy say what they
allow (`Terms`). `permits` compares the two and names the first rule that refuses. Whatever is
not said counts against the study: no country named, no ethics approval, no promise to publish.

Source: GA4GH Data Use Ontology (permissions and modifiers by their DUO codes). `ASK` is Cairn's
own modifier: no general word counts, only a word on this very study.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self, assert_never

from pydantic import AfterValidator, StringConstraints, model_validator

from privacy.contract.diseases import KNOWN_DISEASES, Diseases, check_disease
from privacy.contract.facts import Fact, Sorted


class Research(StrEnum):
    """What kind of research a study is."""

    DISEASE = "disease"  # on the conditions that it names
    HEALTH = "health"  # health, medical or biomedical, on no one condition
    METHODS = "methods"  # on methods or software, not on health
    ORIGINS = "origins"  # on population origins or ancestry
    OTHER = "other"  # any other


class Permission(StrEnum):
    """What is allowed at all: exactly one stands in any terms."""

    GENERAL = "DUO:0000042"
    HEALTH = "DUO:0000006"
    DISEASE = "DUO:0000007"
    ORIGINS = "DUO:0000011"


class Modifier(StrEnum):
    """A restriction on what is allowed: any number of them."""

    NOT_FOR_PROFIT_NON_COMMERCIAL = "DUO:0000018"
    NOT_FOR_PROFIT = "DUO:0000045"
    NON_COMMERCIAL = "DUO:0000046"
    GEOGRAPHY = "DUO:0000022"
    ETHICS = "DUO:0000021"
    PUBLICATION = "DUO:0000019"
    RETURN = "DUO:0000029"
    NO_METHODS = "DUO:0000015"
    NO_ORIGINS = "DUO:0000044"
    ASK = "cairn:ask-me-each-time"


Rule = Permission | Modifier


@dataclass(frozen=True)
class Term:
    """A rule as people read it."""

    code: str
    short: str  # as organisations write it in files
    name: str
    sentence: str


TERMS: dict[Rule, Term] = {
    Permission.GENERAL: Term(
        "DUO:0000042",
        "GRU",
        "general research use",
        "My data may be used for research of any kind.",
    ),
    Permission.HEALTH: Term(
        "DUO:0000006",
        "HMB",
        "health or medical or biomedical research",
        "My data may be used for research on health, but not on where people come from.",
    ),
    Permission.DISEASE: Term(
        "DUO:0000007",
        "DS",
        "disease specific research",
        "My data may be used for research on the conditions that I named, and nothing else.",
    ),
    Permission.ORIGINS: Term(
        "DUO:0000011",
        "POA",
        "population origins or ancestry research only",
        "My data may be used for research on where people come from, and nothing else.",
    ),
    Modifier.NOT_FOR_PROFIT_NON_COMMERCIAL: Term(
        "DUO:0000018",
        "NPUNCU",
        "not for profit, non commercial use only",
        "Only organisations that make no profit may use my data, and not to make money.",
    ),
    Modifier.NOT_FOR_PROFIT: Term(
        "DUO:0000045",
        "NPU",
        "not for profit organisation use only",
        "Only organisations that make no profit may use my data.",
    ),
    Modifier.NON_COMMERCIAL: Term(
        "DUO:0000046",
        "NCU",
        "non-commercial use only",
        "My data may not be used to make money.",
    ),
    Modifier.GEOGRAPHY: Term(
        "DUO:0000022",
        "GS",
        "geographical restriction",
        "Only researchers in the countries that I named may use my data.",
    ),
    Modifier.ETHICS: Term(
        "DUO:0000021",
        "IRB",
        "ethics approval required",
        "An ethics board must have approved the study.",
    ),
    Modifier.PUBLICATION: Term(
        "DUO:0000019",
        "PUB",
        "publication required",
        "The study must have promised to publish what it finds.",
    ),
    Modifier.RETURN: Term(
        "DUO:0000029",
        "RTN",
        "return to database or resource",
        "The study must have promised to give its results back to my organisation.",
    ),
    Modifier.NO_METHODS: Term(
        "DUO:0000015",
        "NMDS",
        "no general methods research",
        "My data may not be used to develop methods or software.",
    ),
    Modifier.NO_ORIGINS: Term(
        "DUO:0000044",
        "NPOA",
        "population origins or ancestry research prohibited",
        "My data may not be used for research on where people come from.",
    ),
    Modifier.ASK: Term(
        "cairn:ask-me-each-time",
        "ASK",
        "ask me each time",
        "I want to be asked about every study before my data are used for it.",
    ),
}

_COUNTRY = re.compile(r"[A-Z]{2}")
_STUDY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(what)
        return text

    return AfterValidator(check)


Disease = Annotated[str, AfterValidator(check_disease)]
Country = Annotated[str, _matching(_COUNTRY, "a country is two capitals (ISO 3166), as DE")]
StudyId = Annotated[str, _matching(_STUDY, "a study id has lower-case letters, digits, hyphens")]
Reference = Annotated[str, StringConstraints(max_length=256)]


class Use(Fact):
    """What a study says it is, as far as consent asks. Lists are sorted, without repeats.

    `countries` are those of all investigators; `ethics_approval` is the board's reference, ""
    where there is none. Promises left out are promises not made.
    """

    study: StudyId
    research: Research
    conditions: tuple[Disease, ...] = ()
    for_profit: bool
    commercial: bool
    countries: tuple[Country, ...] = ()
    ethics_approval: Reference = ""
    publishes: bool = False
    returns_results: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.research is Research.DISEASE and not self.conditions:
            raise ValueError("disease research names its conditions")
        _check_sorted(self.conditions, self.countries)
        return self


class Terms(Sorted):
    """What is allowed. `conditions` belong to disease specific research, `countries` to the
    geographical restriction, `studies` (each asked about, and allowed) to `ASK`."""

    permission: Permission
    conditions: tuple[Disease, ...] = ()
    modifiers: tuple[Modifier, ...] = ()
    countries: tuple[Country, ...] = ()
    studies: tuple[StudyId, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.permission is Permission.DISEASE) != bool(self.conditions):
            raise ValueError("conditions are named for disease specific research, and only there")
        if (Modifier.GEOGRAPHY in self.modifiers) != bool(self.countries):
            raise ValueError("countries are named for the geographical restriction, and only there")
        if self.studies and Modifier.ASK not in self.modifiers:
            raise ValueError("studies are named for ask me each time, and only there")
        _check_sorted(self.conditions, self.modifiers, self.countries, self.studies)
        return self


def _check_sorted(*lists: tuple[str, ...]) -> None:
    for values in lists:
        if list(values) != sorted(set(values)):
            raise ValueError("lists are sorted and name nothing twice")


def permits(terms: Terms, use: Use, diseases: Diseases = KNOWN_DISEASES) -> Rule | None:
    """None if the terms allow this use, else the first rule that refuses it.

    Guarantee: a restriction added to `terms` (a modifier; a condition, country or study less; a
    narrower permission) never allows a use that was refused. Conditions match by id and by what
    `diseases` says lies below what, never by their text.
    """
    if not _allowed(terms, use, diseases):
        return terms.permission
    for modifier in terms.modifiers:
        if not _met(modifier, terms, use):
            return modifier
    return None


def _allowed(terms: Terms, use: Use, diseases: Diseases) -> bool:
    match terms.permission:
        case Permission.GENERAL:
            return True
        case Permission.HEALTH:
            return use.research in (Research.HEALTH, Research.DISEASE)
        case Permission.DISEASE:
            named = use.research is Research.DISEASE
            return named and all(diseases.within(each, terms.conditions) for each in use.conditions)
        case Permission.ORIGINS:
            return use.research is Research.ORIGINS
        case _:
            assert_never(terms.permission)


def _met(modifier: Modifier, terms: Terms, use: Use) -> bool:
    match modifier:
        case Modifier.NOT_FOR_PROFIT_NON_COMMERCIAL:
            return not use.for_profit and not use.commercial
        case Modifier.NOT_FOR_PROFIT:
            return not use.for_profit
        case Modifier.NON_COMMERCIAL:
            return not use.commercial
        case Modifier.GEOGRAPHY:
            return bool(use.countries) and set(use.countries) <= set(terms.countries)
        case Modifier.ETHICS:
            return bool(use.ethics_approval.strip())
        case Modifier.PUBLICATION:
            return use.publishes
        case Modifier.RETURN:
            return use.returns_results
        case Modifier.NO_METHODS:
            return use.research is not Research.METHODS
        case Modifier.NO_ORIGINS:
            return use.research is not Research.ORIGINS
        case Modifier.ASK:
            return use.study in terms.studies
        case _:
            assert_never(modifier)


def words(terms: Terms) -> tuple[str, ...]:
    """The terms as a member reads them, one sentence per rule."""
    lists: dict[Rule, tuple[str, ...]] = {
        Permission.DISEASE: terms.conditions,
        Modifier.GEOGRAPHY: terms.countries,
        Modifier.ASK: terms.studies,
    }
    rules: tuple[Rule, ...] = (terms.permission, *terms.modifiers)
    return tuple(TERMS[rule].sentence + _listed(lists.get(rule, ())) for rule in rules)


def _listed(values: tuple[str, ...]) -> str:
    return f" They are: {', '.join(values)}." if values else ""
