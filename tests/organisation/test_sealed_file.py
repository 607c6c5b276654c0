"""Files under a passphrase open whole or not at all."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import sealed_file
from privacy.errors import BadInput
from privacy.sealed_file import PIECE_BYTES, Sealer, Unsealer, read_head
from tests.support.seeded import seeded_entropy

SECRET = "correct horse battery"
ABOUT = {"what": "a test"}


def sealed(plain: bytes, secret: str = SECRET) -> bytes:
    sealer = Sealer(secret, ABOUT, seeded_entropy("sealed"))
    written = sealer.beginning + sealer.update(plain[:7]) + sealer.update(plain[7:])
    return written + sealer.finish()


def opened(data: bytes, secret: str = SECRET) -> bytes:
    unsealer = Unsealer.open(io.BytesIO(data).read, secret)
    found = b""
    while part := unsealer.read(300_000):
        found += part
    return found


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_what_was_sealed_opens(size: int) -> None:
    plain = seeded_entropy("plain")(size)
    data = sealed(plain)
    assert opened(data) == plain
    assert plain[:16] not in data or not plain
    assert read_head(io.BytesIO(data).read)[0].about == ABOUT


@pytest.fixture(scope="module")
def two_pieces() -> bytes:
    return sealed(bytes(PIECE_BYTES + 5))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation of the key at a thousandth of its cost."""
    monkeypatch.setattr(sealed_file, "_MEMORY_KIB", 64)
    monkeypatch.setattr(sealed_file, "_PASSES", 1)


def test_a_wrong_passphrase_and_another_file_are_told_apart(two_pieces: bytes) -> None:
    with pytest.raises(BadInput, match="the passphrase is not the one"):
        opened(two_pieces, SECRET + "!")
    with pytest.raises(BadInput, match="not a sealed file"):
        opened(b"something else altogether")
    with pytest.raises(BadInput, match="12 characters"):
        sealed(b"", "short")


def test_every_cut_and_every_changed_place_is_refused(quick: None) -> None:
    data = sealed(bytes(PIECE_BYTES + 5))
    begin = data.index(b"}}") if b"}}" in data else 200
    for at in (0, 10, 17, begin, 400, PIECE_BYTES, len(data) - 21, len(data) - 1):
        with pytest.raises(BadInput):
            opened(data[:at])
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(BadInput):
            opened(bytes(changed))


def test_pieces_cannot_change_places_or_be_left_out(quick: None) -> None:
    plain = bytes(2 * PIECE_BYTES + 5)
    data = sealed(plain)
    step = PIECE_BYTES + 16
    last = len(data) - (5 + 16)
    first, second = data[last - 2 * step : last - step], data[last - step : last]
    head = data[: last - 2 * step]
    assert opened(head + first + second + data[last:]) == plain
    for pieces in (second + first + data[last:], first + data[last:], first + second):
        with pytest.raises(BadInput, match="changed or cut off"):
            opened(head + pieces)
    with pytest.raises(BadInput, match="changed or cut off"):
        opened(data + b"more")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=2000), max_size=6))
def test_how_it_is_written_does_not_matter(parts: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_file, "PIECE_BYTES", 512)
        patch.setattr(sealed_file, "_MEMORY_KIB", 64)
        sealer = Sealer(SECRET, ABOUT, seeded_entropy("parts"))
        data = sealer.beginning + b"".join(map(sealer.update, parts)) + sealer.finish()
        assert opened(data) == b"".join(parts)
