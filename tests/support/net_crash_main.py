"""A node process that kills itself, without any goodbye, at the step that a file names.

`python net_crash_main.py FOLDER PARENT FILE`: as `deploy.child node`, but at every named step the
node looks into FILE; if that step stands there, the file is removed and the process gets SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from coordinator.bridge_main import follow
from node import program


def main() -> None:
    root, parent, armed = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])

    def reached(step: str) -> None:
        if armed.exists() and armed.read_text() == step:
            armed.rename(armed.with_suffix(".done"))
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, args=(parent,), daemon=True).start()
    program.run(root, reached=reached)


if __name__ == "__main__":
    main()
