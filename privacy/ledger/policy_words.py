"""A policy in words and figures, and what a new one changes: for stewards and for auditors."""

from __future__ import annotations

from fractions import Fraction

from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.duo import words as terms_words
from privacy.contract.policy import Automatic, Rules
from privacy.ledger.entry import PolicySet
from privacy.ledger.fields import parse_rho

Lines = tuple[tuple[str, str], ...]

_AUTOMATIC: dict[Automatic, str] = {
    Automatic.REFUSE_OUTSIDE: "a study outside these rules is refused at once",
    Automatic.APPROVE_KNOWN: (
        "a study within these rules, signed by one of its investigators, is approved if the key of"
        " every investigator is known here"
    ),
    Automatic.COUNTS: "counts are always allowed for approved studies",
}


def policy_words(policy: PolicySet, delta: Fraction) -> Lines:
    """(what, in words) for every limit, floor and rule; epsilon at `delta`, the ledger's."""
    return (*_limits(policy, delta), *_floors(policy), *_rules(policy.rules))


def policy_changes(old: PolicySet | None, new: PolicySet, delta: Fraction) -> Lines:
    """What `new` says otherwise than `old`, as (what, "before -> after"); all of it at first."""
    after = policy_words(new, delta)
    if old is None:
        return after
    before = dict(policy_words(old, delta))
    return tuple((w, f"{before[w]} -> {said}") for w, said in after if before[w] != said)


def _limits(policy: PolicySet, delta: Fraction) -> Lines:
    def limit(rho: str | None) -> str:
        if rho is None:
            return "no limit of its own"
        return f"epsilon {epsilon_of_rho(parse_rho(rho), delta):.6g}"

    return (
        ("in a year", limit(policy.yearly_rho) + _one_by_one(policy, delta)),
        ("in all years together", limit(policy.lifetime_rho)),
        ("in one study", limit(policy.study_rho)),
        ("one researcher in a study", limit(policy.researcher_rho)),
        ("one question", limit(policy.question_rho)),
    )


def _one_by_one(policy: PolicySet, delta: Fraction) -> str:
    if policy.ceiling_rho is None:
        return ""
    ceiling = epsilon_of_rho(parse_rho(policy.ceiling_rho), delta)
    return (
        f" for one member, charged one by one at the node; epsilon {ceiling:.6g} for all questions,"
        " as if everybody were in each"
    )


def _floors(policy: PolicySet) -> Lines:
    return (
        ("smallest cohort", f"noised total of {policy.min_cohort}, or the answer is withheld"),
        ("organisations", f"{policy.min_nodes} at least"),
        ("may collude", f"{policy.min_collude} at least are withstood"),
        ("may drop out", f"{policy.max_drop} at most"),
        ("memberships", f"{policy.max_memberships} of one person are paid for"),
    )


def linking_words(rules: Rules) -> str:
    """With whom members are linked, by what, and how often."""
    asked = rules.linking
    if asked is None:
        return "with nobody"
    return (
        f"with {', '.join(asked.partners)}, by {', '.join(asked.fields)}, up to {asked.room}"
        f" members, {asked.a_year} times a year at most"
    )


def _rules(rules: Rules) -> Lines:
    each = "a steward looks at each first" if rules.each_question else "answered without a look"
    days = f"{rules.embargo_days} days between approval and the first answer"
    apart = "as studies say" if rules.by_organisation else "never by itself"
    automatic = "; ".join(_AUTOMATIC[rule] for rule in rules.automatic)
    return (
        ("began as", rules.preset.value),
        ("analyses", ", ".join(rules.analyses) or "every analysis of the catalogue"),
        ("research", " ".join(terms_words(rules.terms))),
        ("approval", "two different stewards" if rules.approvers > 1 else "one steward"),
        ("questions", each),
        ("embargo", days if rules.embargo_days else "none"),
        ("columns", "a study has to name them" if rules.names_columns else "need not be named"),
        ("figures of this organisation", apart),
        ("patient reviewer", "has to sign a study off" if rules.reviewed else "is not required"),
        ("linkage", linking_words(rules)),
        ("by itself", automatic or "nothing is decided"),
        ("known investigators", ", ".join(rules.known) or "none"),
    )
