"""Masks: the very keystream that the format names, cancelling exactly, and uniform."""

from __future__ import annotations

import hashlib
import hmac
import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from privacy.contract.canonical import canonical_bytes
from privacy.errors import BadInput
from privacy.secure_sum import masks
from privacy.secure_sum.masks import Mask
from privacy.secure_sum.messages import context
from tests.support.secure_sum_network import Network, seeded_entropy, sha

SEGMENT = 2**17


def reference_keystream(key: bytes, length: int) -> NDArray[np.uint64]:
    """AES-256-CTR as the format states it, block counters written out, in CTR mode."""
    parts = []
    for segment in range(-(-length // SEGMENT)):
        counter = segment.to_bytes(12, "big") + (2).to_bytes(4, "big")
        words = min(SEGMENT, length - segment * SEGMENT)
        stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
        parts.append(np.frombuffer(stream.update(bytes(8 * words)), dtype="<u8"))
    return np.concatenate(parts)


def reference_hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, one block of output."""
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def test_hkdf_matches_rfc_5869() -> None:
    assert masks.derive(b"secret", b"info") == reference_hkdf(b"secret", b"info")


@pytest.mark.parametrize("length", [1, 2, 3, 16_383, 16_385, SEGMENT, SEGMENT + 1, 300_001])
def test_the_keystream_is_aes_256_ctr(length: int) -> None:
    key = hashlib.sha256(b"key").digest()
    zeros = np.zeros(length, dtype=np.uint64)
    masked, digest = masks.mask(zeros, [Mask(key)])
    expected = reference_keystream(key, length)
    np.testing.assert_array_equal(masked, expected)
    assert digest == hashlib.sha256(expected.tobytes()).hexdigest() == masks.vector_digest(masked)
    subtracted, _ = masks.mask(zeros, [Mask(key, subtract=True)])
    assert not np.any(masked + subtracted)


@pytest.mark.parametrize("length", [5, 2 * SEGMENT + 3])
def test_total_adds_vectors_and_removes_masks(length: int) -> None:
    draw = np.random.default_rng(0)
    vectors = [draw.integers(0, 2**64, length, dtype=np.uint64) for _ in range(3)]
    streams = [Mask(bytes([i]) * 32, subtract=i == 1) for i in range(3)]
    hidden = [masks.mask(v, [stream])[0] for v, stream in zip(vectors, streams, strict=True)]
    opened = masks.total(hidden, [stream.negated() for stream in streams])
    np.testing.assert_array_equal(opened, vectors[0] + vectors[1] + vectors[2])


def test_inputs_are_left_as_they_were() -> None:
    vector = np.arange(10, dtype=np.uint64)
    masks.mask(vector, [Mask(bytes(32))])
    masks.total([vector, vector], [Mask(bytes(32))])
    np.testing.assert_array_equal(vector, np.arange(10))


def test_the_clear_vector_can_be_overwritten() -> None:
    vector = np.arange(10, dtype=np.uint64)
    copied, digest = masks.mask(vector, [Mask(bytes(32))])
    masked, same = masks.mask(vector, [Mask(bytes(32))], overwrite=True)
    assert masked is vector
    np.testing.assert_array_equal(vector, copied)
    assert same == digest


def test_pair_masks_cancel_and_bind_their_context() -> None:
    first = masks.pair_mask(b"s" * 32, sha("attempt"), "a", "b")
    assert masks.pair_mask(b"s" * 32, sha("attempt"), "b", "a") == first.negated()
    others = [
        masks.pair_mask(b"t" * 32, sha("attempt"), "a", "b"),
        masks.pair_mask(b"s" * 32, sha("another"), "a", "b"),
        masks.pair_mask(b"s" * 32, sha("attempt"), "a", "c"),
        masks.self_mask(b"s" * 32, sha("attempt"), "a"),
    ]
    assert first.key not in {other.key for other in others}


def test_the_context_is_the_documented_one() -> None:
    info = canonical_bytes(["cairn-secure-sum/1", "pair-mask", sha("x"), "a", "b"])
    expected = reference_hkdf(b"s" * 32, info)
    assert masks.pair_mask(b"s" * 32, sha("x"), "b", "a").key == expected


def test_contexts_are_canonical_json() -> None:
    names = ["a", 'quote " and \\', "Ωµέγα", "line\nbreak", ""]
    expected = canonical_bytes(["cairn-secure-sum/1", "what", *names, 7])
    assert context("what", *names, 7) == expected


def dkw_distance(words: NDArray[np.uint64]) -> float:
    """sup |F_n - F| against the uniform distribution on [0, 2^64)."""
    unit = np.sort(words.astype(np.float64) / 2.0**64)
    steps = np.arange(1, len(unit) + 1) / len(unit)
    return float(max(np.max(steps - unit), np.max(unit - steps + 1 / len(unit))))


def dkw_bound(n: int, alpha: float = 1e-9) -> float:
    return math.sqrt(math.log(2 / alpha) / (2 * n))


def low_bytes(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The words with their bytes reversed: low bits become high ones."""
    return words.byteswap()


def test_masked_vectors_look_uniform_whatever_is_in_them() -> None:
    """DKW at alpha = 1e-9 on high and low bits; a short or biased mask must be rejected."""
    length = 100_000
    network = Network(3, length=length, sets=1).prepare()
    zeros = {name: np.zeros(length, dtype=np.uint64) for name in network.names}
    run = network.collect(zeros)
    bound = dkw_bound(length)
    for masked in run.masked.values():
        assert dkw_distance(masked) < bound
        assert dkw_distance(low_bytes(masked)) < bound
    # The sum of two masked vectors is uniform too: nothing cancels before the opening.
    two = run.masked[network.names[0]] + run.masked[network.names[1]]
    assert dkw_distance(two) < bound
    # Mutants: 32-bit masks (in either half), a mask that misses a tenth of the range, no mask.
    stream = reference_keystream(bytes(32), length)
    for mutant in (stream >> np.uint64(32), stream // np.uint64(10) * np.uint64(9), stream * 0):
        assert dkw_distance(mutant) > bound
    assert dkw_distance(low_bytes(stream << np.uint64(32))) > bound


def test_consecutive_words_are_not_related() -> None:
    """Sums of neighbours are uniform as well; a keystream that repeats each word is caught."""
    stream = masks.mask(np.zeros(200_000, dtype=np.uint64), [Mask(bytes(32))])[0]
    sums = stream[0::2] + stream[1::2]
    assert dkw_distance(sums) < dkw_bound(len(sums))
    doubled = np.repeat(stream[::2], 2)
    lowest = (doubled[0::2] + doubled[1::2]) << np.uint64(63)
    assert dkw_distance(lowest) > dkw_bound(len(lowest))


def test_private_keys_have_one_spelling() -> None:
    raw = masks.new_private_key(seeded_entropy("k")(32))
    key = masks.private_key(raw)
    assert key.private_bytes_raw() == raw
    for index, bit in ((0, 1), (0, 2), (0, 4), (31, 0x80), (31, 0x40)):
        changed = bytearray(raw)
        changed[index] ^= bit
        with pytest.raises(BadInput):
            masks.private_key(bytes(changed))
    with pytest.raises(BadInput):
        masks.private_key(raw[:31])


@pytest.mark.parametrize("low_order", [bytes(32), b"\x01" + bytes(31)])
def test_public_keys_of_low_order_are_refused(low_order: bytes) -> None:
    key = masks.private_key(masks.new_private_key(bytes(32)))
    with pytest.raises(BadInput):
        masks.shared_secret(key, low_order)


def test_vectors_on_the_wire() -> None:
    vector = np.array([1, 2**64 - 1], dtype=np.uint64)
    data = masks.vector_bytes(vector)
    assert data == b"\x01" + bytes(7) + b"\xff" * 8
    np.testing.assert_array_equal(masks.vector_from_bytes(data, 2), vector)
    for bad in (b"", data[:-1], data + b"\x00"):
        with pytest.raises(BadInput):
            masks.vector_from_bytes(bad, 2)
    for wrong in (vector.view(np.int64), vector.reshape(1, 2), vector[:1]):
        with pytest.raises(BadInput):
            masks.check_vector(wrong, 2)  # type: ignore[arg-type]
