"""What an earlier regression opened of its covariates, for a later one of another outcome.

Moments and products of covariates depend on no outcome and no family; the information of a fit by
`newton` does, and is not reused. A later question carries the totals of both rounds, as the release
that it names opened them, and pays for its outcome's moments and its scores alone.
`models.reusing` holds them against that release.

Guarantee: a function of released totals and public facts; a member's bound and the noise do not
depend on it, whatever the totals say.
Assumes: the later question is of the same members; who lacks a value of a column that it leaves
out stands in its scores, and not in the totals.
"""

from __future__ import annotations

from itertools import chain

import numpy as np

from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression.batch import Floats, many_table
from models.regression.coding import columns_read
from models.regression.design import CONSTANT, Design
from models.regression.outcome import Glm
from models.regression.population import Covariates, Population
from models.regression.syntax import Formula
from privacy.contract.facts import Fact
from privacy.errors import BadInput
from privacy.ledger.entry import Mechanism

BYTES = 8  # of a number of a total


class ReusedRound(Fact):
    """One round of the release: its noise, how many took part, and what was asked and opened, in
    hexadecimal: `totals` as 64-bit integers, little end first."""

    mechanism: Mechanism
    survivors: int
    state: str
    totals: str

    @classmethod
    def of(cls, opening: Opening) -> ReusedRound:
        return cls(
            mechanism=Mechanism.of(opening.law.mechanism),
            survivors=opening.law.survivors,
            state=opening.state.hex(),
            totals=np.array(opening.totals, dtype="<i8").tobytes().hex(),
        )

    @property
    def state_bytes(self) -> bytes:
        return _bytes_of(self.state, "state")

    @property
    def totals_bytes(self) -> bytes:
        return _bytes_of(self.totals, "totals")

    @property
    def opening(self) -> Opening:
        """Raises BadInput for what no round opened."""
        totals = self.totals_bytes
        if len(totals) % BYTES:
            raise BadInput("totals are 64-bit integers", where="reuse")
        law = NoiseLaw(self.mechanism.event, self.survivors)
        return Opening(tuple(np.frombuffer(totals, "<i8").tolist()), law, self.state_bytes)


def _bytes_of(text: str, where: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if found.hex() != text:
        raise BadInput("not lower-case hexadecimal digits", where=f"reuse.{where}")
    return found


def check_columns(later: Glm, earlier: Glm) -> None:
    """Raises BadInput unless both models are of the same rows with the same weights, and the
    columns of the later one are among those of the earlier one."""
    one, other = later.design.formula, earlier.design.formula
    shared = _read(one) & _read(other)
    for holds, what in (
        (one.weight == other.weight, "weights"),
        (many_table(later.columns) == many_table(earlier.columns), "a member's rows"),
        (later.tells_apart <= earlier.tells_apart, "organisations"),
        (one.gaps & shared == other.gaps & shared, "missing values"),
    ):
        if not holds:
            raise BadInput(
                f"the earlier model takes {what} otherwise",
                where="reuse",
                instead="write the same in the formula, or ask without reuse",
            )
    _kept(later, earlier)


def _read(formula: Formula) -> frozenset[str]:
    factors = chain.from_iterable(formula.terms)
    return frozenset(ref.name for factor in factors for ref in columns_read(factor))


def covariates_of(later: Glm, earlier: Glm, population: Population) -> Covariates:
    """The law of the earlier model's columns, as that of the later one's; see `check_columns`."""
    mean, covariance = _outside(earlier.design, population)
    kept = _kept(later, earlier)
    matrix, constant = later.design.back  # x inside = x outside @ matrix + constant
    mean = mean[kept] @ matrix + constant
    covariance = matrix.T @ covariance[np.ix_(kept, kept)] @ matrix
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise BadInput("the totals of that release describe no covariates", where="reuse")
    return Covariates(
        mean,
        covariance,
        population.roughness,
        population.members,
        population.noise,
        unclear=population.unclear.among(kept),
    )


def _outside(design: Design, population: Population) -> tuple[Floats, Floats]:
    """Mean and covariance of the columns as they are outside, and of a one at the end."""
    matrix, constant = design.back
    inverse = np.linalg.inv(matrix)
    mean = (population.mean - constant) @ inverse
    covariance = inverse.T @ population.covariance @ inverse
    return np.append(mean, 1.0), np.pad(covariance, (0, 1))


def _kept(later: Glm, earlier: Glm) -> list[int]:
    """Where the later model's columns stand among the earlier one's and a one at the end."""
    places = {key: at for at, key in enumerate(earlier.design.keys)}
    places.setdefault(CONSTANT, len(places))
    for key, name in zip(later.design.keys, later.design.names, strict=True):
        if key not in places:
            raise BadInput(
                f"{name} is no column of the earlier model",
                where="reuse",
                instead="name terms of that model as it writes them, or ask without reuse",
            )
    return [places[key] for key in later.design.keys]
