"""`cairn browser` as it stays on a researcher's terminal, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.net_processes import REPOSITORY

_CODE = "from coordinator.cli.researcher import main; main()"


@contextmanager
def terminal(url: str, token: str) -> Iterator[subprocess.Popen[str]]:
    """It prints the link of a browser, then whatever pages ask for, until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _CODE, "browser", "--stay"],
        env={**os.environ, "CAIRN_URL": url, "CAIRN_TOKEN": token},
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], word: str, what: str = "want to ask") -> str:
    """The first line that the terminal shows of the next request, which is then answered."""
    assert process.stderr is not None
    assert process.stdin is not None
    shown = next(line for line in process.stderr if what in line)
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return shown.strip()
