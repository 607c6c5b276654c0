"""`python -m deploy.child coordinator|node FOLDER PARENT`: one process of a local network.

It ends when the program that started it is gone, so nothing is left behind by a kill.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from coordinator.bridge_main import follow


def main() -> None:
    """Run the coordinator or a node until told to stop."""
    role, root, parent = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=follow, args=(parent,), name="follow-parent", daemon=True).start()
    if role == "node":
        from node import program

        program.run(root)
    else:
        from coordinator import web

        web.run(root)


if __name__ == "__main__":
    main()
