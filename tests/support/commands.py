"""Our programs' commands and options, to hold what documents and pages tell against them."""

from __future__ import annotations

import re

import click
from typer.main import get_command

from coordinator.cli import operator, researcher
from node import cli

PROGRAMS: dict[str, click.Command] = {
    "cairn": get_command(researcher.app),
    "cairn-coordinator": get_command(operator.app),
    "cairn-node": get_command(cli.app),
}


def misused(program: str, line: str) -> str:
    """What of a command line its program does not have; "" for nothing."""
    command, known = PROGRAMS[program], {"--help"}
    for word in line.partition("#")[0].split():
        option = re.match(r"--?[a-z][a-z-]*", word)
        known |= {text for each in command.params for text in (*each.opts, *each.secondary_opts)}
        if option and option[0] not in known:
            return f"{program} {line}: {option[0]}"
        if isinstance(command, click.Group) and not option and word in command.commands:
            command = command.commands[word]
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word):
            return f"{program} {line}: {word}"
    return ""
