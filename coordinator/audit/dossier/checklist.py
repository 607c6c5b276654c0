"""The questions that NIST SP 800-226 asks of a claim, in our own words, with their evidence.

Source: Near, Darais, Lefkovitz and Howarth 2025, NIST Special Publication 800-226.
"""

from __future__ import annotations

from coordinator.audit.dossier.document import Link, Section, Table, Words
from coordinator.audit.dossier.evidence import (
    CHECKLIST,
    DATA,
    OUTPUTS,
    PEOPLE,
    PROJECTS,
    SETTINGS,
    TITLES,
    VERIFIED,
)
from coordinator.audit.dossier.guarantee import GUARANTEE, epsilon_text
from coordinator.audit.dossier.material import Material
from coordinator.audit.report import Spent
from privacy.units import Rho

Question = tuple[str, str, tuple[str, ...]]

_ABOUT = (
    "The publication asks of every claim of differential privacy what stands below it, from the"
    " figure at the top to how data are collected at the bottom. Its questions are put in our own"
    " words; the answers are of this bundle where they can be, and of the design otherwise."
)
_DESIGN: tuple[Question, ...] = (
    (
        "Which data sets are neighbours?",
        "One member more or less. The number of members is not public either.",
        (GUARANTEE,),
    ),
    (
        "How do losses add up?",
        "As a plain sum of rho over everything ever charged, which holds when each question"
        " depends on earlier answers; a filter refuses what would pass a limit.",
        (OUTPUTS, VERIFIED),
    ),
    (
        "Are mechanism and bound the right ones?",
        "One mechanism: a discrete Gaussian sum over integers, with each member's vector clipped"
        " to a declared bound. Its cost was recomputed for every charge.",
        (OUTPUTS, VERIFIED),
    ),
    (
        "Does the arithmetic keep the promise?",
        "Noise, sums and budgets are whole numbers; no noise is made in floating point.",
        (VERIFIED,),
    ),
    (
        "Can time or an error give something away?",
        "Replies leave at public instants; refusals and errors depend on public facts alone.",
        (SETTINGS,),
    ),
    (
        "Is something released without noise?",
        "No figure of members is. Which organisations took part, what was asked and what it cost"
        " is public.",
        (OUTPUTS,),
    ),
    (
        "What does noise do to answers?",
        "Every estimate carries its standard error and its share of noise; what drowns is told"
        " before anything is spent.",
        (OUTPUTS,),
    ),
    (
        "Who might be served worse?",
        "Small groups: their errors are largest relative to their size. A smallest cohort is"
        " judged on noised totals.",
        (PROJECTS, OUTPUTS),
    ),
    (
        "Who has to be trusted?",
        "Each organisation with its own members. The coordinator sees masked vectors and opened"
        " sums only; as many organisations may collude as the margin says.",
        (SETTINGS,),
    ),
    (
        "Who may ask, and who let them?",
        "Investigators whose keys a study names, at organisations that approved it.",
        (PEOPLE, PROJECTS),
    ),
    (
        "How are the records kept?",
        "By each organisation on its own machine; nothing in this bundle shows how well.",
        (DATA, VERIFIED),
    ),
    (
        "Were the data collected fairly?",
        "Members count under the study's consent rule; the texts they were asked with are dated"
        " in the ledger. Collecting itself is for the organisation and its board.",
        (DATA,),
    ),
)


def checklist_section(material: Material, memberships: int) -> Section:
    """One line for each factor and hazard, from the strength of the claim down to the data."""
    rows = tuple(
        (asked, answer, tuple(Link(TITLES[to], to) for to in where))
        for asked, answer, where in (*_figures(material, memberships), *_DESIGN)
    )
    caption = "Questions after NIST SP 800-226, with where the evidence stands"
    table = Table(caption, ("question", "answer", "evidence"), rows)
    return Section(CHECKLIST, "Checklist after NIST SP 800-226", (Words(_ABOUT), table))


def _figures(material: Material, memberships: int) -> tuple[Question, ...]:
    """What the bundle itself answers."""
    delta = material.found.context.network.delta
    losses = [node.spent for node in material.found.report.nodes]
    worst = max(losses, key=lambda spent: spent.rho, default=Spent(Rho.ZERO, delta))
    return (
        (
            "How strong is the guarantee?",
            f"The organisation that lost most lost epsilon {epsilon_text(worst.rho, worst.delta)}"
            f" in all, at delta {float(worst.delta):g}; limits stand beside it.",
            (GUARANTEE, OUTPUTS),
        ),
        (
            "Whom does it protect?",
            "A member with all their records, not a row and not a day; charges pay for"
            f" {memberships} membership{'s' if memberships > 1 else ''} of one person.",
            (GUARANTEE,),
        ),
    )
