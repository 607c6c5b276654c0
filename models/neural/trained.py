"""A trained network as two files: numbers in safetensors, and in JSON what they mean.

Reading them executes nothing: the network is one of a closed list, its shapes must follow from
its description, and its numbers must be finite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.neural.architecture import MAX_PARAMETERS, Sizes, arrays, parameters
from models.neural.features import encode
from models.neural.scoring import scores
from models.neural.specification import Specification, compiled
from models.neural.tensors import from_bytes, to_bytes
from models.rows import Rows
from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

FORMAT = "network 1"
MAX_DESCRIPTION_BYTES = 10 * 2**20
_FIELDS = {"format", "specification", "dictionary", "sizes", "weights_sha256", "card"}


@dataclass(frozen=True, repr=False, eq=False)
class TrainedNetwork:
    """A released network. `dictionary`: the digest of the one it was trained with; `card`: see
    `models.neural.card`, as JSON."""

    specification: Specification
    sizes: Sizes
    dictionary: str
    weights: NDArray[np.float32]
    card: Mapping[str, Any]

    def files(self) -> tuple[bytes, bytes]:
        """(model.safetensors, model.json)."""
        layout = parameters(self.specification.network, self.sizes)
        numbers = to_bytes(arrays(layout, self.weights), {"format": FORMAT})
        description = {
            "format": FORMAT,
            "specification": self.specification.to_json(),
            "dictionary": self.dictionary,
            "sizes": vars(self.sizes),
            "weights_sha256": sha256_hex(numbers),
            "card": dict(self.card),
        }
        text = json.dumps(description, indent=2, sort_keys=True, ensure_ascii=False)
        return numbers, text.encode("utf-8")

    @classmethod
    def from_files(cls, numbers: bytes, description: bytes) -> Self:
        """Read `files`' form. Raises BadInput for anything else: other fields, another network,
        shapes that do not follow from it, numbers that are not finite or not those described."""
        told = _description(description)
        specification = Specification.from_json(told["specification"])
        sizes = _sizes(told["sizes"])
        found, _ = from_bytes(numbers)
        if sha256_hex(numbers) != told["weights_sha256"]:
            raise BadInput("the numbers are not those described", where="model.safetensors")
        layout = parameters(specification.network, sizes)
        for each in layout:
            if each.name not in found or found[each.name].shape != each.shape:
                raise BadInput(f"{each.name} of shape {each.shape} belongs here", where="model")
        if len(found) > len(layout):
            raise BadInput("an array that the network does not have", where="model")
        weights = np.concatenate([found[each.name].ravel() for each in layout])
        return cls(specification, sizes, told["dictionary"], weights, told["card"])

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """What the network says of each member: risks [members] of an event, probabilities
        [members, levels], or numbers [members] in the column's unit.

        Raises BadInput where the rows are of another dictionary.
        """
        made = compiled(self.specification, self._checked(rows.dictionary))
        batch = encode(made.encoding, made.outcome, rows, np.ones(rows.members, dtype=np.bool_))
        network = self.specification.network
        return scores(network, made.layout, self.weights, made.outcome, batch)

    def _checked(self, dictionary: Dictionary) -> Dictionary:
        if dictionary.digest != self.dictionary:
            raise BadInput(
                "the network was trained with another dictionary",
                where="dictionary",
                instead=f"use the one whose digest is {self.dictionary}",
            )
        return dictionary


def _description(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_DESCRIPTION_BYTES:
        raise BadInput(f"larger than {MAX_DESCRIPTION_BYTES} bytes", where="model.json")
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput("not JSON", where="model.json") from None
    if not isinstance(told, dict) or set(told) != _FIELDS or told["format"] != FORMAT:
        raise BadInput("not the description of a network", where="model.json")
    texts = (told["dictionary"], told["weights_sha256"])
    if not all(isinstance(each, str) for each in texts) or not isinstance(told["card"], dict):
        raise BadInput("not the description of a network", where="model.json")
    canonical_bytes(told["specification"])
    return told


def _sizes(value: Any) -> Sizes:
    names = ("static", "visit", "visits", "outputs")
    if not isinstance(value, dict) or set(value) != set(names):
        raise BadInput("sizes are " + ", ".join(names), where="model.json")
    if not all(type(each) is int and 0 <= each <= MAX_PARAMETERS for each in value.values()):
        raise BadInput("sizes are whole numbers", where="model.json")
    return Sizes(**value)
