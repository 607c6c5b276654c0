"""A member's word on a purpose, what may follow it, and what became of it.

Words are never changed, only followed by others. What ends a consent is always taken: no rule
keeps a member from refusing or withdrawing. `SUPERSEDED` and, once its last day is over,
`EXPIRED` are what a word becomes without anybody saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, StringConstraints, model_validator

from privacy.contract.duo import Terms
from privacy.contract.facts import Fact
from privacy.contract.time import parse_day
from privacy.errors import BadInput


class ConsentState(StrEnum):
    REQUESTED = "requested"
    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


_ENDS = frozenset({ConsentState.REFUSED, ConsentState.WITHDRAWN})
_AFTER: dict[ConsentState | None, frozenset[ConsentState]] = {
    None: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN}),
    ConsentState.REQUESTED: frozenset(
        {ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.EXPIRED}
    ),
    ConsentState.GIVEN: frozenset(
        {ConsentState.GIVEN, ConsentState.EXPIRED, ConsentState.SUPERSEDED}
    ),
    ConsentState.REFUSED: frozenset(
        {ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.SUPERSEDED}
    ),
    ConsentState.WITHDRAWN: frozenset(
        {ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.SUPERSEDED}
    ),
    ConsentState.EXPIRED: frozenset(
        {ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.SUPERSEDED}
    ),
    ConsentState.SUPERSEDED: frozenset({ConsentState.REQUESTED, ConsentState.GIVEN}),
}


def _day(text: str) -> str:
    if text:
        parse_day(text)
    return text


Short = Annotated[str, StringConstraints(max_length=512)]
DayText = Annotated[str, AfterValidator(_day)]
TextDigest = Annotated[str, StringConstraints(pattern=r"\A([0-9a-f]{64})?\z")]
Language = Annotated[str, StringConstraints(pattern=r"\A([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?\z")]


class Word(Fact):
    """What one member said about one purpose (or `all`), and how it is known. "" is not known.

    `text` is the SHA-256 of the text that the member was shown, `evidence` where the signed form
    or the recording is kept, `recorder` who wrote it down, `recorded_at` when.
    """

    member: Short
    purpose: Short
    state: ConsentState
    terms: Terms | None = None  # what is allowed; None: all that the purpose says
    valid_from: DayText = ""
    valid_until: DayText = ""
    text: TextDigest = ""
    language: Language = ""
    evidence: Short = ""
    recorder: Short = ""
    recorded_at: Short = ""

    @model_validator(mode="after")
    def _days(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("the last day is before the first")
        return self

    @cached_property
    def last_day(self) -> date | None:
        return parse_day(self.valid_until) if self.valid_until else None

    def state_on(self, today: date) -> ConsentState:
        """The state on a day: a consent whose last day is over has expired."""
        over = self.last_day is not None and self.last_day < today
        open_word = self.state in (ConsentState.GIVEN, ConsentState.REQUESTED)
        return ConsentState.EXPIRED if over and open_word else self.state


def check_follows(before: ConsentState | None, after: ConsentState) -> None:
    """May a word in state `after` follow? Raises BadInput if it makes no sense.

    Guarantee: REFUSED and WITHDRAWN follow everything.
    """
    if after in _ENDS or after in _AFTER[before]:
        return
    raise BadInput(
        f"{after.value} does not follow {before.value if before else 'nothing said'}",
        instead="write given, refused or withdrawn",
    )


def statuses(history: Sequence[Word], today: date) -> tuple[ConsentState, ...]:
    """What became of each word on one purpose, oldest first: all but the last are superseded."""
    states = [ConsentState.SUPERSEDED] * len(history)
    if history:
        states[-1] = history[-1].state_on(today)
    return tuple(states)
