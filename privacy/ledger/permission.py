"""Which of an organisation's rules refuses a study or a question; pure, and public.

A node asks before it answers, the coordinator before it plans, an auditor afterwards, and a
steward of what would have been: all by these functions, from the policy that the ledger holds.
The coordinator and researchers are told that a policy refuses, never which rule.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from fractions import Fraction

from privacy.contract.canonical import digest
from privacy.contract.duo import TERMS, permits
from privacy.contract.policy import Automatic, Rules
from privacy.contract.study import Study
from privacy.ledger.entry import PolicySet
from privacy.ledger.fields import parse_rho
from privacy.units import Rho

COUNTS = frozenset({"count"})


class Rule(StrEnum):
    """A rule of a policy, by which a study or a question is refused."""

    PURPOSE = "purpose"
    ANALYSES = "analyses"
    COLUMNS = "columns"
    BY_ORGANISATION = "by_organisation"
    REVIEW = "review"
    MARGIN = "margin"
    MIN_NODES = "min_nodes"
    MIN_COLLUDE = "min_collude"
    MAX_DROP = "max_drop"
    MEMBERSHIPS = "max_memberships"
    MIN_COHORT = "min_cohort"
    DELTA = "delta"
    STUDY_LIMIT = "study_limit"
    QUESTION_LIMIT = "question_limit"
    LINKAGE = "linkage"
    LOOK = "look"


RULE_WORDS: dict[Rule, str] = {
    Rule.PURPOSE: "its purpose, investigators or promises are not what the policy allows",
    Rule.ANALYSES: "it asks for an analysis that the policy does not allow",
    Rule.COLUMNS: "it does not name the columns that it may use",
    Rule.BY_ORGANISATION: "organisations may be told apart in it",
    Rule.REVIEW: "no patient reviewer has signed it off",
    Rule.MARGIN: "its margin is not the study's",
    Rule.MIN_NODES: "too few organisations take part",
    Rule.MIN_COLLUDE: "it withstands too few colluding organisations",
    Rule.MAX_DROP: "it lets more organisations drop out than the policy allows",
    Rule.MEMBERSHIPS: "it counts on fewer memberships per person than the policy does",
    Rule.MIN_COHORT: "its smallest cohort is below the policy's",
    Rule.DELTA: "its delta is larger than the policy's",
    Rule.STUDY_LIMIT: "it asks for more than the policy gives one study",
    Rule.QUESTION_LIMIT: "it costs more than the policy lets one question cost",
    Rule.LINKAGE: "it counts linked members, and the policy links with nobody",
    Rule.LOOK: "a steward has not looked at this question",
}


# What a policy that was changed after an approval refuses all the same, at the gate.
FLOORS = frozenset({Rule.MIN_COLLUDE, Rule.MAX_DROP, Rule.MEMBERSHIPS, Rule.MIN_COHORT, Rule.DELTA})


def study_rule(
    policy: PolicySet, study: Study, delta: Fraction, *, reviewed: bool = True
) -> Rule | None:
    """The first rule that refuses the study as such; None if none does. `delta` is the ledger's."""
    rules = policy.rules
    checks = (
        (permits(rules.terms, study.use) is None, Rule.PURPOSE),
        (_analyses_allowed(rules, study), Rule.ANALYSES),
        (bool(study.variables) or not rules.names_columns, Rule.COLUMNS),
        (rules.by_organisation or not study.by_organisation, Rule.BY_ORGANISATION),
        (reviewed or not rules.reviewed, Rule.REVIEW),
        (study.t_collude >= max(policy.min_collude, 1), Rule.MIN_COLLUDE),
        (study.t_drop <= policy.max_drop, Rule.MAX_DROP),
        (study.linked or study.max_memberships >= policy.max_memberships, Rule.MEMBERSHIPS),
        (not study.linked or rules.linking is not None, Rule.LINKAGE),
        (study.min_cohort >= policy.min_cohort, Rule.MIN_COHORT),
        (study.delta_fraction <= delta, Rule.DELTA),
        (_within_limit(policy, study), Rule.STUDY_LIMIT),
    )
    return next((rule for holds, rule in checks if not holds), None)


def _analyses_allowed(rules: Rules, study: Study) -> bool:
    """A study that may run everything passes: each question is held to the policy's list."""
    if not rules.analyses or not study.analyses:
        return True
    return bool(set(study.analyses) & set(rules.analyses))


def _within_limit(policy: PolicySet, study: Study) -> bool:
    return policy.study_rho is None or study.rho <= parse_rho(policy.study_rho)


def terms_words(policy: PolicySet, study: Study) -> str:
    """The term of the Data Use Ontology that refuses the study's purpose, "" if none does."""
    found = permits(policy.rules.terms, study.use)
    return "" if found is None else f"{TERMS[found].name} ({TERMS[found].code})"


def question_rule(
    policy: PolicySet, study: Study, kind: str, cost: Rho, looked: bool | None
) -> Rule | None:
    """The first rule that refuses one question of a study that the policy allows.

    `kind` is the analysis', `cost` of the whole run with all its attempts; `looked` what a
    steward said to this question (None: nothing yet).
    """
    rules = policy.rules
    limit = policy.question_rho
    checks = (
        (permits(rules.terms, study.use) is None, Rule.PURPOSE),
        (not rules.analyses or kind in rules.analyses, Rule.ANALYSES),
        (bool(study.variables) or not rules.names_columns, Rule.COLUMNS),
        (rules.by_organisation or not study.by_organisation, Rule.BY_ORGANISATION),
        (limit is None or cost <= parse_rho(limit), Rule.QUESTION_LIMIT),
        (looked is not False and (looked or not needs_look(rules, kind)), Rule.LOOK),
    )
    return next((rule for holds, rule in checks if not holds), None)


def needs_look(rules: Rules, kind: str) -> bool:
    """Whether a steward has to look at a question of this kind before it is answered."""
    return rules.each_question and not (Automatic.COUNTS in rules.automatic and kind in COUNTS)


def question_mark(study_digest: str, analysis: object, cohort: str, epsilon: str) -> str:
    """The name under which a steward allows a question: what is asked, not when or by which key."""
    said = {"study": study_digest, "analysis": analysis, "cohort": cohort, "epsilon": epsilon}
    return digest(said)  # type: ignore[arg-type]


def known_to(rules: Rules, keys: Collection[str]) -> bool:
    """Whether a steward compared the fingerprint of every one of these keys."""
    return bool(keys) and set(keys) <= set(rules.known)
