"""What the mirror says, as auditors are shown it on line. Offline they need none of this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache

from coordinator.api.audit_schema import (
    AuditOverview,
    EntryDetail,
    EntryList,
    EntryView,
    FindingView,
    LedgerOverview,
    PolicyList,
    PolicyView,
    ProofView,
    VerificationState,
    VerificationView,
    WithdrawalList,
    WithdrawalView,
    WitnessView,
)
from coordinator.api.schema import Amount
from coordinator.api.services import Services
from coordinator.api.verifying import Checked, Verification
from coordinator.api.views import amount
from coordinator.audit.advice import Found
from coordinator.audit.history import versions_of
from coordinator.audit.overview import NodeOverview, Vouched, node_overview
from coordinator.audit.report import Spent
from coordinator.reading import LedgerIndex, Place, Sought
from coordinator.store.facts import CheckpointFacts, NodeFacts
from privacy.checkpoint import (
    AUDITOR,
    COORDINATOR,
    LOG,
    Checkpoint,
    check_cosignature,
    note_text,
    witness_name,
)
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import PublicKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import Entry
from privacy.ledger.entry_words import KIND_WORDS, entry_words, key_words
from privacy.ledger.state import LedgerState
from privacy.merkle import leaf_hash
from privacy.promise import Promise

Keys = Mapping[str, tuple[str, PublicKey]]  # by who cosigns: the name in a cosignature, the key
PAGE = 50
_WITHDRAWN = 200  # to a page
_UNREADABLE = "This entry cannot be read: it is not the canonical form of any"


def overview_view(services: Services) -> AuditOverview:
    """Every organisation that ever had a ledger here, and the coordinator's own log."""
    keys = _keys(services)
    return AuditOverview(
        network=services.store.network.id,
        log_size=services.log.size(),
        log_witnesses=_witnesses(services, LOG, keys),
        nodes=[_ledger(services, node, keys) for node in services.store.nodes.all()],
        runs_refused=services.store.runs.refused(),
        verification=verification_state(services, whole=False),
    )


def verification_state(services: Services, *, whole: bool = True) -> VerificationState:
    """The newest verification and the newest that held; unless `whole`, without its report."""
    newest, held = services.verifications.newest, services.verifications.held
    return VerificationState(
        newest=None if newest is None else _verification(newest, whole=whole),
        held_at="" if held is None else held.at,
    )


def _verification(found: Verification, *, whole: bool) -> VerificationView:
    checked = found.checked if whole else None
    return VerificationView(
        number=found.number,
        by=found.by,
        started=found.started,
        finished=found.finished,
        stage=found.stage.value,
        file=found.file,
        share=found.share,
        report=None if checked is None else checked.report,
        failed=None if found.failed is None else _finding(found.failed),
    )


def _finding(found: Found) -> FindingView:
    return FindingView(**found.to_json())


@dataclass(frozen=True)
class _Seen:
    """What was read of one organisation; `trouble` is what does not hold in its ledger."""

    node: NodeFacts
    index: LedgerIndex
    witnesses: list[WitnessView]
    trouble: FindingView | None


def _ledger(services: Services, node: NodeFacts, keys: Keys) -> LedgerOverview:
    witnesses, index = _witnesses(services, node.id, keys), services.reading.of(node.id)
    cosigned = [each for each in witnesses if each.cosigned]
    vouched = Vouched(
        max((each.size for each in cosigned), default=0),
        tuple(each.by for each in cosigned),
        index.breaks,
    )
    trouble, state = None, LedgerState()
    try:
        state = services.budgets.state(node.id)
    except VerificationFailed as wrong:
        place = f"nodes/{node.id}/entries.jsonl: {wrong.where}"
        trouble = _finding(Found.of(VerificationFailed(wrong.what, where=place)))
    said = node_overview(node.id, node.name, state, index.tree.root().hex(), vouched)
    return _shown(services, _Seen(node, index, witnesses, trouble), said)


def _shown(services: Services, seen: _Seen, said: NodeOverview) -> LedgerOverview:
    node, index, trouble = seen.node, seen.index, seen.trouble
    held = services.verifications.held
    ledger = None if held is None else held.found.ledgers.get(node.id)
    newest = services.store.ledgers.newest_checkpoint(node.id)
    return LedgerOverview(
        node=node.id,
        name=node.name,
        state=node.state,
        last_contact=node.last_contact,
        preset=said.preset,
        period=said.period,
        spent=_amount(services, said.spent),
        reserved=_amount(services, said.reserved),
        limit=_amount(services, said.limit),
        lifetime=_amount(services, said.lifetime),
        share=said.share,
        spent_share=said.spent_share,
        last_entry=said.last_entry,
        entries=len(index.places),
        root=said.root,
        checkpoint_size=0 if newest is None else newest.size,
        witnesses=seen.witnesses,
        verified_size=0 if ledger is None else ledger.replay.state.size,
        stopped=[] if trouble else list(said.stopped),
        remarks=[] if trouble else list(said.remarks),
        refusals=dict(sorted(index.refusals.items())),
        trouble=trouble,
    )


def _amount(services: Services, spent: Spent) -> Amount:
    return amount(spent.rho, spent.delta or services.store.network.delta)


def _keys(services: Services) -> Keys:
    """Everybody who may cosign."""
    network = services.store.network
    auditors = {f"{AUDITOR}{name}": key for name, key in services.store.people.auditors()}
    keys = {COORDINATOR: services.key.public, **network.roster.keys, **auditors}
    of = network.id
    return {by: (witness_name(of, by), key) for by, key in keys.items()}


def _witnesses(services: Services, of: str, keys: Keys) -> list[WitnessView]:
    """The newest that each other one cosigned; of those who only hold one, that."""
    found: dict[str, WitnessView] = {}
    for facts in services.store.ledgers.newest_witnesses(of):
        at = ""
        if facts.cosignature is not None and facts.by in keys:
            at = _cosigned_at(facts, *keys[facts.by])
        view = WitnessView(by=facts.by, size=facts.size, cosigned=bool(at), at=at)
        known = found.get(view.by)
        if known is None or (view.cosigned, view.size) > (known.cosigned, known.size):
            found[view.by] = view
    return list(found.values())


@lru_cache(maxsize=4096)
def _cosigned_at(facts: CheckpointFacts, name: str, key: PublicKey) -> str:
    """When a cosignature was made; "" for one that does not hold, which only shows a holder."""
    try:
        head = Checkpoint.parse(note_text(facts.text))
        stamp = check_cosignature(head, facts.cosignature or "", name, key)
    except (BadInput, VerificationFailed):
        return ""
    return instant_text(datetime.fromtimestamp(stamp, UTC))


def entries_view(services: Services, node: str, sought: Sought, page: int) -> EntryList:
    """A page of what is looked for; of a page beyond the last, the last."""
    facts, index = known_node(services, node), services.reading.of(node)
    keys = {key_words(key): key for key in tuple(index.researchers) if key}
    if sought.researcher:
        key = keys.get(sought.researcher, sought.researcher)
        sought = Sought(sought.kind, sought.study, key, sought.since, sought.until)
    found = index.find(sought)
    pages = max(1, -(-len(found) // PAGE))
    page = min(page, pages)
    shown = found[(page - 1) * PAGE : page * PAGE]
    lines = services.store.ledgers.those(node, [place.seq for place in shown])
    delta = _delta(services, node)
    return EntryList(
        node=node,
        name=facts.name,
        entries=[_entry(lines[place.seq], delta, index, place) for place in shown],
        found=len(found),
        page=page,
        pages=pages,
        size=len(index.places),
        kinds=dict(index.kinds),
        kind_words={kind: _kind_words(kind) for kind in tuple(index.kinds)},
        studies=sorted(study for study in tuple(index.studies) if study),
        researchers=sorted(keys),
    )


def known_node(services: Services, node: str) -> NodeFacts:
    """The organisation; raises Refused(NOT_FOUND)."""
    for facts in services.store.nodes.all():
        if facts.id == node:
            return facts
    raise Refused(Code.NOT_FOUND)


def _kind_words(kind: str) -> str:
    return KIND_WORDS.get(kind, kind)


def _entry(data: bytes, delta: Fraction, index: LedgerIndex, place: Place) -> EntryView:
    _, _, question = index.asked.get(place.plan, ("", "", ""))
    try:
        body = Entry.from_bytes(data).body
        words = entry_words(body, delta, question)
    except BadInput as wrong:
        words = f"{_UNREADABLE} ({wrong.what})."
    return EntryView(
        seq=place.seq,
        at=place.at,
        kind=place.kind,
        kind_words=_kind_words(place.kind),
        words=words,
        study=place.study,
        researcher=key_words(place.researcher) if place.researcher else "",
    )


def _delta(services: Services, node: str) -> Fraction:
    """At which the ledger states epsilon; where it does not hold, the network's."""
    try:
        return services.budgets.state(node).delta or services.store.network.delta
    except VerificationFailed:
        return services.store.network.delta


def entry_view(services: Services, node: str, seq: int) -> EntryDetail:
    """One entry with the proof that it stands under the node's newest checkpoint."""
    facts, index = known_node(services, node), services.reading.of(node)
    if not 0 <= seq < len(index.places):
        raise Refused(Code.NOT_FOUND, size=len(index.places))
    (data,) = services.store.ledgers.entries(node, seq, seq + 1)
    view = _entry(data, _delta(services, node), index, index.places[seq])
    try:
        value = parse_canonical(data)
    except BadInput:
        value = None
    witnesses = [each for each in _witnesses(services, node, _keys(services)) if each.size > seq]
    return EntryDetail(
        **view.model_dump(),
        node=node,
        name=facts.name,
        text=data.decode("utf-8", "replace"),
        value=value,
        leaf=leaf_hash(data).hex(),
        proof=_proof(services, node, index, seq),
        witnesses=witnesses,
        newest=len(index.places) - 1,
    )


def _proof(services: Services, node: str, index: LedgerIndex, seq: int) -> ProofView | None:
    newest = services.store.ledgers.newest_checkpoint(node)
    key = services.store.network.roster.keys.get(node)
    if newest is None or key is None or not seq < newest.size <= index.tree.size:
        return None
    head = Checkpoint.parse(note_text(newest.text))
    return ProofView(
        size=head.size,
        root=head.root.hex(),
        hashes=[each.hex() for each in index.tree.inclusion_proof(seq, head.size)],
        checkpoint=newest.text,
        key=key.text,
    )


def policies_view(services: Services, node: str) -> PolicyList:
    """Every policy of one organisation and what is promised under the one in force."""
    facts, index = known_node(services, node), services.reading.of(node)
    state = services.budgets.state(node)
    seqs = [each.seq for each in reversed(index.find(Sought(kind="policy")))]
    lines = services.store.ledgers.those(node, seqs)
    found = [Entry.from_bytes(lines[seq]) for seq in seqs]
    promise = Promise.of(state)
    return PolicyList(
        node=node,
        name=facts.name,
        versions=[PolicyView(**each.to_json()) for each in versions_of(node, found, state.delta)],
        promise=None if promise is None else promise.to_json(),
    )


def withdrawals_view(checked: Checked, page: int | None) -> WithdrawalList:
    """What was taken back; of a page beyond the last, the last."""
    every = checked.material.withdrawn
    size = max(1, len(every)) if page is None else _WITHDRAWN
    pages = max(1, -(-len(every) // size))
    page = min(page or 1, pages)
    stop = len(every) - (page - 1) * size
    shown = every[max(0, stop - size) : stop]
    return WithdrawalList(
        made_at=checked.at,
        withdrawals=[WithdrawalView(**vars(each)) for each in shown],
        found=len(every),
        page=page,
        pages=pages,
    )
