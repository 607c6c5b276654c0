"""What an auditor asks a bundle once it is verified: how much, what changed, and what if."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.audit.history import (
    PolicyVersion,
    between,
    check_node,
    policy_versions,
    withdrawals,
)
from coordinator.audit.overview import overview
from coordinator.audit.replay import replay_bundle
from coordinator.audit.replayed import NodeOutcome, Replayed, Turned
from coordinator.audit.supposition import supposition
from coordinator.audit.verify import Verified, verified
from coordinator.cli.auditing import pinned_keys
from coordinator.cli.options import Bundle, CoordinatorKey, FormatOf, KeysFile
from coordinator.cli.outcome import outcome
from coordinator.cli.output import Format, metered, show, show_json, working
from privacy.accounting.conversion import epsilon_of_rho
from privacy.errors import BadInput, VerificationFailed

Node = Annotated[str, typer.Option("--node", help="One organisation alone, by its id.")]


def checked(bundle: Path, coordinator_key: str, keys: Path | None = None) -> Verified:
    """A bundle that was verified; nothing is said of one that does not hold."""
    if not bundle.is_dir():
        raise BadInput("is not a folder", where=str(bundle))
    pinned = pinned_keys(coordinator_key, keys)
    try:
        with metered("verifying") as step:
            return verified(bundle, pinned=pinned, progress=step)
    except BadInput as error:
        raise VerificationFailed(str(error)) from None


def show_overview(
    bundle: Bundle,
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """Every organisation: spent of its limit, how far it is vouched for, what is odd."""
    with outcome():
        found = overview(checked(bundle, coordinator_key, keys))
        if form is Format.JSON:
            show_json([each.to_json() for each in found])
            return
        rows = [
            {
                "node": each.node,
                "period": each.period,
                "spent": each.spent.epsilon,
                "reserved": each.reserved.epsilon,
                "limit": each.limit.epsilon,
                "used": f"{each.share:.0%}",
                "ever": each.lifetime.epsilon,
                "entries": each.entries,
                "vouched up to": each.cosigned_size,
                "remarks": "; ".join(each.remarks),
            }
            for each in found
        ]
        show(rows, list(rows[0]) if rows else ["node"], form)
        if form is Format.TABLE:
            print(
                "spent, reserved, limit and ever are epsilon; used is the share of the limit's rho"
            )


def policies(
    bundle: Bundle,
    node: Node = "",
    pair: Annotated[
        tuple[int, int] | None,
        typer.Option("--between", help="Compare these two versions of one organisation."),
    ] = None,
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """What every policy of an organisation changed, in words."""
    with outcome():
        if pair is not None and not node:
            raise BadInput("--between needs --node")
        found = checked(bundle, coordinator_key, keys)
        if node:
            check_node(found, node)
        names = [node] if node else list(found.ledgers)
        versions = tuple(each for name in names for each in policy_versions(found, name))
        if pair is not None:
            changes = between(versions, *pair)
            if form is Format.JSON:
                show_json(dict(changes))
            else:
                show([{"what": what, "changed": text} for what, text in changes], CHANGES, form)
        elif form is Format.JSON:
            show_json([each.to_json() for each in versions])
        else:
            show([row for each in versions for row in _changes(each)], VERSIONS, form)


CHANGES = ["what", "changed"]
VERSIONS = ["node", "version", "entry", "at", "by", "what", "changed", "reason"]


def _changes(version: PolicyVersion) -> list[dict[str, Any]]:
    return [
        {
            "node": version.node,
            "version": version.number,
            "entry": version.seq,
            "at": version.at,
            "by": version.by,
            "what": what,
            "changed": text,
            "reason": version.reason,
        }
        for what, text in version.changes or (("nothing", ""),)
    ]


def show_withdrawals(
    bundle: Bundle,
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """Approvals taken back, keys revoked and pauses, and whether they held from then on."""
    with outcome():
        rows = [each.to_json() for each in withdrawals(checked(bundle, coordinator_key, keys))]
        columns = ["node", "seq", "at", "kind", "what", "until", "under_way", "charged_after"]
        show(rows, [*columns, "after_seconds"], form)
        if form is Format.TABLE:
            print(
                "Members' own withdrawals are in no ledger: they count from the next question on."
            )


def replay(
    bundle: Bundle,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", help="period, study, researcher or question=EPSILON (or none)."),
    ] = None,
    preset: Annotated[str, typer.Option(help="careful, balanced or open.")] = "",
    margin: Annotated[str, typer.Option(help="How many collude or drop out; or all.")] = "",
    memberships: Annotated[int | None, typer.Option(help="Of one person.")] = None,
    noise: Annotated[str, typer.Option(help="Multiply the noise by this.")] = "",
    node: Annotated[
        list[str] | None, typer.Option("--node", help="Only at this organisation; may be repeated.")
    ] = None,
    form: FormatOf = Format.TABLE,
    coordinator_key: CoordinatorKey = "",
    keys: KeysFile = None,
) -> None:
    """What if: which questions other limits, rules or noise would have refused, and the cost."""
    with outcome():
        suppose = supposition(
            limit or (),
            preset_name=preset,
            margin=margin,
            memberships=memberships,
            noise=noise,
            nodes=node or (),
        )
        found = checked(bundle, coordinator_key, keys)
        with working("replaying"):
            replayed = replay_bundle(found, suppose)
        match form:
            case Format.JSON:
                show_json(replayed.to_json())
            case Format.CSV:
                show([_turned(each) for each in replayed.refused], TURNED, form)
            case Format.TABLE:
                _show_replayed(replayed)


TURNED = ["at", "node", "entry", "study", "epsilon", "left", "why", "question"]


def _show_replayed(found: Replayed) -> None:
    print("supposed:", "; ".join(found.suppose.words))
    rows = [row for node in found.nodes for row in _periods(node)]
    show(rows, list(rows[0]) if rows else ["node"], Format.TABLE)
    print(f"{len(found.refused)} of {found.questions} questions would have been refused")
    if found.refused:
        show([_turned(each) for each in found.refused], TURNED, Format.TABLE)
    if found.admitted:
        print(f"{len(found.admitted)} refused for want of budget then would have fitted")
        show([_turned(each) for each in found.admitted], TURNED, Format.TABLE)
    if found.looks:
        print(f"a steward would have had to look at {found.looks} questions first")


def _periods(node: NodeOutcome) -> list[dict[str, Any]]:
    return [
        {
            "node": node.node,
            "period from": starts[:10],
            "limit": epsilon_of_rho(then, node.delta),
            "supposed limit": epsilon_of_rho(supposed, node.delta),
            "spent": epsilon_of_rho(sums.then, node.delta),
            "would be spent": epsilon_of_rho(sums.supposed, node.delta),
            "first refused by it": node.refused,
        }
        for starts, then, supposed, sums in node.periods
    ]


def _turned(each: Turned) -> dict[str, Any]:
    return {
        "at": each.at,
        "node": each.node,
        "entry": each.seq,
        "study": each.study,
        "epsilon": epsilon_of_rho(each.needed, each.delta),
        "left": None if each.left is None else epsilon_of_rho(each.left, each.delta),
        "why": each.words,
        "question": each.sentence,
    }
