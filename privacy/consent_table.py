"""The consent table of a node as a salted Merkle tree: its root is public, its words are not.

A record is a word of a member (`privacy.contract.consent.Word`) or a note of the node; it becomes
a leaf together with 32 random bytes that stay at the node, and so can be opened later, alone or
with all others. Leaves are only ever added.

Guarantee: who sees roots learns nothing of the records, their number, or whether there are new
ones: every root covers a new random leaf. Who holds an opening can check that its records stood
in the table of that date; an opening of the whole shows that there are no others.
Assumes: SHA-256 of 32 unknown random bytes and a text hides the text.
Source: RFC 6962 section 2.1 (tree and inclusion proofs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from privacy.contract.canonical import Json, b64, canonical_bytes, unb64
from privacy.errors import BadInput, VerificationFailed
from privacy.merkle import leaf_hash, root_of, verify_inclusion

SALT_BYTES = 32
FORMAT = "cairn-consent-opening/1"


def leaf_of(salt: bytes, record: Json) -> bytes:
    """The leaf hash of a record under its salt; raises BadInput for a salt of another length."""
    if len(salt) != SALT_BYTES:
        raise BadInput(f"a salt has {SALT_BYTES} bytes")
    return leaf_hash(salt + canonical_bytes(record))


@dataclass(frozen=True)
class OpenedRecord:
    """One record with its salt and place; `proof` leads to the root, () in an opening of all."""

    index: int
    salt: bytes
    record: dict[str, Any]
    proof: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "salt": b64(self.salt),
            "record": self.record,
            "proof": [b64(each) for each in self.proof],
        }


@dataclass(frozen=True)
class ConsentOpening:
    """What an organisation hands to its auditor: records of one date's table, or all of them.

    `leaves` are all leaf hashes where the whole is opened, else (). A leaf without a record is
    one that was erased.
    """

    node: str
    network: str
    epoch: str
    size: int
    records: tuple[OpenedRecord, ...]
    leaves: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "node": self.node,
            "network": self.network,
            "epoch": self.epoch,
            "size": self.size,
            "records": [each.to_json() for each in self.records],
            "leaves": [b64(each) for each in self.leaves],
        }


def parse_opening(value: Any) -> ConsentOpening:
    """Read `ConsentOpening.to_json`'s form; raises BadInput for anything else."""
    try:
        if value["format"] != FORMAT or len(value) != 7:
            raise BadInput("not an opening of a consent table")
        return ConsentOpening(
            node=str(value["node"]),
            network=str(value["network"]),
            epoch=str(value["epoch"]),
            size=int(value["size"]),
            records=tuple(_record(each) for each in value["records"]),
            leaves=tuple(unb64(each) for each in value["leaves"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput("not an opening of a consent table") from None


def _record(value: Any) -> OpenedRecord:
    proof = tuple(unb64(each) for each in value["proof"])
    return OpenedRecord(int(value["index"]), unb64(value["salt"]), dict(value["record"]), proof)


def verify_opening(opening: ConsentOpening, root: str) -> None:
    """Raise VerificationFailed, naming the record, unless all stood in the table of that root."""
    wanted = bytes.fromhex(root)
    whole = bool(opening.leaves)
    if whole and (len(opening.leaves) != opening.size or root_of(opening.leaves) != wanted):
        raise VerificationFailed("the leaves do not make the root of the ledger")
    indices = [each.index for each in opening.records]
    if indices != sorted(set(indices)):
        raise VerificationFailed("records are not in order, or stand there twice")
    for each in opening.records:
        try:
            _verify_record(each, opening, wanted)
        except (VerificationFailed, BadInput) as error:
            raise VerificationFailed(error.what, where=f"record {each.index}") from None


def _verify_record(each: OpenedRecord, opening: ConsentOpening, root: bytes) -> None:
    leaf = leaf_of(each.salt, each.record)
    if not opening.leaves:
        verify_inclusion(leaf, each.index, opening.size, each.proof, root)
    elif not 0 <= each.index < opening.size or opening.leaves[each.index] != leaf:
        raise VerificationFailed("the record is not that of its leaf")


def words_of(records: Iterable[OpenedRecord]) -> list[dict[str, Any]]:
    """The members' words among records, without what the node noted itself."""
    return [each.record for each in records if each.record.get("kind") == "word"]


def erased(opening: ConsentOpening) -> Sequence[int]:
    """The places whose record was erased since, in an opening of the whole."""
    opened = {each.index for each in opening.records}
    return [index for index in range(len(opening.leaves)) if index not in opened]
