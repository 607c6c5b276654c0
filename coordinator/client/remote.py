"""Questions over the network: signed here, answered there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any

from coordinator.client.attrition import Attrition
from coordinator.client.delegating import Delegated, delegate
from coordinator.client.errors import BadInput, Refused, Unreachable, refusal
from coordinator.client.facts import Budget, Loss
from coordinator.client.job import Job
from coordinator.client.known_coordinator import KnownCoordinator
from coordinator.client.model import Origin, checked_opening, checked_openings
from coordinator.client.preview import Preview, reworded
from coordinator.client.proposing import Step, steps_of, take
from coordinator.client.question import Question, Terms, Wanted
from coordinator.client.result import Result, combined_result, result_from_run
from coordinator.client.titles import Titles, titles_of
from coordinator.client.transport import Transport
from models.aggregates.requests import parse_analysis
from models.opening import Opening
from models.related import Relation
from models.sentences import sentence
from models.within import declared
from privacy.contract import plan, study
from privacy.contract.canonical import parse_canonical
from privacy.contract.dictionary import Dictionary
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study_life import Act
from privacy.contract.time import instant_text
from privacy.errors import Code, VerificationFailed

_DIGITS = re.compile(r"[0-9a-f]{8,64}")
_LIFETIME = timedelta(minutes=10)
_LONGEST_WAIT_SECONDS = 25.0
_DOWNLOAD_SECONDS = 60.0


@dataclass(frozen=True)
class RemoteStudy:
    """A study's facts and answers at a coordinator. Signs with the token's own key."""

    transport: Transport
    study_id: str
    key: Callable[[], SigningKey]
    label: str = "Study"
    under: Delegated | None = None

    @property
    def backend(self) -> RemoteStudy:
        return self

    def facts(self) -> study.Study:
        """The signed study; raises VerificationFailed if text and digest do not agree."""
        return self._facts

    def dictionary(self) -> Dictionary:
        """What the study names of its dictionary, which is checked against the digest in it."""
        return self._dictionary

    def titles(self) -> Titles:
        """Of the dictionary's columns, for charts; none where the coordinator is away, and for
        those who only read releases."""
        try:
            return titles_of(self._dictionary)
        except Unreachable:
            return {}
        except Refused as refused:
            if refused.code is not Code.NOT_PERMITTED:
                raise
            return {}

    def attrition(self, conditions: Sequence[str]) -> Attrition:
        """Refused: exact numbers of members never leave a node."""
        raise Refused(
            Code.NOT_PERMITTED,
            "How many members each condition leaves is counted on made-up members alone:"
            " study.mock().where(…).attrition(), or cairn query attrition --mock.",
            {"conditions": len(conditions)},
        )

    def budget(self) -> Budget:
        said = self.transport.get(self._path, sync="true")["budget"]
        names = ("allowance", "committed", "reserved", "left")
        own = said["yours"]
        yours = None if own is None else Loss(own["rho"], own["epsilon"])
        known = {name: Loss(said[name]["rho"], said[name]["epsilon"]) for name in names}
        return Budget(**known, yours=yours)

    def approvals(self) -> dict[str, str]:
        said = self.transport.get(self._path)["approvals"]
        return {approval["node"]: approval["decision"] for approval in said}

    def delegate(self, epsilon: str, hours: float, to: str | None) -> Delegated:
        now = datetime.now(UTC)
        return delegate(self._facts, self.key(), epsilon, hours, to, now=now, entropy=os.urandom)

    def delegated(self, under: Delegated) -> RemoteStudy:
        return replace(self, under=under)

    def steps(self) -> list[Step]:
        return steps_of(self.transport, self.study_id)

    def take(self, act: Act, note: str, releases: tuple[str, ...] = ()) -> str:
        said = take(self.transport, self._facts, act, self.key(), note, releases)
        return str(said["state"])

    def organisations(self) -> tuple[str, ...]:
        """The nodes that would answer now, in a plan's order."""
        return tuple(map(str, self.transport.get(self._path)["answering"]))

    def preview(self, question: Question, wanted: Wanted) -> Preview:
        ask: dict[str, Any] = {
            "study": self.study_id,
            "analysis": question.analysis_json,
            "cohort": question.cohort,
        }
        ask |= {name: value for name, value in vars(wanted).items() if value}
        with reworded():
            said = self.transport.post("/v1/previews", ask)
        return replace(Preview.from_answer(said), asked=(question.analysis, self._dictionary))

    def opened_before(self, question: Question, epsilon: str) -> str | None:
        related = self.preview(question, Wanted(epsilon, "", None)).related
        return next((r.release for r in related if r.relation == Relation.COVARIATES.value), None)

    def release(self, digest: str) -> Result:
        """A stored release of this study, by its digest or the first eight digits or more."""
        if not _DIGITS.fullmatch(digest):
            raise BadInput("a release is named by hexadecimal digits, eight or more of them")
        said = self.transport.get(f"/v1/releases/{digest}")
        if said["study"] != self.study_id:
            raise Refused(Code.NOT_FOUND, "There is no such release in this study.")
        words = sentence(parse_analysis(said["analysis"]), said["cohort"])
        run = {**said, "id": "", "repeat": True}
        found = self._read(run, words)
        return self._combined(found) if said["tops_up"] else found

    def run(self, question: Question, terms: Terms) -> Result:
        """Sign once and ask; whatever is retried on the way is the same run."""
        until = time.monotonic() + terms.timeout_seconds
        job = self._start(question, terms, _wait(terms.timeout_seconds))
        return job.wait(max(0.0, until - time.monotonic()))

    def start(self, question: Question, terms: Terms) -> Job:
        """The same without waiting for the end."""
        return self._start(question, terms, 0.0)

    def _start(self, question: Question, terms: Terms, wait_seconds: float) -> Job:
        signed = self._sign(question, terms)
        body = {"question": signed.to_json()}
        run = self.transport.post("/v1/runs", body, key=signed.digest, wait_seconds=wait_seconds)
        return Job(self, run, question.sentence, question)

    def look(self, run_id: str, wait_seconds: float) -> Mapping[str, Any]:
        """A run as it stands, or as it ends within so many seconds."""
        found: Mapping[str, Any] = self.transport.get(
            f"/v1/runs/{run_id}", wait=wait_seconds, wait_seconds=wait_seconds
        )
        return found

    def cancel(self, run_id: str) -> Mapping[str, Any]:
        """Ask for a run to stop."""
        found: Mapping[str, Any] = self.transport.post(f"/v1/runs/{run_id}/cancel", {})
        return found

    def finished(self, run: Mapping[str, Any], words: str) -> Result:
        """The result of a finished run; raises what it ended with otherwise."""
        if run["state"] == "released" and run["answer"] is not None:
            found = self._read(run, words)
            return self._combined(found) if run["tops_up"] else found
        if not run["code"]:
            raise Refused(Code.NOT_PERMITTED, "Your role sees no results.")
        openings = run["max_attempts"] * self._facts.max_memberships**2
        delta = self._facts.delta_fraction
        raise refusal(Code(run["code"]), run["title"], run["fields"], delta, openings)

    def _read(self, run: Mapping[str, Any], words: str) -> Result:
        found = result_from_run(run, self._purpose, words, self.titles)
        return replace(
            found,
            origin=partial(self._origin, found.release),
            logged=self._coordinator.logged(run["answer"]),
        )

    @cached_property
    def _purpose(self) -> str:
        """As approved; to those who only read releases, as the list of studies says it."""
        try:
            return self._facts.purpose
        except Refused as refused:
            if refused.code is not Code.NOT_PERMITTED:
                raise
        said = self.transport.get("/v1/studies")["studies"]
        return next((str(each["purpose"]) for each in said if each["id"] == self.study_id), "")

    @cached_property
    def _coordinator(self) -> KnownCoordinator:
        return KnownCoordinator(self.transport)

    def _origin(self, release: str) -> Origin:
        """The last round of a release, checked against the coordinator's signature."""
        path = f"/v1/releases/{release}"
        envelope = Envelope.from_json(self.transport.get(path)["envelope"])
        with self.transport.download(f"{path}/state", _DOWNLOAD_SECONDS) as fetched:
            state = b"".join(fetched.pieces)
        last = self._coordinator.check(lambda key: checked_opening(envelope, release, key, state))

        def every() -> tuple[Opening, ...]:
            said = self.transport.get(f"{path}/rounds")
            key = self._coordinator.key
            return checked_openings(envelope, release, key, said["rounds"])

        return Origin(self._dictionary, self._facts.max_memberships, last, every)

    def _combined(self, last: Result) -> Result:
        try:
            said = self.transport.get(f"/v1/releases/{last.release}/combined")
        except Refused as refused:
            if refused.code is not Code.NOT_COMBINABLE:
                raise
            title = f"{refused.title} The newest stands alone as release {last.release}."
            raise Refused(refused.code, title, refused.public_fields) from None
        return combined_result(last, said)

    @property
    def _path(self) -> str:
        return f"/v1/studies/{self.study_id}"

    @cached_property
    def _facts(self) -> study.Study:
        said = self.transport.get(self._path)
        found = study.Study.from_json(parse_canonical(Envelope.from_json(said["envelope"]).body))
        if found.digest != said["digest"] or found.id != self.study_id:
            raise VerificationFailed("not the study that was asked for")
        return found

    @cached_property
    def _dictionary(self) -> Dictionary:
        found = Dictionary.from_json(self.transport.get(f"{self._path}/dictionary"))
        if found.digest != self._facts.dictionary:
            raise VerificationFailed("not the dictionary that the study names")
        return declared(self._facts, found)

    def _sign(self, question: Question, terms: Terms) -> Envelope:
        now = datetime.now(UTC)
        asked = plan.Question(
            study=self.study_id,
            study_digest=self._facts.digest,
            analysis=question.analysis_json,
            cohort=question.cohort,
            epsilon=terms.epsilon,
            tops_up=terms.tops_up,
            delegation=None if self.under is None else self.under.envelope.to_json(),
            max_attempts=terms.max_attempts,
            asked_at=instant_text(now),
            expires=instant_text(now + _LIFETIME),
            nonce=os.urandom(16).hex(),
        )
        return Envelope.seal("question", asked.to_json(), self._asking_key())

    def _asking_key(self) -> SigningKey:
        """Your own, or the delegate's; raises BadInput for a delegation without its secret."""
        if self.under is None:
            return self.key()
        if self.under.key is None:
            raise BadInput("this delegation is for a key that is not here", where="delegation")
        return self.under.key


def _wait(timeout_seconds: float) -> float:
    """Whole seconds to wait in one request, at least one."""
    return float(int(max(1.0, min(timeout_seconds, _LONGEST_WAIT_SECONDS))))
