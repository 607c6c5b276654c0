"""The documents hold together: links lead somewhere, code compiles, what is named exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import misused

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)`(?:\s+`(\w+)`)?")
CALL = re.compile(
    r"^(?:CAIRN_\w+=\S+ )*(cairn(?:-node|-coordinator)?) (?=[a-z-])(.+)$", re.MULTILINE
)


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(text: str) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", text)):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


def anchors(path: Path) -> set[str]:
    """The names that headings of a page can be linked by."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def broken_links(path: Path, text: str) -> list[str]:
    broken = []
    for target in links(text):
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    return broken


def missing_names(text: str) -> list[str]:
    """Modules, and names in them, that a page mentions and the tree does not have."""
    missing = []
    for module, name in NAMED.findall(text):
        path = ROOT / module
        if not path.exists():
            missing.append(module)
        elif name and not re.search(
            rf"^ *(?:async )?(?:def|class) {name}\b|^{name}\b.*=", path.read_text("utf-8"), re.M
        ):
            missing.append(f"{module} {name}")
    return missing


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert broken_links(path, path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_module_and_name_exists(path: Path) -> None:
    assert missing_names(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_fence_of_code_compiles(path: Path) -> None:
    for language, code in FENCE.findall(path.read_text("utf-8")):
        match language:
            case "python":
                ast.parse(code)
            case "toml":
                tomllib.loads(code)
            case _:
                pass


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_page_can_be_reached_from_the_index(path: Path) -> None:
    index = ROOT / "docs" / "index.md"
    reached = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in links(index.read_text("utf-8"))
    }
    assert path == index or path in reached


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_pages_speak_of_this_repository_alone(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\.\./shared|/tmp/|/work/|127\.0\.0\.1:\d{5}", text)


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Every command line that a page of the documents shows."""
    for fence in FENCE.findall(text):
        yield from CALL.findall(fence[1])
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        yield from CALL.findall(" ".join(code.split()))
    yield from CALL.findall(re.sub(r"^ {4}", "", FENCE.sub("", text), flags=re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_the_commands_and_options_shown_exist(path: Path) -> None:
    shown = [misused(*call) for call in calls(path.read_text("utf-8"))]
    assert [wrong for wrong in shown if wrong] == []


# the checks above can fail


def test_a_broken_link_is_found() -> None:
    page = ROOT / "README.md"
    assert broken_links(page, "[a](docs/nowhere.md) [b](docs/promise.md#nowhere) [c](LICENSE)") == [
        "docs/nowhere.md",
        "docs/promise.md#nowhere",
    ]


def test_a_missing_module_or_name_is_found() -> None:
    mechanism = "`privacy/mechanism.py`"
    text = f"`privacy/nowhere.py`, {mechanism} `Nothing`, {mechanism} `GaussianSum`"
    assert missing_names(text) == ["privacy/nowhere.py", "privacy/mechanism.py Nothing"]


def test_a_command_or_option_that_is_none_is_found() -> None:
    found = dict(
        calls("    cairn audit verify B --quick\n```text\ncairn propose study.toml\n```\n")
    )
    assert set(found) == {"cairn"}
    assert misused("cairn", "audit verify B --quick") == "cairn audit verify B --quick: --quick"
    assert misused("cairn", "propose study.toml") == "cairn propose study.toml: propose"
    assert misused("cairn", "audit verify B --second  # with --another") == ""
