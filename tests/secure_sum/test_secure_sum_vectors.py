"""The versioned test vectors: what must come out, and which step must fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from privacy.contract.canonical import unb64
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.secure_sum import masks, shamir
from privacy.secure_sum.channel import Channel, End
from privacy.secure_sum.commitments import Dealer, OpenedShare, ShareOf
from privacy.secure_sum.messages import PROTOCOL, SetAdvert, Step
from privacy.secure_sum.transcript import Transcript, verify_transcript
from tests.secure_sum.vectors import generate

FILE = Path(__file__).parent / "vectors" / "v1.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_script_beside_the_file_writes_it() -> None:
    assert json.loads(json.dumps(generate.build())) == VECTORS
    assert VECTORS["protocol"] == PROTOCOL


@pytest.mark.parametrize("vector", VECTORS["shamir"])
def test_shamir_vectors(vector: dict[str, Any]) -> None:
    shares = {i + 1: shamir.decode(bytes.fromhex(s)) for i, s in enumerate(vector["shares"])}
    assert shamir.combine(shares, vector["threshold"]).hex() == vector["secret"]
    fewest = dict(list(shares.items())[-vector["threshold"] :])
    assert shamir.combine(fewest, vector["threshold"]).hex() == vector["secret"]
    with pytest.raises(BadInput):
        shamir.combine(shares | {1: shares[1] ^ 1}, vector["threshold"])


@pytest.mark.parametrize("vector", VECTORS["pair_masks"])
def test_pair_mask_vectors(vector: dict[str, Any]) -> None:
    secret = bytes.fromhex(vector["x25519"])
    mask = masks.pair_mask(secret, vector["attempt"], vector["node"], vector["peer"])
    assert mask.key.hex() == vector["key"]
    stream, _ = masks.mask(np.zeros(2**17 + 2, dtype=np.uint64), [mask])
    assert [str(word) for word in stream[:2]] == vector["first"]
    assert [str(word) for word in stream[2**17 :]] == vector["at_131072"]


def test_self_mask_vector() -> None:
    vector = VECTORS["self_mask"]
    mask = masks.self_mask(bytes.fromhex(vector["seed"]), vector["attempt"], vector["node"])
    assert (mask.key.hex(), mask.subtract) == (vector["key"], False)


@pytest.mark.parametrize("vector", VECTORS["sets"])
def test_set_vectors(vector: dict[str, Any]) -> None:
    dealer = Dealer(vector["node"], vector["session"], vector["set_index"])
    advert, holders = SetAdvert.from_bytes(unb64(vector["advert"])), vector["holders"]
    assert dealer.seed_commitment(bytes.fromhex(vector["seed"])) == advert.seed
    public = masks.private_key(bytes.fromhex(vector["mask_key"])).public_key()
    assert public.public_bytes_raw() == advert.mask_key
    values: dict[str, dict[int, int]] = {"seed": {}, "key": {}}
    for item in vector["opened"]:
        opened = OpenedShare.from_bytes(unb64(item["share"]), holders)
        kind = ShareOf[item["of"].upper()]
        dealer.verify(advert.shares, opened, item["holder"], kind, holders)
        with pytest.raises(BadInput):
            dealer.verify(advert.shares, opened, item["holder"], ShareOf(1 - kind), holders)
        values[item["of"]][item["holder"] + 1] = opened.share.value
    assert shamir.combine(values["seed"], vector["threshold"]).hex() == vector["seed"]
    assert shamir.combine(values["key"], vector["threshold"]).hex() == vector["mask_key"]


def test_sealed_vector() -> None:
    vector = VECTORS["sealed"]
    sender, recipient = End(**vector["sender"]), End(**vector["recipient"])
    channel = Channel(bytes.fromhex(vector["x25519"]), recipient, sender)
    sealed = bytes.fromhex(vector["sealed"])
    assert channel.unseal(vector["set_index"], sealed).hex() == vector["plain"]
    reflected = Channel(channel.secret, sender, recipient)
    for other, index in ((channel, vector["set_index"] + 1), (reflected, vector["set_index"])):
        with pytest.raises(BadInput):
            other.unseal(index, sealed)


def keys_of(vector: dict[str, Any]) -> dict[str, PublicKey]:
    return {node: PublicKey.from_text(text) for node, text in vector["keys"].items()}


@pytest.mark.parametrize("vector", VECTORS["transcripts"], ids=lambda v: v["name"])
def test_transcript_vectors(vector: dict[str, Any]) -> None:
    total = verify_transcript(Transcript.from_json(vector["transcript"]), keys_of(vector))
    assert [str(number) for number in total.tolist()] == vector["total"]


def changed(value: Any, path: list[str], new: Any) -> Any:
    copied = copy.deepcopy(value)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copied


@pytest.mark.parametrize("case", VECTORS["must_fail"]["cases"], ids=lambda c: c["what"])
def test_negative_vectors_fail_at_the_step_they_name(case: dict[str, Any]) -> None:
    [base] = [v for v in VECTORS["transcripts"] if v["name"] == VECTORS["must_fail"]["transcript"]]
    transcript = Transcript.from_json(changed(base["transcript"], case["path"], case["value"]))
    with pytest.raises(VerificationFailed) as error:
        verify_transcript(transcript, keys_of(base))
    assert error.value.what.startswith(case["step"] + ": ")
    if case["sender"]:
        assert error.value.where == case["sender"]


def test_every_step_has_a_negative_vector() -> None:
    """The steps before the opening (sealed and opened shares) leave nothing in a transcript."""
    named = {case["step"] for case in VECTORS["must_fail"]["cases"]}
    assert named == set(Step) - {Step.SHARES, Step.REVEAL}
