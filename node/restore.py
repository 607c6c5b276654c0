"""A node's folder put back from a backup, on this machine or a new one.

Everything is unpacked and checked in a folder of its own below the node's; only then, one rename
at a time, does it take the place of what was there, which is kept in another. Interrupted before,
nothing has changed; after, `restore` goes on where it stood, and until then nothing else starts.

A restored ledger may be behind what was answered since. It is therefore closed: it takes back what
it said since (`LedgerStore.restore`), and no entry of its own, until enough peers have confirmed
that nothing is missing (`node.witnessing`). Nothing that is used once is in a backup: mask keys and
noise live in memory, masked bytes and members' links are left out.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from node.backup import Manifest, check_stores, unpack_backup
from node.home import Home, write_private
from node.ledger_store import LedgerStore
from node.ledger_wish import note_restored
from node.records import Records
from node.setup import Clock, open_ledger
from node.snapshot import DATABASES, KEPT, LEFT_OUT, RECORDS
from node.stores import CURRENT, STEPS, StoreVersion, upgrade_stores
from privacy.contract.time import instant_text
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.upkeep_entry import Restored

COMING, READY, FORMER = ".restoring", "ready", "before-restore"
_TAILS = tuple(f"{name}{tail}" for name in DATABASES for tail in ("-wal", "-shm"))
_MOVED = (*KEPT, *LEFT_OUT, f"{RECORDS}.wal", *_TAILS)


@dataclass(frozen=True)
class Outcome:
    """What a restore did. `former` is the folder in which lies what was there."""

    node: str
    made_at: str
    entries: int
    newer_ledger: bool
    former: str


def restore(home: Home, file: Path, passphrase: str, *, by: str, clock: Clock) -> Outcome:
    """Put a backup in place of whatever is in the folder; no node may run on it.

    A ledger that is there, of the same node, and goes on from the backup's is kept: nothing of it
    is given up. Raises BadInput or VerificationFailed with the folder as it was.
    """
    finish_restore(home)
    coming = home.root / COMING
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700, parents=True)
    try:
        manifest = unpack_backup(file, passphrase, coming)
        outcome = _prepare(home, Home(coming), manifest, by, clock)
    except BaseException:
        shutil.rmtree(coming, ignore_errors=True)
        raise
    former = f"{FORMER}-{instant_text(clock()).replace(':', '')}"
    _write_mark(coming, former)
    finish_restore(home)
    return replace(outcome, former=former)


def finish_restore(home: Home) -> None:
    """Go on with a restore that was interrupted after everything had been checked."""
    coming = home.root / COMING
    mark = coming / READY
    if not mark.exists():
        return
    former, *arriving = mark.read_text("ascii").splitlines()
    kept = home.root / former
    kept.mkdir(mode=0o700, exist_ok=True)
    for name in _MOVED:
        place = home.root / name
        if place.exists() and not (name in arriving and not (coming / name).exists()):
            place.rename(kept / name)
        if (coming / name).exists():
            (coming / name).rename(place)
    mark.unlink()
    shutil.rmtree(coming)


def _write_mark(coming: Path, former: str) -> None:
    """Write down, durably, that everything in the folder is checked, and what it is."""
    lines = [former, *sorted(path.name for path in coming.iterdir())]
    write_private(coming / READY, "\n".join(lines).encode())


def check_no_restore(home: Home) -> None:
    """Raises BadInput while a restore stands half way."""
    if (home.root / COMING / READY).exists():
        raise BadInput(
            "a restore was interrupted here",
            where=str(home.root),
            instead="run `cairn-node restore` without a file to finish it",
        )


def _prepare(home: Home, new: Home, manifest: Manifest, by: str, clock: Clock) -> Outcome:
    """Check what was unpacked as a node would open it, and close its ledger."""
    check_stores(manifest, tuple(StoreVersion(n, v, v) for n, v in CURRENT.items()))
    upgrade_stores(new, STEPS)
    Records.open(new.records_file).close()
    ledger = open_ledger(new, clock)
    size = ledger.size
    here = _newer_ledger(home, ledger, clock)
    ledger.close()
    if here is not None:
        shutil.copyfile(here, new.ledger_file)
    entry = Restored(backup=manifest.id, made_at=manifest.made_at, size=size, by=by)
    with closing(sqlite3.connect(new.ledger_file, isolation_level=None)) as db:
        note_restored(db, entry)
    opened = open_ledger(new, clock)
    entries = opened.size
    opened.close()
    return Outcome(manifest.node, manifest.made_at, entries, here is not None, "")


def _newer_ledger(home: Home, backup: LedgerStore, clock: Clock) -> Path | None:
    """The ledger in the folder, if it is this node's and goes on from the backup's."""
    if not home.ledger_file.exists() or not home.identity_file.exists():
        return None
    try:
        there = open_ledger(home, clock)
    except (BadInput, VerificationFailed):
        return None
    try:
        follows = there.origin == backup.origin and there.size > backup.size
        if not follows or there.root_at(backup.size) != backup.root_at(backup.size):
            return None
    finally:
        there.close()
    return home.ledger_file
