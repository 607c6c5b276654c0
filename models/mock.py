"""Made-up members, from the dictionary alone, and a question run on them in one process.

What comes out has the shape and the noise of a real answer and nothing of anybody's data.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from models.aggregates.catalogue import conclude, contribution
from models.aggregates.requests import Analysis, normalise
from models.cohort.parse import parse_cohort
from models.contribution import Contribution
from models.derivation import rounds_of
from models.in_memory import openings
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import cohort_mask, total
from models.result import Result
from models.rows import Codes, Rows, TableRows, Values, ranks
from models.streamed import Streamed
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Table
from privacy.discrete_gaussian import noise_share
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum
from privacy.randomness import Entropy

MISSING_SHARE = 0.03
DATES = (16436.0, 20088.0)  # 2015 to 2024 in days since 1970-01-01, where none are declared
MOST_ROWS = 6  # made-up rows per member, where the dictionary allows so many


def mock_rows(dictionary: Dictionary, members: int = 1000, seed: int = 0) -> Rows:
    """Plausible rows: uneven levels, numbers within bounds, a few values missing, and in
    many-row tables from no row to as many as are declared. The same seed, the same rows.

    Raises BadInput unless there is a member.
    """
    if members < 1:
        raise BadInput("mock data need at least one member")
    rng = np.random.default_rng(seed)
    tables = {table.name: _table(rng, table, members) for table in dictionary.tables}
    return Rows(dictionary, members, tables)


def _table(rng: np.random.Generator, table: Table, members: int) -> TableRows:
    if table.max_rows_per_member == 1:
        member: Codes = np.arange(members, dtype=np.int64)
    else:
        most = min(table.max_rows_per_member, MOST_ROWS)
        member = np.repeat(np.arange(members), rng.integers(0, most + 1, size=members))
    values = {
        column.name: _values(rng, column, len(member))
        for column in table.columns
        if column.type is not ColumnType.TEXT
    }
    return TableRows(member, ranks(member), values)


def _values(rng: np.random.Generator, column: Column, rows: int) -> Values:
    gaps = rng.random(rows) < MISSING_SHARE
    match column.type:
        case ColumnType.INTEGER | ColumnType.NUMBER:
            low, high = _range(column)
            numbers = low + (high - low) * rng.beta(2.0, 3.0, size=rows)
            whole = column.type is ColumnType.INTEGER
            return np.where(gaps, np.nan, np.round(numbers) if whole else numbers)
        case ColumnType.DATE:
            first, last = (round(day) for day in column.bounds or DATES)
            days = rng.integers(first, last + 1, size=rows).astype("datetime64[D]")
            return np.where(gaps, np.datetime64("NaT", "D"), days)
        case _:
            weights = 1.0 / np.arange(2, len(column.levels) + 2)
            codes = rng.choice(len(weights), size=rows, p=weights / weights.sum())
            return np.where(gaps, -1, codes).astype(np.int64)


def _range(column: Column) -> tuple[float, float]:
    if column.bounds is not None:
        return column.bounds
    return (column.edges[0], column.edges[-1]) if column.edges else (0.0, 100.0)


def mock_run(
    analysis: Analysis,
    cohort: str,
    dictionary: Dictionary,
    *,
    epsilon: str,
    delta: Fraction,
    nodes: int,
    margin: int,
    entropy: Entropy,
    memberships: int = 1,
    rows: Rows | None = None,
) -> Result:
    """Answer a question from mock rows along the path of a real one: in every round contribute,
    sum, add the noise shares of `nodes` nodes; then estimate. Raises what a real question would.
    """
    asked = normalise(analysis, dictionary)
    opened = mock_openings(
        asked,
        cohort,
        mock_rows(dictionary) if rows is None else rows,
        epsilon=epsilon,
        delta=delta,
        nodes=nodes,
        margin=margin,
        entropy=entropy,
        memberships=memberships,
    )
    return conclude(asked, dictionary, opened)


def mock_openings(
    asked: Analysis,
    cohort: str,
    rows: Rows,
    *,
    epsilon: str,
    delta: Fraction,
    nodes: int,
    margin: int,
    entropy: Entropy,
    memberships: int = 1,
) -> tuple[Opening, ...]:
    """What every round of a normalised analysis opens of mock rows."""
    dictionary, rho = rows.dictionary, rho_of_epsilon(parse_epsilon(epsilon), delta)
    mask = cohort_mask(parse_cohort(cohort, dictionary), rows)

    def opened(shape: Contribution, mechanism: GaussianSum) -> NDArray[np.int64]:
        return _noisy(shape, mechanism, rows, mask, entropy)

    rounds = rounds_of(asked, dictionary, rho, nodes, margin, memberships)
    return openings(asked, dictionary, rounds, opened)


def mock_opening(
    asked: Analysis, cohort: str, mechanism: GaussianSum, rows: Rows, entropy: Entropy
) -> Opening:
    """What one round of a normalised analysis opens of mock rows, with the noise of all nodes."""
    shape = contribution(asked, rows.dictionary, mechanism.delta_grid)
    mask = cohort_mask(parse_cohort(cohort, rows.dictionary), rows)
    totals = _noisy(shape, mechanism, rows, mask, entropy).tolist()
    return Opening(tuple(totals), NoiseLaw(mechanism, survivors=mechanism.nodes))


def _noisy(
    shape: Contribution,
    mechanism: GaussianSum,
    rows: Rows,
    mask: NDArray[np.bool_],
    entropy: Entropy,
) -> NDArray[np.int64]:
    noise = shares(mechanism, shape.length, entropy)
    return np.asarray(mock_total(shape, rows, mask) + noise)


def mock_total(shape: Contribution, rows: Rows, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[shape.length]: the exact total; where organisations are told apart, members belong to them
    in turn."""
    sites = shape.sites if isinstance(shape, Streamed) else ()
    if not sites:
        return total(shape, rows, mask)
    home = np.arange(rows.members) % len(sites)
    parts = [total(shape, rows, mask & (home == at), site) for at, site in enumerate(sites)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int64))


def shares(mechanism: GaussianSum, length: int, entropy: Entropy) -> NDArray[np.int64]:
    """The sum of one noise share per node, as a secure sum would open it."""
    drawn = [noise_share(entropy, mechanism.log2_sigma, length) for _ in range(mechanism.nodes)]
    return np.asarray(np.sum(drawn, axis=0, dtype=np.int64))
