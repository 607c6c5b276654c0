"""The release library: what was answered, to be found again at no cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from models.aggregates.requests import parse_analysis
from models.sentences import sentence
from privacy.errors import BadInput

MODELS = ("train", "glm", "cox", "progression")


@dataclass(frozen=True)
class ReleaseInfo:
    """A stored answer: `net.release(study, digest)` opens it."""

    digest: str
    study: str
    kind: str
    sentence: str
    created: str

    @property
    def is_model(self) -> bool:
        """Whether it holds a model: `result.model()`."""
        return self.kind in MODELS

    def says(self, text: str) -> bool:
        """Whether every word of `text` stands in what it says, its kind or its digest."""
        said = f"{self.sentence} {self.kind} {self.study} {self.digest}".casefold()
        return all(word in said for word in text.casefold().split())

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        asked = said["analysis"]
        try:
            words = sentence(parse_analysis(asked), said["cohort"])
        except BadInput:  # of a newer program
            words = f"{asked.get('kind', '')} of a newer program"
        kind = str(asked.get("kind", ""))
        return cls(said["digest"], said["study"], kind, words, said["created"])

    def __str__(self) -> str:
        return f"{self.digest[:12]} {self.study}: {self.sentence} ({self.created})"

    __repr__ = __str__
