"""Every entry of a ledger as one plain sentence, for auditors and for whoever keeps the ledger.

What a sentence says is read off the entry alone. Keys are named by the first four groups of
their fingerprints, digests by their beginnings; amounts are epsilon at the ledger's delta.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import assert_never

from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.signing import PublicKey
from privacy.ledger.attempt_entry import ATTEMPT_WORDS, AttemptRefused
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorBody,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.desk_entry import Endorsement, QuestionDecided, Reviewed
from privacy.ledger.entry import (
    Aborted,
    Approval,
    Body,
    Commit,
    ConsentRoot,
    ConsentText,
    DictionaryAdopted,
    Expired,
    Genesis,
    KeysRevoked,
    Lost,
    Paused,
    PolicySet,
    Released,
    Reserve,
    Resumed,
    RosterPinned,
    Witnessed,
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.history_entry import (
    BudgetForfeited,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
)
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.steward_entry import (
    PeriodOpened,
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
)
from privacy.ledger.successors import ResearcherKeyChanged
from privacy.ledger.upkeep_entry import BackedUp, Leaving, Left, NodeKeyChanged, Restored

KIND_WORDS: Mapping[str, str] = {
    "genesis": "the ledger begins",
    "policy": "policy",
    "period": "period",
    "roster": "list of nodes",
    "dictionary": "dictionary",
    "endorsement": "first of two approvals",
    "approval": "decision on a study",
    "reviewed": "patient reviewer",
    "revoked": "keys revoked",
    "researcher-key": "researcher's key",
    "question": "decision on a question",
    "reserve": "set aside",
    "commit": "charge",
    "released": "released",
    "aborted": "ended without an answer",
    "expired": "time ran out",
    "lost": "lost",
    "paused": "paused",
    "resumed": "resumed",
    "consent": "root of consent",
    "consent-text": "text of consent",
    "witnessed": "witnesses confirmed",
    "backup": "backup",
    "restored": "restored",
    "leaving": "leaving",
    "left": "left",
    "node-key": "node's key",
    "coordinator-key": "coordinator's key",
    "coordinator-forked": "coordinator's key forked",
    "coordinator-accepted": "coordinator's key accepted",
    "steward-invited": "steward invited",
    "steward-joined": "steward joined",
    "steward-key": "steward's key",
    "steward-ended": "steward ended",
    "attempt-refused": "attempt refused",
    "history-broken": "history broken",
    "history-accepted": "history accepted",
    "recovered": "entries recovered",
    "forfeited": "budget forfeited",
    "link-begun": "linkage begun",
    "linked": "linkage in force",
    "link-ended": "linkage ended",
}


def key_words(key: str) -> str:
    """The first four groups of a key's fingerprint, enough to tell people apart."""
    return "-".join(PublicKey.from_text(key).fingerprint.split("-")[:4])


def entry_words(body: Body, delta: Fraction, question: str = "") -> str:
    """One sentence; `question` is that of the plan which the entry is about, where it is known."""
    match body:
        case Reserve() | Commit() | Released() | Aborted() | Expired() | Lost():
            return _of_run(body, delta, question or "a question")
        case Approval() | Endorsement() | Reviewed() | QuestionDecided() | KeysRevoked():
            return _of_decision(body, delta)
        case Genesis() | PolicySet() | PeriodOpened() | RosterPinned() | DictionaryAdopted():
            return _of_terms(body, delta)
        case Paused() | Resumed() | ConsentRoot() | ConsentText() | Witnessed():
            return _of_service(body)
        case BackedUp() | Restored() | Leaving() | Left() | NodeKeyChanged():
            return _of_upkeep(body)
        case StewardInvited() | StewardJoined() | StewardKeyChanged() | StewardEnded():
            return _of_stewards(body)
        case ResearcherKeyChanged(change=change):
            return f"A researcher took key {key_words(change.new)} for {key_words(change.old)}"
        case CoordinatorKeyChanged() | CoordinatorForked() | CoordinatorAccepted():
            return _of_coordinator(body)
        case HistoryBroken() | HistoryAccepted() | LedgerRecovered() | BudgetForfeited():
            return _of_history(body)
        case LinkBegun() | Linked() | LinkEnded():
            return _of_linkage(body, delta)
        case AttemptRefused():
            return f"Refused {ATTEMPT_WORDS[body.what]}{_more(body.more)}"
        case _:
            assert_never(body)


def _more(count: int) -> str:
    return f", after {count} more that were counted" if count else ""


def _epsilon(rho: str, delta: Fraction) -> str:
    return f"epsilon {epsilon_of_rho(parse_rho(rho), delta):.4g}"


def _for(reason: str) -> str:
    return f": {reason}" if reason else ""


def _of_run(
    body: Reserve | Commit | Released | Aborted | Expired | Lost, delta: Fraction, question: str
) -> str:
    match body:
        case Reserve():
            cost, who = _epsilon(body.rho, delta), key_words(body.researcher)
            return f"Set {cost} aside for {who} in {body.study}: {body.sentence}"
        case Commit():
            cost = _epsilon(body.rho, delta)
            left = f"{body.bytes:,} bytes left under a mask" if body.bytes else "nothing left"
            return f"Charged {cost} for round {body.round + 1} of “{question}”; {left}"
        case Released(release=digest):
            return f"“{question}” ended with release {digest[:12]}…"
        case Aborted(code=code):
            return f"“{question}” ended without an answer: {code.replace('_', ' ')}"
        case Expired():
            return f"The time of “{question}” ran out"
        case Lost():
            return f"Round {body.round + 1} of “{question}” was opened without this organisation"
        case _:
            assert_never(body)


_DECIDED = {
    "approved": "Approved",
    "refused": "Refused",
    "asked": "Asked back about",
    "withdrawn": "Took the approval back of",
}


def _of_decision(
    body: Approval | Endorsement | Reviewed | QuestionDecided | KeysRevoked, delta: Fraction
) -> str:
    match body:
        case Approval():
            limit = f", {_epsilon(body.rho, delta)} at most" if body.decision == "approved" else ""
            rule = ", by its policy" if body.how == "policy" else f", by {body.by}"
            return f"{_DECIDED[body.decision]} {body.study}{limit}{rule}{_for(body.reason)}"
        case Endorsement():
            return f"{body.by} approved {body.study}; another steward has to{_for(body.reason)}"
        case Reviewed():
            return f"Patient reviewer {body.reviewer} signed {body.study} off"
        case QuestionDecided():
            said = f"{body.by} {body.decision} a question of {body.study}"
            return f"{said}: {body.sentence}{_for(body.reason)}"
        case KeysRevoked():
            names = [
                *map(key_words, body.keys),
                *(f"delegation {d[:12]}…" for d in body.delegations),
            ]
            return f"Answers these no more: {', '.join(names) or 'none'}"
        case _:
            assert_never(body)


def _of_terms(
    body: Genesis | PolicySet | PeriodOpened | RosterPinned | DictionaryAdopted, delta: Fraction
) -> str:
    match body:
        case Genesis():
            return f"The ledger of {body.node} in {body.network} begins, at delta {body.delta}"
        case PolicySet():
            preset, year = body.rules.preset.value, _epsilon(body.yearly_rho, delta)
            said = f"{body.by} put a policy in force, {year} in a year, which began as {preset}"
            return f"{said}{_for(body.reason)}"
        case PeriodOpened():
            days = f"{body.starts[:10]} to {body.ends[:10]}"
            return f"{body.by} opened a period, {days}, with {_epsilon(body.budget_rho, delta)}"
        case RosterPinned():
            compared = len(body.confirmed)
            return f"{body.by} took list {body.epoch} of the nodes; {compared} keys compared"
        case DictionaryAdopted():
            return f"Dictionary {body.dictionary[:12]}… is in force"
        case _:
            assert_never(body)


def _of_service(body: Paused | Resumed | ConsentRoot | ConsentText | Witnessed) -> str:
    match body:
        case Paused():
            return f"{body.by} paused: nothing is answered until resumed"
        case Resumed():
            return f"{body.by} let the node answer again"
        case ConsentRoot():
            return f"Root of the table of consent of {body.epoch}; it tells nothing of members"
        case ConsentText():
            purpose, language = body.purpose, body.language
            return f"{body.by} set the text that members are asked with for {purpose} ({language})"
        case Witnessed():
            peers = ", ".join(body.peers)
            return f"After a start, {peers} confirmed this ledger up to {body.size} entries"
        case _:
            assert_never(body)


def _of_upkeep(body: BackedUp | Restored | Leaving | Left | NodeKeyChanged) -> str:
    match body:
        case BackedUp():
            return f"{body.by} began a backup"
        case Restored():
            of = body.made_at or "a copy that was no backup"
            return f"{body.by} restored the node's folder from {of}, with {body.size} entries"
        case Leaving():
            return f"{body.by} lets the organisation leave the network{_for(body.reason)}"
        case Left():
            return "The organisation left; nothing follows"
        case NodeKeyChanged():
            keys = f"from {key_words(body.old)} to {key_words(body.new)}"
            return f"{body.by} changed the node's key {keys}{_for(body.reason)}"
        case _:
            assert_never(body)


def _of_stewards(
    body: StewardInvited | StewardJoined | StewardKeyChanged | StewardEnded,
) -> str:
    match body:
        case StewardInvited():
            how = ", since every key was lost" if body.recovery else ""
            return f"{body.by} invited {body.name} as a steward{how}{_for(body.reason)}"
        case StewardJoined():
            return f"A steward joined with key {key_words(body.key)}"
        case StewardKeyChanged():
            return f"A steward took key {key_words(body.new)} for {key_words(body.old)}"
        case StewardEnded():
            return f"{body.by} ended steward's key {key_words(body.key)}{_for(body.reason)}"
        case _:
            assert_never(body)


def _of_coordinator(body: CoordinatorBody) -> str:
    match body:
        case CoordinatorKeyChanged(change=change):
            keys = f"from {key_words(change.old)} to {key_words(change.new)}"
            return f"The coordinator changed its key {keys}{_for(change.reason)}"
        case CoordinatorForked(change=change):
            keys = f"{key_words(change.old)} signed a second successor, {key_words(change.new)}"
            return f"The coordinator's former key {keys}: nothing is answered"
        case CoordinatorAccepted():
            key = key_words(body.key)
            return f"{body.by} accepted the coordinator's key {key} by hand{_for(body.reason)}"
        case _:
            assert_never(body)


def _of_history(
    body: HistoryBroken | HistoryAccepted | LedgerRecovered | BudgetForfeited,
) -> str:
    match body:
        case HistoryBroken():
            return f"The history of {body.of} is not the one seen before: {body.fault.value}"
        case HistoryAccepted():
            return f"{body.by} goes on with {body.of} from what is shown next{_for(body.reason)}"
        case LedgerRecovered():
            return f"{body.by} took lost entries back, after {body.kept} kept{_for(body.reason)}"
        case BudgetForfeited():
            return f"{body.by} gave up lost entries: all budget counts as spent{_for(body.reason)}"
        case _:
            assert_never(body)


def _of_linkage(body: LinkBegun | Linked | LinkEnded, delta: Fraction) -> str:
    match body:
        case LinkBegun():
            with_whom, cost = ", ".join(body.nodes), _epsilon(body.rho, delta)
            return f"Charged {cost} for linking members of {with_whom}, until {body.ends}"
        case Linked():
            return f"Linkage {body.session[:12]}… is in force"
        case LinkEnded():
            who = f", by {body.by}" if body.by else ""
            return f"Linkage {body.session[:12]}… ended{who}: {body.why.replace('_', ' ')}"
        case _:
            assert_never(body)
