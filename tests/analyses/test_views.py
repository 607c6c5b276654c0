"""Grids, maps, rankings and treatment reports against pandas; consistency and ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.aggregates.requests import (
    Analysis,
    Density,
    Map,
    Top,
    TreatmentReport,
    normalise,
)
from models.mock import mock_rows
from models.noise_law import NoiseLaw
from models.rows import Rows, TableRows, from_tables
from privacy.accounting.conversion import DEFAULT_DELTA, parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput, Refused
from privacy.mechanism import plan_mechanism
from tests.support.catalogue_factory import answer, by_cell
from tests.support.rows_factory import categorical, clinic, many_rows, number, one_row

ATLAS = Dictionary(
    tables=(
        one_row("m", categorical("region", "DE-BY", "DE-BE", "DE-HH", "FR-IDF", "FR-BRE", "IS")),
    )
)
DRUGS = Dictionary(
    tables=(
        many_rows(
            "t",
            4,
            categorical("drug", "a", "b"),
            categorical("purpose", "on-label", "off-label"),
            number("burden", ("0", "3"), ("0", "1", "2", "3")),
        ),
    )
)
ITEMS = Dictionary(
    tables=(many_rows("s", 12, categorical("item", *(f"item{i:03d}" for i in range(100)))),)
)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return mock_rows(clinic(), members=900, seed=41)


def test_a_grid_with_edges_of_its_own(rows: Rows) -> None:
    edges = (("0", "33.3", "50", "110"), ("-20", "-7.5", "5"))
    found = answer(Density(x="age", y="change", x_edges=edges[0], y_edges=edges[1]), rows)
    values = rows.tables["members"].values
    known = ~np.isnan(values["age"]) & ~np.isnan(values["change"])
    numbers = [[float(edge) for edge in each] for each in edges]
    wanted = np.histogram2d(values["age"][known], values["change"][known], bins=numbers)[0]
    assert found.by == ("age", "change")
    assert found.rows[0].cell == ("[0, 33.3)", "[-20, -7.5)")
    assert [row.estimate for row in found.rows] == pytest.approx(wanted.ravel(), abs=1e-4)


def test_countries_are_the_sums_of_their_regions_under_noise_too() -> None:
    rng = np.random.default_rng(3)
    levels = ATLAS.resolve("region").column.levels
    regions = rng.choice(levels, size=500)
    atlas = from_tables(ATLAS, {"m": {"id": list(range(500)), "region": list(regions)}})
    exact = by_cell(answer(Map(region="region"), atlas))
    counts = pd.Series(regions).value_counts()
    for level in levels:
        assert exact[level.split("-")[0], level].estimate == pytest.approx(counts[level], abs=1e-4)
    german = sum(counts[level] for level in levels if level.startswith("DE"))
    assert exact["DE", "all"].estimate == pytest.approx(german, abs=1e-4)
    noisy = by_cell(answer(Map(region="region"), atlas, epsilon="1"))
    for country in ("DE", "FR", "IS", "all"):
        inside = [
            row.estimate
            for (home, region), row in noisy.items()
            if region != "all" and country in (home, "all")
        ]
        assert noisy[country, "all"].estimate == pytest.approx(sum(inside))


def test_the_maps_stated_noise_is_the_noise_it_has() -> None:
    law = NoiseLaw(plan_mechanism(rho_of_epsilon(parse_epsilon("1"), DEFAULT_DELTA), 5, 1), 5)
    asked = normalise(Map(region="region"), ATLAS)
    rng = np.random.default_rng(5)
    runs = []
    for _ in range(2000):
        noise = np.rint(rng.normal(0, law.sd_grid, asked.contribution(ATLAS, 2**20).length))
        runs.append(asked.estimate(ATLAS, noise.astype(int).tolist(), law).rows)
    for at, row in enumerate(runs[0]):
        spread = np.std([run[at].estimate for run in runs])
        assert spread == pytest.approx(row.se_noise, rel=0.08), row.cell


def test_the_top_of_a_column_by_first_rows(rows: Rows) -> None:
    result = answer(Top(column="drug", k=2, cap=1), rows)
    treatments: TableRows = rows.tables["treatments"].first(1)
    counts = pd.Series(treatments.values["drug"]).loc[lambda s: s >= 0].value_counts()
    names = clinic().resolve("drug").column.levels
    assert [row.cell for row in result.rows[::2]] == [
        ("members", names[int(str(code))]) for code in counts.index[:2]
    ]
    assert [row.estimate for row in result.rows[::2]] == pytest.approx(counts[:2], abs=1e-4)
    assert [row.estimate for row in result.rows[1::2]] == [1, 2]
    assert [(row.low, row.high) for row in result.rows[1::2]] == [(1, 1), (2, 2)]


def items(rng: np.random.Generator, members: int) -> tuple[Rows, np.ndarray]:
    """Members with 2 to 9 different items of 100, of which the first are common."""
    weights = 1 / np.arange(2, 102) ** 1.1
    keys, codes = [], []
    for member in range(members):
        many = int(rng.integers(2, 10))
        own = rng.choice(100, size=many, replace=False, p=weights / weights.sum())
        keys += [member] * many
        codes += own.tolist()
    member, item = np.array(keys), np.array(codes)
    rank = np.concatenate([np.arange(n) for n in np.bincount(member)])
    table = TableRows(member, rank, {"item": item})
    return Rows(ITEMS, members, {"s": table}), np.bincount(item, minlength=100)


def test_ten_of_a_hundred_items_of_200_members_at_epsilon_1() -> None:
    rng = np.random.default_rng(12)
    shares, inside, total = [], 0, 0
    for run in range(40):
        drawn, true = items(rng, 200)
        tenth = np.sort(true)[-10]
        result = answer(Top(column="item"), drawn, epsilon="1", seed=run, nodes=10)
        named = [int(row.cell[1][4:]) for row in result.rows[::2]]
        shares.append(np.mean([true[item] >= tenth for item in named]))
        capped = np.bincount(drawn.tables["s"].first(5).values["item"], minlength=100)
        for item, row in zip(named, result.rows[1::2], strict=True):
            inside += row.low <= 1 + (capped > capped[item]).sum() <= row.high
            total += 1
    assert np.mean(shares) >= 0.65, np.mean(shares)
    assert inside / total >= 0.95


def test_a_treatment_report_has_many_views_of_one_release() -> None:
    rng = np.random.default_rng(9)
    member = np.repeat(np.arange(300), rng.integers(0, 4, 300))
    frame = pd.DataFrame(
        {
            "id": member,
            "drug": rng.choice(["a", "b"], len(member)),
            "purpose": rng.choice(["on-label", "off-label", None], len(member)),
            "burden": rng.choice([0.5, 1.5, 2.5], len(member)),
        }
    )
    reports = from_tables(DRUGS, {"t": {name: list(frame[name]) for name in frame}})
    found = by_cell(
        answer(TreatmentReport(treatment="drug", columns=("purpose", "burden")), reports)
    )
    for drug in ("a", "b"):
        mine = frame[frame.drug == drug]
        members = mine.id.nunique()
        assert found["members", drug, "all", "all"].estimate == pytest.approx(members, abs=1e-4)
        for purpose in ("on-label", "off-label"):
            wanted = mine[mine.purpose == purpose].id.nunique()
            cell = (drug, "purpose", purpose)
            assert found[("members", *cell)].estimate == pytest.approx(wanted, abs=1e-4)
            assert found[("share", *cell)].estimate == pytest.approx(wanted / members, abs=1e-6)
        heavy = mine[mine.burden == 2.5].id.nunique()
        assert found["members", drug, "burden", "[2, 3]"].estimate == pytest.approx(heavy, abs=1e-4)


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        (Density(x="age", y="age"), "stands twice"),
        (Density(x="age", y="change"), "declare bins"),
        (Density(x="age", y="sex", x_edges=("0", "200")), "outside the declared bounds"),
        (Density(x="age", y="sex", x_edges=("50", "20")), "do not ascend"),
        (Density(x="age", y="sex", x_edges=("50",)), "edges are 2 to"),
        (Density(x="age", y="sex", x_edges=("0", "many")), "is no number"),
        (Density(x="age", y="sex", x_edges=("0", "nan")), "not finite"),
        (Density(x="age", y="sex", y_edges=("0", "1")), "categorical"),
        (Density(x="height", y="sex", x_edges=("0", "1")), "declare lower"),
        (Map(region="age"), "does not place"),
        (Map(region="symptom"), "does not place"),
        (Top(column="symptom", k=3), "has 2 levels"),
        (Top(column="symptom", k=0), "has 2 levels"),
        (Top(column="symptom", k=1, cap=0), "cap is at least 1"),
        (TreatmentReport(treatment="drug", columns=()), "at least one column"),
        (TreatmentReport(treatment="drug", columns=("symptom",)), "not in the table"),
        (TreatmentReport(treatment="symptom", columns=("symptom",)), "stands twice"),
        (TreatmentReport(treatment="symptom", columns=("severity",) * 2), "stands twice"),
    ],
)
def test_what_does_not_fit_is_refused(analysis: Analysis, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        normalise(analysis, clinic())
    assert words in str(caught.value)


def test_absurd_grids_and_reports_are_refused() -> None:
    edges = tuple(str(i / 10) for i in range(500))
    finer = tuple(str(i / 100) for i in range(500))
    with pytest.raises(Refused):
        normalise(Density(x="age", y="change", x_edges=edges, y_edges=finer), clinic())
    levels = [str(i) for i in range(200)]
    wide = many_rows("t", 3, categorical("drug", *levels), categorical("side", *levels))
    with pytest.raises(Refused):
        normalise(TreatmentReport(treatment="drug", columns=("side",)), Dictionary(tables=(wide,)))
