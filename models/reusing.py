"""A release whose opened totals a later question takes instead of paying for them again.

The question holds the totals (`models.regression.reuse`) and names the release; the plan brings
that release and its plan along, each signed by the coordinator. Coordinator, node and auditor hold
the ones against the others by the same function, so that nobody takes anybody's word.

Guarantee: where `check_reused` passes, the totals, states and noise in the question are those that
the signed release names, of the same study, cohort, dictionary, nodes and data epoch as the plan.
Assumes: that the release's own totals were opened is for the auditor to see, who makes them again
from the transcripts (`coordinator.audit.releases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.aggregates.requests import Analysis
from models.combining import of_others
from models.regression.request import Regression, Reused
from models.regression.reuse import ReusedRound
from privacy.contract.canonical import sha256_hex
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed


def reused_by(analysis: Analysis) -> Reused | None:
    """What an analysis takes from an earlier release; None for nothing."""
    return analysis.reuse if isinstance(analysis, Regression) else None


def check_reused(analysis: Analysis, plan: Plan, coordinator: PublicKey) -> None:
    """Hold what `analysis` reuses against the evidence in its plan.

    Raises Refused(NOT_REUSABLE) saying what differs, also for evidence of what is not reused.
    """
    reused = reused_by(analysis)
    if reused is None:
        _require(not plan.evidence, "evidence that nothing asks for")
        return
    earlier, release = _opened(reused, plan, coordinator)
    what = of_others(earlier, plan)
    _require(what is None, what or "")
    _require(earlier.analysis == reused.analysis.to_json(), "analysis")
    for number, each in enumerate(reused.rounds):
        _check_round(each, release["rounds"][number], earlier)


def _opened(reused: Reused, plan: Plan, coordinator: PublicKey) -> tuple[Plan, Mapping[str, Any]]:
    """The earlier plan and the body of its release, as the coordinator signed them."""
    _require(len(plan.evidence) == 2, "release")
    try:
        signed, released = map(Envelope.from_json, plan.evidence)
        earlier = Plan.from_json(signed.open_kept("plan", coordinator))
        release: Mapping[str, Any] = released.open_kept("release", coordinator)
    except (BadInput, VerificationFailed):
        raise Refused(Code.NOT_REUSABLE, differs="signature") from None
    _require(released.digest == reused.release, "release")
    _require(release["plan"] == signed.digest, "plan")
    return earlier, release


def _check_round(each: ReusedRound, said: Mapping[str, Any], earlier: Plan) -> None:
    _require(each.mechanism.model_dump() == said["mechanism"], "noise")
    _require(said["survivors"] == list(earlier.participants), "nodes: one was lost in the middle")
    _require(each.survivors == len(earlier.participants), "nodes")
    _require(sha256_hex(each.state_bytes) == said["state"], "state")
    _require(sha256_hex(each.totals_bytes) == said["totals"], "totals")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(Code.NOT_REUSABLE, differs=what)
