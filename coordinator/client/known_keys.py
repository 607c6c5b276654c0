"""A file of keys that an auditor knows from elsewhere: `NAME KEY` on each line, # for remarks.

A name is `coordinator`, a node's id or `auditor/ID`; a key is base64, as stewards read it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from privacy.contract.signing import PublicKey
from privacy.errors import BadInput


def read_keys(path: Path) -> dict[str, PublicKey]:
    """The keys by name; raises BadInput naming the line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read", where=str(path)) from None
    found: dict[str, PublicKey] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] in found:
            raise BadInput("not a new name and its key", where=f"{path}: line {number}")
        try:
            found[words[0]] = PublicKey.from_text(words[1])
        except BadInput as error:
            raise BadInput(error.what, where=f"{path}: line {number}") from None
    return found


def add_keys(path: Path, keys: Mapping[str, PublicKey]) -> None:
    """Add keys that were seen for the first time."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{name} {key.text}\n" for name, key in sorted(keys.items()))
