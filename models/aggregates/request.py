"""What every analysis has: a frozen request with its pair of pure functions.

A request names columns and public settings only; levels, bins and bounds come from the
dictionary. `contribution` says what one member adds, `estimate` what is made of the noisy
total.

Guarantee: `contribution(...).norm_squared <= delta_grid**2`, so the vectors of one
population with and without any one member differ by at most `delta_grid` in L2 norm.
Assumes: every method but `normalised` and `words` is called on a request that `normalised`
returned.

Most analyses open one total. One that asks in rounds says how the cost is divided (`shares`),
what everybody is told before a round (`state`, from what the rounds before it opened), what a
member then adds (`contribution_at`) and what is made of all the openings (`conclude`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from models.aggregates.expected import Expected
from models.contribution import Contribution
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.result import Result
from privacy.contract.dictionary import Dictionary
from privacy.contract.facts import Fact

Labels = tuple[tuple[str, ...], ...]


class Request(Fact):
    """One analysis. A subclass fixes `kind` by a Literal."""

    kind: str
    by_size: ClassVar[bool] = False  # does the expected error depend on the cohort's size?
    needs: ClassVar[str] = ""  # a library that every node must have besides the usual ones

    @abstractmethod
    def normalised(self, dictionary: Dictionary) -> Self:
        """The same request with every column as `table.column`, in the order asked.

        Raises BadInput for what the dictionary does not allow, and Refused(TOO_MANY_CELLS).
        """

    @abstractmethod
    def cells(self, dictionary: Dictionary) -> Labels:
        """The labels of every released number of cells; ((),) for a nameless one."""

    @abstractmethod
    def contribution(self, dictionary: Dictionary, delta_grid: int) -> Contribution:
        """What one member adds, scaled to use `delta_grid` as fully as integers allow.

        Raises BadInput where `delta_grid` is too small to carry anything.
        """

    @abstractmethod
    def estimate(self, dictionary: Dictionary, totals: Sequence[int], law: NoiseLaw) -> Result:
        """Estimates with intervals from the opened total (one integer per component)."""

    @abstractmethod
    def expected(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> Expected | None:
        """The expected half-width per cell from public facts; None where it needs `members`.

        `law` is that of the last round.
        """

    def expected_cells(
        self, dictionary: Dictionary, law: NoiseLaw, members: int | None
    ) -> tuple[Expected | None, ...]:
        """`expected` of each of `cells`; None where it is not known.

        That of one figure is no other's: to be given where several can be known.
        """
        found = self.expected(dictionary, law, members)
        named = self.cells(dictionary)
        several = found is not None and any(found.figure in cell for cell in named)
        if found is None or not found.figure or not several:
            return (found,) * len(named)
        return tuple(found if found.figure in cell else None for cell in named)

    @abstractmethod
    def words(self) -> str:
        """What is computed, as the start of a sentence."""

    def advice(self, dictionary: Dictionary, members: int, epsilon: float) -> tuple[str, ...]:
        """What to consider before asking `members` (declared or noised) with `epsilon`."""
        return ()

    def method(self) -> str:
        """How the estimate and its interval are made, in sentences for a paper."""
        return ""

    # Analyses in rounds

    def shares(self, dictionary: Dictionary) -> tuple[int, ...]:
        """The parts, as weights, in which the cost of a run is divided over its rounds."""
        return (1,)

    def spared(self, dictionary: Dictionary) -> int:
        """The part of the cost, in the weights of `shares`, that an earlier release paid."""
        return 0

    def state(self, dictionary: Dictionary, opened: Sequence[Opening]) -> bytes:
        """What every node is told before round `len(opened)`; a function of the openings alone."""
        return b""

    def same_state(self, stated: bytes, recomputed: bytes) -> bool:
        """Whether a stated state is the one an auditor recomputed (floats may differ a little)."""
        return stated == recomputed

    def contribution_at(
        self, dictionary: Dictionary, delta_grid: int, number: int, state: bytes
    ) -> Contribution:
        """What one member adds in round `number`; its length is `length_at`, whatever `state`.

        Within the bound for EVERY state, honest or not. Raises BadInput for bytes that are no
        state of this analysis.
        """
        return self.contribution(dictionary, delta_grid)

    def length_at(self, dictionary: Dictionary, delta_grid: int, number: int) -> int:
        """How many numbers round `number` opens; known, like its cost, before the first round.

        To be given by an analysis that has a state: no state is taken for one here.
        """
        return self.contribution_at(dictionary, delta_grid, number, b"").length

    def conclude(self, dictionary: Dictionary, opened: Sequence[Opening]) -> Result:
        """Estimates with intervals from the openings of every round."""
        return self.estimate(dictionary, opened[-1].totals, opened[-1].law)
