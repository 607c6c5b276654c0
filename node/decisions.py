"""An organisation's decisions on studies: by its stewards, or by its policy with the reason.

`verdict` decides from public facts; the rest writes the decision into the ledger, whose rules
hold it to the policy again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from node.ledger_store import LedgerStore
from privacy.contract.policy import Automatic
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.ledger.desk_entry import Endorsement
from privacy.ledger.entry import Approval, PolicySet
from privacy.ledger.permission import RULE_WORDS, Rule, known_to, study_rule, terms_words
from privacy.ledger.steward_entry import Signed

Decision = Literal["approved", "refused", "asked", "withdrawn"]
POLICY = "policy"
WORDS = ("approved", "refused", "asked", "withdrawn")
APPROVE_REASON = "within the policy, and the key of every investigator is known here"


@dataclass(frozen=True)
class Offered:
    """A study version as it was offered: who signed it off, and whether an investigator did."""

    study: Study
    signed: bool = False  # an investigator of it signed the proposal
    reviewed: bool = False  # a patient reviewer of this organisation signed it off


@dataclass(frozen=True)
class Verdict:
    """What the policy decides by itself, and why."""

    decision: Literal["approved", "refused"]
    reason: str


def verdict(policy: PolicySet, offered: Offered, delta: Fraction) -> Verdict | None:
    """What the policy decides about a study; None where a steward has to."""
    study, automatic = offered.study, policy.rules.automatic
    rule = study_rule(policy, study, delta, reviewed=offered.reviewed)
    if rule is Rule.REVIEW:
        return None  # it may still come
    if rule is not None:
        if Automatic.REFUSE_OUTSIDE not in automatic:
            return None
        return Verdict("refused", rule_reason(policy, study, rule))
    if Automatic.APPROVE_KNOWN not in automatic or not offered.signed:
        return None
    return Verdict("approved", APPROVE_REASON) if known_to(policy.rules, study.keys) else None


def rule_reason(policy: PolicySet, study: Study, rule: Rule) -> str:
    """Why a study is outside the policy, in words."""
    if rule is not Rule.PURPOSE:
        return RULE_WORDS[rule]
    return f"{RULE_WORDS[rule]}: {terms_words(policy, study)}"


def decide_by_policy(ledger: LedgerStore, offered: Offered, now: datetime) -> Verdict | None:
    """Record what the policy decides about a study that nobody decided on; None if nothing."""
    state, study = ledger.state, offered.study
    policy = state.policy
    if policy is None or study.digest in state.decisions or study.digest in state.endorsed:
        return None
    found = verdict(policy, offered, state.delta)
    if found is not None:
        approval = _approval(study, found.decision, policy, now, POLICY, found.reason)
        ledger.append(approval.model_copy(update={"how": "policy"}))
    return found


def decide_study(
    ledger: LedgerStore,
    offered: Offered,
    decision: str,
    *,
    by: str,
    now: datetime,
    reason: str = "",
    signed: Signed | None = None,
) -> str:
    """Record a steward's decision on one version of a study; returns it in one word.

    "endorsed" is the first of two approvals that the policy asks for. Raises BadInput for a
    decision that is none, for an approval that the policy's rules refuse, and, where two stewards
    have to approve, for one without a steward's key or by a key that approved already.
    """
    if decision not in WORDS:
        raise BadInput(f"no decision {decision!r}", instead="write " + ", ".join(WORDS))
    if decision == "asked" and not reason.strip():
        raise BadInput("nothing is asked", instead="write the question as the reason")
    study, policy = offered.study, ledger.state.policy
    if decision == "approved" and policy is not None:
        _check_rules(policy, offered, ledger.state.delta)
        if policy.rules.approvers > 1 and _first_of_two(ledger, study, by, reason, signed):
            return "endorsed"
    body = _approval(study, decision, policy, now, by, reason)  # type: ignore[arg-type]
    ledger.append(body.model_copy(update={"signed": signed}))
    return decision


def _check_rules(policy: PolicySet, offered: Offered, delta: Fraction) -> None:
    rule = study_rule(policy, offered.study, delta, reviewed=offered.reviewed)
    if rule is not None:
        reason = rule_reason(policy, offered.study, rule)
        raise BadInput(
            f"the policy does not allow this study: {reason}",
            instead="refuse it, ask for a change, or change the policy first",
        )


def _first_of_two(
    ledger: LedgerStore, study: Study, by: str, reason: str, signed: Signed | None
) -> bool:
    """Record the first approval; False if another steward's key gave it before."""
    if signed is None:
        raise BadInput(
            "the policy asks for two stewards, told apart by their keys",
            instead="name your key with --key; `cairn-node steward list` shows who has one",
        )
    first = ledger.state.endorsed.get(study.digest)
    if first == signed.key:
        raise BadInput(f"{by} approved already", instead="another steward has to approve as well")
    if first is not None:
        return False
    ledger.append(
        Endorsement(study=study.id, study_digest=study.digest, by=by, reason=reason, signed=signed)
    )
    return True


def _approval(
    study: Study, decision: Decision, policy: PolicySet | None, now: datetime, by: str, reason: str
) -> Approval:
    days = policy.rules.embargo_days if policy is not None and decision == "approved" else 0
    # Rounded up by a minute: the ledger writes its own time a moment later.
    start = instant_text(now + timedelta(days=days, minutes=1)) if days else None
    own = study.researcher_rho
    return Approval(
        study=study.id,
        study_digest=study.digest,
        rho=study.rho.text,
        researcher_rho=None if own is None else own.text,
        decision=decision,
        answers_from=start,
        by=by,
        reason=reason,
    )
