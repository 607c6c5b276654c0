"""Conditions by id, and what lies below what: a small declared map, to which one may add.

Nothing is matched by its name. Two ids of one disease lie below each other. What is not
declared is not below: a study is refused rather than a member's word stretched.

Source: Mondo Disease Ontology (MONDO) and Orphanet (ORPHA) identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from privacy.errors import BadInput

_FORM = re.compile(r"MONDO:[0-9]{7}|ORPHA:[1-9][0-9]{0,6}")


def check_disease(text: str) -> str:
    """The id itself; raises BadInput unless it is written as MONDO:0004976 or ORPHA:803."""
    if not _FORM.fullmatch(text):
        raise BadInput("not a condition's id", instead="write MONDO:0004976 or ORPHA:803")
    return text


@dataclass(frozen=True)
class Diseases:
    """What every disease is a kind of, by id."""

    above: Mapping[str, frozenset[str]]

    def within(self, disease: str, allowed: Iterable[str]) -> bool:
        """Is the disease one of `allowed`, or a kind of one, through any number of steps?"""
        wanted = frozenset(allowed)
        seen: set[str] = set()
        front = {disease}
        while front:
            if front & wanted:
                return True
            seen |= front
            front = {up for each in front for up in self.above.get(each, ())} - seen
        return False

    def adding(self, pairs: Iterable[tuple[str, str]]) -> Self:
        """This map and an organisation's own: `(narrow, broad)`. Raises BadInput for no id."""
        above = dict(self.above)
        for narrow, broad in pairs:
            check_disease(narrow)
            above[narrow] = above.get(narrow, frozenset()) | {check_disease(broad)}
        return type(self)(above)


_ONE_DISEASE = (
    ("MONDO:0004976", "ORPHA:803"),  # amyotrophic lateral sclerosis
    ("MONDO:0020128", "ORPHA:98503"),  # motor neuron disorder
    ("MONDO:0019079", "ORPHA:70"),  # proximal spinal muscular atrophy
    ("MONDO:0007739", "ORPHA:399"),  # Huntington disease
    ("MONDO:0009061", "ORPHA:586"),  # cystic fibrosis
)
_A_KIND_OF = (
    ("MONDO:0007103", "MONDO:0004976"),  # ALS type 1: ALS
    ("MONDO:0004976", "MONDO:0020128"),  # ALS: motor neuron disorder
    ("MONDO:0019079", "MONDO:0020128"),  # spinal muscular atrophy: motor neuron disorder
    ("MONDO:0020128", "MONDO:0005071"),  # motor neuron disorder: nervous system disorder
    ("MONDO:0005301", "MONDO:0005071"),  # multiple sclerosis: nervous system disorder
    ("MONDO:0005180", "MONDO:0005071"),  # Parkinson disease: nervous system disorder
    ("MONDO:0004975", "MONDO:0005071"),  # Alzheimer disease: nervous system disorder
    ("MONDO:0007739", "MONDO:0005071"),  # Huntington disease: nervous system disorder
)
KNOWN_DISEASES = Diseases({}).adding(
    [*_ONE_DISEASE, *((right, left) for left, right in _ONE_DISEASE), *_A_KIND_OF]
)
