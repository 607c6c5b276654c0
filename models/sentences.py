"""One plain sentence for an organisation's ledger: what a question computes, and of whom."""

from __future__ import annotations

from models.aggregates.requests import Analysis
from models.aggregates.wording import joined
from models.figures.words import conditions_in_words


def sentence(analysis: Analysis, cohort_text: str) -> str:
    """What is computed, among whom. `cohort_text` is the canonical text of the cohort.

    A cohort of conditions joined by `and` is put in words; any other is quoted as it is.
    """
    return f"{analysis.words()}, {_whom(cohort_text)}"


def _whom(text: str) -> str:
    if not text:
        return "among all members"
    words = conditions_in_words(text)
    if words is None:
        return f"among members where {text}"
    return f"among members with {joined(words, 'and')}"
