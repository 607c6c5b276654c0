from __future__ import annotations

import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from privacy.errors import BadInput
from privacy.randomness import Keystream, fresh_keystream
from tests.support.seeded import seeded_entropy, seeded_stream

KEY = bytes(range(32))


def test_words_are_the_aes_256_counter_stream() -> None:
    encryptor = Cipher(algorithms.AES(KEY), modes.CTR(bytes(16))).encryptor()
    expected = encryptor.update(bytes(8 * 5))
    words = Keystream(KEY).u64(5)
    assert words.dtype == np.uint64
    assert [int(word) for word in words] == [
        int.from_bytes(expected[i : i + 8], "little") for i in range(0, 40, 8)
    ]


def test_the_first_block_is_that_of_the_published_cipher() -> None:
    """FIPS 197, appendix C.3: the AES-256 key 00 01 .. 1f; here on the all-zero counter."""
    block = Keystream(KEY).u64(2).astype("<u8").tobytes()
    encryptor = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()  # noqa: S305
    assert block == encryptor.update(bytes(16))
    known = bytes.fromhex("8ea2b7ca516745bfeafc49904b496089")
    assert encryptor.update(bytes.fromhex("00112233445566778899aabbccddeeff")) == known


@pytest.mark.parametrize("pieces", [[1, 2, 3], [0, 6], [40_000, 40_000, 3], [79_999, 4]])
def test_reading_in_pieces_gives_the_same_words(pieces: list[int]) -> None:
    stream = Keystream(KEY)
    read = np.concatenate([stream.u64(n) for n in pieces])
    assert np.array_equal(read, Keystream(KEY).u64(sum(pieces)))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytearray(32), "0" * 32, None])
def test_only_32_byte_keys_are_taken(key: bytes) -> None:
    with pytest.raises(BadInput):
        Keystream(key)


def test_every_fresh_stream_takes_its_own_key() -> None:
    entropy = seeded_entropy(1)
    first, second = fresh_keystream(entropy).u64(4), fresh_keystream(entropy).u64(4)
    assert not np.array_equal(first, second)


def test_a_stream_does_not_print_its_key() -> None:
    assert KEY.hex() not in repr(Keystream(KEY))
    assert repr(KEY) not in repr(Keystream(KEY))


def test_words_are_writable_and_native() -> None:
    words = seeded_stream(2).u64(3)
    words[0] = 0
    assert words.dtype.byteorder in ("=", "<" if sys.byteorder == "little" else ">")
