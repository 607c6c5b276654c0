"""A released network as a question holds it, and how it is judged."""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.aggregates.expected import Expected
from models.aggregates.wording import word, words
from models.changed import changed
from models.neural.groups import expected_area
from models.neural.metrics import metrics
from models.neural.outcome import Amount
from models.neural.scoring import Tables, tables_of
from models.neural.shapes import ScoreTables
from models.neural.specification import Compiled, Specification, compiled
from models.neural.step import Step
from models.noise_law import NoiseLaw
from models.released.judge import Integers, Judge
from models.result import Estimate
from privacy.contract.canonical import sha256_hex
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.contract.facts import Fact
from privacy.errors import BadInput

Floats = NDArray[np.float32]
MAX_WEIGHTS = 20_000


class ReleasedNetwork(Fact):
    """`weights`: the network's, as float32, little end first, in base64. `base`: the outcome's
    level where it was trained, as decimal text, about which the bins of scores lie."""

    form: Literal["network"] = "network"
    specification: Specification
    weights: str
    base: tuple[str, ...]

    def normalised(self, dictionary: Dictionary) -> Self:
        """Columns by their full names. Raises BadInput for weights that are none of the network,
        or too many of them, and for what the dictionary does not allow."""
        made = compiled(self.specification, dictionary)
        numbers = read_weights(self.weights, made.length)
        if len(self.base) != made.outcome.outputs:
            raise BadInput("base has a number for each output", where="base")
        self._levels()
        return changed(
            self,
            specification=self.specification.normalised(dictionary),
            weights=weights_text(numbers),
        )

    def judge(self, dictionary: Dictionary, by: tuple[ColumnRef, ...]) -> NetworkJudge:
        made = compiled(self.specification, dictionary)
        step = Step(self.specification.network, made.layout, made.loss, 1.0)
        weights = read_weights(self.weights, made.length)
        return NetworkJudge(made, step, weights, tables_of(made.outcome, self._levels(), by))

    @property
    def name(self) -> str:
        """The first digits of the weights' SHA-256."""
        return sha256_hex(self.weights.encode("ascii"))[:12]

    def words(self) -> str:
        """The model, from what, of what."""
        given = self.specification
        return (
            f"network ({given.network.kind}) from {words(given.features)} and compares with "
            f"{word(given.outcome)}"
        )

    def _levels(self) -> Floats:
        found = []
        for text in self.base:
            try:
                value = float(Decimal(text))
            except (InvalidOperation, ValueError):  # of a signaling NaN too
                value = math.nan
            if not -1 <= value <= 1:
                raise BadInput("base holds numbers from -1 to 1", where="base")
            found.append(value)
        return np.array(found, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class NetworkJudge(Judge):
    """Figures of a network: see `models.neural.metrics`."""

    made: Compiled
    step: Step
    weights: Floats
    tables: Tables

    @property
    def by(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.tables.by

    def shape(self, delta_grid: int) -> ScoreTables:
        made = self.made
        return ScoreTables(
            self.step, made.encoding, made.outcome, self.weights, self.tables, delta_grid
        )

    def figures(self, totals: Integers, law: NoiseLaw) -> tuple[Estimate, ...]:
        grid = law.mechanism.delta_grid
        return metrics(self.tables, self.made.outcome, totals, grid, law.sd_grid)

    def expected(self, law: NoiseLaw, members: int) -> Expected | None:
        """Of the area under the curve of all members; see `models.neural.groups`."""
        amount = isinstance(self.made.outcome, Amount)
        return None if amount else expected_area(self.tables, law, members)


def weights_text(weights: Floats) -> str:
    """The one text of these weights."""
    return b64encode(np.ascontiguousarray(weights, dtype="<f4").tobytes()).decode("ascii")


def read_weights(text: str, length: int) -> Floats:
    """Shape [length]; raises BadInput for another number of weights, one that is not finite, and
    more than MAX_WEIGHTS."""
    if length > MAX_WEIGHTS:
        raise BadInput(
            f"the network has {length:,} weights, and {MAX_WEIGHTS:,} can be scored at the nodes",
            where="weights",
            instead="train a narrower one",
        )
    if len(text) != 4 * -(-4 * length // 3):
        raise BadInput(f"the network has {length:,} weights", where="weights")
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadInput("not base64", where="weights") from None
    if len(data) != 4 * length:
        raise BadInput(f"the network has {length:,} weights", where="weights")
    found = np.frombuffer(data, dtype="<f4").astype(np.float32)
    if not np.isfinite(found).all():
        raise BadInput("a weight is not finite", where="weights")
    return found
