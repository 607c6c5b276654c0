"""What a dossier is made of: every question of a verified bundle with what became of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, assert_never

from coordinator.audit.agreement import Second
from coordinator.audit.history import Withdrawal, entries_of, withdrawals
from coordinator.audit.report import Change
from coordinator.audit.verify import Verified
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.study import Study
from privacy.ledger.desk_entry import Endorsement, QuestionDecided, Reviewed
from privacy.ledger.entry import (
    Aborted,
    Approval,
    Commit,
    ConsentRoot,
    ConsentText,
    Entry,
    Expired,
    PolicySet,
    Released,
    Reserve,
)
from privacy.ledger.entry_words import key_words
from privacy.ledger.fields import parse_rho
from privacy.ledger.link_entry import LinkBegun
from privacy.units import Rho

_NAME = re.compile(r"\b[A-Za-z_]\w*\.[A-Za-z_]\w*\b")


@dataclass
class Asked:
    """One question: what was set aside and charged where, and how it ended.

    `charges` are (node, entry, at, rho); `ends` the distinct ways it ended, `code` why not.
    """

    plan: str
    reserve: Reserve
    at: str
    charges: list[tuple[str, int, str, Rho]] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    release: str = ""
    epsilon: str = ""
    released_at: str = ""

    @property
    def cost(self) -> Rho:
        """What an organisation was charged for it, the dearest of them."""
        nodes: dict[str, Rho] = {}
        for node, _, _, rho in self.charges:
            nodes[node] = nodes.get(node, Rho.ZERO) + rho
        return max(nodes.values(), default=Rho.ZERO)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(sorted({node for node, *_ in self.charges}))

    @property
    def researcher(self) -> str:
        """The fingerprint of the key that asked, its first four groups."""
        return key_words(self.reserve.researcher)


Decision = Approval | Endorsement | Reviewed | QuestionDecided


@dataclass(frozen=True)
class Decided:
    """What an organisation said to a study or to one of its questions."""

    node: str
    seq: int
    at: str
    body: Decision

    def words(self, delta: Fraction) -> str:
        """The decision; an approval with its limit."""
        match self.body:
            case Approval(decision="approved") as body:
                limit = epsilon_of_rho(parse_rho(body.rho), delta)
                by_rule = ", by its policy" if body.how == "policy" else ""
                return f"approved, epsilon at most {limit:.6g}{by_rule}"
            case Approval(decision="asked"):
                return "asked back"
            case Approval() as body:
                return body.decision
            case Endorsement():
                return "the first of two approvals"
            case Reviewed() as body:
                return f"signed off by patient reviewer {body.reviewer}"
            case QuestionDecided() as body:
                return f"question {body.decision}: {body.sentence}"
            case _:
                assert_never(self.body)

    @property
    def reason(self) -> str:
        return "" if isinstance(self.body, Reviewed) else self.body.reason


@dataclass(frozen=True)
class Material:
    """A verified bundle, read once more for what its dossiers tell."""

    found: Verified
    asked: tuple[Asked, ...]
    decided: tuple[Decided, ...]
    linked: tuple[tuple[str, str, Rho], ...]  # (node, at, rho) of every linkage charged
    rules: Mapping[str, tuple[Entry, ...]]  # every ledger's policies, texts and roots of consent
    second: Second | None

    @cached_property
    def withdrawn(self) -> tuple[Withdrawal, ...]:
        """What was taken back, of every organisation, by time."""
        return withdrawals(self.found)

    @property
    def names(self) -> dict[str, str]:
        return {node.id: node.name for node in self.found.context.network.roster.nodes}

    def name(self, node: str) -> str:
        return self.names.get(node, node)

    def versions(self, study: str) -> tuple[Study, ...]:
        """Every version of a study, the first first."""
        every = self.found.context.network.studies.values()
        return tuple(
            sorted((each for each in every if each.id == study), key=lambda each: each.version)
        )

    @property
    def studies(self) -> tuple[str, ...]:
        return tuple(sorted({study.id for study in self.found.context.network.studies.values()}))

    def of_study(self, study: str) -> tuple[Asked, ...]:
        return tuple(each for each in self.asked if each.reserve.study == study)

    def of_node(self, node: str) -> tuple[Asked, ...]:
        return tuple(each for each in self.asked if node in each.nodes)

    def changes(self, *kinds: str) -> Iterator[tuple[str, Change]]:
        """(node, change) of these kinds, by time."""
        every = [
            (node.node, change)
            for node in self.found.report.nodes
            for change in node.changes
            if change.kind in kinds
        ]
        return iter(sorted(every, key=lambda pair: (pair[1].at, pair[0], pair[1].seq)))


def gather(found: Verified, second: Second | None = None) -> Material:
    """Read every ledger of a verified bundle once."""
    asked: dict[str, Asked] = {}
    decided: list[Decided] = []
    linked: list[tuple[str, str, Rho]] = []
    rules: dict[str, list[Entry]] = {node: [] for node in found.ledgers}
    for node in found.ledgers:
        for entry in entries_of(found, node):
            _note(asked, node, entry)
            if isinstance(entry.body, PolicySet | ConsentText | ConsentRoot):
                rules[node].append(entry)
            if isinstance(entry.body, Decision):
                decided.append(Decided(node, entry.seq, entry.at, entry.body))
            if isinstance(entry.body, LinkBegun):
                linked.append((node, entry.at, parse_rho(entry.body.rho)))
    decided.sort(key=lambda each: (each.at, each.node, each.seq))
    for digest in found.context.releases:
        body: dict[str, Any] = found.context.bundle.json(f"releases/{digest}.json")["body"]
        question = asked.get(body["plan"])
        if question is not None:
            question.release = digest
            question.epsilon = body["epsilon"]
            question.released_at = body["released_at"]
    by_time = sorted(asked.values(), key=lambda each: (each.at, each.plan))
    kept = {node: tuple(entries) for node, entries in rules.items()}
    return Material(found, tuple(by_time), tuple(decided), tuple(linked), kept, second)


def consent_texts(material: Material, node: str) -> Iterator[tuple[str, ConsentText]]:
    """(day, text) for every text of consent that an organisation recorded."""
    for entry in material.rules[node]:
        if isinstance(entry.body, ConsentText):
            yield entry.at[:10], entry.body


def columns_named(material: Material, asked: Iterable[Asked]) -> Counter[str]:
    """How many of these questions named each declared column, in analysis or cohort."""
    found: Counter[str] = Counter()
    for each in asked:
        plan = material.found.context.plans[each.plan]
        dictionary = material.found.context.network.dictionaries[plan.dictionary]
        known = {f"{table.name}.{c.name}" for table in dictionary.tables for c in table.columns}
        text = f"{json.dumps(plan.analysis)} {plan.cohort}"
        found.update(known & set(_NAME.findall(text)))
    return found


def methods_used(material: Material, asked: Iterable[Asked]) -> Counter[str]:
    """How many of these questions were of each analysis of the catalogue."""
    plans = material.found.context.plans
    return Counter(str(plans[each.plan].analysis["kind"]) for each in asked)


def _note(asked: dict[str, Asked], node: str, entry: Entry) -> None:
    match entry.body:
        case Reserve() as body:
            known = asked.setdefault(body.plan, Asked(body.plan, body, entry.at))
            known.at = min(known.at, entry.at)
        case Commit() as body:
            charge = (node, entry.seq, entry.at, parse_rho(body.rho))
            asked[body.plan].charges.append(charge)
        case Aborted(plan=plan, code=code):
            asked[plan].codes.add(code)
        case Expired(plan=plan):
            asked[plan].codes.add("expired")
        case Released(plan=plan, release=release):
            asked[plan].release = release
        case _:
            pass
