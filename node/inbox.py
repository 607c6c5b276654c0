"""A proposed study as a steward reads it first: one sentence, its columns, what it costs here,
and what the policy says. Made of public facts; no record is read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from models.digits import digits, many
from node.decisions import Offered, rule_reason, verdict
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.dictionary import Dictionary
from privacy.contract.policy import Automatic
from privacy.contract.study import WHOLE_TABLE, Study
from privacy.contract.study_words import purpose_words
from privacy.ledger.entry import PolicySet
from privacy.ledger.permission import known_to, study_rule
from privacy.ledger.state import LedgerState

_FEW = 4


@dataclass(frozen=True)
class PolicySays:
    """What the policy says of a study: `fits` its rules or not, what it does by itself
    ("approved", "refused" or "" where a steward decides), and why."""

    fits: bool
    itself: str
    why: str


def study_sentence(study: Study) -> str:
    """Who asks for what, of whom and what for."""
    who = study.investigators[0].words if study.investigators else "Nobody named"
    others = len(study.investigators) - 1
    more = f" and {many(others, 'other')}" if others > 0 else ""
    what = _listed(study.analyses, "analyses") or "any analysis of the catalogue"
    on = _listed(study.variables, "columns") or "every column"
    whom = f"members where {study.cohort}" if study.cohort else "all members"
    money = ", for profit" if study.for_profit else ""
    ask = "ask" if others > 0 else "asks"
    return f"{who}{more} {ask} for {what} on {on}, of {whom}, for {purpose_words(study)}{money}."


def _listed(names: tuple[str, ...], what: str) -> str:
    if len(names) > _FEW:
        return f"{len(names)} {what}"
    return ", ".join(names).replace("_", " ")


def columns_touched(study: Study, dictionary: Dictionary) -> list[list[str]]:
    """(column, type, what it may say) for every column that a question of the study may name."""
    found = [
        [name, ref.column.type.value, _values(dictionary, name)]
        for name, ref in dictionary.refs.items()
        if study.names(name) and not ref.column.identifier
    ]
    known = {name.partition(".")[0] + WHOLE_TABLE for name in dictionary.refs} | {*dictionary.refs}
    unknown = [name for name in study.variables if name not in known]
    return found + [[name, "", "not in the dictionary in force here"] for name in unknown]


def _values(dictionary: Dictionary, name: str) -> str:
    column = dictionary.refs[name].column
    if column.levels:
        return ", ".join(column.levels)
    if column.lower is None or column.upper is None:
        return "any"
    return f"{column.lower} to {column.upper} {column.unit}".strip()


def cost_words(study: Study, state: LedgerState) -> str:
    """The study's allowance beside what this organisation may lose in the period."""
    asked = f"At most epsilon {study.epsilon_allowance} in all"
    if not state.budget.units or not state.delta:
        return f"{asked}. No period is open, so nothing can be spent yet."
    part = Fraction(study.rho.units, state.budget.units)
    whole = digits(epsilon_of_rho(state.budget, state.delta))
    left = digits(epsilon_of_rho(state.left, state.delta))
    share = "more than all" if part > 1 else f"{digits(100 * float(part))} %"
    return (
        f"{asked}: {share} of what a period's budget (epsilon {whole}) can pay. "
        f"Epsilon {left} of it is left."
    )


def policy_says(policy: PolicySet, offered: Offered, delta: Fraction) -> PolicySays:
    """What the policy says of a study, in words for the steward who decides."""
    study, automatic = offered.study, policy.rules.automatic
    itself = verdict(policy, offered, delta)
    rule = study_rule(policy, study, delta, reviewed=offered.reviewed)
    if itself is not None:
        return PolicySays(rule is None, itself.decision, itself.reason)
    if rule is not None:
        return PolicySays(False, "", rule_reason(policy, study, rule))
    if Automatic.APPROVE_KNOWN not in automatic:
        why = "nothing is approved without a steward" + (
            "; two have to sign" if policy.rules.approvers > 1 else ""
        )
    elif not offered.signed:
        why = "no investigator has signed this version"
    elif not known_to(policy.rules, study.keys):
        why = "not every investigator's fingerprint was compared"
    else:
        why = "it waits for what the policy asks for"
    return PolicySays(True, "", why)
