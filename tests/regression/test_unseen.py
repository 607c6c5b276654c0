"""Of levels that nobody has, and of parts of a spline where nobody is, nothing is told."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from models.regression.cox import Cox
from models.regression.newton import positive
from models.regression.request import Regression
from models.regression.rounds import InRounds
from models.regression.spline import even_knots
from models.result import NO_INFORMATION, Result
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from tests.support.regression_world import HUGE, as_rows, clinic, coefficients, people, run
from tests.support.rows_factory import number

FRAME = people(2000, seed=3)
NOBODY_C = FRAME.assign(arm=FRAME.arm.replace("c", "a"))
NOBODY_A = FRAME.assign(arm=FRAME.arm.replace("a", "b"))
WAYS = [("gram", "1"), ("gram", "100"), ("newton", "1" + "0" * 6), ("newton", HUGE)]


def wide() -> Dictionary:
    """The clinic with a number whose bounds are far wider than what members have."""
    first, *rest = clinic().tables
    columns = (*first.columns, number("creatinine", ("0.1", "3000.1")))
    return Dictionary(tables=(first.model_copy(update={"columns": columns}), *rest))


def asked(formula: str, family: str = "linear") -> Regression:
    return Regression(formula=formula, family=family, clip="1.2")


def fitted(
    request: InRounds, frame: pd.DataFrame, way: str, epsilon: str, of: Dictionary | None = None
) -> Result:
    dictionary = of or clinic()
    full = request.model_copy(update={"way": way}).normalised(dictionary)
    return run(full, [as_rows(frame, dictionary)], epsilon=epsilon)


def untold(result: Result, figure: str = "coefficient") -> set[str]:
    rows = coefficients(result, figure)
    return {name for name, row in rows.items() if row.note == NO_INFORMATION}


@pytest.mark.parametrize(("way", "epsilon"), WAYS)
@pytest.mark.parametrize(
    "request_",
    [
        asked("score ~ age + arm"),
        asked("better ~ age + arm", "binomial"),
        asked("grade ~ age + arm", "ordinal"),
        Cox(time="years", event="better", formula="age + arm", clip="1.2"),
    ],
    ids=["linear", "binomial", "ordinal", "hazards"],
)
def test_of_a_level_that_nobody_has_nothing_is_told_and_of_others_all_is(
    request_: InRounds, way: str, epsilon: str
) -> None:
    result = fitted(request_, NOBODY_C, way, epsilon)
    assert untold(result) == {"arm[c]"}
    assert untold(result, "hazard ratio") <= {"arm[c]"}
    assert any("has arm[c]: nothing is told of it" in note for note in result.notes)
    assert not untold(fitted(request_, FRAME, way, epsilon))


@pytest.mark.parametrize(("way", "epsilon"), WAYS)
def test_nor_of_what_is_compared_with_a_level_that_nobody_has(way: str, epsilon: str) -> None:
    linear = fitted(asked("score ~ age + arm"), NOBODY_A, way, epsilon)
    assert untold(linear) == {"Intercept", "arm[b]", "arm[c]"}
    assert any("C(people.arm, ref='b')" in note for note in linear.notes)
    other = fitted(asked("score ~ age + C(arm, ref='b')"), NOBODY_A, way, epsilon)
    assert untold(other) == {"arm[a]"}


def test_a_product_goes_with_its_level() -> None:
    men = fitted(asked("score ~ age*sex + bmi"), FRAME.assign(sex="m"), "gram", "100")
    assert untold(men) == {"Intercept", "sex[m]", "age", "age:sex[m]"}
    classes = fitted(asked("grade ~ age + sex", "ordinal"), FRAME.assign(sex="m"), "gram", "100")
    assert untold(classes) == {"sex[m]", "low | mid", "mid | high", "high | top"}


def test_where_noise_may_hide_many_all_is_told_with_a_warning() -> None:
    """Of 300 members at ε = 0.5 a level may seem to have few by chance."""
    small = people(300, seed=3).assign(arm="a")
    result = fitted(asked("score ~ age + arm"), small, "gram", "0.5")
    assert any("do not rely on what is said of it" in note for note in result.notes)
    assert not any("nothing is told" in note for note in result.notes)


@pytest.mark.parametrize(("way", "epsilon"), WAYS[1:])
def test_of_a_spline_laid_where_nobody_is_the_remedy_is_said(way: str, epsilon: str) -> None:
    rng = np.random.default_rng(1)
    frame = FRAME.assign(creatinine=np.exp(rng.normal(4.3, 0.3, len(FRAME))))
    formula = "score ~ age + bs(creatinine)"
    result = fitted(asked(formula), frame, way, epsilon, wide())
    assert untold(result) >= {f"bs(creatinine)[{k}]" for k in (3, 5)}
    (note,) = [note for note in result.notes if "its spline is laid" in note]
    assert "from 0.1 to 3000.1" in note
    assert "bs(clip(creatinine, from, to))" in note
    narrowed = "score ~ age + bs(clip(creatinine, 40, 150), df=3)"
    better = fitted(asked(narrowed), frame, way, epsilon, wide())
    assert not untold(better)


def test_knots_that_nobody_wrote_are_short_and_are_what_is_fitted() -> None:
    request = asked("score ~ bs(creatinine) + bs(log(age), df=4)")
    with pytest.raises(BadInput, match="can be 0"):
        request.normalised(wide())
    full = asked("score ~ bs(creatinine) + bs(bmi, df=4)").normalised(wide())
    assert "knots=[1000.1, 2000.1]" in full.formula
    assert "knots=[35]" in full.formula
    assert full.normalised(wide()) == full


@pytest.mark.parametrize("count", [0, 1, 2, 7, 20])
@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 300), (0, 110), (-2.3, 8.006), (0, 1e59), (1e-58, 1e-55), (-3, -1)]
)
def test_even_knots_ascend_and_are_even_to_a_thousandth(
    low: float, high: float, count: int
) -> None:
    knots = even_knots(low, high, count)
    steps = np.diff([low, *knots, high])
    assert np.allclose(steps, (high - low) / (count + 1), rtol=1e-3)
    assert all(len(f"{knot:.10e}".split("e")[0].rstrip("0")) <= 9 for knot in knots)


def test_a_number_beside_its_spline_is_refused() -> None:
    with pytest.raises(BadInput, match=r"holds people\.age itself"):
        asked("score ~ age + bs(age)").normalised(clinic())
    asked("score ~ age + bs(clip(age, 20, 80))").normalised(clinic())
    asked("score ~ age:sex + bs(age)").normalised(clinic())


def test_what_is_loose_follows_from_the_information_alone() -> None:
    """Two columns that are one, and a third; the mutant, in which they differ, has none."""
    alike = np.array([[1.0, 1.0, 0.1], [1.0, 1.0, 0.1], [0.1, 0.1, 1.0]])
    fixed, loose = positive(alike, 1e-6)
    assert loose is not None
    assert loose.of(np.eye(3)).tolist() == [True, True, False]
    assert loose.of(np.array([[1.0, 1.0, 0.0]])).tolist() == [False]
    assert np.allclose(np.linalg.inv(fixed), loose.whole)
    assert positive(alike - np.diag([0.0, 0.0, 0.5]), 1e-6)[1] is not None
    assert positive(alike + np.diag([0.5, 0.0, 0.0]), 1e-6)[1] is None
    flat = positive(np.diag([1.0, 1e-9]), 1e-6)[1]
    assert flat is not None
    assert flat.of(np.eye(2)).tolist() == [False, True]
    assert math.isfinite(float(flat.whole.sum()))
