"""A stream of bytes under a passphrase: what may lie anywhere and opens whole or not at all.

    cairn-sealed/1\\n | length of the head (4 bytes) | head | pieces

The head is canonical JSON in the clear: `about` (what the file says of itself), a salt and a mark
by which a wrong passphrase is told from a changed file. Every piece holds 1 MiB, the last one
what remains; each is sealed with the head, its number and whether it is the last.

Guarantee: what is read is what was sealed under this passphrase, from its beginning to its end;
bytes changed, left out, added or put elsewhere are refused before they are given out.
Assumes: the passphrase cannot be guessed in the time that Argon2id leaves (64 MiB, 3 passes).
Source: Argon2id (RFC 9106) and HKDF-SHA256 for the keys, ChaCha20-Poly1305 (RFC 8439) in the
STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from privacy.contract.canonical import b64, canonical_bytes, parse_canonical, unb64
from privacy.contract.facts import Fact
from privacy.errors import BadInput
from privacy.randomness import Entropy
from privacy.secure_sum.masks import derive

MAGIC = b"cairn-sealed/1\n"
PIECE_BYTES = 2**20
SHORTEST_PASSPHRASE = 12
MOST_HEAD_BYTES = 2**16
_TAG_BYTES = 16
_LENGTH_BYTES = 4
_MEMORY_KIB, _PASSES = 65_536, 3
_CUT = "the file is cut off"

Read = Callable[[int], bytes]


class Head(Fact):
    """What a sealed file says before it is opened. Bound to every piece."""

    about: dict[str, str]
    salt: str
    mark: str


def _keys(passphrase: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key of the pieces, and the mark that shows whether the passphrase is the right one."""
    secret = passphrase.strip().encode()
    root = Argon2id(
        salt=salt, length=32, iterations=_PASSES, lanes=1, memory_cost=_MEMORY_KIB
    ).derive(secret)
    return derive(root, b"cairn/v1/sealed/pieces"), derive(root, b"cairn/v1/sealed/mark")


def check_passphrase(passphrase: str) -> str:
    """The passphrase without white space around it; raises BadInput for a short one."""
    if len(passphrase.strip()) < SHORTEST_PASSPHRASE:
        raise BadInput(
            f"a passphrase has {SHORTEST_PASSPHRASE} characters or more",
            instead="write five random words, or let `cairn-node new-passphrase` make one",
        )
    return passphrase.strip()


class _Pieces:
    """The cipher of numbered pieces. Never prints."""

    def __init__(self, key: bytes, head: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._head = head
        self._number = 0

    def _nonce(self, last: bool) -> bytes:
        nonce = self._number.to_bytes(11, "big") + bytes([last])
        self._number += 1
        return nonce

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), plain, self._head)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last), sealed, self._head)
        except InvalidTag:
            raise BadInput("the file was changed or cut off") from None


class Sealer:
    """Seals what is written, in order; `finish` gives the last bytes. Use once."""

    def __init__(self, passphrase: str, about: Mapping[str, str], entropy: Entropy) -> None:
        salt = entropy(16)
        key, mark = _keys(check_passphrase(passphrase), salt)
        head = canonical_bytes(Head(about=dict(about), salt=b64(salt), mark=b64(mark)).to_json())
        self._pieces = _Pieces(key, head)
        self._held = bytearray()
        self.beginning = MAGIC + len(head).to_bytes(_LENGTH_BYTES, "big") + head

    def update(self, data: bytes) -> bytes:
        """The sealed bytes that are ready; a full piece is held back until more follows it."""
        self._held += data
        ready = bytearray()
        while len(self._held) > PIECE_BYTES:
            ready += self._pieces.seal(bytes(self._held[:PIECE_BYTES]), last=False)
            del self._held[:PIECE_BYTES]
        return bytes(ready)

    def finish(self) -> bytes:
        """The last piece."""
        return self._pieces.seal(bytes(self._held), last=True)

    def __repr__(self) -> str:
        return "Sealer(…)"


class Unsealer:
    """Reads what a `Sealer` wrote, piece by piece; gives out nothing unverified."""

    def __init__(self, head: Head, pieces: _Pieces, read: Read) -> None:
        self.about = head.about
        self._pieces = pieces
        self._read = read
        self._next = read(PIECE_BYTES + _TAG_BYTES)
        self._plain = bytearray()
        self._over = False

    @classmethod
    def open(cls, read: Read, passphrase: str) -> Self:
        """Begin to read; raises BadInput for another file or a wrong passphrase."""
        head, data = read_head(read)
        key, mark = _keys(passphrase, unb64(head.salt))
        if not hmac.compare_digest(mark, unb64(head.mark)):
            raise BadInput("the passphrase is not the one it was sealed with")
        return cls(head, _Pieces(key, data), read)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; raises BadInput for a changed file."""
        while len(self._plain) < size and not self._over:
            self._advance()
        given = bytes(self._plain[:size])
        del self._plain[:size]
        return given

    def _advance(self) -> None:
        piece, self._next = self._next, self._read(PIECE_BYTES + _TAG_BYTES)
        self._over = not self._next
        self._plain += self._pieces.open(piece, last=self._over)

    def __repr__(self) -> str:
        return "Unsealer(…)"


def read_head(read: Read) -> tuple[Head, bytes]:
    """What a sealed file says of itself, unverified, and its bytes; BadInput for another file."""
    if read(len(MAGIC)) != MAGIC:
        raise BadInput("not a sealed file of this version")
    length = int.from_bytes(_exactly(read, _LENGTH_BYTES), "big")
    if length > MOST_HEAD_BYTES:
        raise BadInput("not a sealed file of this version")
    data = _exactly(read, length)
    return Head.from_json(parse_canonical(data)), data


def _exactly(read: Read, size: int) -> bytes:
    data = read(size)
    if len(data) != size:
        raise BadInput(_CUT)
    return data
