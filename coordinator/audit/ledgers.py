"""One ledger of a bundle, read entry by entry against the plans, releases and witnesses in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.audit.attempts import RefusedAttempt
from coordinator.audit.breaks import Break, note_break
from coordinator.audit.bundle import Bundle
from coordinator.audit.documents import Network, Release, at, require
from coordinator.audit.held import HeldBy, head_of, text_of, witnesses_of
from coordinator.audit.in_force import check_allowed, check_part, check_policy
from coordinator.audit.linkages import Linkage, check_begun, check_counts_by, check_linked
from coordinator.audit.own_key import check_in_force, note_coordinator
from coordinator.audit.report import Change
from coordinator.audit.upkeep import upkeep_change
from privacy.accounting.conversion import epsilon_of_rho
from privacy.checkpoint import COORDINATOR, Checkpoint, open_checkpoint
from privacy.contract.canonical import parse_rational
from privacy.contract.delegation import authority_of
from privacy.contract.plan import Plan
from privacy.contract.researcher_key import ResearcherKey, ever, standing
from privacy.contract.signing import PublicKey
from privacy.contract.study import Study
from privacy.contract.study_life import Act
from privacy.contract.time import parse_instant
from privacy.errors import Refused, VerificationFailed
from privacy.ledger.attempt_entry import AttemptRefused
from privacy.ledger.chain import Anchor, Replay, check_anchors, check_covered, replay
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.desk_entry import Endorsement, QuestionDecided, Reviewed
from privacy.ledger.entry import (
    Approval,
    Body,
    Commit,
    ConsentText,
    DictionaryAdopted,
    Entry,
    Genesis,
    KeysRevoked,
    PolicySet,
    Released,
    Reserve,
    RosterPinned,
)
from privacy.ledger.history_entry import (
    BudgetForfeited,
    HistoryAccepted,
    HistoryBroken,
    LedgerRecovered,
)
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.ledger.policy_words import policy_changes
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import PeriodOpened
from privacy.ledger.stewards import founding_key
from privacy.ledger.successors import ResearcherKeyChanged
from privacy.ledger.upkeep_entry import NodeKeyChanged
from privacy.merkle import Tree
from privacy.units import Rho

_ACTS = {
    "approved": Act.APPROVE.value,
    "refused": Act.REFUSE.value,
    "asked": Act.ASK.value,
    "withdrawn": Act.WITHDRAW.value,
}


@dataclass(frozen=True)
class Context:
    """The signed documents of the bundle, already verified."""

    bundle: Bundle
    network: Network
    plans: dict[str, Plan]
    releases: dict[str, Release]
    linkages: dict[str, Linkage]


@dataclass
class Ledger:
    """One ledger while it is read: its commits by place, and who changed which limit."""

    node: str
    replay: Replay = field(default_factory=lambda: Replay(LedgerState(), Tree()))
    commits: dict[int, Commit] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    decisions: set[tuple[str, str]] = field(default_factory=set)  # (study version, act)
    vouched: HeldBy = field(default_factory=HeldBy)
    breaks: list[Break] = field(default_factory=list)
    refused: list[RefusedAttempt] = field(default_factory=list)
    given_up: list[tuple[int, int]] = field(default_factory=list)  # entries from .. up to

    def gave_up(self, anchor: Anchor) -> bool:
        """Whether a backup lost what the anchor covers, and the ledger says so itself."""
        missing = anchor.size > self.replay.tree.size
        another = missing or self.replay.tree.root(anchor.size) != anchor.root
        return another and any(low < anchor.size <= high for low, high in self.given_up)


def verify_ledger(context: Context, node: str) -> Ledger:
    """Read one ledger against everything else in the bundle.

    Raises VerificationFailed naming the file and its first bad entry.
    """
    bundle, place = context.bundle, f"nodes/{node}"
    ledger = Ledger(node)
    with at(f"{place}/checkpoint.txt"):
        require(node in context.network.keys, "the ledger's node is in no roster")
        head = own_checkpoint(context, node, text_of(bundle.read(f"{place}/checkpoint.txt")))
    entries = f"{place}/entries.jsonl"
    with at(entries):
        result = replay(
            bundle.lines(entries),
            head=head,
            watch=lambda entry, before: _watch(context, ledger, entry, before),
        )
    anchors = [Anchor(head.size, head.root, node)]
    ledger.replay = result
    ledger.vouched = witnesses_of(bundle, context.network, node)
    anchors += [each for each in ledger.vouched.anchors if not ledger.gave_up(each)]
    anchors += _receipt_anchors(context, node)
    with at(entries):
        check_anchors(result.tree, anchors)
        check_covered(result.tree, head)
        check_in_force(result.state, bundle.coordinator, ledger.breaks)
    with at(f"{place}/checkpoint.txt"):  # by the key that the ledger itself names, not the roster
        note = text_of(bundle.read(f"{place}/checkpoint.txt"))
        open_checkpoint(note, PublicKey.from_text(result.state.key))
    bundle.read(entries)
    return ledger


def own_checkpoint(context: Context, node: str, note: str) -> Checkpoint:
    return head_of(context.bundle, context.network, node, note)


def _receipt_anchors(context: Context, node: str) -> list[Anchor]:
    anchors = []
    for digest, release in context.releases.items():
        for each in release.rounds:
            if node in each.receipts:
                with at(f"releases/{digest}.json: receipt of {node}"):
                    note = each.receipts[node].get("checkpoint")
                    require(isinstance(note, str), "has no checkpoint")
                    held = own_checkpoint(context, node, str(note))
                anchors.append(Anchor(held.size, held.root, f"release {digest}"))
    return anchors


def _watch(context: Context, ledger: Ledger, entry: Entry, before: LedgerState) -> None:
    """What the rest of the bundle has to say about one entry."""
    with at(f"entry {entry.seq}"):
        match entry.body:
            case Genesis() as body:
                _check_genesis(context, ledger.node, body)
            case Reserve() as body:
                _check_reserve(context, ledger.node, body, entry.at, before)
            case NodeKeyChanged() as body:
                _check_key_change(context, ledger.node, body)
            case Commit() as body:
                plan = context.plans.get(body.plan)
                require(plan is not None, "charges a plan that is not in the bundle")
                _check_commit(ledger.node, body, plan)
                ledger.commits[entry.seq] = body
            case Released() as body:
                release = context.releases.get(body.release)
                require(release is not None, "names a release that is not in the bundle")
                require(_plan_of(release) == body.plan, "names the release of another plan")
            case Approval() as body:
                _check_approval(context, body, before)
                ledger.decisions.add((body.study_digest, _ACTS[body.decision]))
            case Reviewed() as body:
                ledger.decisions.add((body.study_digest, Act.REVIEW.value))
            case (
                HistoryBroken() | HistoryAccepted() | LedgerRecovered() | BudgetForfeited() as body
            ):
                note_break(context.bundle, context.network, ledger.breaks, entry, body)
                if isinstance(body, BudgetForfeited):
                    ledger.given_up.append((entry.seq, _largest(context, ledger.node, body)))
            case AttemptRefused() as body:
                ledger.refused.append(RefusedAttempt.of(entry, body))
            case CoordinatorKeyChanged() | CoordinatorForked() | CoordinatorAccepted() as body:
                note_coordinator(context.bundle.changes, ledger.breaks, entry, body)
            case ResearcherKeyChanged() as body:
                _check_successor(context, body.change)
            case KeysRevoked() as body:
                _check_revoked(context, body)
            case DictionaryAdopted(dictionary=digest):
                require(digest in context.network.dictionaries, "dictionary is not in the bundle")
            case Linked() as body:
                check_linked(context.linkages, body)
            case _:
                pass
        change = _change_of(context, ledger.node, entry.body, before)
    if change is not None:
        by, what = change
        ledger.changes.append(Change(entry.seq, entry.at, entry.body.kind, by, what))


def _change_of(
    context: Context, node: str, body: Body, before: LedgerState
) -> tuple[str, str] | None:
    """Who changed a limit, an approval or a rule, and what, in words."""
    match body:
        case Approval():
            return body.by, f"{body.study}: {body.decision}, {_limit(context, body.rho)}"
        case Endorsement() | Reviewed() | QuestionDecided():
            return body.by, _decided(body)
        case ResearcherKeyChanged(change=change):
            was, now = (PublicKey.from_text(k).fingerprint for k in (change.old, change.new))
            return COORDINATOR, f"a researcher took the key {now} for {was}"
        case KeysRevoked():
            prints = (PublicKey.from_text(key).fingerprint for key in body.keys)
            return COORDINATOR, "revoked " + ", ".join([*prints, *body.delegations])
        case PolicySet():
            said = policy_changes(before.policy, body, before.delta)
            what = "; ".join(f"{name}: {text}" for name, text in said)
            return body.by, what or "nothing changed"
        case ConsentText():
            return body.by, f"{body.purpose} ({body.language}): text {body.text[:12]}…"
        case LinkBegun():
            return COORDINATOR, check_begun(context.linkages, node, body)
        case LinkEnded() if body.by:
            return body.by, body.why
        case PeriodOpened() | RosterPinned():
            return body.by, _described(context, body, before)
        case _:
            return upkeep_change(body, before)


def _check_key_change(context: Context, node: str, body: NodeKeyChanged) -> None:
    """Rosters tell the same of a node's keys as its ledger, whose entry both keys signed."""
    key = context.network.keys[node]
    known = [(each.key.text, each.until) for each in key.former]
    require((body.old, body.until) in known, "changes the key otherwise than the roster")
    following = [text for text, _ in known[known.index((body.old, body.until)) + 1 :]]
    require([*following, key.text][0] == body.new, "changes the key to another than the roster's")


def _check_successor(context: Context, change: ResearcherKey) -> None:
    network = context.network
    known = network.researcher_keys.get(change.digest)
    require(known is not None, "names a change of a researcher's key that is not in the bundle")
    successors = {each.old: each.new for each in network.researcher_keys.values()}
    named = (key for study in network.studies.values() for key in study.keys)
    require(change.old in ever(named, successors), "the key is no investigator's")


def _check_revoked(context: Context, body: KeysRevoked) -> None:
    listed = context.network.revocations.get(body.revocation)
    known = frozenset() if listed is None else listed.everything
    named = {*body.keys, *body.delegations}
    require(named <= known, "revokes keys that no list in it names")


def _largest(context: Context, node: str, body: BudgetForfeited) -> int:
    return max(own_checkpoint(context, node, note).size for note in body.held)


def _decided(body: Endorsement | Reviewed | QuestionDecided) -> str:
    match body:
        case Endorsement():
            return f"{body.study}: the first of two approvals"
        case Reviewed():
            key = PublicKey.from_text(body.key).fingerprint
            return f"{body.study}: signed off by patient reviewer {body.reviewer}, key {key}"
        case QuestionDecided():
            return f"{body.study}: question {body.decision}: {body.sentence}"


def _plan_of(release: Release | None) -> str:
    return release.plan if release is not None else ""


def _limit(context: Context, rho: str) -> str:
    return f"epsilon at most {epsilon_of_rho(Rho.parse(rho), context.network.delta):.6g}"


def _described(context: Context, body: PeriodOpened | RosterPinned, before: LedgerState) -> str:
    match body:
        case PeriodOpened():
            signer = "" if body.signed is None else body.signed.key  # the ledger's rules want one
            whose = "the key made with the node" if signer == founding_key(before) else "a steward"
            span = f"{body.starts} to {body.ends}, {_limit(context, body.budget_rho)}"
            return f"{span}, signed by {whose}: {PublicKey.from_text(signer).fingerprint}"
        case RosterPinned():
            require(body.roster in context.network.rosters, "roster is not in the bundle")
            return f"epoch {body.epoch}, {len(body.confirmed)} fingerprints compared"


def _check_genesis(context: Context, node: str, body: Genesis) -> None:
    network = context.network
    require(body.node == node, "is the ledger of another node")
    require(body.network == network.name, "is a ledger of another network")
    key = network.keys[node]
    first = key.former[0].key if key.former else key
    require(body.key == first.text, "names another key than the roster")
    require(parse_rational(body.delta) <= network.delta, "delta is larger than the network's")


def _check_approval(context: Context, body: Approval, before: LedgerState) -> None:
    study = context.network.studies.get(body.study_digest)
    if body.decision == "approved":
        require(study is not None, "approves a study that is not in the bundle")
    if study is not None:
        require(study.id == body.study, "names the study by another id")
        if body.decision == "approved":
            check_part(study, body)
            allowance = study.rho * study.memberships**2
            require(Rho.parse(body.rho) <= allowance, "allows more than the study's allowance")
            check_allowed(body, study, before)


def _check_reserve(
    context: Context, node: str, body: Reserve, at_instant: str, before: LedgerState
) -> None:
    study = context.network.studies.get(body.study_digest)
    if study is None:
        raise VerificationFailed("reserves for a study that is not in the bundle")
    day = parse_instant(at_instant).date()
    require(study.first_day <= day <= study.last_day, "the study's period does not hold this day")
    plan = context.plans.get(body.plan)
    if plan is None:
        raise VerificationFailed("reserves for a plan that is not in the bundle")
    _check_authority(body, plan, study, before)
    check_policy(body, plan, study, before)
    check_counts_by(body, plan, before)
    agreements = (
        (node in plan.participants, "the plan does not name this node"),
        (plan.roster == before.roster, "roster"),
        (body.study == plan.study and body.study_digest == plan.study_digest, "study"),
        (body.question == plan.question_envelope.digest, "question"),
        (body.identity == plan.identity, "identity"),
        (body.dictionary == plan.dictionary, "dictionary"),
        (_costs(body) == [(each.mechanism, each.rho) for each in plan.rounds], "rounds"),
        (body.max_attempts == plan.max_attempts, "max_attempts"),
        (body.expires == plan.expires, "expires"),
    )
    for holds, what in agreements:
        require(holds, f"does not agree with its plan: {what}")


def _check_authority(body: Reserve, plan: Plan, study: Study, before: LedgerState) -> None:
    """Asked by an investigator, or under a delegation that one of them signed and that held.

    Which key is an investigator's by now stands in the ledger.
    """
    question = plan.open_question()
    asked = parse_instant(question.asked_at)
    try:
        keys = standing(study.keys, before.successors)
        found = authority_of(plan.signer, question, study, asked, keys)
    except Refused as refused:
        raise VerificationFailed(f"researcher is no investigator: {refused}") from None
    require(body.researcher == found.researcher.text, "does not agree with its plan: researcher")
    said = body.delegation
    named = None if said is None else (said.statement, said.key, said.rho, said.expires)
    own = found.delegation
    due = (found.statement, own.delegate, own.cap(study).text, own.expires) if own else None
    require(named == due, "does not agree with its plan: delegation")


def _costs(body: Reserve) -> list[tuple[dict[str, int], str]]:
    return [(each.mechanism.to_json(), each.rho) for each in body.rounds]


def _check_commit(node: str, body: Commit, plan: Plan | None) -> None:
    if plan is None:
        return
    require(node in plan.participants, "the plan does not name this node")
    require(body.round < len(plan.rounds), "the plan has no such round")
    planned = plan.rounds[body.round]
    require(body.mechanism.to_json() == planned.mechanism, "mechanism is not the plan's")
    require(body.rho == planned.rho, "rho is not the plan's")
    require(body.length == planned.length, "length is not the plan's")
