"""Training as an analysis in rounds: outcome counts, gradients, and a table of scores at the end.

Round 0 opens how many members there are by outcome (or their mean): it sets the step's size, the
smallest cohort is judged by it, and the network starts at the outcome's level. Rounds 1 to
`rounds` open sums of members' clipped vectors. The last opens tables of the trained network's
scores, of which the figures are made.

Guarantee: every round is within its bound for every state; what is told to the nodes is a
function of what was opened before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Literal, Self, assert_never

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.aggregates.counts import contribution as counts_of
from models.aggregates.expected import Expected
from models.aggregates.request import Labels, Request
from models.aggregates.values import mean_contribution, mean_moments
from models.aggregates.wording import word, words
from models.changed import changed
from models.contribution import BoundedValue, CellCounts
from models.neural.advice import advice
from models.neural.groups import expected_area, groups_of
from models.neural.law import (
    Law,
    Optimiser,
    State,
    default_momentum,
    default_rate,
    mean_gradient,
    stepped,
)
from models.neural.metrics import metrics, straightening
from models.neural.outcome import Amount, Event, Level
from models.neural.scoring import Tables, group_name, tables_of
from models.neural.shapes import MemberVectors, ScoreTables
from models.neural.specification import Compiled, Specification, compiled, first_weights
from models.neural.step import Local, Step
from models.neural.warnings import warnings
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

Floats = NDArray[np.float32]
Shape = CellCounts | BoundedValue | MemberVectors | ScoreTables
MAX_ROUNDS = 200
SHARES = (3, 90, 7)  # per cent of the cost: counts, all gradients, scores


class Train(Request):
    """A network trained by all members of the cohort whose outcome is known.

    Numbers are decimal text. `clip` bounds the norm of a member's vector; `rate` and `momentum`
    are the optimiser's, with defaults that depend on it and on the rounds. With `local_steps`
    above 1 every member's vector is the end of that many steps on their own records alone, at
    `local_rate`, held near the start by `proximal`. `by` names groups to report on apart.
    """

    kind: Literal["train"] = "train"
    by_size: ClassVar[bool] = True
    needs: ClassVar[str] = "torch"
    specification: Specification
    rounds: int = Field(default=20, ge=1, le=MAX_ROUNDS)
    clip: str = "1"
    optimiser: Optimiser = "adam"
    rate: str | None = None
    momentum: str | None = None
    local_steps: int = Field(default=1, ge=1, le=20)
    local_rate: str = "0.1"
    proximal: str = "0"
    by: tuple[str, ...] = ()

    def normalised(self, dictionary: Dictionary) -> Self:
        """Columns by their full names. Raises BadInput for what the dictionary does not allow."""
        self.law()
        self.local()
        return changed(
            self,
            specification=self.specification.normalised(dictionary),
            by=tuple(ref.name for ref in groups_of(dictionary, self.by)),
        )

    def law(self) -> Law:
        """Raises BadInput for a number out of its range."""
        rate = default_rate(self.optimiser, self.rounds)
        momentum = default_momentum(self.optimiser)
        return Law(
            optimiser=self.optimiser,
            rate=rate if self.rate is None else _number("rate", self.rate, 1e-6, 1e3),
            momentum=momentum
            if self.momentum is None
            else _number("momentum", self.momentum, 0, 0.999),
            clip=_number("clip", self.clip, 1e-4, 1e9),
        )

    def local(self) -> Local | None:
        """A member's own descent; None where a step is the gradient. Raises BadInput."""
        rate = _number("local_rate", self.local_rate, 1e-6, 100)
        proximal = _number("proximal", self.proximal, 0, 100)
        return None if self.local_steps == 1 else Local(self.local_steps, rate, proximal)

    def cells(self, dictionary: Dictionary) -> Labels:
        """The groups that figures are given of."""
        made = self.compiled(dictionary)
        groups = self.tables(made, dictionary, _flat(made)).groups
        return tuple((group_name(*group),) for group in groups)

    def contribution(self, dictionary: Dictionary, delta_grid: int) -> CellCounts | BoundedValue:
        """Of the first round."""
        return first_contribution(self.compiled(dictionary), delta_grid)

    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        raise BadInput("training is concluded from all its rounds", where="train")

    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """Of the area under the curve: see `models.neural.groups`; None for an amount, whose
        error no public fact tells."""
        made = self.compiled(dictionary)
        if members is None or isinstance(made.outcome, Amount):
            return None
        tables = self.tables(made, dictionary, _flat(made))
        return expected_area(tables, law, members)

    def advice(self, dictionary: Dictionary, members: int, epsilon: float) -> tuple[str, ...]:
        """Whether a network is worth its budget here: see `models.neural.advice`."""
        found = advice(members, epsilon, self.compiled(dictionary).length)
        return () if found is None else (found,)

    # The rounds

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        """The parts of the cost: of the counts, of every gradient, of the scores."""
        first, all_gradients, last = SHARES
        return (first * self.rounds, *([all_gradients] * self.rounds), last * self.rounds)

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> Shape:
        """Raises BadInput for bytes that are no state of this network."""
        made = self.compiled(dictionary)
        if number == 0:
            return first_contribution(made, delta_grid)
        told = State.from_bytes(state, made.length)
        if told.base.shape != (made.outcome.outputs,):
            raise BadInput("the state is of another outcome", where="state")
        step = self.step(made)
        if number <= self.rounds:
            return MemberVectors(step, made.encoding, made.outcome, told.weights, delta_grid)
        tables = self.tables(made, dictionary, told.base)
        return ScoreTables(step, made.encoding, made.outcome, told.weights, tables, delta_grid)

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        """Numbers that a round opens."""
        made = self.compiled(dictionary)
        if number == 0:
            return first_contribution(made, delta_grid).length
        if number <= self.rounds:
            return made.length
        return self.tables(made, dictionary, _flat(made)).length

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        """What round `len(opened)` is told: nothing at first, then where training has come."""
        if not opened:
            return b""
        made, last = self.compiled(dictionary), opened[-1]
        if len(opened) == 1:
            members, base = level_of(made, last)
            weights = first_weights(made, self.specification.seed, base)
            return State.start(weights, members, base).to_bytes()
        before = State.from_bytes(last.state, made.length)
        if len(opened) > self.rounds + 1:
            return last.state
        law, grid = self.law(), last.law.mechanism.delta_grid
        totals = np.array(last.totals, dtype=np.int64)
        return stepped(law, before, mean_gradient(law, before, totals, grid)).to_bytes()

    def same_state(self, stated: bytes, recomputed: bytes) -> bool:
        """Whether they agree but for the last digits, which machines round differently."""
        if stated == recomputed:
            return True
        try:
            ours = State.read(recomputed)
            return ours.near(State.read(stated))
        except BadInput:
            return False

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        """How well the trained network predicts, with intervals; `cell` is (group, figure)."""
        made, last = self.compiled(dictionary), opened[-1]
        told = State.from_bytes(last.state, made.length)
        tables, grid = self.tables(made, dictionary, told.base), last.law.mechanism.delta_grid
        totals = np.array(last.totals, dtype=np.int64)
        straight = straightening(tables, made.outcome, totals, grid)
        rows = metrics(tables, made.outcome, totals, grid, last.law.sd_grid, straight)
        notes = [
            f"Trained on about {told.members:.0f} members with a known outcome (a noisy count).",
            "Figures are of the members it was trained on; score others to see how it travels.",
        ]
        if isinstance(made.outcome, Event):
            notes.append("Risks were straightened by two numbers fitted to the same noised table.")
        notes += warnings(told, made.outcome, rows)
        return Result(self.kind, ("group", "figure"), rows, unit="", notes=tuple(notes))

    def trained(self, dictionary: Dictionary, last: Opening) -> Floats:
        """Shape [weights]: the released network, from a run's last opening alone: what it was
        asked with, and the table by which the risk of an event is straightened."""
        made = self.compiled(dictionary)
        told = State.from_bytes(last.state, made.length)
        tables = self.tables(made, dictionary, told.base)
        totals = np.array(last.totals, dtype=np.int64)
        straight = straightening(tables, made.outcome, totals, last.law.mechanism.delta_grid)
        return straight.weights(told.weights, made.layout[-2].count)

    def weights(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Floats:
        """Shape [weights]: the network after the last gradient, as it is."""
        made = self.compiled(dictionary)
        return State.from_bytes(
            self.state(dictionary, opened[: self.rounds + 1]), made.length
        ).weights

    # Its parts

    def compiled(self, dictionary: Dictionary) -> Compiled:
        return compiled(self.specification, dictionary)

    def step(self, made: Compiled) -> Step:
        return Step(
            self.specification.network, made.layout, made.loss, self.law().clip, self.local()
        )

    def tables(self, made: Compiled, dictionary: Dictionary, base: Floats) -> Tables:
        return tables_of(made.outcome, base, groups_of(dictionary, self.by))

    def words(self) -> str:
        """What is computed, as the start of a sentence."""
        features = words(self.specification.features)
        network = self.specification.network.kind
        return (
            f"Trains a network ({network}) in {self.rounds} rounds to predict "
            f"{word(self.specification.outcome)} from {features}"
        )

    def method(self) -> str:
        """How it was done, in sentences for a paper."""
        law = self.law()
        each = (
            "the gradient of that member's loss"
            if self.local_steps == 1
            else f"the end of {self.local_steps} steps on that member's records alone"
        )
        return (
            f"In each of {self.rounds} rounds every member gave {each}, scaled to an L2 norm of at "
            f"most {law.clip:g} and rounded to whole numbers; sums over all organisations were "
            f"opened with discrete Gaussian noise and moved the weights by {law.optimiser} (rate "
            f"{law.rate:.3g}, momentum {law.momentum:g}). Figures are from a noised table of "
            "binned scores, by the delta method with sampling error and noise."
        )


def _number(where: str, text: str, low: float, high: float) -> float:
    try:
        value = float(Decimal(text))
    except (InvalidOperation, ValueError):  # of a signaling NaN too
        value = math.nan
    if not low <= value <= high:
        raise BadInput(f"{text!r} is no number from {low:g} to {high:g}", where=where)
    return value


def first_contribution(made: Compiled, delta_grid: int) -> CellCounts | BoundedValue:
    """Round 0: members by outcome, or their count, sum and squares."""
    match made.outcome:
        case Event(column) | Level(column):
            return counts_of((column,), delta_grid)
        case Amount(column):
            return mean_contribution(column, delta_grid)
        case _:
            assert_never(made.outcome)


def level_of(made: Compiled, opening: Opening) -> tuple[float, Floats]:
    """The noised number of members with a known outcome, and its level: see `State.base`."""
    shape = first_contribution(made, opening.law.mechanism.delta_grid)
    if isinstance(shape, BoundedValue):
        moments = mean_moments(shape, opening.totals, opening.law)
        ratio = float(np.clip(np.nan_to_num(moments.ratio()), -1.0, 1.0)[0])
        return float(moments.count[0]), np.array([ratio], dtype=np.float32)
    cells = np.array(opening.totals, dtype=np.float64) / shape.weight
    shares = np.maximum(cells, 1.0) / np.maximum(cells, 1.0).sum()
    chosen = shares[[made.outcome.event]] if isinstance(made.outcome, Event) else shares
    return float(cells.sum()), chosen.astype(np.float32)


def _flat(made: Compiled) -> Floats:
    """Some level of the outcome: lengths do not depend on it."""
    return np.full(made.outcome.outputs, 0.5, dtype=np.float32)
