"""Where random bits come from: a parameter, and a keystream expanded from it.

Source: AES-256 in counter mode as in NIST SP 800-38A; its output cannot be told from uniform
bits by anyone without the key.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from privacy.errors import BadInput

Entropy = Callable[[int], bytes]
"""n -> n unpredictable bytes. The system's source in a running node, a seeded one in tests only."""

KEY_BYTES = 32
_ZEROS = memoryview(bytes(2**18))


class Keystream:
    """An endless run of uniform 64-bit words, fixed by a 32-byte key that is used once.

    Assumes: the key is fresh and secret; two streams under one key are equal.
    Raises BadInput unless the key is 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise BadInput(f"a keystream needs a key of {KEY_BYTES} bytes")
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def __repr__(self) -> str:
        return "Keystream(<secret>)"

    def u64(self, n: int) -> NDArray[np.uint64]:
        """The next `n` words, little-endian on every machine."""
        words = np.empty(n, dtype="<u8")
        target = words.view(np.uint8).data
        for start in range(0, len(target), len(_ZEROS)):
            piece = target[start : start + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(piece)], piece)
        return words.astype(np.uint64, copy=False)


def fresh_keystream(entropy: Entropy) -> Keystream:
    """A keystream under a key just drawn from `entropy`."""
    return Keystream(entropy(KEY_BYTES))
