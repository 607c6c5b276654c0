"""Transcripts: everybody recomputes the total, and every changed bit names whose it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from privacy.contract.canonical import b64, canonical_bytes, parse_canonical, unb64
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.secure_sum.transcript import Transcript, verify_transcript
from tests.support.secure_sum_network import Network, Stage, plain_total

NETWORK = Network(4, t_drop=1, sets=2, length=3).prepare()
TOTAL, TRANSCRIPT = NETWORK.run(NETWORK.vectors(), lost={"node-02": Stage.CLAIM})
JSON = TRANSCRIPT.to_json()

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def replaced(path: Path, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(JSON)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def mutations(value: Any) -> Iterator[Any]:
    """Another number, single bits of the decoded bytes, or another last character."""
    if isinstance(value, int):
        yield value + 1
        return
    try:
        data = unb64(value) if len(value) >= 24 else b""
    except BadInput:
        data = b""
    if data and set(value) - set("0123456789abcdef"):
        for bit in range(0, 8 * len(data), 7 if len(data) <= 32 else 61):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield b64(bytes(flipped))
    elif value:
        yield value[:-1] + ("0" if value[-1] != "0" else "1")


def verify(value: Any, keys: dict[str, PublicKey] = NETWORK.keys) -> Any:
    return verify_transcript(Transcript.from_json(value), keys)


def test_the_transcript_gives_the_total() -> None:
    alive = [name for name in NETWORK.names if name != "node-02"]
    np.testing.assert_array_equal(TOTAL, plain_total(NETWORK.vectors(), alive))
    again = parse_canonical(canonical_bytes(JSON))
    np.testing.assert_array_equal(verify(again), TOTAL)
    assert Transcript.from_json(again).to_json() == JSON


CASES = [
    pytest.param(path, changed, id="/".join(map(str, path)) + f"#{i}")
    for path, value in leaves(JSON)
    for i, changed in enumerate(mutations(value))
]


def test_no_leaf_goes_untested() -> None:
    assert {case.values[0] for case in CASES} == {path for path, _ in leaves(JSON)}  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("part", ["adverts", "claims", "lists", "masked", "seeds", "keys"])
def test_every_changed_bit_names_its_sender(part: str) -> None:
    tried = 0
    for case in CASES:
        path, value = case.values
        if path[0] == part:  # type: ignore[index]
            with pytest.raises(VerificationFailed) as error:
                verify(replaced(path, value))  # type: ignore[arg-type]
            assert error.value.where == path[1], path  # type: ignore[index]
            tried += 1
    assert tried >= 3


def test_every_changed_fact_of_the_attempt_is_noticed() -> None:
    for case in CASES:
        path, value = case.values
        if path[0] == "attempt":  # type: ignore[index]
            with pytest.raises((VerificationFailed, BadInput)):
                verify(replaced(path, value))  # type: ignore[arg-type]


def test_every_flipped_bit_of_the_bytes_is_noticed() -> None:
    data = canonical_bytes(JSON)
    for bit in range(0, 8 * len(data), 199):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((VerificationFailed, BadInput)):
            verify(parse_canonical(bytes(flipped)))


@pytest.mark.parametrize("part", ["adverts", "claims", "lists", "masked", "seeds", "keys"])
def test_a_part_may_neither_be_missing_nor_added(part: str) -> None:
    name = sorted(JSON[part])[0]
    fewer = {n: item for n, item in JSON[part].items() if n != name}
    more = JSON[part] | {"stranger": JSON[part][name]}
    for items in (fewer, more):
        with pytest.raises(VerificationFailed):
            verify(JSON | {part: items})


def test_parts_cannot_change_places() -> None:
    for part in ("adverts", "claims", "lists", "masked", "seeds"):
        items = dict(JSON[part])
        items["node-00"], items["node-01"] = items["node-01"], items["node-00"]
        with pytest.raises(VerificationFailed):
            verify(JSON | {part: items})


def test_other_identity_keys_do_not_verify() -> None:
    other = Network(4, seed="other").keys
    with pytest.raises(VerificationFailed, match="advert") as error:
        verify(JSON, NETWORK.keys | {"node-01": other["node-01"]})
    assert error.value.where == "node-01"
    with pytest.raises(VerificationFailed, match="no identity key"):
        verify(JSON, {n: k for n, k in NETWORK.keys.items() if n != "node-03"})
    with pytest.raises(VerificationFailed, match="share an identity key"):
        verify(JSON, NETWORK.keys | {"node-01": NETWORK.keys["node-00"]})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        JSON | {"more": 1},
        {name: item for name, item in JSON.items() if name != "seeds"},
        JSON | {"masked": []},
        JSON | {"masked": {"node-00": 7}},
        JSON | {"masked": {"node-00": "AA=="}},
        JSON | {"seeds": {"node-00": "AB=="}},
        JSON | {"claims": {"node-00": {}}},
        JSON | {"attempt": {}},
    ],
)
def test_malformed_transcripts_are_bad_input(value: Any) -> None:
    with pytest.raises(BadInput):
        Transcript.from_json(value)


def test_a_transcript_of_another_total_is_caught() -> None:
    """A coordinator that signs nothing cannot move the total: each vector is its node's."""
    moved = TRANSCRIPT.masked["node-00"] + np.uint64(1)
    with pytest.raises(VerificationFailed, match="masked vector") as error:
        verify(JSON | {"masked": JSON["masked"] | {"node-00": b64(moved.tobytes())}})
    assert error.value.where == "node-00"


def test_a_transcript_needs_a_threshold_of_signatures() -> None:
    lists = dict(list(JSON["lists"].items())[:2])
    with pytest.raises(VerificationFailed, match="fewer than 3 signatures"):
        verify(JSON | {"lists": lists})
    with pytest.raises(VerificationFailed, match="fewer than 3 signatures"):
        verify(JSON | {"lists": {}})


def test_opened_secrets_are_the_survivors_and_the_losts_alone() -> None:
    assert set(JSON["seeds"]) == {"node-00", "node-01", "node-03"}
    assert set(JSON["keys"]) == {"node-02"}
    assert all(isinstance(Envelope.from_json(item), Envelope) for item in JSON["lists"].values())
