"""Several named byte strings as one binary part with their lengths, in order of name."""

from __future__ import annotations

from collections.abc import Mapping

from privacy.errors import BadInput


def join_parts(parts: Mapping[str, bytes]) -> tuple[dict[str, int], bytes]:
    """Lengths by name, and the bytes one after another in order of name."""
    names = sorted(parts)
    return {name: len(parts[name]) for name in names}, b"".join(parts[name] for name in names)


def cut_parts(lengths: Mapping[str, int], blob: bytes) -> dict[str, bytes]:
    """Undo `join_parts`; raises BadInput unless the lengths cover `blob` exactly."""
    parts: dict[str, bytes] = {}
    offset = 0
    for name in sorted(lengths):
        length = lengths[name]
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise BadInput("a length is a whole number")
        parts[name] = blob[offset : offset + length]
        offset += length
    if offset != len(blob):
        raise BadInput("lengths and binary part do not agree")
    return parts


def cut_head(length: int, blob: bytes) -> tuple[bytes, bytes]:
    """The first `length` bytes and the rest; raises BadInput where there are not so many."""
    if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= len(blob):
        raise BadInput("length and binary part do not agree")
    return blob[:length], blob[length:]
