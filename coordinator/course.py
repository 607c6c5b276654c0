"""The rounds of one run in turn, from wherever it stands.

    state        what everybody is told, from what the rounds before opened
    attempt      written down with its keys; then contribute, sign, reveal, open
    store        the opening, durably; only then the next round

A run that was cut off goes on with the very attempt it stood at: nodes that answered it send
the same bytes again at no charge. A round that was opened is never asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from coordinator.key_stock import PreparedSet
from coordinator.rounds import Opened, Proceed, Rounds
from coordinator.store.openings import Openings, StoredOpening, UnderWay
from models.aggregates.requests import Analysis
from models.noise_law import NoiseLaw
from models.opening import Opening
from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.errors import Code, ProtocolError, Refused
from privacy.mechanism import GaussianSum
from privacy.secure_sum.attempt import Attempt

Judge = Callable[[int, Opening], None]


@dataclass
class Course:
    """One run of one plan. `proceed` and `judge` end it by raising Refused.

    `proceed` is asked before every message, `judge` of every round's opening in turn.
    """

    rounds: Rounds
    openings: Openings
    envelope: Envelope
    plan: Plan
    analysis: Analysis
    dictionary: Dictionary
    proceed: Proceed
    judge: Judge
    _absent: set[str] = field(default_factory=set)

    def run(self) -> tuple[StoredOpening, ...]:
        """Every round's opening. Raises Refused; what nodes hold back is freed by the caller."""
        done = list(self.openings.of(self._digest))
        begun = self.openings.under_way(self._digest)
        if begun is None:
            self.rounds.reserve(self.envelope, self.plan)
        else:
            self._absent = set(self.plan.participants)
        self._make_keys()
        for number, opening in enumerate(self._opened(done)):
            self.judge(number, opening)
        while len(done) < len(self.plan.rounds):
            done.append(self._round(done))
            self.judge(len(done) - 1, opening_of(self.plan, done[-1]))
        return tuple(done)

    @property
    def _digest(self) -> str:
        return self.envelope.digest

    def _make_keys(self) -> None:
        """What cannot be prepared now may be when it is needed: then it is tried again."""
        with suppress(Refused):
            self.rounds.prepare(self.plan)

    def _opened(self, done: Sequence[StoredOpening]) -> tuple[Opening, ...]:
        return tuple(opening_of(self.plan, each) for each in done)

    def _round(self, done: Sequence[StoredOpening]) -> StoredOpening:
        """Attempt one round until it opens or its attempts are spent."""
        number = len(done)
        state = self.analysis.state(self.dictionary, self._opened(done))
        for attempt, prepared in self._attempts(number, state):
            self._remind()
            try:
                opened = self.rounds.open(attempt, prepared, state, self.plan, self.proceed)
            except (Refused, ProtocolError) as failed:
                self._give_up(attempt, failed)
            else:
                return self._keep(attempt, state, opened)
        raise Refused(Code.ATTEMPT_LOST, attempts=self.plan.max_attempts)

    def _attempts(self, number: int, state: bytes) -> Iterator[tuple[Attempt, PreparedSet]]:
        """The attempt that was cut off, if there is one, and then new ones."""
        begun = self.openings.under_way(self._digest)
        first = 0
        if begun is not None and begun.number == number:
            first = begun.attempt + 1
            yield read_under_way(begun)
        for attempt in range(first, self.plan.max_attempts):
            self.proceed()
            try:
                made = self.rounds.attempt(self._digest, self.plan, (number, attempt), state)
            except Refused:
                continue  # no keys: nobody was asked anything
            self.openings.begin(self._digest, under_way(*made))
            yield made

    def _remind(self) -> None:
        """A node that was lost may be back, and not remember the plan."""
        if self._absent:
            self.rounds.reserve_again(self.envelope, sorted(self._absent))

    def _give_up(self, attempt: Attempt, failed: Refused | ProtocolError) -> None:
        """Tell the nodes; a run that is to stop stops, any other goes on."""
        self._absent = set(self.plan.participants)
        self.rounds.lost(self.plan, attempt)
        if isinstance(failed, Refused) and failed.code is Code.CANCELLED:
            raise failed

    def _keep(self, attempt: Attempt, state: bytes, opened: Opened) -> StoredOpening:
        self._absent = set(self.plan.participants) - set(opened.survivors)
        transcript = canonical_bytes(opened.transcript.to_json())
        stored = StoredOpening(
            number=attempt.round,
            attempt=attempt.attempt,
            state=state,
            totals=tuple(opened.total.tolist()),
            survivors=opened.survivors,
            receipts=opened.receipts,
            transcript=sha256_hex(transcript),
        )
        self.openings.add(self._digest, stored, transcript)
        return stored


def opening_of(plan: Plan, stored: StoredOpening) -> Opening:
    """A stored opening as an analysis reads it."""
    mechanism = GaussianSum.from_json(plan.rounds[stored.number].mechanism)
    lost = tuple(node for node in plan.participants if node not in stored.survivors)
    return Opening(stored.totals, NoiseLaw(mechanism, len(stored.survivors)), stored.state, lost)


def under_way(attempt: Attempt, prepared: PreparedSet) -> UnderWay:
    data = {"attempt": attempt.to_json(), "prepared": prepared.to_json()}
    return UnderWay(attempt.round, attempt.attempt, data)


def read_under_way(stored: UnderWay) -> tuple[Attempt, PreparedSet]:
    """Undo `under_way`."""
    prepared = PreparedSet.from_json(stored.data["prepared"])
    return Attempt.from_json(stored.data["attempt"]), prepared
