"""The guarantee in words: whose, against whom, for how long, and in odds."""

from __future__ import annotations

import math
from fractions import Fraction

from coordinator.audit.dossier.document import Block, Items, Section, Table, Words
from privacy.accounting.conversion import epsilon_of_rho
from privacy.odds import odds_of_rho
from privacy.promise import Promise, shown
from privacy.units import Rho

BASELINES = (0.01, 0.1, 0.5)
GUARANTEE = "guarantee"


def epsilon_text(rho: Rho, delta: Fraction) -> str:
    """Epsilon to four digits."""
    return f"{epsilon_of_rho(rho, delta):.4g}"


def delta_text(delta: Fraction) -> str:
    return f"{float(delta):g}"


def guarantee(
    losses: tuple[tuple[str, Rho], ...],
    delta: Fraction,
    memberships: int,
    promise: Promise | None = None,
) -> Section:
    """The guarantee, what each of the named losses means for one member, and an organisation's
    own promise."""
    blocks: tuple[Block, ...] = (
        Words(
            "Whatever anybody else knows, and whatever they do with all that was released, what"
            " they can come to believe of a member or decide about them is nearly as likely as"
            " if that member had taken no part. How nearly is what the loss says."
        ),
        _odds(losses, delta),
        Items(_terms(delta, memberships)),
        *(() if promise is None else _promised(promise)),
    )
    return Section(GUARANTEE, "The guarantee in words", blocks)


def _promised(promise: Promise) -> tuple[Block, ...]:
    """What the organisation's page says to its members, made from its ledger once more."""
    rows = tuple(
        (f"{each.periods}", f"{each.organisations}", shown(each.epsilon), each.odds.sentence)
        for each in promise.losses
    )
    head = ("periods", "organisations", "epsilon", "in odds")
    return (
        Words("What this organisation promises its members:"),
        Items(promise.words),
        Table("The most that one person can lose", head, rows, frozenset({0, 1, 2})),
    )


def _odds(losses: tuple[tuple[str, Rho], ...], delta: Fraction) -> Table:
    rows = tuple(
        (what, epsilon_text(rho, delta), *(_odds_text(rho, delta, each) for each in BASELINES))
        for what, rho in losses
    )
    heads = tuple(f"where it is {each:.0%} without you" for each in BASELINES)
    return Table(
        "What taking part can mean for one member, in odds. Read: what happens with this chance"
        " without them happens at most with that chance if they take part.",
        ("loss", "epsilon", *heads),
        rows,
        frozenset({1, 2, 3, 4}),
    )


def _odds_text(rho: Rho, delta: Fraction, baseline: float) -> str:
    most = odds_of_rho(rho, delta, baseline).most
    return f"{math.ceil(most * 10_000 - 1e-6) / 100:g} %"


def _terms(delta: Fraction, memberships: int) -> tuple[str, ...]:
    several = (
        "One person who is a member of several organisations loses more: twice a member, four"
        " times the rho."
        if memberships == 1
        else f"The charges pay for one person at up to {memberships} organisations."
    )
    return (
        "Unit: one member with all their records in all tables. Neighbours: everybody's records"
        " with and without that one member.",
        several,
        f"Currency: zCDP, in exact fractions that add up; epsilon is stated at delta"
        f" {delta_text(delta)}, by one formula for all.",
        "Period: a limit holds for its period. A new period adds its losses to those before, and"
        " nothing ever resets.",
        "Assumes: no more organisations collude than the margin says, each honest node's random"
        " numbers are sound, and the cryptography named in the promise is not broken.",
        "Not promised: that nothing is learned of people like a member, that an organisation is"
        " hidden, or that an answer released before a withdrawal is taken back.",
    )
