"""flchain as CSV: serum free light chains of 7,874 people, as scikit-survival ships them.

scikit-survival is GPL. It is installed into an environment of its own, made once, and nothing of
it is imported or run: the table is read out of its files, and written as CSV into a folder for
temporary files.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ENVIRONMENT = Path(__file__).parents[2] / ".venv-flchain"
PACKAGE = "scikit-survival==0.28.*"
PATIENCE = 300.0


@cache
def as_csv() -> Path:
    """The table with a header; what is missing is `?`.

    Raises OSError without a file to write to, RuntimeError where the package cannot be had.
    """
    lines = _file().read_text("utf-8").splitlines()
    names = [line.split()[1] for line in lines if line.lower().startswith("@attribute")]
    start = next(at for at, line in enumerate(lines) if line.lower().startswith("@data"))
    rows = [line for line in lines[start + 1 :] if line and not line.startswith("%")]
    path = Path(tempfile.mkdtemp(prefix="cairn-bench-")) / "flchain.csv"
    path.write_text("\n".join([",".join(names), *rows]) + "\n", "utf-8")
    return path


def _file() -> Path:
    found = sorted(ENVIRONMENT.glob("lib/python3*/site-packages/sksurv/datasets/data/flchain.arff"))
    if found:
        return found[0]
    python = ENVIRONMENT / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", PACKAGE]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True, timeout=60)
        subprocess.run(install, check=True, timeout=PATIENCE, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{PACKAGE} could not be installed ({type(error).__name__})") from error
    found = sorted(ENVIRONMENT.glob("lib/python3*/site-packages/sksurv/datasets/data/flchain.arff"))
    if not found:
        raise RuntimeError(f"{PACKAGE} holds no flchain table")
    return found[0]
