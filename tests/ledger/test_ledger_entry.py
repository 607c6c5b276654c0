"""One entry has one spelling."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.contract.canonical import canonical_bytes
from privacy.errors import BadInput
from privacy.ledger.entry import FIRST_PREV, Aborted, Approval, Entry, Mechanism, Paused
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
