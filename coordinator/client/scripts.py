"""A result as a notebook and as an R script: its numbers, what they are, and how to get them again.

Both hold the figures themselves, so they open without a network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.client.result import Result


def notebook(result: Result, head: Sequence[str]) -> str:
    """A Jupyter notebook (format 4.5) in Python; `head` says what the numbers are."""
    again = (
        "from coordinator.client import connect\n\n"
        "net = connect()  # CAIRN_URL and CAIRN_TOKEN, or what `cairn login` left\n"
        f"study = net.study({result.asked.study!r})\n"
        f"result = study.release({result.release!r})  # stored already: costs nothing\n"
        "result.table"
    )
    numbers = (
        "import io\n\nimport pandas as pd\n\n"
        f"table = pd.read_csv(io.StringIO({_csv(result)!r}))\n"
        "table"
    )
    cells = [
        _text("what", f"# {result.asked.sentence}\n\n" + "\n".join(f"- {line}" for line in head)),
        _code("numbers", numbers),
        _text("methods", f"## Methods\n\n{result.methods()}"),
        _text("again", "## The same from the network\n\nWith its chart, and topped up for more."),
        _code("fetch", again),
        _code("chart", "result.plot()"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def r_script(result: Result, head: Sequence[str]) -> str:
    """A script in R that needs no package for the numbers, and httr2 to have them again."""
    rows = ",\n".join(f"  {_quoted(line)}" for line in _csv(result).splitlines())
    said = "\n".join(f"# {line}" for line in head)
    return (
        f"{said}\n"
        f"table <- read.csv(text = c(\n{rows}\n))\n"
        "print(table)\n\n"
        "# The same from the network, at no cost:\n"
        "# library(httr2)\n"
        '# request(Sys.getenv("CAIRN_URL")) |>\n'
        f'#   req_url_path_append("v1/releases/{result.release}") |>\n'
        '#   req_auth_bearer_token(Sys.getenv("CAIRN_BEARER")) |>\n'
        "#   req_perform() |> resp_body_json()\n"
    )


def _csv(result: Result) -> str:
    return str(result.table.to_csv(index=False, lineterminator="\n"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(text)}


def _code(name: str, text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": [],
        "source": _lines(text),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
