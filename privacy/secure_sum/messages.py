"""What the parties of a secure sum say to each other, and how a statement is read.

Every statement is a signed envelope around canonical JSON. A step that does not hold raises
`ProtocolError` whose text begins with the step's name and whose `sender` is the party that
broke it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError, field_validator

from privacy.contract.canonical import unb64
from privacy.contract.facts import Fact
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, ProtocolError, VerificationFailed

PROTOCOL: Final = "cairn-secure-sum/1"
MAX_NODES = 1024
MAX_SETS = 256

Protocol = Literal["cairn-secure-sum/1"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Hash = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
SessionId = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{32}\z")]
Key32 = Annotated[str, StringConstraints(min_length=44, max_length=44)]  # base64 of 32 bytes
Base64 = Annotated[str, StringConstraints(max_length=4096)]


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def context(what: str, *parts: str | int) -> bytes:
    """What a key or a commitment is for: the canonical JSON of a flat list, so no two collide."""
    return _encode([PROTOCOL, what, *parts]).encode("utf-8")


class Step(StrEnum):
    """The steps of one opening, in order: what an error names."""

    ATTEMPT = "attempt"
    ADVERT = "advert"
    SHARES = "sealed shares"
    CLAIM = "masked input"
    LIST = "survivor list"
    REVEAL = "opened shares"
    OPENED = "opened secret"
    VECTOR = "masked vector"


def broken(step: Step, what: str, sender: str = "") -> ProtocolError:
    """The error for a step that does not hold."""
    return ProtocolError(f"{step.value}: {what}", sender=sender)


@dataclass(frozen=True)
class SetAdvert:
    """The public side of one prepared set: three times 32 bytes."""

    mask_key: bytes  # X25519 public key of the pairwise masks
    seed: bytes  # commitment to the self-mask seed
    shares: bytes  # root of the commitments to every holder's two shares

    def to_bytes(self) -> bytes:
        return self.mask_key + self.seed + self.shares

    @classmethod
    def from_bytes(cls, data: bytes) -> SetAdvert:
        return cls(data[:32], data[32:64], data[64:])


_SET_BYTES = 96


class KeyAdvert(Fact):
    """A node's keys for one session, prepared ahead of any plan (kind "key-advert").

    `group` is the digest of the participants' names in order; `sets` the base64 of all
    `SetAdvert`s one after the other.
    """

    protocol: Protocol
    node: Name
    session: SessionId
    roster: Hash
    group: Hash
    threshold: int
    channel_key: Key32  # X25519 public key that seals shares to this node
    sets: Annotated[str, StringConstraints(max_length=MAX_SETS * _SET_BYTES * 4 // 3)]

    @field_validator("sets")
    @classmethod
    def _whole_sets(cls, value: str) -> str:
        try:
            data = unb64(value)
        except BadInput:
            data = b""
        if not data or len(data) % _SET_BYTES:
            raise ValueError("sets are the base64 of 96 bytes each")
        return value

    @cached_property
    def public_sets(self) -> tuple[SetAdvert, ...]:
        """The public side of every set, by index."""
        data = unb64(self.sets)
        starts = range(0, len(data), _SET_BYTES)
        return tuple(SetAdvert.from_bytes(data[i : i + _SET_BYTES]) for i in starts)


class Claim(Fact):
    """What a node masked, signed with the checkpoint that covers the charge (kind "masked-input").

    `sha256` is over the masked vector's little-endian bytes; `checkpoint` and `receipt` belong
    to the node's ledger and are carried, not interpreted.
    """

    protocol: Protocol
    attempt: Hash
    node: Name
    sha256: Hash
    checkpoint: Annotated[str, StringConstraints(max_length=4096)]
    receipt: Any


class Survivor(Fact):
    node: Name
    sha256: Hash
    checkpoint: Annotated[str, StringConstraints(max_length=4096)]


class SurvivorList(Fact):
    """Whose masked input is in the total (kind "survivor-list").

    The body does not name its signer, so that all signers sign the same bytes.
    """

    protocol: Protocol
    attempt: Hash
    survivors: Annotated[tuple[Survivor, ...], Field(max_length=MAX_NODES)]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(survivor.node for survivor in self.survivors)


class Reveal(Fact):
    """One holder's shares: of the survivors' seeds, of the lost nodes' keys (kind "shares")."""

    protocol: Protocol
    attempt: Hash
    survivor_list: Hash
    node: Name
    seeds: dict[str, Base64]
    keys: dict[str, Base64]


ADVERT_KIND = "key-advert"
CLAIM_KIND = "masked-input"
LIST_KIND = "survivor-list"
REVEAL_KIND = "shares"
MAX_BODY_BYTES = {
    ADVERT_KIND: 2**20,
    CLAIM_KIND: 2**16,
    LIST_KIND: 2**23,
    REVEAL_KIND: 2**22,
}

F = TypeVar("F", bound=Fact)


def read(
    envelope: Envelope, kind: str, fact: type[F], key: PublicKey, *, step: Step, who: str
) -> F:
    """The statement in `envelope`, if `who` (holder of `key`) signed it in canonical form.

    Raises ProtocolError naming `step` and `who` otherwise.
    """
    if len(envelope.body) > MAX_BODY_BYTES[kind]:
        raise broken(step, "too large", who)
    try:
        envelope.open(kind, key)  # signature and canonical form
        return fact.model_validate_json(envelope.body)
    except VerificationFailed as error:
        raise broken(step, error.what, who) from None
    except (BadInput, ValidationError):
        raise broken(step, "malformed", who) from None


def read32(text: str, step: Step, who: str) -> bytes:
    """Thirty-two bytes in canonical base64, or ProtocolError."""
    try:
        data = unb64(text)
    except BadInput:
        data = b""
    if len(data) != 32:
        raise broken(step, "not the base64 of 32 bytes", who)
    return data
