"""Entropy that repeats, for tests only."""

from __future__ import annotations

import hashlib

from privacy.randomness import Entropy, Keystream


def seeded_entropy(seed: int | str) -> Entropy:
    """The same sequence of bytes for the same seed; consecutive calls never repeat bytes."""
    calls = 0

    def draw(n: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(f"{seed}/{calls}".encode()).digest(n)

    return draw


def seeded_stream(seed: int | str) -> Keystream:
    """A keystream under the first key of `seeded_entropy(seed)`."""
    return Keystream(seeded_entropy(seed)(32))
