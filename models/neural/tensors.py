"""Named arrays of floats as bytes: the safetensors format, read strictly and written one way.

Eight bytes give the length of a JSON header; the header names every array, its shape and place;
the numbers follow. Nothing in such a file is executed or imported by reading it.

Source: the safetensors format description, github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from privacy.errors import BadInput

Arrays = Mapping[str, NDArray[np.floating[Any]]]
Kind = Literal["F32", "F64"]
TYPES: Mapping[Kind, str] = {"F32": "<f4", "F64": "<f8"}
MAX_HEADER_BYTES = 100_000
MAX_ARRAYS = 500
MAX_BYTES = 64 * 2**20
_PICKLE = (b"\x80", b"PK\x03\x04")  # a bare pickle, and the archive in which torch keeps one


def to_bytes(arrays: Arrays, notes: Mapping[str, str] | None = None, kind: Kind = "F32") -> bytes:
    """One encoding per content: names sorted, keys sorted, no gaps, little-endian floats."""
    header: dict[str, Any] = {"__metadata__": dict(notes)} if notes else {}
    place, data = 0, []
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], dtype=TYPES[kind])
        end = place + array.nbytes
        header[name] = {"data_offsets": [place, end], "dtype": kind, "shape": list(array.shape)}
        place = end
        data.append(array.tobytes())
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data)


def from_bytes(data: bytes, kind: Kind = "F32") -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays and notes. Raises BadInput for a header that is too large or not of this form,
    arrays that overlap, leave gaps or end elsewhere than the file, other types than `kind`, and
    numbers that are not finite."""
    header, body = _header(data)
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(each, str) for each in notes.values()):
        raise _wrong("notes are text")
    if len(header) > MAX_ARRAYS:
        raise _wrong(f"more than {MAX_ARRAYS} arrays")
    found, place = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(item[0], item[1], kind)):
        begin, end = _offsets(name, entry, kind)
        if begin != place:
            raise _wrong(f"{name!r} does not begin where the array before it ends")
        found[name] = _array(name, entry, body[begin:end], kind)
        place = end
    if place != len(body):
        raise _wrong("the arrays do not end where the file does")
    return found, notes


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    if data.startswith(_PICKLE):
        raise _wrong("a pickle, which could run code", "save the model as safetensors")
    if len(data) < 8 or len(data) > MAX_BYTES:
        raise _wrong(f"{len(data)} bytes, and 8 to {MAX_BYTES} are allowed")
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER_BYTES or size > len(data) - 8:
        raise _wrong(f"a header of {size} bytes, and {MAX_HEADER_BYTES} are allowed")
    try:
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _wrong("the header is no JSON object with each name once") from None
    if not isinstance(header, dict):
        raise _wrong("the header is no object")
    return header, data[8 + size :]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _offsets(name: str, entry: Any, kind: Kind) -> tuple[int, int]:
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != keys or entry["dtype"] != kind:
        raise _wrong(f"{name!r} is no array of {kind}")
    offsets = entry["data_offsets"]
    if not _whole(offsets) or len(offsets) != 2:
        raise _wrong(f"{name!r} has no place")
    return offsets[0], offsets[1]


def _whole(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(
        type(each) is int and 0 <= each <= MAX_BYTES for each in numbers
    )


def _array(name: str, entry: dict[str, Any], data: bytes, kind: Kind) -> NDArray[Any]:
    shape, stored = entry["shape"], np.dtype(TYPES[kind])
    if not _whole(shape) or len(shape) > 4 or math.prod(shape) * stored.itemsize != len(data):
        raise _wrong(f"the shape of {name!r} does not fit its bytes")
    array = np.frombuffer(data, dtype=stored).reshape(shape).astype(stored.newbyteorder("="))
    if not np.isfinite(array).all():
        raise _wrong(f"{name!r} holds a number that is not finite")
    return array


def _wrong(what: str, instead: str = "") -> BadInput:
    return BadInput(what, where="safetensors", instead=instead)
