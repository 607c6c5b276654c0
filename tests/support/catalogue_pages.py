"""The pages of docs/catalogue as programs: their samples, what they print and what they draw.

    python -m tests.support.catalogue_pages      # writes printed text and charts anew

On a page `study`, `als` and `ms` are the example's members in one process, `lung` the lung cancer
patients, and `registry` made-up members of the page's own ```toml dictionary. All ```python of
a page is one program; a ```text right after it is what it prints; `chart` is the page's picture.
Noise is seeded by the page's name and the sample's number.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import vl_convert

from coordinator.client.mock import MockBackend, MockSource
from coordinator.client.study import Study
from coordinator.study_file import load_study_file
from deploy.in_process import example_study, lung_study
from models.dictionary_file import load_dictionary
from privacy.randomness import Entropy
from tests.support.seeded import seeded_entropy

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "catalogue"
PAGES = sorted(FOLDER.glob("*.md"))
SAMPLE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)
REGISTRY = """\
[[study]]
id = "registry"
title = "A registry"
purpose = "clinical-research"
consent = "none"
period = ["2025-01-01", "2034-12-31"]
epsilon_allowance = 10

[policy]
min_cohort = 20
t_drop = 0
t_collude = 1
"""
_WIDTH = 100


@dataclass(frozen=True)
class Ran:
    """What the samples of a page printed, in order, and the names they left."""

    printed: tuple[str, ...]
    names: dict[str, Any]


class Restarted:
    """Seeded entropy that begins anew for every sample, whatever the one before it drew."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.restart(0)

    def restart(self, sample: int) -> None:
        self._draw = seeded_entropy(f"{self._seed} {sample}" if sample else self._seed)

    def __call__(self, n: int) -> bytes:
        return self._draw(n)


def run_page(page: Path) -> Ran:
    """Run all samples of a page."""
    text = page.read_text("utf-8")
    entropy = Restarted(page.stem)
    names = names_of(text, entropy)
    printed = []
    for number, (code, _) in enumerate(SAMPLE.findall(text)):
        entropy.restart(number)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, str(page), "exec"), names)  # noqa: S102 - our own documentation
        printed.append(wrapped(out.getvalue()))
    return Ran(tuple(printed), names)


def promised(page: Path) -> tuple[str, ...]:
    """What the page says its samples print; "" where it says nothing."""
    return tuple(output for _, output in SAMPLE.findall(page.read_text("utf-8")))


def wrapped(text: str) -> str:
    lines = [
        part
        for line in text.splitlines()
        for part in (
            textwrap.wrap(line, _WIDTH, break_on_hyphens=False) if len(line) > _WIDTH else [line]
        )
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def svg_of(chart: Any) -> str:
    """A chart as small SVG: tenths of a pixel, and no words for each mark."""
    spec = chart.to_dict()
    spec["config"]["aria"] = False
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d)\d+", r"\1", tag[0]), svg) + "\n"


def words_of(svg: str) -> list[str]:
    """What is written in a picture, in order."""
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def names_of(text: str, entropy: Entropy) -> dict[str, Any]:
    """What the samples of this page speak of; nothing else is made."""
    names: dict[str, Any] = {}
    if re.search(r"\b(study|als|ms)\.", text):
        study = example_study(entropy=entropy)
        names |= {"study": study, "als": study.where("condition == 'als' and age >= 18")}
        names["ms"] = study.where("condition == 'ms' and age >= 18")
    if "lung." in text:
        names["lung"] = lung_study(entropy)
    for dictionary_text in TOML.findall(text):
        dictionary = load_dictionary(dictionary_text, "dictionary.toml")
        file = load_study_file(REGISTRY, "study.toml", date(2026, 1, 1))
        facts = file.study_facts(dictionary.digest, ())[0]
        backend = MockBackend(facts, dictionary, 2000, 1, entropy)
        names["registry"] = Study(facts.id, MockSource(backend))
    return names


def rewrite(page: Path) -> None:
    """Put what the samples print, and the chart, in their places."""
    ran = run_page(page)
    printed = iter(ran.printed)

    def sample(found: re.Match[str]) -> str:
        output = next(printed)
        told = f"\n```text\n{output}```\n" if output else ""
        return f"```python\n{found[1]}```\n{told}"

    page.write_text(SAMPLE.sub(sample, page.read_text("utf-8")), "utf-8", newline="\n")
    if "chart" in ran.names:
        picture = page.with_suffix(".svg")
        picture.write_text(svg_of(ran.names["chart"]), "utf-8", newline="\n")


if __name__ == "__main__":
    for each in PAGES:
        rewrite(each)
