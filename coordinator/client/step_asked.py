"""Steps of your studies that your pages ask for: shown here, and signed here if you say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from coordinator.client.errors import BadInput
from privacy.contract.canonical import digest
from privacy.contract.shown import printable
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Study
from privacy.contract.study_life import MAY, Act, Signer, StudyStep
from privacy.contract.time import instant_text

_SHOWN_DIGITS = 12
_WHAT = {
    Act.PROPOSE: "propose",
    Act.CLOSE: "close",
    Act.PUBLISH: "publish what was found in",
}
_AFTER = {
    Act.PROPOSE: "Every organisation is asked to approve it.",
    Act.CLOSE: "No question of it is answered from then on.",
    Act.PUBLISH: "It is public from then on, and stays so.",
}


@dataclass(frozen=True)
class StepAsked:
    """What your pages ask you to sign, made into the terms of the step.

    Guarantee: `words` tells the study, its version, the act, the whole text and every answer named
    of the step, and `signed` signs a step of these and nothing else, whatever the coordinator said
    besides.
    """

    asked: str
    study: Study
    act: Act
    note: str
    releases: tuple[str, ...]
    sentences: tuple[str, ...]  # of the releases, as they were checked here

    @classmethod
    def of(cls, said: Mapping[str, Any], study: Study, sentence: Callable[[str], str]) -> Self:
        """Of the coordinator's request about a study that was checked; `sentence` reads and checks
        a release by its digest. Raises BadInput where it speaks of another version, or of a step
        that no researcher takes."""
        if (said["study"], said["study_digest"]) != (study.id, study.digest):
            raise BadInput("asked about another version of the study", where="step")
        if said["act"] not in MAY[Signer.RESEARCHER]:
            raise BadInput("no step of a researcher", where="step")
        releases = tuple(map(str, said["releases"]))
        sentences = tuple(sentence(each) for each in releases)
        act, note = Act(said["act"]), str(said["note"])
        return cls(str(said["id"]), study, act, note, releases, sentences)

    @property
    def code(self) -> str:
        """To compare with what the page shows: of everything that would be signed, but the day."""
        said = [self.study.digest, self.act.value, self.note, list(self.releases)]
        digits = digest(said)
        return f"{digits[:4]}-{digits[4:8]}"

    @property
    def words(self) -> str:
        """Of several lines; those of the text begin with a bar, so that none speaks for another."""
        title = printable(self.study.title)
        lines = [
            f"Your pages want to {_WHAT[self.act]} the study {self.study.id}, version "
            f"{self.study.version} ({title}), in your name (code {self.code}). {_AFTER[self.act]}"
        ]
        lines += [f"| {printable(line)}" for line in self.note.splitlines()]
        for name, sentence in zip(self.releases, self.sentences, strict=True):
            lines.append(f"With the answer {name[:_SHOWN_DIGITS]}: {printable(sentence)}")
        return "\n".join(lines)

    def signed(self, key: SigningKey, now: datetime) -> Envelope:
        step = StudyStep.of(
            self.study,
            self.act,
            Signer.RESEARCHER,
            instant_text(now),
            note=self.note,
            releases=self.releases,
        )
        return step.sealed(key)
