"""What others hold of a log, and vouch for: the `witnesses.jsonl` beside every log of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coordinator.audit.bundle import LOG_FOLDER, Bundle
from coordinator.audit.documents import Network, at, require
from privacy.checkpoint import (
    AUDITOR,
    COORDINATOR,
    LOG,
    Checkpoint,
    check_cosignature,
    open_checkpoint,
    origin_of,
    witness_name,
)
from privacy.contract.canonical import parse_canonical
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed
from privacy.ledger.chain import Anchor

SLACK_SECONDS = 300  # clocks of honest witnesses may differ so much from one day to another


@dataclass
class HeldBy:
    """Who cosigned a log and who only keeps checkpoints of it. `size` is the largest cosigned."""

    anchors: list[Anchor] = field(default_factory=list)
    cosigners: set[str] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)
    size: int = 0


def folder_of(of: str) -> str:
    """The folder of a node's ledger, by its id, or of the coordinator's log."""
    return LOG_FOLDER if of == LOG else f"nodes/{of}"


def witnesses_of(bundle: Bundle, network: Network, of: str) -> HeldBy:
    """Every checkpoint that others hold; exactly those that the manifest names cosigned.

    Raises VerificationFailed naming the file and line.
    """
    name, found = f"{folder_of(of)}/witnesses.jsonl", HeldBy()
    times: dict[str, list[tuple[int, int]]] = {}
    with at(name):
        lines = bundle.read(name).splitlines()
    for number, line in enumerate(lines, 1):
        with at(f"{name}: line {number}"):
            _witness(bundle, network, of, parse_canonical(line), found, times)
    with at(name):
        expected = sorted(bundle.cosigners[of])
        require(sorted(found.cosigners) == expected, "cosigners are not those of the manifest")
        for by, stamps in sorted(times.items()):
            _check_times(by, stamps)
    return found


def _witness(
    bundle: Bundle,
    network: Network,
    of: str,
    row: Any,
    found: HeldBy,
    times: dict[str, list[tuple[int, int]]],
) -> None:
    match row:
        case {"by": str(by), "checkpoint": str(note), "cosignature": None | str() as line}:
            require(len(row) == 3, "is not a witness's line")
        case _:
            raise VerificationFailed("is not a witness's line")
    require(by != of and not (by == COORDINATOR and of == LOG), "nobody is its own witness")
    head = head_of(bundle, network, of, note)
    key = _key_of(bundle, network, by)
    found.anchors.append(Anchor(head.size, head.root, by))
    if line is None:
        found.holders.add(by)
        return
    stamp = check_cosignature(head, line, witness_name(network.name, by), key)
    times.setdefault(by, []).append((head.size, stamp))
    found.cosigners.add(by)
    found.size = max(found.size, head.size)


def head_of(bundle: Bundle, network: Network, of: str, note: str) -> Checkpoint:
    """A checkpoint that `of` signed; raises VerificationFailed."""
    key = bundle.coordinator if of == LOG else network.keys[of]
    return open_checkpoint(note, key, origin_of(network.name, of))


def _key_of(bundle: Bundle, network: Network, by: str) -> PublicKey:
    if by == COORDINATOR:
        return bundle.coordinator
    keys = network.auditors if by.startswith(AUDITOR) else network.keys
    require(by in keys, f"{by} is in no roster and no list of auditors")
    return keys[by]


def _check_times(by: str, stamps: list[tuple[int, int]]) -> None:
    """A witness sees a log grow: what it cosigned later is not from long before."""
    latest = 0
    for size, stamp in sorted(stamps):
        require(stamp >= latest - SLACK_SECONDS, f"{by} cosigned {size} entries before fewer")
        latest = max(latest, stamp)


def text_of(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise VerificationFailed("is not UTF-8") from None
