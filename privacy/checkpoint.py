"""Checkpoints: the signed head of a ledger, and the cosignatures of its witnesses.

A checkpoint is a signed note. Its text is the origin, the size and the root:

    cairn.node/<network>/<node>
    17
    <base64 of the RFC 6962 root>

    — cairn.node/<network>/<node> <base64 of key id || Ed25519 signature>

The signature is plain Ed25519 over the text with its final newline, so that any tool that
reads transparency-log checkpoints can check it. A cosignature signs the same text behind a
header with the time, under another key id.

Guarantee: `open_checkpoint` and `check_cosignature` return only what the key's holder signed
for this origin.
Assumes: a witness cosigns only after it verified a consistency proof from the checkpoint that
it cosigned before; storing a checkpoint is not witnessing.
Source: C2SP signed-note, tlog-checkpoint and tlog-cosignature (cosignature/v1).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from privacy.contract.canonical import b64, unb64
from privacy.contract.signing import PublicKey, SigningKey
from privacy.errors import BadInput, VerificationFailed
from privacy.merkle import HASH_BYTES

NOTE_ALGORITHM = 0x01
COSIGNATURE_ALGORITHM = 0x04
MAX_NOTE_CHARS = 16_384

COORDINATOR = "coordinator"
LOG = "coordinator/log"  # whose history: no node's id has a slash
AUDITOR = "auditor/"

_NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")


def node_origin(network: str, node: str) -> str:
    """The origin line and key name of a node's ledger. Raises BadInput for odd names."""
    for part in (network, node):
        if not _NAME_PART.fullmatch(part):
            raise BadInput(f"{part!r} cannot name a ledger", instead="use letters, digits, . _ -")
    return f"cairn.node/{network}/{node}"


def coordinator_name(network: str) -> str:
    """The key name under which the coordinator cosigns."""
    if not _NAME_PART.fullmatch(network):
        raise BadInput(f"{network!r} cannot name a network", instead="use letters, digits, . _ -")
    return f"cairn.coordinator/{network}"


def log_origin(network: str) -> str:
    """The origin line of the coordinator's own log."""
    if not _NAME_PART.fullmatch(network):
        raise BadInput(f"{network!r} cannot name a network", instead="use letters, digits, . _ -")
    return f"cairn.log/{network}"


def origin_of(network: str, of: str) -> str:
    """The origin line of a node's ledger, by the node's id, or of the coordinator's `LOG`."""
    return log_origin(network) if of == LOG else node_origin(network, of)


def witness_name(network: str, by: str) -> str:
    """The key name under which a witness cosigns: `COORDINATOR`, a node's id or `auditor/ID`."""
    if by == COORDINATOR:
        return coordinator_name(network)
    auditor = by.removeprefix(AUDITOR)
    if auditor == by:
        return node_origin(network, by)
    if not _NAME_PART.fullmatch(auditor):
        raise BadInput(f"{by!r} cannot name an auditor", instead="use letters, digits, . _ -")
    return f"cairn.auditor/{network}/{auditor}"


@dataclass(frozen=True)
class Checkpoint:
    """The head of one ledger: how many entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The signed text: three lines, each ending in a newline."""
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `text`'s form; raises BadInput for any other spelling."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not _SIZE.fullmatch(lines[1]):
            raise BadInput("not a checkpoint of three lines")
        root = unb64(lines[2])
        if not lines[0] or len(root) != HASH_BYTES:
            raise BadInput("not a checkpoint of three lines")
        return cls(lines[0], int(lines[1]), root)


class NoteSigner:
    """Signs notes under one name with one Ed25519 key. Never prints the key."""

    def __init__(self, name: str, key: SigningKey) -> None:
        self.name = name
        self.key = key.public
        self._key = Ed25519PrivateKey.from_private_bytes(key.secret_bytes())

    def checkpoint(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a signed note. Its origin must be this signer's name."""
        if checkpoint.origin != self.name:
            raise BadInput("a checkpoint is signed under its origin")
        text = checkpoint.text
        signature = self._key.sign(text.encode())
        return f"{text}\n{_line(self.name, NOTE_ALGORITHM, self.key, signature)}"

    def cosignature(self, checkpoint: Checkpoint, at_seconds: int) -> str:
        """A cosignature line (with its newline) made at POSIX time `at_seconds`."""
        stamp = at_seconds.to_bytes(8, "big")
        signature = self._key.sign(_cosigned(checkpoint, at_seconds))
        return _line(self.name, COSIGNATURE_ALGORITHM, self.key, stamp + signature)

    def __repr__(self) -> str:
        return f"NoteSigner({self.name!r})"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The checkpoint as a note signed by `key` under its origin."""
    return NoteSigner(checkpoint.origin, key).checkpoint(checkpoint)


def open_checkpoint(note: str, key: PublicKey, origin: str | None = None) -> Checkpoint:
    """The checkpoint, if `key` signed it under its own origin line.

    A checkpoint of the time of a former key may be signed by that. Lines of other signers are
    ignored, as the format demands. Raises VerificationFailed
    when it is not a note, the signature does not hold, or the origin is not `origin`.
    """
    text, lines = _split_note(note)
    try:
        checkpoint = Checkpoint.parse(text)
    except BadInput as error:
        raise VerificationFailed(error.what) from None
    if origin is not None and checkpoint.origin != origin:
        raise VerificationFailed("checkpoint is of another ledger")
    key = _key_at(lines, checkpoint, key)
    signature = _find(lines, checkpoint.origin, NOTE_ALGORITHM, key)
    _verify(key, signature, text.encode(), "checkpoint")
    return checkpoint


def note_text(note: str) -> str:
    """The signed text of a note, unverified. Raises VerificationFailed if it is not a note."""
    return _split_note(note)[0]


def cosign(checkpoint: Checkpoint, name: str, key: SigningKey, at_seconds: int) -> str:
    """One cosignature line of witness `name`, made at POSIX time `at_seconds`."""
    return NoteSigner(name, key).cosignature(checkpoint, at_seconds)


def check_cosignature(checkpoint: Checkpoint, line: str, name: str, key: PublicKey) -> int:
    """The POSIX time at which witness `name` cosigned; raises VerificationFailed otherwise."""
    lines = [line.removesuffix("\n")]
    for former in key.former:  # whoever cosigned then held that key
        if _signed_with(lines, name, COSIGNATURE_ALGORITHM, former.key):
            key = former.key
    body = _find(lines, name, COSIGNATURE_ALGORITHM, key)
    if len(body) != 8 + 64:
        raise VerificationFailed("cosignature has the wrong length")
    at_seconds = int.from_bytes(body[:8], "big")
    _verify(key, body[8:], _cosigned(checkpoint, at_seconds), "cosignature")
    return at_seconds


def key_id(name: str, algorithm: int, key: PublicKey) -> bytes:
    """The four bytes that lead a signature line to its key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key.raw).digest()[:4]


def _line(name: str, algorithm: int, key: PublicKey, signature: bytes) -> str:
    return f"— {name} {b64(key_id(name, algorithm, key) + signature)}\n"


def _cosigned(checkpoint: Checkpoint, at_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {at_seconds}\n{checkpoint.text}".encode()


def _split_note(note: str) -> tuple[str, list[str]]:
    """The text and the signature lines; the last blank line parts them."""
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or len(note) > MAX_NOTE_CHARS or not signatures.endswith("\n"):
        raise VerificationFailed("not a signed note")
    return text + "\n", signatures[:-1].split("\n")


def _key_at(lines: list[str], checkpoint: Checkpoint, key: PublicKey) -> PublicKey:
    """The key that has to have signed: `key`, or the one it followed, for what was signed then."""
    if _signed_with(lines, checkpoint.origin, NOTE_ALGORITHM, key):
        return key
    for former in key.former:
        known = _signed_with(lines, checkpoint.origin, NOTE_ALGORITHM, former.key)
        if known and checkpoint.size <= former.until:
            return former.key
    return key


def _signed_with(lines: list[str], name: str, algorithm: int, key: PublicKey) -> bool:
    try:
        _find(lines, name, algorithm, key)
    except VerificationFailed:
        return False
    return True


def _find(lines: list[str], name: str, algorithm: int, key: PublicKey) -> bytes:
    """What follows the key id on the one line of this name and key."""
    wanted = key_id(name, algorithm, key)
    found = []
    for line in lines:
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            raise VerificationFailed("not a signature line")
        try:
            body = unb64(match[2])
        except BadInput:
            raise VerificationFailed("signature line is not base64") from None
        if match[1] == name and body[:4] == wanted:
            found.append(body[4:])
    if len(found) != 1:
        raise VerificationFailed(f"no signature by {name} with the expected key")
    return found[0]


def _verify(key: PublicKey, signature: bytes, message: bytes, what: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise VerificationFailed(f"signature of the {what} does not hold") from None
