"""A study of the public register with the answers that it published, and cards of it.

A card is one document or one drawing that carries everything within it: an organisation can put
it on its own site, and nothing is fetched from anywhere when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.client.known_coordinator import KnownCoordinator
from coordinator.client.result import Result, result_from_run
from coordinator.client.titles import Title, Titles
from models.aggregates.requests import parse_analysis
from models.sentences import sentence
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, VerificationFailed
from privacy.odds import Odds, odds_of_rho
from privacy.units import Rho

BASELINE = 0.1


@dataclass(frozen=True)
class Insight:
    """What everybody may read of a study. `address` is its public page."""

    facts: Mapping[str, Any]
    results: tuple[Result, ...]
    address: str

    @property
    def id(self) -> str:
        return str(self.facts["id"])

    @property
    def title(self) -> str:
        return str(self.facts["title"])

    @property
    def findings(self) -> tuple[str, ...]:
        """What was found, in plain words, paragraph by paragraph; none before the end."""
        return tuple(part.strip() for part in self.facts["results"].split("\n\n") if part.strip())

    @property
    def organisations(self) -> tuple[str, ...]:
        """Whose members the published answers count."""
        return tuple(self.facts["organisations"])

    @property
    def odds(self) -> Odds | None:
        """What all published answers together can mean for one member; None without any."""
        if not self.results:
            return None
        loss = Rho.total(Rho.round_up(each.rho) for each in self.results)
        return odds_of_rho(loss, max(each.delta for each in self.results), BASELINE)

    def result(self, number: int = 1) -> Result:
        """A published answer, counted from 1; raises BadInput."""
        if not 1 <= number <= len(self.results):
            raise BadInput(f"answers published: {len(self.results)}", where="result")
        return self.results[number - 1]

    def svg(self, number: int = 1) -> str:
        """The chart of an answer as a file of its own; raises BadInput where it has none."""
        from coordinator.pages.cards import chart_file

        return chart_file(self.result(number))

    def html(self, number: int = 1, language: str = "en") -> str:
        """A card as a document of its own: findings, chart, table, and what was protected."""
        from coordinator.pages.cards import card

        return card(self, number, language, whole=True)

    def to_json(self) -> dict[str, Any]:
        """What the register says of the study, with its answers' numbers."""
        return dict(self.facts)

    def save(self, path: str | Path, number: int = 1, language: str = "en") -> None:
        """Write `path` as its ending says: .html (a card), .svg (its chart), .json, .csv."""
        where = Path(path)
        match where.suffix.lower():
            case ".html":
                text = self.html(number, language)
            case ".svg":
                text = self.svg(number)
            case ".json":
                text = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
            case ".csv":
                return self.result(number).save(where)
            case _:
                raise BadInput(
                    "no form for this ending", where=str(where), instead="end it .html or .svg"
                )
        where.write_text(text, "utf-8", newline="\n")
        return None

    def __str__(self) -> str:
        found = self.findings or (f"The study goes on until {self.facts['ends']}.",)
        return "\n\n".join([self.title, *found, *(each.summary() for each in self.results)])

    __repr__ = __str__


def insight_of(said: Mapping[str, Any], base: str, known: KnownCoordinator) -> Insight:
    """From the coordinator's view of a registered study; `base` is the coordinator's address.

    Raises VerificationFailed unless the answers are those that the study names, and each is
    signed, stands in the coordinator's log and was not reworded.
    """
    named = [str(each["digest"]) for each in said["answers"]]
    if named != list(said["releases"]):
        raise VerificationFailed("not the answers that the study published", where=str(said["id"]))
    titles = {name: Title(**title) for name, title in said["titles"].items()}
    results = tuple(_result(each, said, titles, known) for each in said["answers"])
    return Insight(said, results, f"{base.rstrip('/')}/insights/{said['id']}")


def _result(
    said: Mapping[str, Any], study: Mapping[str, Any], titles: Titles, known: KnownCoordinator
) -> Result:
    _check_signed(said, str(study["id"]), known)
    run = {**said, "id": "", "repeat": False}
    words = sentence(parse_analysis(said["analysis"]), said["cohort"])
    found = result_from_run(run, study["purpose"], words, partial(dict, titles))
    return replace(found, logged=known.logged(said["answer"]))


def _check_signed(said: Mapping[str, Any], study: str, known: KnownCoordinator) -> None:
    """Raises VerificationFailed for a release that the coordinator did not sign as it is told."""
    envelope, answer = Envelope.from_json(said["envelope"]), said["answer"]
    body = known.check(lambda key: envelope.open("release", key))
    same = (
        said["study"] == study
        and said["digest"] == answer["release"] == envelope.digest
        and all(body[name] == answer[name] for name in ("rho", "delta", "released_at"))
        and float(body["epsilon"]) == answer["epsilon"]
        and [_round(each) for each in body["rounds"]] == [_round(r) for r in answer["rounds"]]
    )
    if not same:
        raise VerificationFailed("not as it was signed", where=str(said["digest"]))


def _round(said: Mapping[str, Any]) -> tuple[Any, str, list[str]]:
    return said["mechanism"], said["rho"], sorted(said["survivors"])
