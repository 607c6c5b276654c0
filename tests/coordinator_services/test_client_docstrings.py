"""What `help` says of the client: every method has an example that is true, and its errors."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.client import Job, Network, Plan, Question, Result, Selection, Study
from coordinator.client import connect as connect_to
from coordinator.client.analyses import Asking
from coordinator.client.asked_by_pages import AskedByPages
from coordinator.client.errors import BadInput
from coordinator.client.fits import Fitting
from coordinator.client.learning import Learning
from coordinator.client.model import load_model
from tests.support.catalogue_pages import names_of
from tests.support.seeded import seeded_entropy

ROOT = Path(__file__).parents[2]
REGISTRY = (ROOT / "docs" / "catalogue" / "incidence.md").read_text("utf-8")
EXAMPLE = re.compile(r"Example:\s+`([^`]+)`")
CLASSES = (
    Asking,
    Fitting,
    Learning,
    Study,
    Selection,
    Network,
    AskedByPages,
    Question,
    Job,
    Result,
    Plan,
)
# what programs call, and what closes or writes out without a choice
WITHOUT = {"asked", "declared", "ask", "suited", "close", "to_json", "from_json", "running"}


def own(kind: type) -> dict[str, Callable[..., Any]]:
    """The public methods that a class itself defines."""
    found = {name: each for name, each in vars(kind).items() if inspect.isfunction(each)}
    return {n: each for n, each in found.items() if not n.startswith("_") and n not in WITHOUT}


METHODS = {f"{kind.__name__}.{name}": each for kind in CLASSES for name, each in own(kind).items()}
ASKED = [f"{kind.__name__}.{name}" for kind in (Asking, Fitting, Learning) for name in own(kind)]
ASKED.remove("Learning.evaluate")  # of a fit, which its own page makes
METHODS |= {"connect": connect_to, "load_model": load_model}


def example(method: Callable[..., Any]) -> str:
    [found] = EXAMPLE.findall(inspect.getdoc(method) or "")
    return " ".join(found.split())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_an_example_of_itself(name: str) -> None:
    code = example(METHODS[name])
    called = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
    }
    assert name.rpartition(".")[2] in called, code


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_tells_its_errors(kind: type) -> None:
    told = [
        inspect.getdoc(kind) or "",
        *(inspect.getdoc(each) or "" for each in own(kind).values()),
    ]
    assert any(re.search(r"\braises\b", text, re.IGNORECASE) for text in told)


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    entropy = seeded_entropy("docstrings")
    names = names_of(f"study. lung. {REGISTRY}", entropy)
    return [names["study"], names["lung"], names["registry"]]


@pytest.mark.parametrize("name", ASKED)
def test_examples_of_analyses_ask_what_they_say(name: str, studies: list[Study]) -> None:
    made = taken(example(METHODS[name]), studies)
    assert isinstance(made, Question | str | Result)


def taken(code: str, studies: list[Study]) -> Any:
    """What the first of the studies answers that has the columns."""
    wrong: list[BadInput] = []
    for study in studies:
        try:
            return eval(code, {"study": study})  # noqa: S307 - our own documentation
        except BadInput as error:
            wrong.append(error)
    raise AssertionError(wrong)


@pytest.mark.parametrize("fit", [Study.glm, Study.cox, Study.progression])
def test_help_of_a_fit_tells_every_argument(fit: Callable[..., Any]) -> None:
    said = inspect.getdoc(fit) or ""
    assert inspect.signature(fit).parameters.keys() - {"self"} == {
        name.strip()
        for names in re.findall(r"^    (\w+(?:, \w+)*): ", said, re.MULTILINE)
        for name in names.split(",")
        if name not in ("BadInput", "Refused")
    }


def test_an_example_that_is_none_is_found(studies: list[Study]) -> None:
    with pytest.raises(AssertionError):
        taken('study.count(by="shoe_size")', studies)
