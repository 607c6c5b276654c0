"""What a page asks of a researcher, until the researcher's own machine says yes or no: leave to ask
a study, or a step of its life.

Nothing here is signed or can be: a request names what is wanted, and the researcher's program
makes and signs what it shows. Requests are kept in memory; a restart forgets them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from privacy.contract.study_life import Act
from privacy.errors import Code, Refused
from privacy.randomness import Entropy

VALID = timedelta(minutes=10)
MOST_OPEN = 3  # of one person
_ID_BYTES = 16

Terms = TypeVar("Terms")


class LeaveState(StrEnum):
    WAITING = "waiting"
    GIVEN = "given"
    REFUSED = "refused"


@dataclass(frozen=True)
class LeaveTerms:
    """Leave for the key `delegate` to ask `study` in the version `study_digest`, for `hours` and
    `epsilon` at most."""

    study: str
    study_digest: str
    epsilon: str
    hours: float
    delegate: str


@dataclass(frozen=True)
class StepTerms:
    """A step in the life of `study` in the version `study_digest`, with its words and the answers
    that become public with it."""

    study: str
    study_digest: str
    act: Act
    note: str
    releases: tuple[str, ...]


@dataclass(frozen=True)
class Asked(Generic[Terms]):
    """A request of a page of `person`."""

    id: str
    person: str
    terms: Terms
    until: datetime
    state: LeaveState = LeaveState.WAITING


@dataclass
class AskDesk(Generic[Terms]):
    """The requests of the last minutes."""

    entropy: Entropy
    clock: Callable[[], datetime]
    _asked: dict[str, Asked[Terms]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, person: str, terms: Terms) -> Asked[Terms]:
        """Keep a request. The same one that waits already is given back; raises
        Refused(RATE_LIMITED) beyond a few that wait."""
        with self._lock:
            waiting = self._of(person)
            for each in waiting:
                if each.terms == terms:
                    return each
            if len(waiting) >= MOST_OPEN:
                raise Refused(Code.RATE_LIMITED)
            made = Asked(self.entropy(_ID_BYTES).hex(), person, terms, self.clock() + VALID)
            self._asked[made.id] = made
            return made

    def waiting(self, person: str) -> tuple[Asked[Terms], ...]:
        """What this person has not answered yet, oldest first."""
        with self._lock:
            return self._of(person)

    def get(self, person: str, name: str) -> Asked[Terms]:
        """One request of this person; raises Refused(NOT_FOUND) for none, and for one over."""
        with self._lock:
            self._forget()
            found = self._asked.get(name)
        if found is None or found.person != person:
            raise Refused(Code.NOT_FOUND)
        return found

    def settle(self, person: str, name: str, state: LeaveState) -> Asked[Terms]:
        """Note the answer; raises Refused(NOT_FOUND), and CONFLICT for one answered already."""
        found = self.get(person, name)
        with self._lock:
            if self._asked.get(name) != replace(found, state=LeaveState.WAITING):
                raise Refused(Code.CONFLICT, state=found.state.value)
            self._asked[name] = replace(found, state=state)
            return self._asked[name]

    def _of(self, person: str) -> tuple[Asked[Terms], ...]:
        self._forget()
        return tuple(
            each
            for each in self._asked.values()
            if each.person == person and each.state is LeaveState.WAITING
        )

    def _forget(self) -> None:
        now = self.clock()
        self._asked = {name: each for name, each in self._asked.items() if each.until > now}


LeaveDesk = AskDesk[LeaveTerms]
StepDesk = AskDesk[StepTerms]
