"""Arrays as bytes: one spelling, readable elsewhere, and nothing but numbers comes out."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from models.neural.tensors import MAX_HEADER_BYTES, from_bytes, to_bytes
from privacy.errors import BadInput

ARRAYS = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([-1.5], dtype=np.float32),
    "empty": np.zeros((0, 4), dtype=np.float32),
}


def framed(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_bytes_are_read_back() -> None:
    found, notes = from_bytes(to_bytes(ARRAYS, {"round": "3"}))
    assert notes == {"round": "3"}
    assert set(found) == set(ARRAYS)
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    assert to_bytes(ARRAYS) == to_bytes(dict(reversed(ARRAYS.items())))


def test_the_format_is_safetensors() -> None:
    theirs = load(to_bytes(ARRAYS, {"note": "x"}))
    assert all(np.array_equal(theirs[name], ARRAYS[name]) for name in ARRAYS)
    ours, _ = from_bytes(save(ARRAYS, metadata={"note": "x"}))
    assert all(np.array_equal(ours[name], ARRAYS[name]) for name in ARRAYS)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__("os").system, ("echo ran >&2; false",))


def test_a_pickle_is_refused_and_not_run(capfd: pytest.CaptureFixture[str]) -> None:
    archive = io.BytesIO()
    torch.save({"weights": Trap()}, archive)
    for data in (pickle.dumps(Trap()), archive.getvalue()):
        with pytest.raises(BadInput, match="could run code"):
            from_bytes(data)
    assert "ran" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "bytes"),
        (b"1234567", "bytes"),
        ((2**60).to_bytes(8, "little"), "a header of"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (MAX_HEADER_BYTES + 1), "a header"),
        (framed(b"[" * 5000), "no JSON object"),
        (framed([1]), "no object"),
        (framed(b'{"a": 1, "a": 2}'), "each name once"),
        (framed({"a": 1}), "no array of F32"),
        (framed({"a": entry([1], 0, 4, "F64")}, b"0000"), "no array of F32"),
        (framed({"a": {**entry([1], 0, 4), "code": "x"}}, b"0000"), "no array of F32"),
        (framed({"a": entry([2], 0, 4)}, b"0000"), "shape"),
        (framed({"a": entry([-1], 0, 4)}, b"0000"), "shape"),
        (framed({"a": entry([2**62, 4], 0, 4)}, b"0000"), "shape"),
        (framed({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"0000"), "does not begin"),
        (framed({"a": entry([1], 4, 8)}, b"00000000"), "does not begin"),
        (framed({"a": entry([1], 0, 4)}, b"00000000"), "do not end"),
        (framed({"a": entry([1], 0, 4)}, b"00"), "shape"),
        (framed({"a": {**entry([1], 0, 4), "data_offsets": [0]}}, b"0000"), "no place"),
        (framed({"a": {**entry([1], 0, 4), "data_offsets": [0.0, 4.0]}}, b"0000"), "no place"),
        (framed({"__metadata__": {"x": 1}}), "notes are text"),
        (framed({f"a{i}": entry([0], 0, 0) for i in range(501)}), "more than 500"),
        (to_bytes({"a": np.array([np.nan], dtype=np.float32)}), "not finite"),
        (to_bytes({"a": np.array([-np.inf], dtype=np.float32)}), "not finite"),
    ],
)
def test_what_is_not_of_this_form_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        from_bytes(data)


def test_every_cut_and_many_changes_are_refused_or_harmless() -> None:
    whole = to_bytes(ARRAYS, {"round": "3"})
    for end in range(len(whole)):
        with pytest.raises(BadInput):
            from_bytes(whole[:end])
    draw = np.random.default_rng(1)
    for _ in range(300):
        data = bytearray(whole)
        data[int(draw.integers(0, len(data)))] ^= 1 << int(draw.integers(0, 8))
        try:
            found, _ = from_bytes(bytes(data))
        except BadInput:
            continue
        assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in found.values())
