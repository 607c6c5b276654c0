"""A new program on an old folder: a backup first, then every store to this program's version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from node.backup import write_backup
from node.home import Home
from node.stores import CURRENT, STEPS, Steps, StoreVersion, store_versions, upgrade_stores
from privacy.randomness import Entropy


def upgrade(
    home: Home,
    file: Path,
    passphrase: str,
    *,
    entropy: Entropy,
    now: datetime,
    steps: Steps = STEPS,
    current: Mapping[str, int] = CURRENT,
) -> tuple[StoreVersion, ...]:
    """Back the folder up into `file`, then bring every store up; returns what was older.

    No node may run on it. Raises BadInput, with every store as it was, for a store that a newer
    program wrote and where no way leads from an older one. Nothing is older: no backup is made.
    """
    home.settings()
    found = store_versions(home, current)
    newer = [each for each in found if each.found > each.current]
    if not newer and all(each.found == each.current for each in found):
        return ()
    if not newer:
        name = entropy(32).hex()
        write_backup(home, file, passphrase, backup=name, records=None, entropy=entropy, now=now)
    return upgrade_stores(home, steps, current)
