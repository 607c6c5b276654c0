"""A trained network as two files: numbers in safetensors, and in JSON what they mean.

Reading them executes nothing: the network is one of a closed list, its shapes must follow from
its description and the dictionary in it, and its numbers must be finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.description import description_bytes, read_description
from models.neural.architecture import arrays
from models.neural.features import encode
from models.neural.frames import rows_of
from models.neural.scoring import scores
from models.neural.specification import Compiled, Specification, compiled
from models.neural.tensors import from_bytes, to_bytes
from models.rows import Columns, Rows
from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

FORMAT = "network 1"
_FIELDS = {"format", "specification", "dictionary", "base", "weights_sha256", "card"}


@dataclass(frozen=True, repr=False, eq=False)
class TrainedNetwork:
    """A released network. `dictionary`: the one it was trained with; `base`: the noised level of
    the outcome there (shares, or a scaled mean); `card`: see `models.released.card`, as JSON."""

    specification: Specification
    dictionary: Dictionary
    base: tuple[float, ...]
    weights: NDArray[np.float32]
    card: Mapping[str, Any]

    def __repr__(self) -> str:
        made = self.specification
        features = ", ".join(made.features)
        return f"TrainedNetwork({made.network.kind} of {features} for {made.outcome})"

    @cached_property
    def compiled(self) -> Compiled:
        return compiled(self.specification, self.dictionary)

    def files(self) -> tuple[bytes, bytes]:
        """(model.safetensors, model.json)."""
        numbers = to_bytes(arrays(self.compiled.layout, self.weights), {"format": FORMAT})
        description = {
            "format": FORMAT,
            "specification": self.specification.to_json(),
            "dictionary": self.dictionary.to_json(),
            "base": list(self.base),
            "weights_sha256": sha256_hex(numbers),
            "card": dict(self.card),
        }
        return numbers, description_bytes(description)

    @classmethod
    def from_files(cls, numbers: bytes, description: bytes) -> Self:
        """Read `files`' form. Raises BadInput for anything else: other fields, another network,
        shapes that do not follow from it, numbers that are not finite or not those described."""
        told = read_description(description, FORMAT, _FIELDS, "weights_sha256", "a network")
        canonical_bytes(told["specification"])
        specification = Specification.from_json(told["specification"])
        dictionary = Dictionary.from_json(told["dictionary"])
        made = compiled(specification, dictionary)
        found, _ = from_bytes(numbers)
        if sha256_hex(numbers) != told["weights_sha256"]:
            raise BadInput("the numbers are not those described", where="model.safetensors")
        for each in made.layout:
            if each.name not in found or found[each.name].shape != each.shape:
                raise BadInput(f"{each.name} of shape {each.shape} belongs here", where="model")
        if len(found) > len(made.layout):
            raise BadInput("an array that the network does not have", where="model")
        weights = np.concatenate([found[each.name].ravel() for each in made.layout])
        base = _base(told["base"], made.outcome.outputs)
        return cls(specification, dictionary, base, weights, told["card"])

    def predict(self, of: Rows | Columns | Mapping[str, Columns]) -> NDArray[np.float64]:
        """What the network says of each member: risks [members] of an event, probabilities
        [members, levels], or numbers [members] in the column's unit.

        `of` is a frame, or several tables by name (see `models.neural.frames.rows_of`), or rows in
        memory. Raises BadInput for rows of another dictionary, a column that the network reads
        and the frame lacks, and a value that the column cannot have.
        """
        rows = of if isinstance(of, Rows) else rows_of(self.compiled, self.dictionary, of)
        if rows.dictionary.digest != self.dictionary.digest:
            raise BadInput(
                "the network was trained with another dictionary",
                where="dictionary",
                instead=f"use the one whose digest is {self.dictionary.digest}",
            )
        return self.scored(rows)

    @property
    def reads(self) -> tuple[ColumnRef, ...]:
        """The columns of `scored`."""
        made = self.compiled
        return tuple({*made.encoding.static, *made.encoding.visit, made.outcome.column})

    def scored(self, rows: Rows) -> NDArray[np.float64]:
        """The same of rows that hold `reads`, of this dictionary."""
        made = self.compiled
        batch = encode(made.encoding, made.outcome, rows, np.ones(rows.members, dtype=np.bool_))
        network = self.specification.network
        return scores(network, made.layout, self.weights, made.outcome, batch)


def _base(value: Any, outputs: int) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != outputs:
        raise BadInput("base has a number for each output", where="model.json")
    if not all(isinstance(each, float) and -1 <= each <= 1 for each in value):
        raise BadInput("base holds numbers from -1 to 1", where="model.json")
    return tuple(value)
