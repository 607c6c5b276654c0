"""One plain sentence for an organisation's ledger: what a question computes, and of whom."""

from __future__ import annotations

import re

from models.aggregates.requests import Analysis
from models.aggregates.wording import joined, word

_NAME = r"(?:`[^`]+`|[\w.]+)"
_VALUE = r"(?:'(?:[^']|'')*'|[^\s\[\],']+)"
_LEAF = re.compile(
    rf"(?P<name>{_NAME}) (?:"
    rf"(?P<op>==|!=|<=|>=|<|>) (?P<value>{_VALUE})"
    rf"|between (?P<low>{_VALUE}) and (?P<high>{_VALUE})"
    rf"|(?P<how>in|not in) \[(?P<listed>{_VALUE}(?:, {_VALUE})*)\]"
    r"|(?P<gap>is missing|is not missing))"
)
_ITEM = re.compile(_VALUE)
_AND = " and "
_OPS = {
    "==": "",
    "!=": "other than ",
    ">=": "at least ",
    "<=": "at most ",
    ">": "above ",
    "<": "below ",
}


def sentence(analysis: Analysis, cohort_text: str) -> str:
    """What is computed, among whom. `cohort_text` is the canonical text of the cohort.

    A cohort of conditions joined by `and` is put in words; any other is quoted as it is.
    """
    return f"{analysis.words()}, {_whom(cohort_text)}"


def _whom(text: str) -> str:
    if not text:
        return "among all members"
    words = _conjunction(text)
    if words is None:
        return f"among members where {text}"
    return f"among members with {joined(words, 'and')}"


def _conjunction(text: str) -> list[str] | None:
    """The conditions in words, or None where the text is more than leaves joined by `and`."""
    words, place = [], 0
    while True:
        leaf = _LEAF.match(text, place)
        if leaf is None:
            return None
        words.append(_leaf(leaf))
        place = leaf.end()
        if place == len(text):
            return words
        if not text.startswith(_AND, place):
            return None
        place += len(_AND)


def _leaf(leaf: re.Match[str]) -> str:
    name = word(leaf["name"].strip("`"))
    if leaf["op"]:
        return f"{name} {_OPS[leaf['op']]}{_plain(leaf['value'])}"
    if leaf["low"]:
        return f"{name} from {_plain(leaf['low'])} to {_plain(leaf['high'])}"
    if leaf["listed"]:
        items = [_plain(item) for item in _ITEM.findall(leaf["listed"])]
        negated = "other than " if leaf["how"] == "not in" else ""
        return f"{name} {negated}{joined(items, 'or')}"
    return f"no known {name}" if leaf["gap"] == "is missing" else f"a known {name}"


def _plain(value: str) -> str:
    return value[1:-1].replace("''", "'") if value.startswith("'") else value
