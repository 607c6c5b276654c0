"""What changed at an organisation and when: policies in words, withdrawals and their effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from coordinator.audit.verify import Verified
from privacy.contract.signing import PublicKey
from privacy.contract.time import parse_instant
from privacy.errors import BadInput
from privacy.ledger.entry import (
    Approval,
    Commit,
    ConsentRoot,
    Entry,
    KeysRevoked,
    Paused,
    PolicySet,
    Reserve,
    Resumed,
)
from privacy.ledger.policy_words import Lines, policy_changes, policy_words


def entries_of(found: Verified, node: str) -> Iterator[Entry]:
    """Every entry of one ledger of a bundle that was verified, in order."""
    bundle = found.context.bundle
    return (Entry.from_bytes(line) for line in bundle.lines(f"nodes/{node}/entries.jsonl"))


def check_node(found: Verified, node: str) -> None:
    """Raise BadInput unless the bundle holds this organisation's ledger."""
    if node not in found.ledgers:
        names = ", ".join(found.ledgers)
        raise BadInput(f"no ledger of {node!r}", instead=f"write one of {names}")


@dataclass(frozen=True)
class PolicyVersion:
    """One policy of an organisation, numbered from 1, and what it changed."""

    node: str
    number: int
    seq: int
    at: str
    by: str
    reason: str
    preset: str
    words: Lines
    changes: Lines

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"words": dict(self.words), "changes": dict(self.changes)}


def policy_versions(found: Verified, node: str) -> tuple[PolicyVersion, ...]:
    """Every policy that was in force at one organisation, the first one in full."""
    return versions_of(node, entries_of(found, node), found.ledgers[node].replay.state.delta)


def versions_of(node: str, entries: Iterable[Entry], delta: Fraction) -> tuple[PolicyVersion, ...]:
    """The policies among these entries of one ledger, which states epsilon at `delta`."""
    versions: list[PolicyVersion] = []
    before: PolicySet | None = None
    for entry in entries:
        match entry.body:
            case PolicySet() as body:
                versions.append(
                    PolicyVersion(
                        node=node,
                        number=len(versions) + 1,
                        seq=entry.seq,
                        at=entry.at,
                        by=body.by,
                        reason=body.reason,
                        preset=body.rules.preset.value,
                        words=policy_words(body, delta),
                        changes=policy_changes(before, body, delta),
                    )
                )
                before = body
            case _:
                pass
    return tuple(versions)


def between(versions: tuple[PolicyVersion, ...], old: int, new: int) -> Lines:
    """What version `new` says otherwise than version `old`; raises BadInput for no such version."""
    numbered = {version.number: version for version in versions}
    if not {old, new} <= set(numbered):
        raise BadInput(f"versions are 1 to {len(versions)}", where="--between")
    before = dict(numbered[old].words)
    return tuple(
        (what, f"{before[what]} -> {said}")
        for what, said in numbered[new].words
        if before[what] != said
    )


@dataclass(frozen=True)
class Withdrawal:
    """Something an organisation took back, and whether it held from then on.

    `after_seconds` is how much later than the first organisation this one recorded it; None
    where each decides for itself. `under_way` are the runs that had been reserved, `charged_after`
    the charges with bytes that left although it was taken back: 0 in every honest ledger.
    """

    node: str
    seq: int
    at: str
    kind: str
    what: str
    until: str
    under_way: int
    charged_after: int
    after_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def withdrawals(found: Verified) -> tuple[Withdrawal, ...]:
    """Approvals taken back, keys revoked and pauses, of every organisation, by time."""
    first: dict[str, str] = {}
    taken = [each for node in found.ledgers for each in _Watch(found, node).read(first)]
    dated = [_dated(each, first) for each in taken]
    return tuple(sorted(dated, key=lambda each: (each.at, each.node, each.seq)))


def _dated(each: Withdrawal, first: dict[str, str]) -> Withdrawal:
    if each.kind != "key revoked":
        return each
    late = parse_instant(each.at) - parse_instant(first[each.what])
    return Withdrawal(**(asdict(each) | {"after_seconds": late.total_seconds()}))


class _Watch:
    """Reads one ledger and keeps what was taken back until it was given again."""

    def __init__(self, found: Verified, node: str) -> None:
        self.found, self.node = found, node
        self.done: list[Withdrawal] = []
        self.open: dict[tuple[str, str], dict[str, Any]] = {}
        self.plans: dict[str, Reserve] = {}

    def read(self, first: dict[str, str]) -> list[Withdrawal]:
        for entry in entries_of(self.found, self.node):
            self._see(entry, first)
        return self.done + [Withdrawal(**each, until="") for each in self.open.values()]

    def _see(self, entry: Entry, first: dict[str, str]) -> None:
        match entry.body:
            case Reserve() as body:
                self.plans[body.plan] = body
            case Approval(decision="withdrawn") as body:
                self._take(entry, "approval withdrawn", body.study_digest, body.study)
            case Approval(decision="approved") as body:
                self._give("approval withdrawn", body.study_digest, entry.at)
            case Paused():
                self._take(entry, "paused", "", "every question")
            case Resumed():
                self._give("paused", "", entry.at)
            case KeysRevoked(keys=keys):
                for key in keys:
                    name = PublicKey.from_text(key).fingerprint
                    first[name] = min(first.get(name, entry.at), entry.at)
                    self._take(entry, "key revoked", key, name)
            case Commit() as body if body.bytes:
                self._charged(body)
            case body:
                self.plans.pop(getattr(body, "plan", ""), None)

    def _take(self, entry: Entry, kind: str, key: str, what: str) -> None:
        held = sum(self._touches(kind, key, plan) for plan in self.plans.values())
        self.open[(kind, key)] = {
            "node": self.node,
            "seq": entry.seq,
            "at": entry.at,
            "kind": kind,
            "what": what,
            "under_way": held,
            "charged_after": 0,
        }

    def _give(self, kind: str, key: str, at: str) -> None:
        taken = self.open.pop((kind, key), None)
        if taken is not None:
            self.done.append(Withdrawal(**taken, until=at))

    def _charged(self, body: Commit) -> None:
        plan = self.plans.get(body.plan)
        for (kind, key), taken in self.open.items():
            if plan is not None and kind != "key revoked" and self._touches(kind, key, plan):
                taken["charged_after"] += 1

    def _touches(self, kind: str, key: str, plan: Reserve) -> bool:
        match kind:
            case "approval withdrawn":
                return plan.study_digest == key
            case "key revoked":
                delegate = "" if plan.delegation is None else plan.delegation.key
                return key in (plan.researcher, delegate)
            case _:
                return True


def consent_months(entries: Iterable[Entry]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The months with a root of the consent table, and those between them without one, of the
    entries of one ledger."""
    stands = [entry.body.epoch for entry in entries if isinstance(entry.body, ConsentRoot)]
    if not stands:
        return (), ()
    missing = [month for month in _months(stands[0], stands[-1]) if month not in stands]
    return tuple(stands), tuple(missing)


def _months(first: str, last: str) -> Iterator[str]:
    day, end = date.fromisoformat(f"{first}-01"), date.fromisoformat(f"{last}-01")
    while day <= end:
        yield f"{day.year:04d}-{day.month:02d}"
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
