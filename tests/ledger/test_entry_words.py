"""Every kind of entry says in a sentence what it is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args

import pytest

from coordinator.audit.advice import Found
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.errors import VerificationFailed
from privacy.ledger.coordinator_entry import (
    CoordinatorAccepted,
    CoordinatorForked,
    CoordinatorKeyChanged,
)
from privacy.ledger.entry import Approval, Body, Commit, Mechanism, Paused
from privacy.ledger.entry_words import KIND_WORDS, entry_words, key_words
from tests.support.ledger_factory import digest_of, signing_key

DELTA = Fraction(1, 10**6)
BODIES: tuple[type[Any], ...] = get_args(Body)


def _flat(kinds: tuple[Any, ...]) -> set[str]:
    return {kind.model_fields["kind"].default for kind in kinds}


def test_every_kind_has_a_name() -> None:
    assert set(KIND_WORDS) == _flat(BODIES)


def test_a_charge_says_how_much_of_which_question() -> None:
    mechanism = Mechanism(delta_grid=1000, nodes=3, margin=1, log2_sigma=20, memberships=1)
    rho = mechanism.event.rho.text
    body = Commit(
        plan=digest_of("plan"),
        round=1,
        attempt=0,
        mechanism=mechanism,
        rho=rho,
        masked_sha256=digest_of("masked"),
        length=12,
        bytes=96,
    )
    said = entry_words(body, DELTA, "Counts members")
    assert said.startswith("Charged epsilon ")
    assert "round 2 of “Counts members”; 96 bytes left under a mask" in said
    stayed = body.model_copy(update={"bytes": 0})
    assert "nothing left" in entry_words(stayed, DELTA)


@pytest.mark.parametrize(
    ("decision", "begins"),
    [
        ("approved", "Approved als, epsilon 1 at most, by ada: good"),
        ("refused", "Refused als, by ada: good"),
        ("asked", "Asked back about als, by ada: good"),
        ("withdrawn", "Took the approval back of als, by ada: good"),
    ],
)
def test_a_decision_says_who_and_why(decision: Any, begins: str) -> None:
    body = Approval(
        study="als",
        study_digest=digest_of("study"),
        rho="1/32",
        decision=decision,
        by="ada",
        reason="good",
    )
    said = entry_words(body, DELTA)
    assert said.partition(", epsilon")[0] == begins.partition(", epsilon")[0]
    assert said.endswith("by ada: good")


def test_a_pause_says_what_it_means() -> None:
    assert entry_words(Paused(by="ada"), DELTA) == "ada paused: nothing is answered until resumed"


def test_a_key_of_the_coordinator_says_whose_word_stands_behind_it() -> None:
    old, new = signing_key("old"), signing_key("new")
    place = ("test", 1, 5)
    change = CoordinatorKey.of(old, new, place, at="2026-03-10T12:00:00Z", reason="yearly")
    prints = [key_words(key.public.text) for key in (old, new)]
    said = entry_words(CoordinatorKeyChanged(change=change), DELTA)
    assert said == f"The coordinator changed its key from {prints[0]} to {prints[1]}: yearly"
    forked = entry_words(CoordinatorForked(change=change), DELTA)
    assert f"{prints[0]} signed a second successor, {prints[1]}" in forked
    accepted = CoordinatorAccepted(
        old=change.old, key=change.new, by="Ina", reason="compared by telephone"
    )
    said = entry_words(accepted, DELTA)
    assert said.startswith(f"Ina accepted the coordinator's key {prints[1]} by hand")


@pytest.mark.parametrize(
    ("where", "node", "entry"),
    [
        ("nodes/als-union/entries.jsonl: entry 7", "als-union", 7),
        ("nodes/als-union/checkpoint.txt", "als-union", None),
        ("nodes/als-union/witnesses.jsonl: line 2", "als-union", None),
        ("releases/abc.json: receipt of als-union", "", None),
        ("", "", None),
    ],
)
def test_what_is_found_is_placed(where: str, node: str, entry: int | None) -> None:
    found = Found.of(VerificationFailed("is illegal", where=where))
    assert (found.node, found.entry) == (node, entry)
    assert "is illegal" in found.sentence
    assert "cairn audit verify" in found.advice[0]
    assert any("telephone" in step for step in found.advice) == bool(node)
