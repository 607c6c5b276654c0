"""Import before flwr: it reads these when it is imported, and would otherwise call home."""

from __future__ import annotations

import logging
import os
from pathlib import Path

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"


def settle(state_dir: Path | None = None) -> None:
    """Keep flwr and its HTTP client quiet, and whatever flwr may write in `state_dir`."""
    if state_dir is not None:
        os.environ["FLWR_HOME"] = str(state_dir)
    flower = logging.getLogger("flwr")
    flower.handlers.clear()
    flower.setLevel(logging.CRITICAL)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
