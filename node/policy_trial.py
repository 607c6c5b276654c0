"""What another policy would have allowed: the requests of a month, replayed against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from node.decisions import rule_reason
from node.desk import Asked
from privacy.accounting.filter import remaining
from privacy.contract.study import Study
from privacy.errors import Code
from privacy.ledger.entry import Approval, PolicySet
from privacy.ledger.fields import parse_rho
from privacy.ledger.permission import RULE_WORDS, Rule, question_rule, study_rule
from privacy.ledger.state import LedgerState
from privacy.units import Rho

_YEAR = "the year's budget would have been spent"
_LIFETIME = "the limit of a lifetime would have been spent"
_STUDY = "the study's limit would have been spent"
_PART = "the researcher's part would have been spent"
_MEMBER = "it costs more than a member may lose in a year"


@dataclass(frozen=True)
class Tried:
    """One request under the policy on trial. `rule` and `reason` are "" where it is allowed."""

    asked: Asked
    allowed: bool
    rule: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "at": self.asked.at,
            "study": self.asked.study,
            "sentence": self.asked.sentence,
            "allowed": self.allowed,
            "rule": self.rule,
            "reason": self.reason,
            "happened": "refused" if self.asked.code else "reserved",
        }


@dataclass(frozen=True)
class _Spending:
    """What would have been charged: by account, in the period, and in all periods together."""

    period: Rho
    lifetime: Rho
    accounts: Mapping[str, Rho] = field(default_factory=dict)

    def of(self, account: str) -> Rho:
        return self.accounts.get(account, Rho.ZERO)

    def plus(self, cost: Rho, *accounts: str) -> _Spending:
        moved = {account: self.of(account) + cost for account in accounts}
        return replace(
            self,
            period=self.period + cost,
            lifetime=self.lifetime + cost,
            accounts={**self.accounts, **moved},
        )


def try_policy(
    policy: PolicySet,
    requests: Sequence[Asked],
    studies: Mapping[str, Study],
    before: LedgerState,
    now: LedgerState,
) -> list[Tried]:
    """Every request, in order, under `policy`.

    `before` is the ledger as it was when the first one came: what was spent by then counts
    against the new limits. Studies are taken as approved if they were approved at any time since
    (`now`); which stewards would have said otherwise, nobody can know. What a request would have
    charged counts against later ones only if it is allowed. A period that began since has a
    year's budget of its own; a lifetime's limit goes on.
    """
    approved = {**before.approvals, **now.approvals}
    accounts = {**before.parts, **_studies(before)}
    spending = _Spending(before.period_charged, before.total_charged, accounts)
    renewed = now.period.starts if now.period and now.periods > before.periods else None
    tried: list[Tried] = []
    for asked in requests:
        if renewed is not None and asked.at >= renewed:
            renewed, spending = None, replace(spending, period=Rho.ZERO)
        outcome = _try(policy, asked, studies.get(asked.study_digest), approved, spending, now)
        if outcome.allowed:
            own = now.own_account(asked.study, asked.researcher)
            spending = spending.plus(parse_rho(asked.rho), asked.study, own)
        tried.append(outcome)
    return tried


def _studies(state: LedgerState) -> dict[str, Rho]:
    return dict(state.charged)


def _try(
    policy: PolicySet,
    asked: Asked,
    study: Study | None,
    approved: Mapping[str, Approval],
    spending: _Spending,
    now: LedgerState,
) -> Tried:
    if study is None or asked.study_digest not in approved:
        return Tried(asked, False, "approval", "the study was not approved")
    rule = _rule(policy, asked, study, now)
    if rule is not None:
        return Tried(asked, False, rule.value, _reason(policy, study, rule))
    own = spending.of(now.own_account(asked.study, asked.researcher))
    limit = _limit(policy, asked, approved[asked.study_digest], spending, own)
    if limit is not None:
        code, reason = limit
        return Tried(asked, False, code.value, reason)
    return Tried(asked, True)


def _rule(policy: PolicySet, asked: Asked, study: Study, now: LedgerState) -> Rule | None:
    delta: Fraction = now.delta
    reviewed = study.digest in now.reviewed
    found = study_rule(policy, study, delta, reviewed=reviewed)
    looked = now.looked.get(asked.mark)
    if found is Rule.STUDY_LIMIT:  # of an approved study it only lowers the quota
        found = None
    return found or question_rule(policy, study, asked.kind, parse_rho(asked.rho), looked)


def _reason(policy: PolicySet, study: Study, rule: Rule) -> str:
    return rule_reason(policy, study, rule) if rule is Rule.PURPOSE else RULE_WORDS[rule]


def _limit(
    policy: PolicySet, asked: Asked, approval: Approval, spending: _Spending, own: Rho
) -> tuple[Code, str] | None:
    """The first limit that the request would have passed, and in words, as the ledger's rules say.

    Where members are charged one by one, a lifetime's limit is each member's, at the node.
    """
    cost = parse_rho(asked.rho)
    quota = _least(approval.rho, policy.study_rho)
    part = _least(quota.text, approval.researcher_rho, policy.researcher_rho)
    limits = [
        (Code.BUDGET_EXCEEDED, _YEAR, parse_rho(policy.public_rho), spending.period),
        (Code.STUDY_BUDGET_EXCEEDED, _STUDY, quota, spending.of(asked.study)),
        (Code.RESEARCHER_BUDGET_EXCEEDED, _PART, part, own),
    ]
    if policy.individual:
        limits.append((Code.QUESTION_LIMIT, _MEMBER, parse_rho(policy.yearly_rho), Rho.ZERO))
    elif policy.lifetime_rho is not None:
        most = parse_rho(policy.lifetime_rho)
        limits.append((Code.BUDGET_EXCEEDED, _LIFETIME, most, spending.lifetime))
    passed = ((code, words) for code, words, most, spent in limits if cost > remaining(most, spent))
    return next(passed, None)


def _least(*limits: str | None) -> Rho:
    return min(parse_rho(limit) for limit in limits if limit is not None)
