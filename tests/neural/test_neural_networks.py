"""The closed list of networks: shapes, first weights, and what they compute."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from models.neural.architecture import Gru, Mlp, ResNet, Sizes, arrays, initial, parameters
from models.neural.forward import NUMPY, Inputs, outputs
from models.neural.gradient import TORCH
from privacy.errors import BadInput

SIZES = Sizes(static=5, visit=3, visits=4, outputs=2)
NETWORKS = [
    Mlp(widths=(7, 6), activation="relu"),
    Mlp(widths=(7,), activation="tanh", layer_norm=True),
    ResNet(width=6, hidden=5, blocks=2),
    Gru(width=6, head=(4,)),
]


def inputs(members: int, seed: int = 0) -> Inputs:
    draw = np.random.default_rng(seed)
    present = (np.arange(4) < draw.integers(0, 5, members)[:, None]).astype(np.float32)
    visits = draw.uniform(-1, 1, (members, 4, 3)) * present[..., None]
    static = draw.uniform(-1, 1, (members, 5))
    return Inputs(static.astype(np.float32), visits.astype(np.float32), present)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_numpy_and_torch_compute_the_same(network: Mlp | ResNet | Gru) -> None:
    layout = parameters(network, SIZES)
    weights = arrays(layout, initial(layout, 3))
    given = inputs(9)
    shown = outputs(network, NUMPY, weights, given)
    tensors = {name: torch.from_numpy(each) for name, each in weights.items()}
    parts = (torch.from_numpy(each) for each in (given.static, given.visits, given.present))
    assert shown.shape == (9, 2)
    assert np.allclose(shown, outputs(network, TORCH, tensors, Inputs(*parts)), atol=1e-6)


def test_an_mlp_is_torch_own_layers() -> None:
    layout = parameters(NETWORKS[1], SIZES)
    weights = arrays(layout, initial(layout, 3))
    norm = torch.nn.LayerNorm(7)
    own = torch.nn.Sequential(torch.nn.Linear(5, 7), norm, torch.nn.Tanh(), torch.nn.Linear(7, 2))
    with torch.no_grad():
        for mine, name in zip(own.parameters(), weights, strict=True):
            mine.copy_(torch.from_numpy(weights[name]))
        expected = own(torch.from_numpy(inputs(9).static)).numpy()
    assert np.allclose(outputs(NETWORKS[1], NUMPY, weights, inputs(9)), expected, atol=1e-6)


def test_a_gru_is_torch_own_cell() -> None:
    network = Gru(width=6)
    layout = parameters(network, SIZES)
    weights = arrays(layout, initial(layout, 3))
    tensors = {name: torch.from_numpy(each) for name, each in weights.items()}
    own = torch.nn.GRU(3, 6, batch_first=True)
    gates = ("reset", "update", "new")
    with torch.no_grad():
        own.weight_ih_l0.copy_(torch.cat([tensors[f"{each}.visit.weight"] for each in gates]))
        own.weight_hh_l0.copy_(torch.cat([tensors[f"{each}.hidden.weight"] for each in gates]))
        own.bias_ih_l0.copy_(torch.cat([tensors[f"{each}.visit.bias"] for each in gates]))
        own.bias_hh_l0.copy_(torch.cat([tensors[f"{each}.hidden.bias"] for each in gates]))
        given = inputs(9)
        for member in range(9):
            count = int(given.present[member].sum())
            ending = torch.zeros(6)
            if count:
                ending = own(torch.from_numpy(given.visits[member : member + 1, :count]))[1][0, 0]
            joined = torch.cat([ending, torch.from_numpy(given.static[member])])
            expected = joined @ tensors["out.weight"].T + tensors["out.bias"]
            shown = outputs(network, NUMPY, weights, given)[member]
            assert np.allclose(shown, expected.numpy(), atol=1e-5)


def test_first_weights_are_a_function_of_the_seed_alone() -> None:
    layout = parameters(NETWORKS[2], SIZES)
    torch.manual_seed(1)
    first = initial(layout, 5)
    torch.manual_seed(2)
    np.random.seed(3)
    assert np.array_equal(first, initial(layout, 5))
    assert not np.array_equal(first, initial(layout, 6))
    digest = hashlib.sha256(first.astype("<f4").tobytes()).hexdigest()
    assert digest == "07c1b27f93590ce9a800d856c93236ab57f3476eccab1cf9237fac35b95f72b7"


def test_first_weights_have_the_variance_of_their_inputs() -> None:
    layout = parameters(Mlp(widths=(400,)), Sizes(100, 0, 0, 1))
    weights = arrays(layout, initial(layout, 1))
    assert weights["layer0.weight"].var() == pytest.approx(1 / 100, rel=0.02)
    assert np.abs(weights["layer0.weight"]).max() <= np.sqrt(3 / 100)
    assert not weights["layer0.bias"].any()


def test_networks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="parameters"):
        parameters(Mlp(widths=(512, 512, 512, 512)), Sizes(1000, 0, 0, 1))
    with pytest.raises(BadInput, match="many-row"):
        parameters(Gru(), Sizes(3, 0, 0, 1))
    with pytest.raises(BadInput, match="at least one feature"):
        parameters(Mlp(), Sizes(0, 0, 0, 1))
    layout = parameters(Mlp(), Sizes(3, 0, 0, 1))
    with pytest.raises(BadInput, match="weights"):
        arrays(layout, np.zeros(5, dtype=np.float32))


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "mlp", "widths": [0]},
        {"kind": "mlp", "widths": []},
        {"kind": "mlp", "widths": [8], "activation": "eval"},
        {"kind": "mlp", "widths": [8], "batch_norm": True},
        {"kind": "mlp", "widths": [8] * 5},
        {"kind": "mlp", "widths": [True]},
    ],
)
def test_the_list_is_closed(value: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Mlp.from_json(value)
    assert Mlp.from_json({"kind": "mlp", "widths": [8]}) == Mlp(widths=(8,))
