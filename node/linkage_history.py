"""The linkages of a node's ledger: begun, in force, ended, each with what it cost."""

from __future__ import annotations

from typing import Any

from node.ledger_store import LedgerStore
from privacy.accounting.conversion import epsilon_of_rho
from privacy.ledger.link_entry import LinkBegun, Linked, LinkEnded
from privacy.units import Rho


def past_linkages(ledger: LedgerStore) -> list[dict[str, Any]]:
    """Every linkage that was begun here, oldest first, with what became of it."""
    found: dict[str, dict[str, Any]] = {}
    for entry in ledger.index.linkage():
        match entry.body:
            case LinkBegun() as begun:
                found[begun.session] = _begun(begun, entry.at, ledger)
            case Linked() as linked:
                found[linked.session] |= {"became": "linked"}
            case LinkEnded() as ended:
                before = found[ended.session]["became"]
                word = "ended" if before == "linked" else "came to nothing"
                found[ended.session] |= {"became": word, "why": ended.why, "by": ended.by}
            case _:
                pass
    return list(found.values())


def _begun(begun: LinkBegun, at: str, ledger: LedgerStore) -> dict[str, Any]:
    delta = ledger.state.delta
    return {
        "session": begun.session,
        "at": at,
        "nodes": list(begun.nodes),
        "fields": list(begun.fields),
        "ends": begun.ends,
        "epsilon": epsilon_of_rho(Rho.parse(begun.rho), delta) if delta else 0.0,
        "became": "begun",
        "why": "",
        "by": "",
    }
