"""Codes with which a person replaces what they lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

RESET_LIFETIME = timedelta(hours=24)


def new_reset_code(entropy: Callable[[int], bytes]) -> str:
    """A code of 192 bits."""
    return f"cairn_x_{entropy(24).hex()}"
