"""What was verified of the bundle that a dossier is made from, and what was not."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.audit.dossier.document import Items, Section, Table, Words, count
from coordinator.audit.dossier.guarantee import GUARANTEE
from coordinator.audit.dossier.material import Material
from coordinator.audit.report import NodeReport

PROJECTS, PEOPLE, SETTINGS = "safe-projects", "safe-people", "safe-settings"
DATA, OUTPUTS = "safe-data", "safe-outputs"
VERIFIED, CHECKLIST = "verified", "checklist"
TITLES = {
    GUARANTEE: "the guarantee",
    PROJECTS: "safe projects",
    PEOPLE: "safe people",
    SETTINGS: "safe settings",
    DATA: "safe data",
    OUTPUTS: "safe outputs",
    VERIFIED: "what was verified",
}


def verified_section(material: Material) -> Section:
    """What the verifier recomputed of this bundle, and what no bundle shows."""
    return Section(
        VERIFIED,
        "What was verified and what was not",
        (
            Words("Verified, offline, from the bundle alone:"),
            Items(tuple(_shown(material))),
            Words("Not verified:"),
            Items(tuple(_not_shown(material))),
            _ledgers(material),
        ),
    )


def _shown(material: Material) -> list[str]:
    report = material.found.report
    entries = sum(node.entries for node in report.nodes)
    said = [
        "Every file is the one that the coordinator's signed manifest names, and none is missing.",
        f"{entries:,} entries of {count(len(report.nodes), 'ledger')}: each in its place, linked"
        " to the one before, allowed by the ledger's rules, and covered by its organisation's"
        " signature.",
        "Every checkpoint that anybody else holds of a ledger agrees with it.",
        f"{count(report.log.lines, 'line')} of the coordinator's own log, which names every"
        f" statement that it signed; vouched for up to line {report.log.witnessed_size:,} by"
        f" {_list(material, report.log.cosigners)}.",
        f"{count(report.plans, 'plan')}: what each computes, its cost and its noise follow from"
        " a question that an investigator of an approved study signed.",
        "Every charge was recomputed from its recorded mechanism, every sum and limit from the"
        " charges, and the consent rule, policy and approval in force allowed it.",
        f"{count(report.releases, 'release')}: charged at every organisation that took part, and"
        f" {count(report.transcripts, 'total')} recomputed bit for bit from masked vectors.",
    ]
    second = material.second
    if second is not None:
        said.append(
            f"{second.software}, which shares no code with this program, agrees on"
            f" {second.checked:,} figures and every sum of them."
        )
    return said


def _list(material: Material, nodes: Iterable[str]) -> str:
    return ", ".join(map(material.name, nodes)) or "nobody"


def _not_shown(material: Material) -> list[str]:
    found = material.found.report
    said = [
        "Members' records and consents. They are in no ledger and in no bundle; an organisation"
        " can open its table of consent to its own auditor.",
        "What nobody else vouches for may have been left out, at the end of a ledger alone.",
        "Times are those of each organisation's own clock. They never run backwards.",
        "Whether a study's purpose is honest, and whether an organisation's records are true.",
        "That the programs at the organisations are the published ones.",
    ]
    own = [node.node for node in found.nodes if node.promise and node.promise.ceiling is not None]
    if own:
        said.append(
            "What each member was charged, where members are charged one by one: balances never"
            " leave a node. What was verified is the public ceiling, at which everybody is taken"
            " to be in every question. So at: " + ", ".join(map(material.name, own)) + "."
        )
    if not found.pinned:
        said.append(
            "The coordinator's key was taken from the bundle itself. Compare it:"
            f" {found.coordinator}"
        )
    if found.unpinned:
        names = _list(material, found.unpinned)
        said.append(f"These keys were taken from the bundle and not compared: {names}.")
    if found.absent:
        said.append(f"There is no ledger of: {_list(material, found.absent)}.")
    said += [
        f"Why the coordinator's key was replaced without the old one's word: {change.words}"
        for change in found.key_changes
        if not change.signed
    ]
    broken = [node.node for node in found.nodes if node.breaks]
    if broken:
        said.append(
            f"Why a history broke, which is told in the ledger of {_list(material, broken)}."
        )
    if material.second is None:
        said.append("No second recomputation by other software was asked for.")
    return said


def _ledgers(material: Material) -> Table:
    return Table(
        "How far each ledger is vouched for",
        ("organisation", "entries", "vouched for up to", "by", "root"),
        tuple(_ledger(material, node) for node in material.found.report.nodes),
        frozenset({1, 2}),
    )


def _ledger(material: Material, node: NodeReport) -> tuple[str, ...]:
    by = _list(material, node.cosigners)
    return (material.name(node.node), f"{node.entries}", f"{node.witnessed_size}", by, node.root)
