"""What one round of a run opened: a public fact, like everything made of it."""

from __future__ import annotations

from dataclasses import dataclass

from models.noise_law import NoiseLaw


@dataclass(frozen=True)
class Opening:
    """One integer per component in grid units, the noise they carry, and the state asked with.

    `state` is what the round was asked with: bytes that every participant saw and whose hash
    each of them signed; empty in the first round of most runs.
    """

    totals: tuple[int, ...]
    law: NoiseLaw
    state: bytes = b""
