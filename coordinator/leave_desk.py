"""Leave that a page asks of a researcher, until the researcher's own machine gives or refuses it.

Nothing here is signed or can be: a request names study, cap and hours, and the researcher's program
makes the delegation of what it shows. Requests are kept in memory; a restart forgets them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from privacy.errors import Code, Refused
from privacy.randomness import Entropy

VALID = timedelta(minutes=10)
MOST_OPEN = 3  # of one person
_ID_BYTES = 16


class LeaveState(StrEnum):
    WAITING = "waiting"
    GIVEN = "given"
    REFUSED = "refused"


@dataclass(frozen=True)
class LeaveAsked:
    """What a page of `person` asks for: `study` in the version `study_digest`, `epsilon` at most,
    for `hours`, by the key `delegate`."""

    id: str
    person: str
    study: str
    study_digest: str
    epsilon: str
    hours: float
    delegate: str
    until: datetime
    state: LeaveState = LeaveState.WAITING


@dataclass
class LeaveDesk:
    """The requests of the last minutes."""

    entropy: Entropy
    clock: Callable[[], datetime]
    _asked: dict[str, LeaveAsked] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(
        self, person: str, study: tuple[str, str], epsilon: str, hours: float, delegate: str
    ) -> LeaveAsked:
        """Keep a request about a study (id and digest). The same one that waits already is given
        back; raises Refused(RATE_LIMITED) beyond a few that wait."""
        with self._lock:
            waiting = self._of(person)
            same = (*study, epsilon, hours, delegate)
            for each in waiting:
                about = (each.study, each.study_digest)
                if (*about, each.epsilon, each.hours, each.delegate) == same:
                    return each
            if len(waiting) >= MOST_OPEN:
                raise Refused(Code.RATE_LIMITED)
            made = LeaveAsked(
                id=self.entropy(_ID_BYTES).hex(),
                person=person,
                study=study[0],
                study_digest=study[1],
                epsilon=epsilon,
                hours=hours,
                delegate=delegate,
                until=self.clock() + VALID,
            )
            self._asked[made.id] = made
            return made

    def waiting(self, person: str) -> tuple[LeaveAsked, ...]:
        """What this person has not answered yet, oldest first."""
        with self._lock:
            return self._of(person)

    def get(self, person: str, name: str) -> LeaveAsked:
        """One request of this person; raises Refused(NOT_FOUND) for none, and for one over."""
        with self._lock:
            self._forget()
            found = self._asked.get(name)
        if found is None or found.person != person:
            raise Refused(Code.NOT_FOUND)
        return found

    def settle(self, person: str, name: str, state: LeaveState) -> LeaveAsked:
        """Note the answer; raises Refused(NOT_FOUND), and CONFLICT for one answered already."""
        found = self.get(person, name)
        with self._lock:
            if self._asked.get(name) != replace(found, state=LeaveState.WAITING):
                raise Refused(Code.CONFLICT, state=found.state.value)
            self._asked[name] = replace(found, state=state)
            return self._asked[name]

    def _of(self, person: str) -> tuple[LeaveAsked, ...]:
        self._forget()
        return tuple(
            each
            for each in self._asked.values()
            if each.person == person and each.state is LeaveState.WAITING
        )

    def _forget(self) -> None:
        now = self.clock()
        self._asked = {name: each for name, each in self._asked.items() if each.until > now}
