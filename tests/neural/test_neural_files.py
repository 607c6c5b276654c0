"""A released network and its card: read back as written, anything else refused, nothing run."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.neural.architecture import Gru
from models.neural.law import State
from models.neural.request import Train
from models.neural.tensors import from_bytes, to_bytes
from models.neural.trained import TrainedNetwork
from models.released.card import Provenance, card_of_network, markdown
from models.rows import from_tables
from privacy.contract.canonical import sha256_hex
from privacy.errors import BadInput
from tests.support.rows_factory import clinic
from tests.support.training import patients, registry, rounds_of, training

NODES = [patients(300, seed) for seed in (1, 2, 3)]
PROVENANCE = Provenance(
    study="als-2026",
    purpose="who improves | # not a heading <script>",
    intended_use="planning visits",
    cohort="age >= 40",
    organisations=("berlin", "lyon", "turin"),
    epsilon="3",
    delta="1/1000000",
    rho="0.18",
    memberships=1,
    receipts=("release 77ab", "berlin entry 12"),
)


def released(**fields: Any) -> tuple[Train, TrainedNetwork]:
    request = training(rounds=3, **fields)
    opened = rounds_of(request, NODES, "3")
    figures = request.conclude(registry(), opened)
    card = card_of_network(request, registry(), figures, PROVENANCE).to_json()
    weights = request.trained(registry(), opened[-1])
    base = tuple(float(each) for each in State.read(opened[-1].state).base)
    return request, TrainedNetwork(request.specification, registry(), base, weights, card)


@pytest.mark.parametrize(
    "fields",
    [{}, {"network": Gru(width=4), "features": ("age", "walk")}, {"outcome": "score"},
     {"outcome": "stage", "features": ("age",)}],
)  # fmt: skip
def test_a_network_is_read_back_as_it_was(fields: dict[str, Any]) -> None:
    _, network = released(**fields)
    again = TrainedNetwork.from_files(*network.files())
    made = again.specification
    assert repr(again).startswith(f"TrainedNetwork({made.network.kind} of {made.features[0]}")
    assert again.specification == network.specification
    assert np.array_equal(again.weights, network.weights)
    assert again.files() == network.files()
    said = again.predict(patients(50, 9))
    assert np.array_equal(said, network.predict(patients(50, 9)))
    assert len(said) == 50
    assert np.isfinite(said).all()


def test_another_dictionary_is_refused() -> None:
    _, network = released()
    with pytest.raises(BadInput, match="another dictionary"):
        network.predict(from_tables(clinic(), {}))


def test_files_that_do_not_belong_together_are_refused() -> None:
    _, network = released()
    numbers, description = network.files()
    told = json.loads(description)

    def text(**changes: Any) -> bytes:
        return json.dumps({**told, **changes}).encode()

    arrays, _ = from_bytes(numbers)
    odd = {**arrays, "layer0.bias": np.full_like(arrays["layer0.bias"], np.nan)}
    shorter = {**arrays, "layer0.bias": arrays["layer0.bias"][1:]}
    longer = {**arrays, "more": np.zeros(1, np.float32)}
    fewer = {name: each for name, each in arrays.items() if name != "out.bias"}
    for bad, what in ((odd, "not finite"), (shorter, "of shape"), (longer, "does not have"),
                      (fewer, "out.bias")):  # fmt: skip
        data = to_bytes(bad)
        with pytest.raises(BadInput, match=what):
            TrainedNetwork.from_files(data, text(weights_sha256=sha256_hex(data)))
    with pytest.raises(BadInput, match="not those described"):
        TrainedNetwork.from_files(to_bytes(arrays, {"x": "y"}), description)
    deep = {**told["specification"], "network": {"kind": "os.system"}}
    huge = {**told["specification"], "network": {"kind": "mlp", "widths": [10**9]}}
    for changes in (
        {"format": "pickle"}, {"specification": deep}, {"specification": huge}, {"more": 1},
        {"base": []}, {"base": [2.0]}, {"base": ["0.5"]}, {"base": 0.5}, {"card": "x"},
        {"dictionary": 3}, {"dictionary": {"tables": []}}, {"weights_sha256": 3},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            TrainedNetwork.from_files(numbers, text(**changes))
    for junk in (b"", b"[]", b"{" * 5000, pickle.dumps(told)):
        with pytest.raises(BadInput):
            TrainedNetwork.from_files(numbers, junk)
    with pytest.raises(BadInput, match="could run code"):
        TrainedNetwork.from_files(pickle.dumps(arrays), description)


def test_a_card_says_what_was_done_for_whom_and_at_what_cost() -> None:
    request = training(rounds=3, by=("sex",))
    opened = rounds_of(request, NODES, "3")
    card = card_of_network(request, registry(), request.conclude(registry(), opened), PROVENANCE)
    text = markdown(card)
    for part in ("als-2026", "age >= 40".replace(">", "&gt;"), registry().digest, "1/1000000",
                 "one member with all their records", "berlin entry 12", "AUC", "sex = f",
                 "planning visits", "berlin, lyon, turin"):  # fmt: skip
        assert part in text
    assert "<script>" not in text
    assert "| # not" not in text
    told = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert told["provenance"]["epsilon"] == "3"
    assert told["figures"]["rows"]
    several = replace(card, provenance=replace(PROVENANCE, memberships=2))
    assert "at up to 2 organisations" in markdown(several)


def test_a_released_network_is_straightened_and_keeps_the_order() -> None:
    request, network = released()
    opened = rounds_of(request, NODES, "3")
    plain = replace(network, weights=request.weights(registry(), opened))
    rows = patients(400, 21)
    one, two = network.predict(rows), plain.predict(rows)
    assert np.array_equal(np.argsort(one, kind="stable"), np.argsort(two, kind="stable"))
    assert not np.allclose(one, two)
