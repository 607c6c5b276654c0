"""The conditions of a cohort in the order written, for counting what each one leaves."""

from __future__ import annotations

from collections.abc import Iterator

from models.cohort.tokens import Kind, tokens_of

_BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}


def steps_of(text: str) -> tuple[str, ...]:
    """The parts of `text` joined by `and` outside all brackets; the whole where `or` joins some.

    Assumes: `models.cohort.parse` takes the text.
    """
    joints = list(_joints(text))
    if any(word == "or" for word, _ in joints):
        joints = []
    starts = [0, *(at + len(word) for word, at in joints)]
    ends = [*(at for _, at in joints), len(text)]
    parts = (text[start:end].strip() for start, end in zip(starts, ends, strict=True))
    return tuple(part for part in parts if part)


def _joints(text: str) -> Iterator[tuple[str, int]]:
    """Every `and` and `or` that joins conditions outside brackets, with its place from 0."""
    depth, between = 0, False
    for token in tokens_of(text):
        if token.kind is Kind.SIGN:
            depth += _BRACKETS.get(token.text, 0)
        if token.kind is not Kind.WORD or depth:
            continue
        if token.text == "between":
            between = True
        elif token.text == "and" and between:
            between = False
        elif token.text in ("and", "or"):
            yield token.text, token.position - 1
