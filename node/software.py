"""Which libraries are here that only some analyses need: looked up, never loaded."""

from __future__ import annotations

from importlib.util import find_spec

OPTIONAL = ("torch",)


def installed() -> frozenset[str]:
    """Those of OPTIONAL that this node could load."""
    return frozenset(name for name in OPTIONAL if find_spec(name) is not None)
