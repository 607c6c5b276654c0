"""Canonical bytes: one value has exactly one encoding, so that hashes and signatures agree.

JSON after RFC 8785, narrowed to what the contract needs: objects, arrays, strings, booleans,
null and integers up to 2^53. Larger integers and rationals are written as strings; floats are
refused, because two honest programs may print one differently.

Source: RFC 8785 (JSON Canonicalization Scheme); RFC 4648 section 3.5 (slack bits in base64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from privacy.errors import BadInput

MAX_SAFE_INTEGER = 2**53
MAX_DEPTH = 32

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


# The encoder of the standard library writes this form too, where keys are ASCII: there the
# order of code points is the order of UTF-16 code units.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _check(value: Any, depth: int) -> bool:
    """Raise BadInput for what has no canonical form; True if `_ENCODER` writes it rightly."""
    if depth > MAX_DEPTH:
        raise BadInput(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool() | str():
            return True
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise BadInput("integer beyond 2^53", instead="write it as a string")
            return type(value) is int
        case Mapping():
            return _check_object(value, depth)
        case list() | tuple():
            checked = [_check(item, depth + 1) for item in value]  # every item, not until one
            return all(checked)
        case _:
            raise BadInput(f"{type(value).__name__} has no canonical form")


def _check_object(value: Mapping[Any, Any], depth: int) -> bool:
    plain = type(value) is dict
    for key, item in value.items():
        if not isinstance(key, str):
            raise BadInput("object key is not a string")
        plain = _check(item, depth + 1) and key.isascii() and plain
    return plain


def canonical_bytes(value: Json) -> bytes:
    """Encode `value` canonically (sorted keys by UTF-16 code units, no spaces, UTF-8).

    Raises BadInput for floats, integers beyond 2^53, unpaired surrogates and anything not JSON.
    """
    plain = _check(value, 0)
    try:
        return (_ENCODER.encode(value) if plain else _dump(value)).encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput("text holds an unpaired surrogate") from None


def _dump(value: Any) -> str:
    match value:
        case Mapping():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return "{" + ",".join(f"{_string(k)}:{_dump(value[k])}" for k in keys) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_dump, value)) + "]"
        case str():
            return _string(value)
        case _:
            return json.dumps(value)


def _string(text: str) -> str:
    return _ENCODER.encode(text)


def parse_canonical(data: bytes, *, max_bytes: int = 16 * 2**20) -> Any:
    """Decode bytes that must be canonical; raises BadInput when they are anything else."""
    if len(data) > max_bytes:
        raise BadInput(f"larger than {max_bytes} bytes")
    try:
        value = json.loads(data, parse_float=_refuse_number, parse_constant=_refuse_number)
    except (ValueError, RecursionError):
        raise BadInput("not canonical JSON") from None
    if canonical_bytes(value) != data:
        raise BadInput("JSON is not in canonical form")
    return value


def _refuse_number(text: str) -> Any:
    raise ValueError(text)


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data`, in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Json) -> str:
    """SHA-256 (hexadecimal) of the canonical bytes of `value`."""
    return sha256_hex(canonical_bytes(value))


def b64(data: bytes) -> str:
    """Standard base64 with padding: the only spelling `unb64` takes."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str) -> bytes:
    """Decode base64; raises BadInput unless `text` is the one canonical spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("not base64") from None
    if b64(data) != text:
        raise BadInput("base64 is not in canonical form")
    return data


def rational(value: Fraction) -> str:
    """A fraction as text: `numerator/denominator` in lowest terms."""
    return f"{value.numerator}/{value.denominator}"


def parse_rational(text: str) -> Fraction:
    """Read what `rational` wrote; any other spelling raises BadInput."""
    try:
        top, bottom = text.split("/")
        value = Fraction(int(top), int(bottom))
    except (ValueError, ZeroDivisionError):
        raise BadInput("not a rational number") from None
    if rational(value) != text:
        raise BadInput("rational number is not in lowest terms")
    return value
