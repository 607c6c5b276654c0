"""What a member can see and say: their own words, and public facts. Nothing else is computed.

Whether a member was in a question's cohort is not looked up, for them or for anybody: what a
page shows depends on their consent, the ledger and the studies alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from typing import Any

from node.consent import ALL, Consent, consent_of, purpose_key, set_consent
from node.consent_history import Note, history
from node.ledger_store import LedgerStore
from node.linked import LINKAGE
from node.parts import Parts
from privacy.contract.consent import ConsentState, Word
from privacy.contract.diseases import Diseases
from privacy.contract.duo import permits, words
from privacy.contract.study import Study
from privacy.contract.study_words import purpose_words
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.ledger.entry import Aborted, Commit, ConsentText, Entry, Expired, Released, Reserve
from privacy.ledger.fields import parse_rho
from privacy.odds import Odds, odds_of_rho
from privacy.promise import BASELINE, Promise
from privacy.units import Rho

MEMBER = "member"


@dataclass
class Evidence:
    """What the ledger says that concerns every member alike, read on from where it was left."""

    ledger: LedgerStore
    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # (purpose, language): digest
    reserved: dict[str, Reserve] = field(default_factory=dict)  # plans that were not answered yet
    questions: dict[str, Question] = field(default_factory=dict)
    _read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def newest(self) -> Evidence:
        """This, up to the ledger's newest entry."""
        with self._lock:
            for line in self.ledger.lines(self._read):
                self._take(Entry.from_bytes(line))
                self._read += 1
        return self

    def _take(self, entry: Entry) -> None:
        match entry.body:
            case ConsentText() as text:
                self.texts[purpose_key(text.purpose), text.language] = text.text
            case Reserve() as body:
                self.reserved[body.plan] = body
            case Commit() as body:
                asked = self.reserved[body.plan]
                known = Question(asked.study_digest, asked.sentence, entry.at[:10])
                self.questions.setdefault(body.plan, known)
            case Released() as body:
                self.questions[body.plan] = replace(self.questions[body.plan], release=body.release)
                del self.reserved[body.plan]
            case Aborted() | Expired():
                self.reserved.pop(entry.body.plan, None)
            case _:
                pass


@dataclass(frozen=True)
class Question:
    """A question that was answered here: of which study, in which words, when."""

    study_digest: str
    sentence: str
    day: str
    release: str | None = None


@dataclass(frozen=True)
class Choices:
    """One member's page, made of what is in force at this moment."""

    parts: Parts
    diseases: Diseases
    evidence: Evidence

    def page(self, member: str) -> dict[str, Any]:
        """Everything that the member may see, as plain values. Raises BadInput for nobody."""
        today = self.today()
        said = consent_of(self.parts.records, member)
        known = self.evidence.newest()
        promise = Promise.of(self.parts.service.ledger.state)
        return {
            "organisation": self.parts.settings.name,
            "purposes": self._purposes(said, known, today),
            "studies": [self._study(each, said, known, today) for each in self._studies()],
            "risk": self._risk(),
            "linkage": self._linkage(),
            "own": self._own(member),
            "promise": None if promise is None else promise.to_json(),
            "words": [_word(number, word) for number, word in self.words(member)],
        }

    def today(self) -> date:
        return self.parts.service.clock().astimezone(UTC).date()

    def words(self, member: str) -> list[tuple[int, Word]]:
        """The member's own words, numbered from 1, oldest first."""
        own = (word for _, word in history(self.parts.records, member))
        return list(enumerate(own, 1))

    # saying something

    def withdraw(self, member: str, purpose: str) -> None:
        """End consent to a purpose, or to all. Counts from the next question on.

        Raises BadInput for a purpose that is not on the page.
        """
        if purpose not in self._names(consent_of(self.parts.records, member)):
            raise BadInput("there is no such purpose", instead="open the page again")
        self._say(member, purpose, ConsentState.WITHDRAWN, Note())

    def give(self, member: str, purpose: str, text: str) -> None:
        """Give consent under the text that was shown; raises BadInput for one not in use."""
        for (named, language), digest in self.evidence.newest().texts.items():
            if (named, digest) == (purpose, text):
                self._say(member, purpose, ConsentState.GIVEN, Note(text, language))
                return
        raise BadInput("this text is not in use any more", instead="open the page again")

    def _say(self, member: str, purpose: str, state: ConsentState, note: Note) -> None:
        now = self.parts.service.clock()
        note = Note(note.text, note.language, "member page", MEMBER, instant_text(now))
        records = self.parts.records
        set_consent(records, member, purpose, state, note=note, today=self.today())
        self.parts.guard.changed(member)

    # seeing something

    def _purposes(
        self, said: dict[str, Consent], known: Evidence, today: date
    ) -> list[dict[str, Any]]:
        unsaid = {LINKAGE: Consent(given=False)}  # consent to all is none to being linked
        return [
            self._purpose(name, said.get(name, unsaid.get(name, said[ALL])), known, today)
            for name in self._names(said)
        ]

    def _linkage(self) -> dict[str, Any] | None:
        """With whom this organisation links members, by what, and until when; None: with nobody."""
        service = self.parts.service
        agreed = service.policy.rules.linking
        if agreed is None:
            return None
        state = service.ledger.state
        named = {each.id: each.name for each in service.roster().nodes} if state.roster else {}
        labels = (service.dictionary().refs[name].column for name in agreed.fields)
        return {
            "partners": [named.get(name, name) for name in agreed.partners],
            "fields": [column.label or column.name.replace("_", " ") for column in labels],
            "until": state.linkage.begun.ends if state.linkage else None,
        }

    def _names(self, said: Iterable[str]) -> list[str]:
        """Every purpose that the page speaks of, "all" first."""
        asked = (purpose for purpose, _ in self.evidence.newest().texts)
        return [ALL, *sorted({*said, *asked} - {ALL})]

    def _purpose(self, name: str, consent: Consent, known: Evidence, today: date) -> dict[str, Any]:
        texts = [
            {"language": language, "digest": digest, "text": self._text(digest)}
            for (purpose, language), digest in sorted(known.texts.items())
            if purpose == name
        ]
        return {
            "purpose": name,
            "holds": consent.holds(today),
            "from": _day(consent.valid_from),
            "until": _day(consent.valid_until),
            "terms": list(words(consent.terms)) if consent.terms and consent.given else [],
            "texts": [each for each in texts if each["text"]],
        }

    def _text(self, digest: str) -> str | None:
        return self.parts.service.documents.text(digest)

    def _studies(self) -> list[Study]:
        service = self.parts.service
        approved = (service.documents.study(digest) for digest in service.ledger.state.approvals)
        return sorted(approved, key=lambda study: (study.id, study.version))

    def _study(
        self, study: Study, said: dict[str, Consent], known: Evidence, today: date
    ) -> dict[str, Any]:
        documents = self.parts.service.documents
        asked = [
            {
                "sentence": each.sentence,
                "day": each.day,
                "result": documents.lay_result(each.release) if each.release else None,
            }
            for each in known.questions.values()
            if each.study_digest == study.digest
        ]
        return {
            "id": study.id,
            "title": study.title,
            "summary": study.summary,
            "purpose": purpose_words(study),
            "people": [each.words for each in study.investigators],
            "ends": study.ends,
            "counts": self._counts(study, said, today),
            "questions": asked,
        }

    def _counts(self, study: Study, said: dict[str, Consent], today: date) -> bool:
        """Does the member's consent cover this study today? Not: are they in a cohort."""
        purpose = study.consent_purpose
        if purpose is None:
            return True
        consent = said.get(purpose_key(purpose), said[ALL])
        free = consent.terms is None or permits(consent.terms, study.use, self.diseases) is None
        return consent.holds(today) and free

    def _own(self, member: str) -> dict[str, Any] | None:
        """The member's own balance, where members are charged one by one."""
        found = self.parts.balances.of(member)
        if found is None:
            return None
        delta = self.parts.service.ledger.state.delta
        return {
            "spent": _odds(odds_of_rho(found.spent, delta, BASELINE)),
            "bound": _odds(odds_of_rho(found.bound, delta, BASELINE)),
            "ever": _odds(odds_of_rho(found.spent + found.earlier, delta, BASELINE)),
        }

    def _risk(self) -> dict[str, Any]:
        state = self.parts.service.ledger.state
        if state.policy is None:
            return {"memberships": 1, "so_far": None, "at_most": None}
        counted = state.policy.max_memberships
        delta = state.delta

        def said(rho: Rho, times: int = 1) -> dict[str, Any]:
            return _odds(odds_of_rho(rho, delta, BASELINE, times))

        ahead = state.total_charged + state.left
        if state.policy.individual:
            ahead = state.total_charged - state.period_charged + parse_rho(state.policy.yearly_rho)
        return {
            "memberships": counted,
            "so_far": said(state.total_charged),
            "at_most": said(ahead),
            "twice": said(ahead, 2),
        }


def _odds(found: Odds) -> dict[str, Any]:
    return {"epsilon": found.epsilon, "sentence": found.sentence}


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _word(number: int, word: Word) -> dict[str, Any]:
    return {
        "number": number,
        "purpose": word.purpose,
        "state": word.state.value,
        "recorded": word.recorded_at[:10],
        "recorder": word.recorder,
    }
