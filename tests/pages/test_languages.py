"""Other languages are files, and every text that a page shows can be in one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from coordinator.api.problems import CATALOGUE
from coordinator.pages import cohort_form, model_pages, planner, runs
from coordinator.pages import visit as coordinator_visit
from coordinator.store.facts import NodeState
from node.console import visit as console_visit
from node.console import words as console_words
from pages import kit, languages

ROOT = Path(__file__).parents[2]
SOURCES = {
    "coordinator": ("pages", "coordinator/pages", "coordinator/api"),
    "console": ("pages", "node/console"),
    "member": ("pages", "node/member"),
}
LOCALE = ROOT / "pages" / "locale"
_SENTENCE = re.compile(r"[A-Z][a-z]* [^<>{}]*[a-z]")
_CODE = ("code.py",)  # holds programs, not words


def _extracted(domain: str) -> set[str]:
    """Every text that `pybabel extract` finds for these pages."""
    with (ROOT / "pages" / "babel.ini").open() as file:
        methods, options = parse_mapping_cfg(file)
    return {
        message
        for folder in SOURCES[domain]
        for _, _, message, *_ in extract_from_dir(ROOT / folder, methods, options)
        if isinstance(message, str) and message
    }


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de-CH, en;q=0.5", "en"),
        ("nl;q=x", "en"),
        ("nl", "nl"),
        ("NL-be", "nl"),
        ("en;q=0.4, nl;q=0.8", "nl"),
        ("../../etc, nl;q=0.1", "nl"),
    ],
)
def test_the_reader_says_which(monkeypatch: pytest.MonkeyPatch, accept: str, language: str) -> None:
    monkeypatch.setattr(languages, "languages", lambda _domain: ("en", "nl"))
    assert languages.language_of(accept, "member") == language


@pytest.fixture
def dutch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A language that is there for the coordinator's pages alone."""
    catalog = Catalog(locale="nl", domain="coordinator")
    catalog.add("To the contents", "Naar de inhoud")
    catalog.add("Requests", "Verzoeken")
    catalog.add("Say that you mean it.", "Zeg dat u het <meent>.")
    packed = BytesIO()
    write_mo(packed, catalog)
    folder = tmp_path / "nl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "coordinator.mo").write_bytes(packed.getvalue())
    monkeypatch.setattr(languages, "_LOCALE", tmp_path)
    kept = (languages.languages, languages.translations, kit._environment)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


@pytest.mark.usefixtures("dutch")
def test_a_language_is_a_file() -> None:
    assert languages.languages("coordinator") == ("en", "nl")
    assert languages.languages("console") == ("en",)
    template = kit._environment("coordinator.pages", "coordinator", "nl").get_template("base.html")
    links = [kit.Link("/console/studies", "Requests")]
    page = template.render(language="nl", direction="ltr", links=links)
    assert "Verzoeken" in page
    assert "Naar de inhoud" in page
    assert '<html lang="nl"' in page


@pytest.mark.usefixtures("dutch")
def test_a_text_of_the_program_is_translated_and_escaped_all_the_same() -> None:
    made = kit._environment("coordinator.pages", "coordinator", "nl")
    page = made.from_string("{{ words | translated }}")
    assert page.render(words="Say that you mean it.") == "Zeg dat u het &lt;meent&gt;."
    assert page.render(words="<b>what somebody typed</b>") == (
        "&lt;b&gt;what somebody typed&lt;/b&gt;"
    )
    assert page.render(words="") == ""


@pytest.mark.parametrize("domain", SOURCES)
def test_no_template_translates_what_it_does_not_know(domain: str) -> None:
    """`_(name)` would take a text for safe that may be somebody's; `name | translated` does not."""
    for folder in SOURCES[domain]:
        for file in (ROOT / folder).rglob("*.html"):
            assert not re.findall(r"\b_\((?!\s*[\"'])[^)]*\)", file.read_text()), file.name


def _marked(tree: ast.Module) -> set[int]:
    """Texts that are marked, and those that nobody is shown: docstrings and the app's own title."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {id(first.value) for first in node.body[:1] if isinstance(first, ast.Expr)}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            marks = node.func.id in ("N_", "FastAPI")
            found |= {id(each) for each in ast.walk(node) if marks}
    return found


def _unmarked(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    marked = _marked(tree)
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _SENTENCE.match(node.value) and id(node) not in marked
    ]


@pytest.mark.parametrize("domain", SOURCES)
def test_every_sentence_of_a_page_module_is_marked(domain: str) -> None:
    folders = [folder for folder in SOURCES[domain] if folder != "coordinator/api"]
    files = [file for folder in folders for file in sorted((ROOT / folder).glob("*.py"))]
    assert {f.name: _unmarked(f) for f in files if f.name not in _CODE and _unmarked(f)} == {}


def test_a_sentence_without_its_mark_is_found(tmp_path: Path) -> None:
    file = tmp_path / "page.py"
    file.write_text('"""A page of it."""\nform.with_wrong("x", "Write a number.")\n')
    assert _unmarked(file) == ["Write a number."]
    file.write_text('form.with_wrong("x", N_("Write a number."))\n')
    assert _unmarked(file) == []


def test_what_stands_in_tables_is_extracted() -> None:
    coordinator, console = _extracted("coordinator"), _extracted("console")
    assert set(cohort_form.WORDS.values()) <= coordinator
    assert {words for pair in planner.OFFERED.values() for words in pair} <= coordinator
    assert set(model_pages._WORDS.values()) <= coordinator
    assert {title for _, title in CATALOGUE.values()} <= coordinator
    assert {words for _, words, _ in coordinator_visit._PLACES} <= coordinator
    states = {each.value for each in NodeState} - {NodeState.ONLINE.value}
    assert set(runs._AWAY) == states
    assert states | {"done", "waiting", "running", "over budget", "stopped"} <= coordinator
    assert set(console_words._SAID.values()) <= console
    assert {words for _, words in console_visit._PLACES} <= console


@pytest.mark.parametrize("file", sorted(LOCALE.rglob("*.po")), ids=lambda file: file.stem)
def test_a_language_that_is_there_is_whole(file: Path) -> None:
    """Every text is translated with the same gaps in it, and what is used is what is read."""
    with file.open("rb") as source:
        written = read_po(source)
    with file.with_suffix(".mo").open("rb") as source:
        used = read_mo(source)
    said = {str(each.id): str(each.string) for each in written if each.id}
    assert {str(each.id): str(each.string) for each in used if each.id} == said
    assert set(said) == _extracted(file.stem)
    gaps = re.compile(r"%\(\w+\)s|%%")
    for text, other in said.items():
        assert other, text
        assert sorted(gaps.findall(text)) == sorted(gaps.findall(other)), text
