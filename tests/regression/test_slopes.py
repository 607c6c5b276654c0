"""Progression: members' slopes, their weights, and the mixed model they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.regression.linear_model import WLS

from models.regression.batch import batch_of
from models.regression.fit import fit_of
from models.regression.progression import Progression, model_of
from models.released.evaluate import Evaluate
from models.released.fitted import FittedRegression
from models.rows import Rows, from_tables
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import coefficients, law, openings, run
from tests.support.rows_factory import categorical, many_rows, number, one_row

DICTIONARY = Dictionary(
    tables=(
        one_row("people", categorical("arm", "a", "b"), number("age", ("20", "90"))),
        many_rows(
            "visits",
            8,
            number("years", ("0", "5")),
            number("score", ("0", "48")),
            Column(name="day", type=ColumnType.DATE),
        ),
    )
)
ASKED = Progression(
    outcome="score",
    time="years",
    formula="arm + age",
    lower="-2.4",
    upper="0.9",
    slope_sd="0.6",
    visit_sd="1",
    way="newton",
)
TRUE = 0.25


def trial(members: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two arms whose slopes differ by a quarter of a point a year."""
    rng = np.random.default_rng(seed)
    arm, age = rng.integers(0, 2, members), rng.normal(58, 10, members).clip(20, 90)
    slope = -0.8 + TRUE * arm + rng.normal(0, 0.6, members)
    level = rng.normal(38, 4, members)
    count = rng.integers(2, 9, members)
    home = np.repeat(np.arange(members), count)
    years = np.concatenate([np.sort(rng.uniform(0, 3, each)) for each in count])
    score = level[home] + slope[home] * years + rng.normal(0, 1, len(home))
    people = pd.DataFrame({"id": np.arange(members), "arm": np.array(["a", "b"])[arm], "age": age})
    visits = pd.DataFrame({"id": home, "years": years, "score": score.clip(0, 48)})
    visits["day"] = (pd.Timestamp("2020-01-01") + pd.to_timedelta(years * 365.25, "D")).strftime(
        "%Y-%m-%d"
    )
    return people, visits


def split(people: pd.DataFrame, visits: pd.DataFrame, nodes: int = 3) -> list[Rows]:
    return [
        from_tables(
            DICTIONARY,
            {"people": people[people.id % nodes == k], "visits": visits[visits.id % nodes == k]},
        )
        for k in range(nodes)
    ]


def by_hand(people: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for member, rows in visits.groupby("id"):
        about = rows.years - rows.years.mean()
        spread = float((about**2).sum())
        slope = float((about * rows.score).sum()) / spread
        weight = 0.36 / (0.36 + 1 / spread)
        lines.append((member, min(max(slope, -2.4), 0.9), weight))
    return people.merge(pd.DataFrame(lines, columns=["id", "slope", "weight"]), on="id")


def test_it_is_the_weighted_regression_of_slopes() -> None:
    people, visits = trial(800, 1)
    found = coefficients(run(ASKED.normalised(DICTIONARY), split(people, visits)))
    frame = by_hand(people, visits)
    x = np.column_stack([np.ones(len(frame)), frame.arm == "b", frame.age])
    fit = WLS(frame.slope, x.astype(float), weights=frame.weight).fit()
    for name, value, error in zip(("Intercept", "arm[b]", "age"), fit.params, fit.bse, strict=True):
        assert found[name].estimate == pytest.approx(value, abs=1e-5 * error)
        assert found[name].se == pytest.approx(error, rel=1e-5)


def test_slopes_are_judged_among_other_members() -> None:
    """Against numpy on slopes by hand; also of the men's part of a group."""
    asked = ASKED.normalised(DICTIONARY)
    seen = openings(asked, split(*trial(800, 1)))
    model = FittedRegression(asked, DICTIONARY, fit_of(asked, DICTIONARY, seen), {})
    others = trial(1500, 6)
    question = Evaluate(model=model.released(), by=("arm",)).normalised(DICTIONARY)
    result = run(question, split(*others))
    found = {row.cell: row.estimate for row in result.rows}
    frame, values = by_hand(*others), model.fit.shrunk
    said = values[0] + values[1] * (frame.arm == "b") + values[2] * frame.age
    for group, chosen in (("all", frame.age > 0), ("arm = b", frame.arm == "b")):
        error = (said - frame.slope)[chosen]
        assert found[group, "members"] == pytest.approx(chosen.sum(), abs=1)
        assert found[group, "RMSE"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.01)
        assert found[group, "predicted - observed"] == pytest.approx(error.mean(), abs=0.01)


def test_dates_are_years() -> None:
    people, visits = trial(300, 2)
    request = ASKED.model_copy(update={"time": "day"}).normalised(DICTIONARY)
    rows = split(people, visits, 1)[0]
    batch = batch_of(rows, model_of(request, DICTIONARY).columns, np.ones(300, dtype=bool))
    slope, _, known = model_of(request, DICTIONARY).slopes(batch)
    expected = by_hand(people, visits).set_index("id").slope
    close = np.abs(slope[known] - expected[people.id[known]].to_numpy()) < 0.02
    assert close.mean() > 0.95  # days are rounded


def test_it_agrees_with_the_mixed_model() -> None:
    people, visits = trial(600, 3)
    frame = visits.merge(people, on="id")
    mixed = smf.mixedlm(
        "score ~ years*arm + years*age", frame, groups=frame.id, re_formula="~years"
    ).fit()
    found = coefficients(run(ASKED.normalised(DICTIONARY), split(people, visits)))["arm[b]"]
    assert abs(found.estimate - mixed.params["years:arm[T.b]"]) < 0.6 * found.se
    assert found.se == pytest.approx(mixed.bse["years:arm[T.b]"], rel=0.15)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": "age"}, "one many-row table"),
        ({"formula": "arm + years"}, "changes between visits"),
        ({"formula": "score ~ arm"}, "terms alone"),
        ({"lower": "1", "upper": "0"}, "lower lies below"),
        ({"lower": "x"}, "no number"),
        ({"slope_sd": "-1"}, "above 0"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        ASKED.model_copy(update=change).normalised(DICTIONARY)
    assert said in str(caught.value)


@pytest.mark.statistical
def test_at_epsilon_one_a_thousand_members_are_nearly_as_good_as_the_mixed_model() -> None:
    """Ten nodes, of which two may be lost or collude. The weighted regression stands for the
    mixed model, which it equals to a few percent."""
    plain, private, covered = [], [], []
    request = ASKED.model_copy(update={"formula": "arm"})
    noisy, _ = request.chosen(DICTIONARY, law("1", 10, 2), 1000)
    for seed in range(300):
        parts = split(*trial(1000, seed))
        best = coefficients(run(request.normalised(DICTIONARY), parts))["arm[b]"]
        plain.append(best.estimate - TRUE)
        asked = noisy.normalised(DICTIONARY)
        noisy_run = run(asked, parts, epsilon="1", seed=5000 + seed, nodes=10, margin=2)
        found = coefficients(noisy_run)["arm[b]"]
        private.append(found.estimate - TRUE)
        covered.append(found.low < TRUE < found.high)
    assert np.sqrt(np.mean(np.square(private))) < 1.15 * np.sqrt(np.mean(np.square(plain)))
    assert np.mean(covered) > 0.90  # 95 % but for four standard errors
