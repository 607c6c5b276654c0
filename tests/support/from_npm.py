"""Programs of npm that tests use, installed once for each lock file beside the user's caches."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def installed(source: Path) -> Path:
    """The folder with what `source`'s lock file names, installed there if it is the first time."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is missing: apt-get install nodejs npm")
    lock = (source / "package-lock.json").read_bytes()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cairn-tests"
    folder = base / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as name:
        made = Path(name) / "made"
        made.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, made)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"npm ci failed: {done.stderr}")
        try:
            made.rename(folder)
        except OSError:  # another process of the tests was first
            if not folder.is_dir():
                raise
    return folder
