"""Consent as a state machine: said, refused, withdrawn, imported, reopened, on any day.

Whatever happens in whatever order, the engine counts those members whom a second reading of all
words from the beginning finds to consent.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.consent import consent_of, set_consent
from node.consent_history import Note, history
from node.records import Records
from privacy.contract.consent import ConsentState, Word, check_follows, statuses
from privacy.contract.duo import Research, Use
from privacy.contract.duo_text import parse_terms
from privacy.errors import BadInput
from tests.support.consent_world import (
    HEALTH,
    MEMBERS,
    PURPOSES,
    START,
    Oracle,
    Said,
    counted,
    load,
)

TERMS = (None, parse_terms("HMB"), parse_terms("GRU NPU"), parse_terms("DS=MONDO:0004976"))
CHARITY = Use(study="b", research=Research.OTHER, for_profit=False, commercial=False)
SAYABLE = (ConsentState.GIVEN, ConsentState.REFUSED, ConsentState.WITHDRAWN)
purposes = st.sampled_from((*PURPOSES, "all"))


class ConsentMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.records = Records.open(self.folder / "records.duckdb")
        self.oracle = Oracle()
        self.today = START
        self.words: dict[str, int] = dict.fromkeys(MEMBERS, 0)
        load(self.records, self.folder)

    @rule(
        member=st.sampled_from(MEMBERS),
        purpose=purposes,
        state=st.sampled_from(SAYABLE),
        days=st.none() | st.integers(0, 3),
        terms=st.sampled_from(TERMS),
    )
    def say(
        self, member: str, purpose: str, state: ConsentState, days: int | None, terms: Any
    ) -> None:
        until = None if days is None else self.today + timedelta(days)
        given = {"valid_until": until, "terms": terms}
        before = consent_of(self.records, member)
        set_consent(self.records, member, purpose, state, today=self.today, **given)
        self.oracle.said.append(Said(member, purpose, state, until, terms))
        assert set(before) <= set(consent_of(self.records, member))

    @rule(
        events=st.lists(
            st.tuples(
                st.sampled_from(MEMBERS),
                purposes,
                st.sampled_from([ConsentState.GIVEN, ConsentState.REFUSED]),
                st.sampled_from(["", "HMB", "GRU NPU"]),
            ),
            max_size=4,
        )
    )
    def import_files(self, events: list[tuple[str, str, ConsentState, str]]) -> None:
        lines = ["who,purpose,state,terms", *(",".join(event) for event in events)]
        load(self.records, self.folder, events="\n".join(lines) + "\n")
        self.oracle.files = []
        for member, purpose, state, terms in events:
            if purpose == "all" and state is not ConsentState.GIVEN:
                self.oracle.files = [w for w in self.oracle.files if w.member != member]
            read = parse_terms(terms) if terms and state is ConsentState.GIVEN else None
            self.oracle.files.append(Said(member, purpose, state, None, read))
        self.oracle.imported = len(self.oracle.said)

    @rule()
    def reopen(self) -> None:
        self.records.close()
        self.records = Records.open(self.folder / "records.duckdb")

    @rule(days=st.integers(1, 3))
    def advance(self, days: int) -> None:
        self.today += timedelta(days)

    @invariant()
    def the_engine_counts_who_consents(self) -> None:
        for purpose in (*PURPOSES, "another"):
            for use in (HEALTH, CHARITY):
                agreed = [m for m in MEMBERS if self.oracle.holds(m, purpose, self.today, use)]
                assert counted(self.records, purpose, self.today, use) == len(agreed)

    @invariant()
    def history_only_grows(self) -> None:
        for member in MEMBERS:
            words = history(self.records, member)
            assert len(words) >= self.words[member]
            self.words[member] = len(words)

    def teardown(self) -> None:
        self.records.close()
        shutil.rmtree(self.folder)


TestConsentMachine = ConsentMachine.TestCase
TestConsentMachine.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)


class _Crash(Exception):
    pass


def test_a_crash_at_any_step_leaves_the_word_unsaid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.duckdb"
    real = Records.transaction
    step, done = 0, False
    while not done:
        path.unlink(missing_ok=True)
        records = Records.open(path)
        load(records, tmp_path, "who,n,consent\na,1,yes\nb,1,yes\nc,1,yes\n")
        words = history(records, "a")
        with monkeypatch.context() as patch:
            patch.setattr(Records, "transaction", _failing(real, step))
            try:
                set_consent(records, "a", "research", ConsentState.WITHDRAWN)
                done = True
            except _Crash:
                pass
        records.close()
        records = Records.open(path)
        assert counted(records, "research", START, HEALTH) == (2 if done else 3)
        assert (history(records, "a") == words) is not done
        records.close()
        step += 1
    assert step > 5


def _failing(real: Any, step: int) -> Any:
    @contextmanager
    def transaction(records: Records) -> Any:
        with real(records) as cursor:
            yield _Failing(cursor, step)

    return transaction


class _Failing:
    """A cursor that stops at its nth statement, before it runs."""

    def __init__(self, cursor: Any, left: int) -> None:
        self._cursor = cursor
        self._left = left

    def execute(self, *given: Any) -> Any:
        if self._left == 0:
            raise _Crash
        self._left -= 1
        return self._cursor.execute(*given)


def test_what_ends_a_consent_follows_everything() -> None:
    for before in (None, *ConsentState):
        for after in (ConsentState.REFUSED, ConsentState.WITHDRAWN):
            check_follows(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ConsentState.EXPIRED),
        (None, ConsentState.SUPERSEDED),
        (ConsentState.GIVEN, ConsentState.REQUESTED),
        (ConsentState.REFUSED, ConsentState.EXPIRED),
        (ConsentState.WITHDRAWN, ConsentState.EXPIRED),
    ],
)
def test_what_makes_no_sense_is_refused(before: ConsentState | None, after: ConsentState) -> None:
    with pytest.raises(BadInput):
        check_follows(before, after)


def test_a_word_is_superseded_by_the_next_and_expires_by_its_day() -> None:
    first = Word(member="a", purpose="research", state=ConsentState.REQUESTED)
    second = Word(
        member="a", purpose="research", state=ConsentState.GIVEN, valid_until="2026-03-01"
    )
    assert statuses([first, second], START) == (ConsentState.SUPERSEDED, ConsentState.GIVEN)
    assert statuses([first, second], START + timedelta(1))[-1] is ConsentState.EXPIRED
    assert statuses([], START) == ()


def test_asking_again_is_refused_while_a_consent_holds_and_allowed_after(tmp_path: Path) -> None:
    records = Records.open(":memory:")
    load(records, tmp_path)
    given = {"valid_until": START, "today": START}
    set_consent(records, "a", "research", ConsentState.GIVEN, **given)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="requested does not follow given"):
        set_consent(records, "a", "research", ConsentState.REQUESTED, today=START)
    later = START + timedelta(1)
    set_consent(records, "a", "research", ConsentState.REQUESTED, today=later)
    assert counted(records, "research", START, HEALTH) == 0


def test_the_history_says_how_each_word_is_known(tmp_path: Path) -> None:
    records = Records.open(":memory:")
    shown = "ab" * 32
    load(
        records,
        tmp_path,
        events="member,purpose,state,from,terms,text,language,evidence,recorder\n"
        f"a,research,given,2026-01-01,HMB NPU,{shown},de-CH,form 17,M. Muster\n"
        "b,research,refused,,,,,,\n",
    )
    note = Note(shown, "fr", "letter of 3 March", "steward", "2026-03-03T10:00:00Z")
    set_consent(records, "a", "research", ConsentState.WITHDRAWN, note=note)
    (_, first), (_, last) = history(records, "a")
    assert (first.valid_from, first.evidence, first.language) == ("2026-01-01", "form 17", "de-CH")
    assert first.terms == parse_terms("HMB NPU")
    assert (first.text, first.recorded_at) == (shown, "2026-03-01T00:00:00Z")
    assert (last.state, last.recorder, last.language) == (ConsentState.WITHDRAWN, "steward", "fr")
    assert [word.state for _, word in history(records, "b")] == [ConsentState.REFUSED]


def test_files_that_say_the_same_again_add_no_word(tmp_path: Path) -> None:
    records = Records.open(":memory:")
    said = "who,n,consent,consent_teaching\na,1,yes,no\nb,1,no,yes\nc,1,,\n"
    load(records, tmp_path, said)
    first = {who: history(records, who) for who in MEMBERS}
    found = {who: len(words) for who, words in first.items()}
    assert found == {"a": 2, "b": 1, "c": 1}  # an empty field in an own column is no
    load(records, tmp_path, said)
    assert {who: history(records, who) for who in MEMBERS} == first
    load(records, tmp_path, "who,n,consent\na,1,no\nb,1,yes\nc,1,\n")
    states = [(w.purpose, w.state.value) for _, w in history(records, "a")[2:]]
    assert states == [("all", "withdrawn"), ("teaching", "superseded")]


@pytest.mark.parametrize(
    ("header", "field", "what"),
    [
        ("text", "abc", "not the SHA-256"),
        ("language", "german!", "no language"),
        ("evidence", "x" * 513, "longer than 512"),
        ("terms", "HMB PERHAPS", "no rule 'PERHAPS'"),
    ],
)
def test_how_a_word_is_known_is_checked_by_row(
    tmp_path: Path, header: str, field: str, what: str
) -> None:
    records = Records.open(":memory:")
    with pytest.raises(BadInput, match=what) as refused:
        load(
            records,
            tmp_path,
            events=f"who,purpose,state,{header}\na,research,given,\na,research,given,{field}\n",
        )
    assert refused.value.where == f"consent.csv, column {header}, row 2"
