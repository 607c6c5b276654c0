"""One packet: a signed header and the bytes that go with it; and how a batch of packets travels.

The header is a signed envelope; the blob (a masked vector, say) is bound to it by a hash inside
the envelope. The transport moves both and vouches for neither: a node that stands in for another
can deliver a packet, but not one whose signature holds.

A batch is three parallel lists, so that any number of packets travels as one record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from privacy.errors import BadInput, Code

MAX_PACKETS = 4096
RECORD = "packets"
MESSAGE_TYPE = "query"

_HEADERS = "headers"
_BLOBS = "blobs"
_CODES = "codes"


@dataclass(frozen=True, repr=False)
class Packet:
    """Header bytes (a signed envelope) and a blob the header names by hash."""

    header: bytes
    blob: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of header and blob together."""
        return len(self.header) + len(self.blob)

    def __repr__(self) -> str:
        return f"Packet({len(self.header)} + {len(self.blob)} bytes)"


def pack(packets: Sequence[Packet]) -> dict[str, list[bytes]]:
    """Lay out a batch of requests as lists of bytes."""
    return {
        _HEADERS: [packet.header for packet in packets],
        _BLOBS: [packet.blob for packet in packets],
    }


def unpack(fields: Mapping[str, object]) -> tuple[Packet, ...]:
    """Read what `pack` laid out; raises BadInput for anything else."""
    headers, blobs = _columns(fields, _HEADERS, _BLOBS)
    return tuple(map(Packet, headers, blobs))


def pack_replies(replies: Sequence[Packet | Code]) -> dict[str, list[bytes]]:
    """Lay out a batch of replies; one that failed travels as its catalogue code alone."""
    packets = [reply if isinstance(reply, Packet) else Packet(b"") for reply in replies]
    codes = [reply.value.encode() if isinstance(reply, Code) else b"" for reply in replies]
    return pack(packets) | {_CODES: codes}


def unpack_replies(fields: Mapping[str, object]) -> tuple[Packet | Code, ...]:
    """Read what `pack_replies` laid out; raises BadInput for anything else."""
    headers, blobs, codes = _columns(fields, _HEADERS, _BLOBS, _CODES)
    return tuple(map(_reply, headers, blobs, codes))


def _reply(header: bytes, blob: bytes, code: bytes) -> Packet | Code:
    if not code:
        return Packet(header, blob)
    if header or blob:
        raise BadInput("a reply is a packet or a code, not both")
    try:
        return Code(code.decode())
    except ValueError:
        raise BadInput("a code outside the catalogue") from None


def _columns(fields: Mapping[str, object], *names: str) -> list[list[bytes]]:
    if set(fields) != set(names):
        raise BadInput(f"a batch has the lists {', '.join(names)}")
    columns = [_bytes_list(fields[name]) for name in names]
    if len({len(column) for column in columns}) != 1:
        raise BadInput("the lists of a batch differ in length")
    if not 1 <= len(columns[0]) <= MAX_PACKETS:
        raise BadInput(f"a batch has 1 to {MAX_PACKETS} packets")
    return columns


def _bytes_list(value: object) -> list[bytes]:
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise BadInput("not a list of bytes")
    return value
