"""A researcher's new key: heard of from the coordinator, believed for the old key's word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from node.documents import Documents
from node.ledger_store import LedgerStore
from privacy.contract.researcher_key import ResearcherKey, ever
from privacy.errors import Code, Refused
from privacy.ledger.successors import ResearcherKeyChanged

_log = structlog.get_logger("cairn.node")


def follow_researchers(
    ledger: LedgerStore, documents: Documents, changes: Sequence[ResearcherKey]
) -> dict[str, Any]:
    """Enter what is new of these changes, where a study that is known here names the old key.

    A change that is not both keys', of a key that was revoked, or a second one of a key is passed
    over: who signed with that key asks nothing here any more. Raises Refused(BAD_SIGNATURE) for
    one that is not both keys', once the others are entered.
    """
    forged = False
    named = [key for study in documents.studies() for key in study.keys]
    for change in changes:
        known = ledger.state.successors
        if known.get(change.old) == change.new or change.old not in ever(named, known):
            continue
        try:
            ledger.append(ResearcherKeyChanged(change=change))
        except Refused as refused:
            _log.warning("refused a researcher's key", old=change.old[:9], code=refused.code.value)
            forged = forged or refused.code is Code.NOT_PERMITTED
    if forged:
        raise Refused(Code.BAD_SIGNATURE, what="researcher's key")
    return {"successors": len(ledger.state.successors)}
