"""Budgets and releases as tables and charts, for one study or one organisation."""

from __future__ import annotations

from fractions import Fraction

from coordinator.audit.dossier.charts import bars, steps
from coordinator.audit.dossier.document import Figure, Table, short
from coordinator.audit.dossier.guarantee import epsilon_text
from coordinator.audit.dossier.material import Asked, Material
from privacy.contract.time import parse_instant
from privacy.ledger.state import LedgerState
from privacy.units import Rho


def share(spent: Rho, limit: Rho) -> float:
    """How much of a limit is used up; in rho, which adds up."""
    return float(spent.fraction / limit.fraction) if limit != Rho.ZERO else 0.0


def _used(spent: Rho, limit: Rho) -> str:
    return "no limit now" if limit == Rho.ZERO else f"{share(spent, limit):.1%}"


def quota(state: LedgerState, study: str) -> Rho:
    """What an organisation approved for a study; nothing where it is not approved now."""
    found = [each for each in state.approvals.values() if each.study == study]
    return state.study_quota(found[0]) if found else Rho.ZERO


def budget_figure(rows: tuple[tuple[str, Rho, Rho], ...], delta: Fraction, what: str) -> Figure:
    """A bar for each (organisation, spent, limit)."""
    drawn = [(name, share(spent, limit), _used(spent, limit)) for name, spent, limit in rows]
    said = "; ".join(
        f"{name}: epsilon {epsilon_text(spent, delta)} of {epsilon_text(limit, delta)}"
        for name, spent, limit in rows
    )
    alt = f"{what}. {said or 'no organisation'}"
    return Figure(bars(drawn, alt), alt, f"{what}, as the share of the limit's rho")


def budget_table(
    rows: tuple[tuple[str, Rho, Rho, Rho], ...], delta: Fraction, caption: str
) -> Table:
    """(what, spent, reserved, limit) in epsilon and in rho."""
    return Table(
        caption,
        ("", "spent, epsilon", "reserved, epsilon", "limit, epsilon", "limit used", "spent, rho"),
        tuple(
            (
                name,
                epsilon_text(spent, delta),
                epsilon_text(held, delta),
                epsilon_text(limit, delta),
                _used(spent + held, limit),
                f"{float(spent.fraction):.6g}",
            )
            for name, spent, held, limit in rows
        ),
        frozenset({1, 2, 3, 4, 5}),
    )


def course_figure(material: Material, node: str) -> Figure | None:
    """How the newest period's budget was used up over time; None without a period."""
    state = material.found.ledgers[node].replay.state
    period, limit = state.period, state.budget
    if period is None or limit == Rho.ZERO:
        return None
    starts, ends = parse_instant(period.starts), parse_instant(period.ends)
    asked = [(name, at, rho) for each in material.asked for name, _, at, rho in each.charges]
    charges = sorted(
        (at, rho)
        for name, at, rho in (*asked, *material.linked)
        if name == node and at >= period.starts
    )
    points, so_far = [], Rho.ZERO
    for at, rho in charges:
        so_far = so_far + rho
        when = (parse_instant(at) - starts) / (ends - starts)
        points.append((min(max(when, 0.0), 1.0), share(so_far, limit)))
    used = share(so_far, limit)
    alt = (
        f"From {period.starts[:10]} to {period.ends[:10]}, {len(points)} charges used up"
        f" {used:.1%} of the period's limit"
    )
    drawn = steps(points, (period.starts[:10], period.ends[:10]), alt)
    return Figure(drawn, alt, "The period's budget over time, as the share of the limit's rho")


def releases_table(material: Material, asked: tuple[Asked, ...], delta: Fraction) -> Table:
    """Every release with its sentence, cost and receipts."""
    rows = tuple(
        (
            each.released_at[:16].replace("T", " ") or each.at[:10],
            each.reserve.sentence,
            each.reserve.study,
            epsilon_text(each.cost, delta),
            _receipts(material, each),
            short(each.release),
        )
        for each in asked
        if each.release
    )
    return Table(
        "Every release. Receipts are the entries that charged for it; a release's file in the"
        " bundle begins with the digits shown.",
        ("released", "what was asked", "study", "epsilon", "receipts", "release"),
        rows,
        frozenset({3}),
        empty="Nothing was released.",
    )


def _receipts(material: Material, each: Asked) -> str:
    entries: dict[str, list[str]] = {}
    for node, seq, _, _ in each.charges:
        entries.setdefault(node, []).append(str(seq))
    return "; ".join(f"{material.name(n)}: {', '.join(seqs)}" for n, seqs in entries.items())


def unanswered_table(asked: tuple[Asked, ...], delta: Fraction) -> Table:
    """Every question that ended without a release, with what it was charged all the same."""
    rows = tuple(
        (
            each.at[:16].replace("T", " "),
            each.reserve.sentence,
            each.reserve.study,
            ", ".join(sorted(each.codes)) or "under way",
            epsilon_text(each.cost, delta) if each.charges else "0",
        )
        for each in asked
        if not each.release
    )
    return Table(
        "Questions without a release. What was charged stays charged.",
        ("asked", "what was asked", "study", "why", "epsilon charged"),
        rows,
        frozenset({4}),
        empty="Every question that was reserved for was answered.",
    )
