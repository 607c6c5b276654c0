"""A1, A4, A6, A7, A11, A29: several questions, each harmless, that give a member away together.

Each attack is first won against exact answers, or against noise that nobody charges for.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from models.aggregates.catalogue import contribution
from models.aggregates.correlation import MAX_COLUMNS, Correlation
from models.aggregates.requests import Analysis, Count, Survival, normalise
from models.cohort.parse import parse_cohort
from models.contribution import Products
from models.reference import cohort_mask, total
from models.rows import Rows, from_tables
from privacy.accounting.conversion import rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import Code
from privacy.mechanism import GaussianSum, plan_mechanism
from privacy.units import Rho
from tests.support.guessing import DELTA, allowed, coins, noised, told_apart
from tests.support.network import PURPOSE, Network
from tests.support.rows_factory import categorical, number, one_row

RUNS = 2_000
MEMBERS = 60
WHOLE = rho_of_epsilon(Fraction(1), DELTA)  # of all questions of an attack together
GRID = ("0", "90", "180", "365", "1000")
CLINIC = Dictionary(
    tables=(
        one_row(
            "people",
            number("age", ("18", "95")),
            number("time", ("0", "1000"), GRID),
            categorical("secret", "no", "yes"),
            Column(name="died", type=ColumnType.BOOLEAN, levels=("false", "true")),
        ),
    )
)


def people(secret: str) -> pd.DataFrame:
    """Everybody has an age of their own; the first has the secret or not."""
    draw = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": range(MEMBERS),
            "age": np.linspace(20, 90, MEMBERS),
            "time": draw.permutation(np.linspace(10, 990, MEMBERS)),
            "secret": [secret, *np.where(draw.random(MEMBERS - 1) < 0.5, "yes", "no")],
            "died": np.where(draw.random(MEMBERS) < 0.6, "true", "false"),
        }
    )


def opened(asked: Analysis, cohort: str, frame: pd.DataFrame, grid: int) -> np.ndarray:
    """The exact total that a node computes, for a noise grid."""
    rows = from_tables(CLINIC, {"people": frame})
    shape = contribution(normalise(asked, CLINIC), CLINIC, grid)
    return np.asarray(total(shape, rows, cohort_mask(parse_cohort(cohort, CLINIC), rows)))


def part(of: int) -> GaussianSum:
    """One of so many questions that share the budget evenly."""
    return plan_mechanism(Rho(WHOLE.units // of), 3, 1)


# A1, A29: a cohort, and the same without one member

ALL = "secret == 'yes'"


@pytest.mark.parametrize(
    ("cohort", "first"), [(f"{ALL} and age != 20", 0), (ALL, 1)], ids=["by-words", "by-withdrawing"]
)
def test_a_difference_of_two_counts_tells_no_more_than_both_charges_allow(
    cohort: str, first: int
) -> None:
    """Both counts are of more than twenty. Exact, their difference is the member's secret."""
    half = part(2)
    worlds = [
        np.concatenate([opened(Count(), ALL, frame, half.delta_grid),
                        opened(Count(), cohort, frame[first:], half.delta_grid)])
        for frame in (people("no"), people("yes"))
    ]  # fmt: skip
    assert min(map(min, worlds)) > 20 * half.delta_grid
    exact = private = 0
    for trial, has in enumerate(coins(RUNS, 11)):
        counts = worlds[int(has)]
        seen = noised(counts, half, f"difference/{first}/{trial}")
        exact += (counts[0] - counts[1] > half.delta_grid / 2) == has
        private += (seen[0] - seen[1] > half.delta_grid / 2) == has
    assert exact == RUNS, "the stub tells every time"
    assert private / RUNS <= allowed(WHOLE, RUNS)


@pytest.mark.parametrize("trick", ["by-words", "by-withdrawing"])
def test_the_second_count_is_paid_for_like_the_first(
    trick: str, make: Callable[..., Network]
) -> None:
    network = make(epsilon_allowance="1")
    asked, node = {"kind": "count"}, network.nodes["ms-league"]
    assert network.ask(asked, "condition == 'als'", epsilon="1").release
    before = network.spent("ms-league")
    if trick == "by-withdrawing":
        someone = network.shape.people("ms-league").query("consent == 'yes'")["member"].iloc[0]
        node.steward.consent(str(someone), PURPOSE, "withdrawn", None, None)
    cohort = "condition == 'als'" + (" and age != 50" if trick == "by-words" else "")
    again = network.ask(asked, cohort, epsilon="0.5")
    assert again.code == Code.STUDY_BUDGET_EXCEEDED
    assert network.spent("ms-league") == before


# A6, A7: one question many times, in other words or of a coordinator that forgets its store


@pytest.mark.parametrize("times", [1, 10, 100])
def test_averaging_tells_no_more_than_the_budget_however_it_is_divided(times: int) -> None:
    assert averaged(part(times), times) <= allowed(WHOLE, RUNS)


def test_fresh_noise_that_nobody_charges_is_averaged_away() -> None:
    """The stub of the test above."""
    assert averaged(part(1), 400) > 0.95


def averaged(each: GaussianSum, times: int) -> float:
    """How often the mean of so many answers tells whether a member was counted."""
    right = 0
    for trial, present in enumerate(coins(RUNS, 12)):
        exact = np.full(times, each.delta_grid * int(present))
        seen = noised(exact, each, f"average/{times}/{each.log2_sigma}/{trial}").mean()
        right += (seen > each.delta_grid / 2) == present
    return right / RUNS


# A4: a secret column from its products with known ones

KNOWN, FEW = 9 * (MAX_COLUMNS - 1), 40
TABLE = Dictionary(
    tables=(
        one_row("people", number("secret", ("-1", "1")),
                *(number(f"k{at:02d}", ("-1", "1")) for at in range(KNOWN))),
    )
)  # fmt: skip


def test_products_with_known_columns_rebuild_a_secret_only_where_they_are_exact() -> None:
    """Nine correlations of a secret with seven known columns each, of forty members: more
    equations than members. The budget, not the noise of one answer, is what defends."""
    draw = np.random.default_rng(4)
    free = plan_mechanism(rho_of_epsilon(Fraction(20), DELTA), 3, 1)
    exact, freely, private = [], [], []
    for trial in range(25):
        known = draw.uniform(-1, 1, (FEW, KNOWN))
        secret = np.where(draw.random(FEW) < 0.5, 1.0, -1.0)
        columns = {f"k{at:02d}": known[:, at] for at in range(KNOWN)}
        rows = from_tables(TABLE, {"people": {"id": range(FEW), "secret": secret, **columns}})
        exact.append(np.abs(rebuilt(rows, known, None, trial) - secret).max())
        freely.append(np.sign(rebuilt(rows, known, free, trial)) == secret)
        private.append(np.sign(rebuilt(rows, known, part(9), trial)) == secret)
    assert max(exact) < 0.01, "the stub gives every secret away"
    assert np.mean(freely) > 0.75, "and so does noise that nobody adds up"
    assert np.mean(private) < 0.6, "what is left is hardly more than a coin"


def rebuilt(rows: Rows, known: np.ndarray, mechanism: GaussianSum | None, trial: int) -> np.ndarray:
    """The least squares of everybody's secret from all released products."""
    each = MAX_COLUMNS - 1
    products: list[float] = []
    for at in range(0, KNOWN, each):
        names = ("secret", *(f"k{at + place:02d}" for place in range(each)))
        asked = normalise(Correlation(columns=names), TABLE)
        shape = contribution(asked, TABLE, (mechanism or part(1)).delta_grid)
        assert isinstance(shape, Products)
        sums = np.asarray(total(shape, rows, np.ones(FEW, dtype=bool)))
        seen = sums if mechanism is None else noised(sums, mechanism, f"products/{trial}/{at}")
        for place in range(each):
            [column] = [n for n, m in enumerate(shape.monomials) if m.factors == (0, place + 1)]
            taken = column + int(shape.count_weight > 0)
            products.append(float(seen[taken]) * shape.monomials[column].divisor / shape.scale)
    return np.asarray(np.linalg.lstsq(known.T, np.array(products), rcond=None)[0])


# A11: dates from a survival curve


def curve(frame: pd.DataFrame) -> pd.Series:
    """Kaplan and Meier's, exact and at everybody's own time."""
    ordered = frame.sort_values("time")
    at_risk = np.arange(len(ordered), 0, -1)
    steps = np.where(ordered["died"] == "true", 1 - 1 / at_risk, 1.0)
    return pd.Series(np.cumprod(steps), index=ordered["time"].to_numpy())


def test_a_curve_gives_every_date_away_and_a_public_grid_none() -> None:
    frame = people("no")
    exact = curve(frame)
    falls = exact.index[np.diff(np.concatenate([[1.0], exact.to_numpy()])) < 0]
    dates = sorted(frame[frame["died"] == "true"]["time"])
    assert list(falls) == dates, "the stub names every date of a death"

    asked = Survival(time="time", event="died")
    grid = part(1).delta_grid
    moved = frame.copy()
    edges = np.array(GRID, dtype=float)
    starts = edges[np.searchsorted(edges, frame["time"], side="right") - 1]
    moved["time"] = np.floor((starts + frame["time"]) / 2)
    assert (moved["time"] != frame["time"]).all()
    same = opened(asked, "", moved, grid) == opened(asked, "", frame, grid)
    assert same.all(), "within an interval no date makes a difference, noise or not"
    alone = opened(asked, "", frame[:1], grid)
    assert told_apart(alone, part(1), "curve") <= allowed(WHOLE, RUNS)
    assert told_apart(alone, None, "curve") == 1.0
