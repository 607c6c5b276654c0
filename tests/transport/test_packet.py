"""Batches of packets: what was packed comes out, anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contract.packet import (
    MAX_PACKETS,
    Packet,
    pack,
    pack_replies,
    unpack,
    unpack_replies,
)
from privacy.errors import BadInput, Code

packets = st.builds(Packet, st.binary(max_size=40), st.binary(max_size=40))


@given(st.lists(packets, min_size=1, max_size=20))
def test_a_batch_survives_the_trip(batch: list[Packet]) -> None:
    assert list(unpack(pack(batch))) == batch


@given(st.lists(packets | st.sampled_from(Code), min_size=1, max_size=20))
def test_replies_survive_the_trip(batch: list[Packet | Code]) -> None:
    assert list(unpack_replies(pack_replies(batch))) == batch


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"headers": [b"a"]},
        {"headers": [b"a"], "blobs": []},
        {"headers": [], "blobs": []},
        {"headers": ["a"], "blobs": [b""]},
        {"headers": b"a", "blobs": b""},
        {"headers": [b"a"], "blobs": [b""], "more": [b""]},
        {"headers": [b""] * (MAX_PACKETS + 1), "blobs": [b""] * (MAX_PACKETS + 1)},
    ],
)
def test_anything_else_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        unpack(fields)


@pytest.mark.parametrize("code", [b"unheard_of", b"\xff", b"Internal"])
def test_a_code_outside_the_catalogue_is_refused(code: bytes) -> None:
    with pytest.raises(BadInput):
        unpack_replies({"headers": [b""], "blobs": [b""], "codes": [code]})


def test_a_reply_is_a_packet_or_a_code_but_not_both() -> None:
    with pytest.raises(BadInput):
        unpack_replies({"headers": [b"x"], "blobs": [b""], "codes": [b"internal"]})


def test_a_packet_does_not_print_its_bytes() -> None:
    assert "secret" not in repr(Packet(b"secret", b"secret"))
