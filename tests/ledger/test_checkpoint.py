"""Checkpoints as signed notes: the exact bytes, and everything that must not open."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from privacy.checkpoint import (
    COSIGNATURE_ALGORITHM,
    NOTE_ALGORITHM,
    Checkpoint,
    NoteSigner,
    check_cosignature,
    coordinator_name,
    cosign,
    key_id,
    node_origin,
    open_checkpoint,
    sign_checkpoint,
)
from privacy.contract.signing import PublicKey
from privacy.errors import BadInput, VerificationFailed
from tests.support.ledger_factory import signing_key

ALPHA, BETA = signing_key("alpha"), signing_key("beta")
ORIGIN = node_origin("als-net", "alpha")
HEAD = Checkpoint(ORIGIN, 17, bytes(range(32)))
WITNESS = node_origin("als-net", "beta")


def test_the_note_is_what_the_format_says() -> None:
    note = sign_checkpoint(HEAD, ALPHA)
    root = base64.b64encode(bytes(range(32))).decode()
    text = f"cairn.node/als-net/alpha\n17\n{root}\n"
    assert HEAD.text == text
    head, _, line = note.partition("\n\n")
    assert head + "\n" == text
    dash, name, blob = line.rstrip("\n").split(" ")
    assert (dash, name) == ("—", ORIGIN)
    raw = base64.b64decode(blob)
    expected = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + ALPHA.public.raw).digest()[:4]
    assert raw[:4] == expected
    Ed25519PublicKey.from_public_bytes(ALPHA.public.raw).verify(raw[4:], text.encode())
    assert open_checkpoint(note, ALPHA.public, ORIGIN) == HEAD


def test_a_published_key_id() -> None:
    """The key id that Go's note package documents for its example key."""
    raw = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert raw[0] == NOTE_ALGORITHM
    assert key_id("PeterNeumann", raw[0], PublicKey(raw[1:])).hex() == "c74f20a3"


def test_the_cosignature_is_what_the_format_says() -> None:
    line = cosign(HEAD, WITNESS, BETA, 1_700_000_000)
    dash, name, blob = line.rstrip("\n").split(" ")
    assert (dash, name) == ("—", WITNESS)
    raw = base64.b64decode(blob)
    assert raw[:4] == key_id(WITNESS, COSIGNATURE_ALGORITHM, BETA.public)
    assert int.from_bytes(raw[4:12], "big") == 1_700_000_000
    signed = f"cosignature/v1\ntime 1700000000\n{HEAD.text}".encode()
    Ed25519PublicKey.from_public_bytes(BETA.public.raw).verify(raw[12:], signed)
    assert check_cosignature(HEAD, line, WITNESS, BETA.public) == 1_700_000_000


def test_other_signers_lines_are_ignored() -> None:
    note = sign_checkpoint(HEAD, ALPHA) + cosign(HEAD, WITNESS, BETA, 1)
    assert open_checkpoint(note, ALPHA.public) == HEAD


def test_no_flipped_bit_opens() -> None:
    data = bytearray(sign_checkpoint(HEAD, ALPHA).encode())
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            try:
                note = data.decode()
            except UnicodeDecodeError:
                pass
            else:
                with pytest.raises(VerificationFailed):
                    open_checkpoint(note, ALPHA.public, ORIGIN)
            data[at] ^= 1 << bit


def test_no_flipped_bit_cosigns() -> None:
    data = bytearray(cosign(HEAD, WITNESS, BETA, 1_700_000_000).rstrip("\n").encode())
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            try:
                line = data.decode()
            except UnicodeDecodeError:
                pass
            else:
                with pytest.raises(VerificationFailed):
                    check_cosignature(HEAD, line, WITNESS, BETA.public)
            data[at] ^= 1 << bit


def test_keys_origins_and_kinds_do_not_stand_in_for_each_other() -> None:
    note = sign_checkpoint(HEAD, ALPHA)
    line = cosign(HEAD, WITNESS, BETA, 1)
    for attempt in (
        lambda: open_checkpoint(note, BETA.public),
        lambda: open_checkpoint(note, ALPHA.public, WITNESS),
        lambda: open_checkpoint(HEAD.text, ALPHA.public),
        lambda: open_checkpoint(note + note.partition("\n\n")[2], ALPHA.public),
        lambda: open_checkpoint(HEAD.text + "\n" + line, BETA.public),
        lambda: check_cosignature(HEAD, line, WITNESS, ALPHA.public),
        lambda: check_cosignature(HEAD, line, ORIGIN, BETA.public),
        lambda: check_cosignature(HEAD, note.partition("\n\n")[2], ORIGIN, ALPHA.public),
        lambda: check_cosignature(Checkpoint(ORIGIN, 18, HEAD.root), line, WITNESS, BETA.public),
    ):
        with pytest.raises(VerificationFailed):
            attempt()


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", "a\n01\nAA==\n", "a\n-1\n{root}\n", "a\n1\n{root}", "\n1\n{root}\n",
     "a\n1\n{root}\nextra\n", "a\n1\nAAAA\n"],
)  # fmt: skip
def test_other_spellings_are_no_checkpoint(text: str) -> None:
    root = base64.b64encode(bytes(32)).decode()
    with pytest.raises(BadInput):
        Checkpoint.parse(text.replace("{root}", root))


def test_names_that_would_break_the_format() -> None:
    for bad in ("", "a b", "a+b", "a/b", "a\nb", "é"):
        with pytest.raises(BadInput):
            node_origin("net", bad)
        with pytest.raises(BadInput):
            coordinator_name(bad)
    with pytest.raises(BadInput):
        NoteSigner(WITNESS, BETA).checkpoint(HEAD)


def test_the_key_does_not_print() -> None:
    signer = NoteSigner(ORIGIN, ALPHA)
    assert ALPHA.secret_bytes().hex() not in repr(signer)
    assert repr(signer) == f"NoteSigner({ORIGIN!r})"
