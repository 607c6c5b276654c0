"""`python -m coordinator.bridge_main FOLDER PARENT`: the bridge as a child of the web process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    """Run the bridge; end when the parent is gone, however it went."""
    root, parent = Path(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=follow, args=(parent,), name="follow-parent", daemon=True).start()
    from coordinator.bridge import run
    from service.logs import quiet_logs

    quiet_logs()
    run(root, os.urandom)


def follow(parent: int) -> None:
    """Ask this process to end once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
