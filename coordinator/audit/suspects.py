"""Where to look when a bundle's manifest does not hold: each ledger against itself alone."""

from __future__ import annotations

from pathlib import Path

from privacy.checkpoint import Checkpoint, note_text
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.chain import Anchor, check_anchors, check_covered, replay


def first_bad_entry(folder: Path) -> VerificationFailed | None:
    """The first entry that breaks its own chain or differs from the checkpoint beside it.

    Whoever edits a ledger and brings the manifest's digests into line, but cannot sign it, is
    told by the manifest already; this names what they edited. Nothing is concluded from None.
    """
    for place in sorted(folder.glob("nodes/*/entries.jsonl")):
        try:
            _check(place)
        except VerificationFailed as bad:
            name = place.relative_to(folder).as_posix()
            return VerificationFailed(bad.what, where=f"{name}: {bad.where}")
        except (BadInput, OSError, UnicodeDecodeError):
            continue  # its checkpoint is not there to compare with
    return None


def _check(place: Path) -> None:
    note = place.with_name("checkpoint.txt").read_text("utf-8")
    head = Checkpoint.parse(note_text(note))
    tree = replay(place.read_bytes().splitlines(), head=head).tree
    check_anchors(tree, [Anchor(head.size, head.root, place.parent.name)])
    check_covered(tree, head)
