"""One value has one encoding: the fast way and the plain way write the same bytes."""

from __future__ import annotations

import json
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contract import canonical
from privacy.contract.canonical import b64, canonical_bytes, parse_canonical, unb64
from privacy.errors import BadInput

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_both_ways_of_writing_agree_and_read_back(value: Any) -> None:
    data = canonical_bytes(value)
    assert data == canonical._dump(value).encode()
    assert parse_canonical(data) == value


def test_keys_are_ordered_by_utf16_code_units() -> None:
    """U+10000 sorts before U+E000 as UTF-16, and after it as code points."""
    assert list(json.loads(canonical_bytes({"\ue000": 1, "\U00010000": 2}))) == [
        "\U00010000",
        "\ue000",
    ]


def test_known_bytes() -> None:
    value = {"b": [1, 'é\n\x07"\\'], "a": {"z": None, "A": True}, "": -5}
    expected = '{"":-5,"a":{"A":true,"z":null},"b":[1,"é\\n\\u0007\\"\\\\"]}'
    assert canonical_bytes(value) == expected.encode()
    assert canonical_bytes(MappingProxyType({"a": (1, 2)})) == b'{"a":[1,2]}'


class Number(IntEnum):
    THREE = 3


def test_a_number_by_another_name_is_written_as_the_number() -> None:
    assert canonical_bytes([Number.THREE]) == b"[3]"


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**53 + 1, {1: 2}, b"x", {"a": {1, 2}}, "\ud800", {"\ud800": 1}]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(BadInput):
        canonical_bytes(value)


def test_depth_is_limited() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(BadInput, match="nested"):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [b'{"a": 1}', b'{"b":1,"a":2}', b"1.0", b"1e3", b"NaN", b'{"a":1,"a":1}', b'"\\u00e9"', b"-0"],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_canonical(data)


def test_base64_has_one_spelling() -> None:
    key = bytes(range(32))
    text = b64(key)
    assert unb64(text) == key
    slack = text[:-2] + chr(ord(text[-2]) + 1) + "="  # the last two bits of 32 bytes are slack
    for other in (slack, text.rstrip("="), text + "\n", text.replace("A", "-", 1)):
        with pytest.raises(BadInput):
            unb64(other)
