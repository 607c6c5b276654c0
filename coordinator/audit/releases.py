"""One release of a bundle, held against the ledgers it has receipts of and its transcript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.audit.documents import Release, at, read_transcript, require
from coordinator.audit.ledgers import Context, Ledger, own_checkpoint
from privacy.contract.canonical import parse_canonical
from privacy.contract.plan import Plan
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.secure_sum.transcript import Transcript, verify_transcript


def check_receipts(context: Context, release: Release, ledgers: Mapping[str, Ledger]) -> None:
    """Every survivor's ledger charges for this release where its receipt says."""
    for node, receipt in sorted(release.receipts.items()):
        require(node in ledgers, f"the ledger of {node} is not in the bundle")
        _check_receipt(context, release, receipt, ledgers[node])


def _check_receipt(
    context: Context, release: Release, receipt: dict[str, Any], ledger: Ledger
) -> None:
    node, seq = ledger.node, receipt.get("seq")
    commit = ledger.commits.get(seq) if isinstance(seq, int) else None
    if commit is None or commit.plan != release.plan:
        raise VerificationFailed(f"entry {seq} of {node} does not charge for this release")
    leaf = ledger.replay.tree.leaf(int(seq or 0)).hex()
    require(receipt.get("leaf") == leaf, f"the receipt of {node} is for another entry {seq}")
    covered = own_checkpoint(context, node, str(receipt.get("checkpoint"))).size
    require(covered > int(seq or 0), f"the checkpoint of {node} does not cover its receipt")


def check_transcript(context: Context, release: Release, ledgers: Mapping[str, Ledger]) -> int:
    """Recompute one release from its transcript; 1 if there is one, else 0."""
    if release.transcript is None:
        return 0
    value = read_transcript(context.bundle, release.transcript)
    with at(f"transcripts/{release.transcript}.json"):
        transcript = Transcript.from_json(value)
        _check_attempt(transcript, release, context.plans[release.plan])
        require(_recomputed(transcript, context.network.keys) == release.totals, "another total")
        for node in release.survivors:
            _check_claim(transcript, node, release, ledgers[node])
    return 1


def _recomputed(transcript: Transcript, keys: Mapping[str, PublicKey]) -> tuple[int, ...]:
    """The total, from masked vectors and opened secrets alone."""
    named = {node: keys[node] for node in transcript.attempt.participants if node in keys}
    return tuple(int(value) for value in verify_transcript(transcript, named))


def _check_attempt(transcript: Transcript, release: Release, plan: Plan) -> None:
    attempt = transcript.attempt
    require(attempt.plan == release.plan, "is of another plan")
    require(attempt.participants == plan.participants, "has other participants")
    require(attempt.roster == plan.roster, "has another roster")
    require((attempt.t_drop, attempt.t_collude) == (plan.t_drop, plan.t_collude), "other margins")
    require(attempt.length == plan.length, "has another length")
    require(transcript.survivors == release.survivors, "has other survivors")


def _check_claim(transcript: Transcript, node: str, release: Release, ledger: Ledger) -> None:
    claim = parse_canonical(transcript.claims[node].body)
    receipt = release.receipts[node]
    commit = ledger.commits[receipt["seq"]]
    place = (commit.round, commit.attempt)
    require(place == (transcript.attempt.round, transcript.attempt.attempt), "another attempt")
    require(claim["sha256"] == commit.masked_sha256, f"{node} charged for other bytes")
    require(claim["checkpoint"] == receipt.get("checkpoint"), f"another checkpoint of {node}")
