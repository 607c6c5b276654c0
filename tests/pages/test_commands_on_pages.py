"""A command that a page names is one that there is, with every option that is written behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from tests.support.commands import misused
from tests.support.net_processes import REPOSITORY

CODE = re.compile(r"<code>(cairn[^<]*)</code>")
PLACES = ("coordinator/pages/templates", "node/console/templates", "node/member/templates")


def written() -> Iterator[tuple[str, str]]:
    """Each command with the file of its page."""
    for place in PLACES:
        for file in sorted((REPOSITORY / place).glob("*.html")):
            for found in CODE.findall(file.read_text("utf-8")):
                for command in re.split(r" && |\n", unescape(found)):
                    yield file.name, command


@pytest.mark.parametrize(("page", "line"), sorted(set(written())))
def test_a_command_on_a_page_is_one(page: str, line: str) -> None:
    program, _, words = re.sub(r"\{\{.*?\}\}", "X", line).partition(" ")
    assert misused(program, words) == "", page


def test_commands_are_found() -> None:
    assert len(set(written())) > 15
