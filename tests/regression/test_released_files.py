"""A released regression and its card: read back as written, anything else refused, nothing run."""

from __future__ import annotations

import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.client.model import load_model
from models.neural.tensors import MAX_BYTES, from_bytes, to_bytes
from models.regression.cox import Cox
from models.regression.fit import Fitted, fit_of
from models.regression.progression import Progression
from models.regression.request import Regression
from models.released.card import NOT_JUDGED, Judgement, Provenance, card_of_regression, markdown
from models.released.evaluate import Evaluate
from models.released.files import model_from
from models.released.fitted import FittedRegression
from models.result import Estimate, Result
from models.rows import Rows
from privacy.contract.canonical import sha256_hex
from privacy.errors import BadInput
from tests.support.regression_world import as_rows, clinic, openings, people, run

VISITS = {
    "id": np.repeat(np.arange(200), 3),
    "dose": np.tile([0.0, 1.0, 2.0], 200),
    "pain": np.random.default_rng(3).uniform(2, 6, 600),
}
ROWS = as_rows(people(400), visits=VISITS)
TOLD = Provenance(
    study="als-2026",
    purpose="who gets better | # not a heading <script>",
    intended_use="planning visits",
    cohort="age >= 40",
    organisations=("berlin", "lyon"),
    epsilon="3",
    delta="1/1000000",
    rho="0.18",
    memberships=2,
    receipts=("release 77ab", "berlin entry 12"),
)
ASKED: dict[str, Fitted] = {
    "binomial": Regression(formula="better ~ age*sex + bs(bmi, knots=[20, 30])", family="binomial"),
    "linear": Regression(formula="score ~ age + arm"),
    "poisson": Regression(formula="relapses ~ age + offset(log(years))", family="poisson"),
    "counts": Regression(formula="relapses ~ age", family="negative_binomial"),
    "ordinal": Regression(formula="grade ~ age + sex", family="ordinal"),
    "cox": Cox(time="years", event="better", formula="age + sex", edges=("0", "5", "10")),
    "progression": Progression(outcome="pain", time="dose", formula="age", lower="-5", upper="5"),
}


@cache
def released(name: str) -> tuple[FittedRegression, Result]:
    asked = ASKED[name].normalised(clinic())
    opened = openings(asked, [ROWS], epsilon="1e6")
    figures = asked.conclude(clinic(), opened)
    card = card_of_regression(asked, clinic(), figures, TOLD)
    fit = fit_of(asked, clinic(), opened)
    return FittedRegression(asked, clinic(), fit, card.to_json()), figures


@pytest.mark.parametrize("name", ASKED)
def test_a_regression_is_read_back_as_it_was(name: str) -> None:
    model, figures = released(name)
    again = model_from(*model.files())
    assert isinstance(again, FittedRegression)
    assert again.files() == model.files()
    assert again.analysis == model.analysis
    assert f"{again.analysis.kind} {again.analysis.formula!r}: {again.fit.names[0]} " in repr(again)
    others = as_rows(people(50, 3))
    assert np.array_equal(again.predict(others), model.predict(others), equal_nan=True)
    rows = {row.cell[1]: row for row in figures.rows if row.cell[0] == "coefficient"}
    errors = np.sqrt(np.diag(model.fit.sampling)), np.sqrt(np.diag(model.fit.privacy))
    for name_, value, sampling, privacy in zip(model.fit.names, model.fit.values, *errors,
                                               strict=True):  # fmt: skip
        if name_ in rows and not rows[name_].note:
            row = rows[name_]
            assert (row.estimate, row.se_sampling) == pytest.approx((value, sampling))
            assert row.se_noise == pytest.approx(privacy)
    assert set(rows) <= set(model.fit.names)


def test_a_prediction_is_that_of_the_coefficients() -> None:
    model, _ = released("linear")
    frame = people(40, 5)
    by_name = dict(zip(model.fit.names, model.fit.shrunk, strict=True))
    said = by_name["Intercept"] + by_name["age"] * frame.age
    said += by_name["arm[b]"] * (frame.arm == "b") + by_name["arm[c]"] * (frame.arm == "c")
    assert np.allclose(model.predict(frame[["age", "arm"]]), said)
    with pytest.raises(BadInput, match="'arm' is not there"):
        model.predict(frame[["age"]])


def told(name: str) -> tuple[bytes, dict[str, Any]]:
    numbers, description = released(name)[0].files()
    return numbers, json.loads(description)


def text(said: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**said, **changes}).encode()


def test_numbers_that_are_none_of_the_analysis_are_refused() -> None:
    numbers, said = told("binomial")
    arrays, _ = from_bytes(numbers, "F64")
    first = arrays["coefficients"].copy()
    first[0] = np.inf
    skew = arrays["covariance_noise"].copy()
    skew[0, 1] += 1
    for changes, what in (
        ({"coefficients": first}, "not finite"),
        ({"prediction": arrays["prediction"][1:]}, "of shape"),
        ({"covariance_noise": -arrays["covariance_sampling"]}, "no covariance"),
        ({"covariance_noise": skew}, "no covariance"),
        ({"covariance_noise": arrays["covariance_noise"][:1]}, "of shape"),
        ({"more": np.zeros(1)}, "belong here"),
    ):
        data = to_bytes({**arrays, **changes}, kind="F64")
        with pytest.raises(BadInput, match=what):
            model_from(data, text(said, numbers_sha256=sha256_hex(data)))
    fewer = {key: each for key, each in arrays.items() if key != "prediction"}
    singles = {key: each.astype(np.float32) for key, each in arrays.items()}
    for data in (to_bytes(fewer, kind="F64"), to_bytes(singles)):
        with pytest.raises(BadInput):
            model_from(data, text(said, numbers_sha256=sha256_hex(data)))
    with pytest.raises(BadInput, match="not those described"):
        model_from(to_bytes(arrays, {"x": "y"}, "F64"), text(said))


def test_a_description_of_anything_else_is_refused() -> None:
    numbers, said = told("binomial")
    analysis = said["analysis"]
    for changes in (
        {"format": "pickle"}, {"format": "network 1"}, {"format": ["regression 1"]}, {"more": 1},
        {"analysis": {**analysis, "kind": "os.system"}}, {"analysis": 3},
        {"analysis": {**analysis, "formula": "better ~ I(__import__('os').system('true'))"}},
        {"analysis": {**analysis, "formula": "better ~ nothing"}},
        {"analysis": {**analysis, "formula": "people.better ~ people.age"}},
        {"analysis": {**analysis, "code": "x"}}, {"analysis": {"kind": "count"}},
        {"names": ["age"]}, {"names": "age"}, {"names": [1] * len(said["names"])},
        {"spread": {"centre": 0.0, "scale": 0.0, "error": 1.0}}, {"spread": [0, 1, 1]},
        {"spread": {"centre": 0.0, "scale": 1e300, "error": 1.0}},
        {"dictionary": 3}, {"dictionary": {"tables": []}}, {"card": "x"}, {"numbers_sha256": 3},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            model_from(numbers, text(said, **changes))
    nan = text(said).replace(b'"scale": ', b'"scale": NaN, "x": ')
    for junk in (b"", b"[]", b"{" * 5000, b"3", pickle.dumps(said), nan, b" " * (11 * 2**20)):
        with pytest.raises(BadInput):
            model_from(numbers, junk)
    with pytest.raises(BadInput, match="could run code"):
        model_from(pickle.dumps(said), text(said))


def test_files_are_two_plain_ones_beside_each_other(tmp_path: Path) -> None:
    """No name in a file is ever opened; what is no plain file, or too large, is not read."""
    numbers, said = told("cox")
    path = tmp_path / "fit.safetensors"
    path.write_bytes(numbers)
    with pytest.raises(BadInput, match="no such file"):
        load_model(path)
    path.with_suffix(".json").write_bytes(text(said))
    assert isinstance(load_model(path), FittedRegression)
    assert isinstance(load_model(str(path)), FittedRegression)
    for name in ("fit.json", "fit.pkl", "fit.pt", "fit", "fit.safetensors/../fit.json"):
        with pytest.raises(BadInput, match=r"ends \.safetensors"):
            load_model(tmp_path / name)
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(BadInput, match="no such file"):
        load_model(tmp_path / "d.safetensors")
    large = tmp_path / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    large.with_suffix(".json").write_bytes(text(said))
    with pytest.raises(BadInput, match="larger than"):
        load_model(large)
    (tmp_path / "other.safetensors").write_bytes(numbers)
    elsewhere = text(said, numbers_sha256="../fit.safetensors")
    (tmp_path / "other.json").write_bytes(elsewhere)
    with pytest.raises(BadInput, match="not those described"):
        load_model(tmp_path / "other.safetensors")


def judged(model: FittedRegression, rows: Rows, by: tuple[str, ...]) -> Judgement:
    asked = Evaluate(model=model.released(), by=by).normalised(clinic())
    figures = run(asked, [rows], epsilon="30")
    return Judgement("age < 40", "30", "1/1000000", "99cd", figures)


def test_a_card_says_what_was_done_for_whom_and_at_what_cost() -> None:
    model, figures = released("binomial")
    asked = ASKED["binomial"].normalised(clinic())
    plain = markdown(card_of_regression(asked, clinic(), figures, TOLD))
    for part in ("als-2026", "age &gt;= 40", clinic().digest, "1/1000000", "berlin entry 12",
                 "one member with all their records at up to 2 organisations", "planning visits",
                 "berlin, lyon", "Intercept", "people.better = true", NOT_JUDGED):  # fmt: skip
        assert part in plain
    assert "<script>" not in plain
    assert "| # not" not in plain
    tried = judged(model, as_rows(people(4000, 9)), ("sex", "arm"))
    card = card_of_regression(asked, clinic(), figures, TOLD, (tried,))
    whole = markdown(card)
    for part in ("AUC", "calibration slope", "sex = f", "arm = c", "age &lt; 40", "release 99cd"):
        assert part in whole
    assert NOT_JUDGED not in whole
    said = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert said["judged"][0]["figures"]["rows"]
    assert said["provenance"]["intended_use"] == "planning visits"


def test_a_card_warns_of_groups_it_does_worse_for() -> None:
    def row(group: str, figure: str, value: float, low: float, high: float, note: str = "") -> Any:
        return Estimate((group, figure), value, 0.01, 0.01, low, high, note)

    rows = (
        row("all", "AUC", 0.8, 0.78, 0.82),
        row("sex = f", "AUC", 0.7, 0.65, 0.75),
        row("sex = m", "AUC", 0.79, 0.7, 0.9),
        row("arm = c", "AUC", 0.5, 0.0, 1.0, "no information"),
        row("sex = f", "observed - predicted", 0.08, 0.04, 0.12),
        row("sex = m", "observed - predicted", 0.01, -0.04, 0.06),
    )
    answer = Result("evaluate", ("group", "figure"), rows, unit="")
    found = Judgement("", "1", "1/1000000", "99cd", answer)
    _, figures = released("binomial")
    asked = ASKED["binomial"].normalised(clinic())
    card = card_of_regression(asked, clinic(), figures, TOLD, (found,))
    assert len(card.warnings) == 3
    text_ = markdown(card)
    assert text_.index("## Warnings") < text_.index("## What it is")
    for part in ("worse for sex = f", "Nothing can be said", "for arm = c", "off for sex = f"):
        assert part in text_
    assert not any("sex = m" in each for each in card.warnings)
