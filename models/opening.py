"""What one round of a run opened: a public fact, like everything made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.noise_law import NoiseLaw
from privacy.mechanism import GaussianSum


@dataclass(frozen=True)
class Opening:
    """One integer per component in grid units, the noise they carry, and the state asked with.

    `state` is what the round was asked with: bytes that every participant saw and whose hash
    each of them signed; empty in the first round of most runs. `lost` are the participants that
    are not in the total, in the plan's order.
    """

    totals: tuple[int, ...]
    law: NoiseLaw
    state: bytes = b""
    lost: tuple[str, ...] = ()


def last_opening(release: Mapping[str, Any], state: bytes = b"") -> Opening:
    """What the last round of a release opened, as its body says it."""
    said = release["rounds"][-1]
    law = NoiseLaw(GaussianSum.from_json(said["mechanism"]), len(said["survivors"]))
    return Opening(tuple(int(total) for total in release["totals"]), law, state)
