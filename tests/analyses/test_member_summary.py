"""Per-member summaries: pandas' figures, a published mean, intervals that cover, one vote each."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import MemberSummary, normalise
from models.dictionary_file import load_dictionary
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.planner import preview
from models.reference import contribute, quantised
from models.rows import Rows, from_tables
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput
from privacy.mechanism import plan_mechanism
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import clinic

LOOPERS = load_dictionary(
    """
    [tables.members]
    key = "id"
    rows = "one"
    [tables.members.columns]
    baseline = { type = "date" }
    device = { levels = ["pump", "pen"] }
    [tables.glucose]
    key = "id"
    rows = "many"
    max_rows_per_member = 300
    time = "day"
    [tables.glucose.columns]
    day = { type = "date" }
    value = { type = "number", lower = 20, upper = 500, unit = "mg/dL" }
    """,
    "dictionary.toml",
)
IN_RANGE = "share(glucose.value between 70 and 180)"
MEMBERS, PUBLISHED = 75, 0.8208


def loopers(seed: int = 1, members: int = MEMBERS, readings: int = 200) -> Rows:
    """People whose time in range has the published mean, each reading drawn around it."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.normal(PUBLISHED, 0.09, members), 0.3, 1)
    share = np.clip(share + PUBLISHED - share.mean(), 0.3, 1)
    member = np.repeat(np.arange(members), readings)
    inside = rng.random(len(member)) < share[member]
    outside = np.where(rng.random(len(member)) < 0.1, 60.0, 220.0)
    days = np.tile(np.arange(readings), members).astype("timedelta64[D]")
    keys = [f"m{at}" for at in range(members)]
    return from_tables(
        LOOPERS,
        {
            "members": {
                "id": keys,
                "device": ["pump" if at % 3 else "pen" for at in range(members)],
                "baseline": ["2020-04-10"] * members,
            },
            "glucose": {
                "id": [keys[at] for at in member],
                "day": (np.datetime64("2020-01-01") + days).astype(str).tolist(),
                "value": np.where(inside, rng.uniform(70, 180, len(member)), outside),
            },
        },
    )


def frame(rows: Rows) -> pd.DataFrame:
    table = rows.tables["glucose"]
    return pd.DataFrame({"m": table.member, "v": table.values["value"], "at": table.rank})


@pytest.mark.parametrize(
    ("figure", "own"),
    [
        (IN_RANGE, lambda v: v.between(70, 180).mean()),
        ("mean(glucose.value)", lambda v: v.mean()),
        ("max(glucose.value)", lambda v: v.max()),
        ("first(glucose.value)", lambda v: v.iloc[0]),
        ("last(glucose.value)", lambda v: v.iloc[-1]),
        ("count(glucose: value > 180)", lambda v: (v > 180).sum()),
    ],
)
def test_it_is_the_mean_of_the_members_own_figures(figure: str, own: object) -> None:
    rows = loopers()
    wanted = frame(rows).groupby("m")["v"].apply(own)  # type: ignore[call-overload]
    found = by_cell(answer(MemberSummary(figure=figure), rows))
    assert found["mean",].estimate == pytest.approx(wanted.mean(), rel=1e-4)
    assert found["standard deviation",].estimate == pytest.approx(wanted.std(), rel=2e-3)


def test_windows_and_groups() -> None:
    rows = loopers()
    device = rows.tables["members"].values["device"]
    early = frame(rows).query("at < 100")
    wanted = early.assign(d=device[early["m"]]).groupby(["d", "m"])["v"].mean()
    figure = "mean(glucose.value before members.baseline needing 50 rows)"
    found = by_cell(answer(MemberSummary(figure=figure, by=("device",)), rows))
    for level, name in enumerate(("pump", "pen")):
        assert found["mean", name].estimate == pytest.approx(wanted[level].mean(), rel=1e-5)
        assert found["standard deviation", name].estimate == pytest.approx(
            wanted[level].std(), rel=1e-3
        )


def test_the_published_time_in_range() -> None:
    """75 people who loop: 82.08 % of readings in range, the mean of their own shares."""
    rows, held, widths = loopers(), 0, []
    for seed in range(40):
        asked = MemberSummary(figure=IN_RANGE, range=("0.5", "1"))
        result = answer(asked, rows, epsilon="3", seed=seed, nodes=10)
        found = by_cell(result)["mean",]
        held += found.low <= PUBLISHED <= found.high
        widths.append(found.high - found.low)
    assert held >= 36
    assert np.mean(widths) / 2 < 0.03


def test_a_narrower_range_is_a_narrower_interval() -> None:
    rows = loopers()
    wide = by_cell(answer(MemberSummary(figure=IN_RANGE), rows, epsilon="2"))["mean",]
    asked = MemberSummary(figure=IN_RANGE, range=("0.5", "1"))
    narrow = by_cell(answer(asked, rows, epsilon="2"))["mean",]
    assert narrow.se_noise < 0.6 * wide.se_noise


@pytest.mark.parametrize(("members", "epsilon"), [(200, "1"), (2000, "0.3"), (2000, "3")])
def test_intervals_cover(members: int, epsilon: str) -> None:
    runs, hits = 500, 0
    rng = np.random.default_rng(members)
    asked = normalise(MemberSummary(figure=IN_RANGE), LOOPERS)
    rho = rho_of_epsilon(parse_epsilon(epsilon), Fraction(1, 10**6))
    law = NoiseLaw(plan_mechanism(rho, 10, 2), survivors=10)
    shape = asked.contribution(LOOPERS, law.mechanism.delta_grid)
    assert isinstance(asked, MemberSummary)
    for _ in range(runs):
        q = quantised(shape.variables[0], rng.beta(8, 2, members))
        powers = np.stack([np.full(members, 1.0), *(q / shape.scale) ** np.arange(1, 5)[:, None]])
        mixing = np.array([1, 1, 1, 1 / 4, 1 / 4]), np.array([0, 0, 0.5, 0, 0.125])
        exact = powers.sum(axis=1) * mixing[0] - mixing[1] * members
        noisy = np.rint(exact * shape.scale + rng.normal(0, law.sd_grid, 5)).astype(np.int64)
        row = by_cell(asked.estimate(LOOPERS, noisy.tolist(), law))["mean",]
        hits += row.low <= 0.8 <= row.high
    below = 3 * math.sqrt(0.05 * 0.95 / runs)
    assert 0.93 - below <= hits / runs
    assert hits / runs <= 0.98 + below


def test_a_member_of_many_rows_counts_once_and_a_mutant_that_adds_rows_does_not() -> None:
    rows = loopers(members=3, readings=300)
    shape = normalise(MemberSummary(figure="mean(glucose.value)"), LOOPERS).contribution(
        LOOPERS, 10_000
    )
    matrix = contribute(shape, rows, np.ones(3, dtype=bool))
    assert max(int(line @ line) for line in matrix) <= shape.norm_squared <= 10_000**2
    by_row = 300 * matrix
    assert max(int(line @ line) for line in by_row) > 10_000**2


def test_a_preview_says_what_a_range_buys() -> None:
    wide, narrow = (
        preview(
            MemberSummary(figure=IN_RANGE, range=limits),
            "",
            LOOPERS,
            epsilon="1",
            delta=Fraction(1, 10**6),
            nodes=10,
            margin=2,
            assumed_members=300,
        )
        for limits in ((), ("0.5", "1"))
    )
    assert wide.half_width is not None
    assert narrow.half_width == pytest.approx(wide.half_width / 2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (MemberSummary(figure="severity"), "write a figure of its rows: mean("),
        (MemberSummary(figure="age"), "variance"),
        (MemberSummary(figure="first(symptom)"), "no clock|has no date|level"),
        (MemberSummary(figure="any(symptoms)"), "level"),
        (MemberSummary(figure="mean(dose)"), "no bounds"),
        (MemberSummary(figure="mean(nothing)"), "no column"),
        (MemberSummary(figure="mean(severity"), "close the bracket"),
        (MemberSummary(figure="mean(severity)", by=("symptom",)), "many rows per member"),
        (MemberSummary(figure="mean(severity)", by=("sex", "members.sex")), "twice"),
        (MemberSummary(figure="mean(severity)", by=("height",)), "has no bins"),
        (MemberSummary(figure="mean(severity)", range=("7", "3")), "lower and its upper"),
        (MemberSummary(figure="mean(severity)", range=("3",)), "lower and its upper"),
        (MemberSummary(figure="mean(severity)", range=("-1", "5")), "outside the bounds"),
        (MemberSummary(figure="mean(severity)", range=("low", "5")), "no number"),
    ],
)
def test_what_does_not_fit_is_refused(asked: MemberSummary, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(asked, clinic())
    assert any(each in str(caught.value) for each in words.split("|")), caught.value


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    text = "mean(glucose.value within 90 to 30 days after members.baseline)"
    with pytest.raises(BadInput, match="ends before it starts"):
        normalise(MemberSummary(figure=text), LOOPERS)


def test_mock_members_have_figures() -> None:
    rows = mock_rows(LOOPERS, members=300, seed=2)
    found = by_cell(answer(MemberSummary(figure=IN_RANGE, by=("device",)), rows, epsilon="1"))
    assert 0 < found["mean", "pump"].estimate < 1
