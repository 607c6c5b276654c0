"""An organisation's consent table, opened to its auditor, against the root in its ledger."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from coordinator.audit.meter import Progress
from coordinator.audit.verify import Pinned, verify_bundle
from privacy.consent_table import (
    ConsentOpening,
    erased,
    parse_opening,
    verify_opening,
    words_of,
)
from privacy.contract.consent import Word
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import ConsentRoot, ConsentText, Entry


def verify_consent(
    bundle: Path, opening: Path, *, pinned: Pinned, progress: Progress
) -> dict[str, Any]:
    """Verify the bundle, then that the opening makes the root in the node's ledger.

    Returns what it shows. Raises BadInput for no such file, VerificationFailed otherwise.
    """
    opened = _read(opening)
    report = verify_bundle(bundle, pinned=pinned, progress=progress)
    if opened.network != report.network:
        raise VerificationFailed("the opening is of another network", where=str(opening))
    root, texts = _in_ledger(bundle, opened)
    verify_opening(opened, root)
    words = [_word(record) for record in words_of(opened.records)]
    return {
        "node": opened.node,
        "month": opened.epoch,
        "whole": bool(opened.leaves),
        "words": dict(Counter(word.state.value for word in words)),
        "erased": len(erased(opened)),
        "texts in the ledger": sum(word.text in texts for word in words),
        "texts not in the ledger": sum(
            bool(word.text) and word.text not in texts for word in words
        ),
        "texts not recorded": sum(not word.text for word in words),
    }


def _read(path: Path) -> ConsentOpening:
    try:
        return parse_opening(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        raise BadInput("no opening can be read there", where=str(path)) from None


def _word(record: dict[str, Any]) -> Word:
    return Word.from_json({name: value for name, value in record.items() if name != "kind"})


def _in_ledger(bundle: Path, opening: ConsentOpening) -> tuple[str, frozenset[str]]:
    """The root of that month, and the texts that the ledger named up to it (verified before)."""
    path = bundle / "nodes" / opening.node / "entries.jsonl"
    texts: set[str] = set()
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        match Entry.from_bytes(line).body:
            case ConsentText(text=text):
                texts.add(text)
            case ConsentRoot(epoch=epoch, root=root) if epoch == opening.epoch:
                return root, frozenset(texts)
            case _:
                pass
    raise VerificationFailed("the ledger has no root of that month", where=opening.epoch)
