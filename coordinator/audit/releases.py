"""One release of a bundle, held against the ledgers it has receipts of and its transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.audit.documents import (
    Release,
    ReleasedRound,
    at,
    read_state,
    read_transcript,
    require,
)
from coordinator.audit.ledgers import Context, Ledger, own_checkpoint
from coordinator.statement import totals_digest
from models.aggregates.requests import Analysis, parse_analysis
from models.noise_law import NoiseLaw
from models.opening import Opening
from privacy.contract.canonical import parse_canonical
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.contract.signing import PublicKey
from privacy.errors import Refused, VerificationFailed
from privacy.mechanism import GaussianSum
from privacy.secure_sum.transcript import Transcript, verify_transcript


def check_receipts(context: Context, release: Release, ledgers: Mapping[str, Ledger]) -> None:
    """Every survivor's ledger charges for every round of this release where its receipt says."""
    for number, each in enumerate(release.rounds):
        for node, receipt in sorted(each.receipts.items()):
            require(node in ledgers, f"the ledger of {node} is not in the bundle")
            _check_receipt(context, (release.plan, number), receipt, ledgers[node])


def _check_receipt(
    context: Context, opening: tuple[str, int], receipt: dict[str, Any], ledger: Ledger
) -> None:
    node, seq = ledger.node, receipt.get("seq")
    commit = ledger.commits.get(seq) if isinstance(seq, int) else None
    if commit is None or (commit.plan, commit.round) != opening:
        raise VerificationFailed(f"entry {seq} of {node} does not charge for this release")
    leaf = ledger.replay.tree.leaf(int(seq or 0)).hex()
    require(receipt.get("leaf") == leaf, f"the receipt of {node} is for another entry {seq}")
    covered = own_checkpoint(context, node, str(receipt.get("checkpoint"))).size
    require(covered > int(seq or 0), f"the checkpoint of {node} does not cover its receipt")


def check_transcripts(context: Context, release: Release, ledgers: Mapping[str, Ledger]) -> int:
    """Recompute a release round by round from its transcripts; returns how many there are.

    What each round was asked with is made again from the openings before it.
    """
    opened: list[Opening] = []
    for number, each in enumerate(release.rounds):
        _check_state(context, release, opened, each)
        opened.append(_opening(context, release, number, ledgers))
    return len(opened)


def _check_state(
    context: Context, release: Release, opened: list[Opening], each: ReleasedRound
) -> None:
    """The state that the round was asked with is what the analysis makes of the openings."""
    plan = context.plans[release.plan]
    dictionary = context.network.dictionaries[plan.dictionary]
    analysis = parse_analysis(plan.analysis)
    with at(f"states/{each.state}.bin"):
        stated = read_state(context.bundle, each.state)
        own = _state_of(analysis, dictionary, opened)
        where = f"round {len(opened) + 1}"
        require(analysis.same_state(stated, own), f"{where} was asked with another state")


def _state_of(analysis: Analysis, dictionary: Dictionary, opened: list[Opening]) -> bytes:
    """What the analysis makes of the openings; whatever stops it is a failed verification."""
    try:
        return analysis.state(dictionary, opened)
    except (Refused, ArithmeticError, ValueError):
        raise VerificationFailed("no state follows from the rounds before") from None


def _opening(
    context: Context, release: Release, number: int, ledgers: Mapping[str, Ledger]
) -> Opening:
    each, plan = release.rounds[number], context.plans[release.plan]
    value = read_transcript(context.bundle, each.transcript)
    with at(f"transcripts/{each.transcript}.json"):
        transcript = Transcript.from_json(value)
        _check_attempt(transcript, release, number, plan)
        totals = _recomputed(transcript, context.network.rosters[plan.roster].keys)
        require(totals_digest(totals) == each.totals, "another total")
        for node in each.survivors:
            _check_claim(transcript, node, each, ledgers[node])
    law = NoiseLaw(GaussianSum.from_json(plan.rounds[number].mechanism), len(each.survivors))
    lost = tuple(node for node in plan.participants if node not in each.survivors)
    return Opening(totals, law, read_state(context.bundle, each.state), lost)


def _recomputed(transcript: Transcript, keys: Mapping[str, PublicKey]) -> tuple[int, ...]:
    """The total, from masked vectors and opened secrets alone."""
    named = {node: keys[node] for node in transcript.attempt.participants if node in keys}
    return tuple(int(value) for value in verify_transcript(transcript, named))


def _check_attempt(transcript: Transcript, release: Release, number: int, plan: Plan) -> None:
    attempt, each = transcript.attempt, release.rounds[number]
    require(attempt.plan == release.plan, "is of another plan")
    require(attempt.round == number, "is of another round")
    require(attempt.state == each.state, "was asked with another state")
    require(attempt.participants == plan.participants, "has other participants")
    require(attempt.roster == plan.roster, "has another roster")
    require((attempt.t_drop, attempt.t_collude) == (plan.t_drop, plan.t_collude), "other margins")
    require(attempt.length == plan.rounds[number].length, "has another length")
    require(transcript.survivors == each.survivors, "has other survivors")


def _check_claim(transcript: Transcript, node: str, each: ReleasedRound, ledger: Ledger) -> None:
    claim = parse_canonical(transcript.claims[node].body)
    receipt = each.receipts[node]
    commit = ledger.commits[receipt["seq"]]
    place = (commit.round, commit.attempt)
    require(place == (transcript.attempt.round, transcript.attempt.attempt), "another attempt")
    require(claim["sha256"] == commit.masked_sha256, f"{node} charged for other bytes")
    require(claim["checkpoint"] == receipt.get("checkpoint"), f"another checkpoint of {node}")
