"""One plain sentence for an organisation's ledger: what a question computes, and of whom."""

from __future__ import annotations

from models.aggregates.requests import Analysis
from models.aggregates.wording import joined
from models.figures.words import conditions_in_words
from privacy.ledger.fields import MOST_WORDS

_CUT = " … (cut; the plan has the rest)"


def sentence(analysis: Analysis, cohort_text: str) -> str:
    """What is computed, among whom. `cohort_text` is the canonical text of the cohort.

    A cohort of conditions joined by `and` is put in words; any other is quoted as it is. What a
    ledger could not keep is cut, and says so.
    """
    text = f"{analysis.words()}, {_whom(cohort_text)}"
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - len(_CUT)] + _CUT


def _whom(text: str) -> str:
    if not text:
        return "among all members"
    words = conditions_in_words(text)
    if words is None:
        return f"among members where {text}"
    return f"among members with {joined(words, 'and')}"
