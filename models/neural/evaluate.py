"""Scoring members with a released network, at their own organisations: how well it predicts there.

The weights stand in the question, which the researcher signs and every node reads: nothing has to
be fetched or believed. Each node scores its own members and counts them by bin of their score,
outcome and group; the noised sum of those tables is all that is opened.

Guarantee: a member is in one cell of each table, whatever the weights are.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.wording import word, words
from models.changed import changed
from models.neural.groups import expected_area, groups_of
from models.neural.metrics import metrics
from models.neural.outcome import Amount
from models.neural.scoring import Tables, group_name, tables_of
from models.neural.shapes import ScoreTables
from models.neural.specification import Compiled, Specification, compiled
from models.neural.step import Step
from models.noise_law import NoiseLaw
from models.result import Result
from privacy.contract.canonical import sha256_hex
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

Floats = NDArray[np.float32]
MAX_WEIGHTS = 20_000


class Evaluate(Request):
    """`weights`: the network's, as float32, little end first, in base64. `base`: the outcome's
    level where it was trained, as decimal text, about which the bins of scores lie. `by` names
    groups to report on apart."""

    kind: Literal["evaluate"] = "evaluate"
    by_size: ClassVar[bool] = True
    specification: Specification
    weights: str
    base: tuple[str, ...]
    by: tuple[str, ...] = ()

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
            by=tuple(ref.name for ref in groups_of(dictionary, self.by)),
        )

    def cells(self, dictionary: Dictionary) -> Labels:
        """The groups that figures are given of."""
        _, tables = self._made(dictionary)
        return tuple((group_name(*group),) for group in tables.groups)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> ScoreTables:
        made, tables = self._made(dictionary)
        step = Step(self.specification.network, made.layout, made.loss, 1.0)
        numbers = read_weights(self.weights, made.length)
        return ScoreTables(step, made.encoding, made.outcome, numbers, tables, delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        """How well the network predicts these members; `cell` is (group, figure)."""
        made, tables = self._made(dictionary)
        opened = np.array(totals, dtype=np.int64)
        rows = metrics(tables, made.outcome, opened, law.mechanism.delta_grid, law.sd_grid)
        notes = (f"Scored with network {self.name}, its risks as they are.",)
        return Result(self.kind, ("group", "figure"), rows, unit="", notes=notes)

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of the area under the curve of all members; see `models.neural.groups`."""
        made, tables = self._made(dictionary)
        if members is None or isinstance(made.outcome, Amount):
            return None
        return expected_area(tables, law, members)

    @property
    def name(self) -> str:
        """The first digits of the weights' SHA-256."""
        return sha256_hex(self.weights.encode("ascii"))[:12]

    def words(self) -> str:
        """What is computed, as the start of a sentence."""
        given = self.specification
        return (
            f"Scores members with a released network ({given.network.kind}) from "
            f"{words(given.features)} and compares with {word(given.outcome)}"
        )

    def method(self) -> str:
        """How it was done, in sentences for a paper."""
        return (
            "Every organisation scored its own members with the released network; members were "
            "counted by bin of their score, outcome and group, and the sums opened with discrete "
            "Gaussian noise. Intervals are by the delta method with sampling error and noise."
        )

    def _levels(self) -> Floats:
        found = []
        for text in self.base:
            try:
                value = float(Decimal(text))
            except InvalidOperation:
                value = math.nan
            if not -1 <= value <= 1:
                raise BadInput("base holds numbers from -1 to 1", where="base")
            found.append(value)
        return np.array(found, dtype=np.float32)

    def _made(self, dictionary: Dictionary) -> tuple[Compiled, Tables]:
        made = compiled(self.specification, dictionary)
        groups = groups_of(dictionary, self.by)
        return made, tables_of(made.outcome, self._levels(), groups)


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
