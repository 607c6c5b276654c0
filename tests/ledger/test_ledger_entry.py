"""One entry has one spelling."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contract.canonical import canonical_bytes
from privacy.contract.coordinator_key import CoordinatorKey
from privacy.contract.duo import Permission, Terms
from privacy.contract.facts import Fact, Sorted
from privacy.contract.policy import Rules
from privacy.errors import BadInput
from privacy.ledger.entry import FIRST_PREV, Aborted, Approval, Entry, Mechanism, Paused
from privacy.ledger.steward_entry import Signed
from tests.support.ledger_factory import START, digest_of, random_ledger, reserve

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(words, st.integers(0, 2**53 - 1))
def test_the_fast_encoding_is_the_canonical_one(text: str, seq: int) -> None:
    body = Approval(
        study="als",
        study_digest=digest_of("als"),
        rho="1/4",
        decision="refused",
        by="steward",
        reason=text,
    )
    entry = Entry(seq=seq, prev=FIRST_PREV, at="2026-01-02T03:04:05Z", body=body)
    assert entry.data == canonical_bytes(entry.to_json())
    assert Entry.from_bytes(entry.data) == entry


def facts_in(annotation: Any) -> set[Any]:
    """Every Fact, mapping and float within the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, Fact):
        fields = annotation.model_fields.values()
        return {annotation}.union(*(facts_in(field.annotation) for field in fields))
    origin = get_origin(annotation)
    if annotation is float or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {annotation}
    return set[Any]().union(*map(facts_in, get_args(annotation)))


def test_whatever_stands_in_an_entry_is_written_canonically_by_pydantic() -> None:
    found = facts_in(Entry)
    assert {Entry, Mechanism, Rules, Terms, Signed, CoordinatorKey} <= found
    assert [each for each in found if not issubclass(each, Sorted)] == []


def test_the_fields_of_a_sorted_fact_lie_in_order_whoever_made_it() -> None:
    rules = Rules(terms=Terms(permission=Permission.GENERAL), each_question=True)
    for made in (rules, Rules.from_json(rules.to_json()), rules.model_copy(update={"known": ()})):
        assert list(made.to_json()) == sorted(made.to_json())
        assert made.model_dump_json().encode() == canonical_bytes(made.to_json())


def test_every_kind_of_entry_reads_back() -> None:
    kinds = set()
    for seed in range(12):
        for entry in random_ledger(seed).entries:
            assert entry.data == canonical_bytes(json.loads(entry.data))
            assert Entry.from_bytes(entry.data) == entry
            kinds.add(entry.body.kind)
    assert len(kinds) == 17


def test_another_spelling_is_refused() -> None:
    data = random_ledger(0).entries[-1].data
    value = json.loads(data)
    shuffled = list(value.items())
    random.Random(0).shuffle(shuffled)
    for other in (
        json.dumps(value).encode(),
        json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode(),
        data + b"\n",
        b" " + data,
        data.replace(b'"seq":', b'"seq": '),
        data.replace(b'"prev"', b'"pre\\u0076"'),
        data[:-1] + b',"extra":1}',
        data[:-1] + b',"seq":0}',
        data.replace(b'"kind":"', b'"kind":"x'),
        b"[]",
        b"",
        b"\xff",
        b"x" * 300_000,
    ):
        assert other != data
        with pytest.raises(BadInput):
            Entry.from_bytes(other)


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-01-02 03:04:05Z"},
        {"at": "2026-01-02T03:04:05+00:00"},
        {"at": "2026-02-30T03:04:05Z"},
        {"prev": "0" * 63},
        {"prev": "A" * 64},
        {"seq": -1},
        {"seq": 1.0},
        {"seq": "1"},
    ],
)
def test_fields_outside_their_form_are_refused(change: dict[str, object]) -> None:
    entry = Entry(seq=1, prev=FIRST_PREV, at="2026-01-02T03:04:05Z", body=Paused(by="steward"))
    data = json.dumps(entry.to_json() | change, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(BadInput):
        Entry.from_bytes(data)


def test_amounts_keys_and_codes_have_their_one_form() -> None:
    body = reserve("p", "als", START + timedelta(minutes=1))
    good = body.model_dump()
    for change in (
        {"rho": "2/8"},
        {"rho": "-1/4"},
        {"rho": "1/3"},
        {"rho": 0.25},
        {"researcher": "AAAA"},
        {"rounds": ()},
        {"plan": "p"},
        {"expires": "soon"},
    ):
        with pytest.raises((BadInput, ValueError)):
            type(body)(**(good | change))
    with pytest.raises((BadInput, ValueError)):
        Aborted(plan=digest_of("p"), code="because")


def test_a_mechanism_out_of_range_has_no_cost() -> None:
    with pytest.raises(BadInput):
        _ = Mechanism(delta_grid=1, nodes=2, margin=2, log2_sigma=20, memberships=1).event
