"""Which libraries are here that only some analyses need."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec

OPTIONAL = ("torch",)
_USERS = {"torch": "models.neural.gradient"}


def installed() -> frozenset[str]:
    """Those of OPTIONAL that this node could load; none is loaded by asking."""
    return frozenset(name for name in OPTIONAL if find_spec(name) is not None)


def load_ahead(needed: str) -> None:
    """Begin to load what an analysis needs, which takes seconds the first time.

    What goes wrong shows when it is used.
    """
    if needed in _USERS:
        threading.Thread(target=_load, args=(_USERS[needed],), daemon=True).start()


def _load(module: str) -> None:
    try:
        import_module(module)
    except ImportError:
        return
