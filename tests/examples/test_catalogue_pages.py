"""Every page of the catalogue: its samples print what it says, its command asks the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from coordinator.client.job import Job
from coordinator.client.kinds import Kind, Written, question_of, settings_of
from models.aggregates.requests import KINDS
from tests.support.catalogue_pages import PAGES, Ran, promised, run_page, svg_of, words_of

COMMAND = re.compile(r"^ {4}cairn query (?:run|preview) (.+)$", re.MULTILINE)


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.stem)
def page(request: pytest.FixtureRequest) -> tuple[Path, Ran]:
    return request.param, run_page(request.param)


def test_a_page_prints_what_it_says(page: tuple[Path, Ran]) -> None:
    path, ran = page
    assert ran.printed == promised(path)


def test_a_page_is_of_the_analysis_it_is_named_after(page: tuple[Path, Ran]) -> None:
    path, ran = page
    assert ran.names["question"].analysis.kind == path.stem
    text = path.read_text("utf-8")
    assert text.startswith(f"# `{path.stem}`: ")
    for section in ("## Asking", "## Method", "## Reading it"):
        assert section in text
    assert (f"]({path.stem}.svg)" in text) == ("chart" in ran.names)


def test_the_picture_is_of_the_sample_s_answer(page: tuple[Path, Ran]) -> None:
    path, ran = page
    if "chart" not in ran.names:
        assert not path.with_suffix(".svg").exists()
        return
    drawn = path.with_suffix(".svg").read_text("utf-8")
    assert words_of(svg_of(ran.names["chart"])) == words_of(drawn)
    assert len(drawn) < 130_000
    assert "http" not in drawn.replace("http://www.w3.org/", "")


def test_the_command_asks_the_same(
    page: tuple[Path, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ran = page
    monkeypatch.chdir(tmp_path)
    for job in (each for each in ran.names.values() if isinstance(each, Job)):
        job.save("model.safetensors")
    line, *_ = COMMAND.findall(path.read_text("utf-8"))
    words = shlex.split(line)
    study_id, kind, columns, options = words[0], words[1], [], {"by": [], "set": [], "where": []}
    rest = iter(words[2:])
    for word in rest:
        if word.startswith("--"):
            options.setdefault(word[2:], []).append(next(rest))
        else:
            columns.append(word)
    study = next(ran.names[name] for name in ("study", "lung", "registry") if name in ran.names)
    written = Written(Kind(kind), tuple(columns), tuple(options["by"]), settings_of(options["set"]))
    asked = question_of(study, written, " and ".join(options["where"]))
    question = ran.names["question"]
    assert (study_id, asked.analysis, asked.cohort) == (
        question.study,
        question.analysis,
        question.cohort,
    )


def test_every_analysis_has_a_page_and_stands_in_the_index() -> None:
    index = (PAGES[0].parent.parent / "index.md").read_text("utf-8")
    for page in PAGES:
        assert page.stem in KINDS
        assert f"(catalogue/{page.name})" in index
    assert len(PAGES) >= 16
