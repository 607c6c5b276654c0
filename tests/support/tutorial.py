"""Walking through a tutorial: its samples run as they stand, its clicks are done in a browser.

Commands are the indented lines that begin with a program of ours; Python samples run one after
the other in one namespace; a TOML sample that begins with `# FILE name` is written. What is bold is
a word that a reader looks for on a page: every one of them has to have been seen.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner

from coordinator.cli import operator, researcher
from node import cli
from tests.support.browser import NARROW, WIDE, Reader

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = DOCS / "screens"
PICTURE = re.compile(r"!\[[^\]]+\]\(\.\./screens/([a-z-]+)\.webp\)")
_PROGRAMS: dict[str, Typer] = {
    "cairn": researcher.app,
    "cairn-coordinator": operator.app,
    "cairn-node": cli.app,
}
_SAMPLE = re.compile(
    r"^```(?P<kind>python|toml)\n(?P<code>.*?)^```|^ {4}(?P<line>[^\n]+)$",
    re.DOTALL | re.MULTILINE,
)
_ENDS = re.compile(r" # ends with exit code (\d)$")
_TRIES = 120  # half a second apart
_WIDTH = 960  # pixels of a picture in the documents


@dataclass
class Walk:
    """One tutorial, walked section by section in the current directory."""

    name: str
    patch: pytest.MonkeyPatch
    known: dict[str, str] = field(default_factory=dict)  # what the samples leave open
    said: str = ""  # what the last command printed
    seen: list[str] = field(default_factory=list)
    pictures: set[str] = field(default_factory=set)
    names: dict[str, Any] = field(default_factory=dict)
    walked: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return (DOCS / "tutorials" / f"{self.name}.md").read_text("utf-8")

    @property
    def sections(self) -> dict[str, str]:
        parts = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)
        return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}

    def section(self, title: str) -> None:
        """Run the samples of the next section, all of them."""
        for _ in self.steps(title):
            pass

    def steps(self, title: str) -> Iterator[str]:
        """The same one by one: each sample is yielded before it runs."""
        assert title == list(self.sections)[len(self.walked)], "the sections, in order"
        self.walked.append(title)
        for sample in _SAMPLE.finditer(self.sections[title]):
            yield sample[0]
            match sample["kind"]:
                case "python":
                    exec(sample["code"], self.names)  # noqa: S102
                case "toml":
                    first, _, rest = sample["code"].partition("\n")
                    Path(first.removeprefix("# FILE ")).write_text(rest)
                case _:
                    self._line(sample["line"])

    def _line(self, line: str) -> None:
        ends = _ENDS.search(line)
        words = shlex.split(self._filled(line), comments=True)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.patch.setenv(name, value)
            return
        with self.patch.context() as own:
            while "=" in words[0]:
                name, _, value = words.pop(0).partition("=")
                own.setenv(name, value)
            done = _until(int(ends[1]) if ends else 0, words)
        self.said = done.stdout
        self.seen.append(done.stdout)

    def _filled(self, line: str) -> str:
        line = re.sub(r"\$\(cat (\S+)\)", lambda it: Path(it[1]).read_text("utf-8").strip(), line)
        for name, pattern in {"DIGEST": r"\b[0-9a-f]{64}\b", "CODE": r"\bcairn_i_\w+"}.items():
            found = re.findall(pattern, self.said)
            if found:
                self.known[name] = found[-1]
        for name, value in self.known.items():
            line = re.sub(rf"\b{name}\b", value, line)
        return line

    def look(self, seen: Reader, picture: str = "", near: str = "") -> None:
        """Remember what the page says; with a name, a picture of it for the documents, `near` at
        its upper edge."""
        self.seen.append(seen.page.inner_text("body"))
        assert seen.overflow() == 0
        if not picture:
            return
        self.pictures.add(picture)
        for width in (NARROW, WIDE):
            for dark in (True, False):
                seen.page.set_viewport_size({"width": width, "height": 900})
                seen.page.emulate_media(color_scheme="dark" if dark else "light")
                seen.keep(f"tutorial-{picture}-{width}-{dark}")
        if near:
            seen.page.locator(near).first.evaluate("it => it.scrollIntoView()")
        if os.environ.get("CAIRN_PICTURES"):
            _picture(seen.page.screenshot(), picture)

    def end(self) -> None:
        """Every section was walked, every bold word seen, every picture taken."""
        assert self.walked == list(self.sections)
        everything = " ".join(" ".join(self.seen).split())
        bold = {" ".join(each.split()) for each in re.findall(r"\*\*(.+?)\*\*", self.text, re.S)}
        assert {each for each in bold if each not in everything} == set()
        assert set(PICTURE.findall(self.text)) == self.pictures


def _until(wanted: int, words: list[str]) -> Result:
    """The command, again while it ends otherwise: as tutorials say, news takes some seconds."""
    for _ in range(_TRIES):
        done = run(*words)
        if done.exit_code == wanted:
            return done
        time.sleep(0.5)
    raise AssertionError((words, done.exit_code, done.stdout, done.stderr))


def run(program: str, *words: str) -> Result:
    """One of our programs, in this process."""
    return CliRunner().invoke(_PROGRAMS[program], list(words))


@contextmanager
def walking(name: str, folder: Path, patch: pytest.MonkeyPatch, **known: str) -> Iterator[Walk]:
    """A walk through a tutorial in `folder`, to its end."""
    patch.chdir(folder)
    patch.setenv("NO_COLOR", "1")
    walk = Walk(name, patch, dict(known))
    yield walk
    walk.end()


def _picture(png: bytes, name: str) -> None:
    """As small as reading needs."""
    from io import BytesIO

    from PIL import Image

    PICTURES.mkdir(exist_ok=True)
    with Image.open(BytesIO(png)) as made:
        height = round(made.height * _WIDTH / made.width)
        made.convert("RGB").resize((_WIDTH, height), Image.Resampling.LANCZOS).save(
            PICTURES / f"{name}.webp", quality=80, method=6
        )
