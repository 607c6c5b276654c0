"""A fitted regression as a statistician reads it: the printed table and the frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from coordinator.client import BadInput, fitted
from coordinator.client.receipts import Receipt
from coordinator.client.result import Result
from deploy.in_process import example_study, lung_study
from models.result import NO_INFORMATION, Estimate
from models.result import Result as Answer
from tests.support.seeded import seeded_entropy


@pytest.fixture(scope="module")
def fits() -> dict[str, Result]:
    study = example_study(entropy=seeded_entropy("fitted"))
    als = study.where("condition == 'als' and age >= 18")
    lung = lung_study(seeded_entropy("fitted"))
    days = {"happened": "died", "grid": [0, 183, 365, 730], "members": 227}
    asked = {
        "glm": study.glm("phq9 ~ age + C(condition)", members=5499),
        "ordinal": study.glm("condition ~ age", "ordinal", way="gram"),
        "cox": lung.cox("survival_days", "status", "age + sex", **days),
        "progression": als.progression("alsfrs_r_visit", "months", "age", lower=-3, upper=1),
    }
    return {name: question.run(epsilon=3) for name, question in asked.items()}


NAMES = ("glm", "ordinal", "cox", "progression")


@pytest.mark.parametrize("name", NAMES)
def test_the_frame_is_the_table_with_a_test_against_nothing(
    fits: dict[str, Result], name: str
) -> None:
    frame = fits[name].coefficients
    table = fits[name].table
    rows = table[table.figure == "coefficient"]
    assert tuple(frame.columns) == fitted.COLUMNS
    assert frame.index.name == "term"
    assert list(frame.index) == list(rows.term)
    assert (frame.coef.to_numpy() == rows.estimate.to_numpy()).all()
    for column in ("se_sampling", "se_noise", "se", "low", "high", "noise_share"):
        assert (frame[column].to_numpy() == rows[column].to_numpy()).all()
    np.testing.assert_allclose(frame.se**2, frame.se_sampling**2 + frame.se_noise**2)
    measured = (frame.low + frame.high) / 2
    np.testing.assert_allclose(frame.p, 2 * stats.norm.sf(abs(measured / frame.se)), rtol=1e-10)
    inside = (frame.low <= 0) & (frame.high >= 0)
    assert ((frame.p >= 0.05) == inside).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_says_what_was_fitted_how_and_how_well(
    fits: dict[str, Result], name: str
) -> None:
    fit = fits[name]
    said = fit.summary()
    words = " ".join(said.split())
    assert fit.asked.sentence in words
    assert str(fit.asked.analysis["formula"]) in words
    for head in ("standard error 95 % interval", "coef sampling privacy total z p from to noise"):
        assert head in words
    assert f"way: {fit.asked.analysis['way']}, " in words
    assert "epsilon: 3, delta = 1e-06" in words
    assert f"rounds: {fit.rounds} " in words
    assert "nodes: 3" in words
    assert ", noised" in words
    assert all(note in words for note in fit.answer.notes)
    for term in fit.coefficients.index:
        assert f"\n{term} " in said
    assert max(map(len, said.splitlines())) <= 120


def test_why_the_way_was_chosen_is_said_or_that_it_was_written(fits: dict[str, Result]) -> None:
    assert "with 5,499 members" in " ".join(fits["glm"].summary().split())
    assert "way:       gram, as it was written" in fits["ordinal"].summary()
    found = replace(fits["glm"], question=None)
    assert "way:       gram\n" in found.summary()


def test_hazard_ratios_stand_below_with_the_ends_of_their_intervals(
    fits: dict[str, Result],
) -> None:
    frame, said = fits["cox"].coefficients, fits["cox"].summary()
    below = said.split("hazard ratio")[1]
    for term, row in frame.iterrows():
        for value in np.exp([row.coef, row.low, row.high]):
            assert f"{value:.4g}" in below
        assert str(term) in below
    assert "hazard ratio" not in fits["glm"].summary()


def test_a_release_of_a_network_tells_its_receipts(fits: dict[str, Result]) -> None:
    receipts = tuple(Receipt("a", at, "0" * 64, "") for at in range(24))
    fit = replace(fits["glm"], receipts=receipts, release="ab" * 32, mock=False, repeat=True)
    said = fit.summary()
    assert "receipts:  24, release abababababababab" in said
    assert "stored answer, at no cost" in said
    assert "MADE-UP" not in said
    assert said.startswith("Fits ")
    assert "none, asked in this process" in fits["glm"].summary()


def test_what_noise_hides_is_no_number(fits: dict[str, Result]) -> None:
    hidden = Estimate(("coefficient", "age"), 0.0, 0.0, 0.0, -np.inf, np.inf, NO_INFORMATION)
    sure = Estimate(("coefficient", "sex"), 3.0, 0.1, 0.1, 2.7, 3.3)
    answer = Answer("glm", ("figure", "term"), (hidden, sure))
    frame = fitted.coefficients(answer)
    assert frame.loc["age"].isna().all()
    assert frame.loc["sex", "p"] < 1e-90
    said = replace(fits["glm"], answer=answer).summary()
    assert "no information" in said
    assert "<0.0001" in said
    assert "members:   unknown" in said


def test_what_rounds_to_nothing_has_no_sign(fits: dict[str, Result]) -> None:
    rounded = Estimate(("coefficient", "age"), -1e-9, 0.1, 0.1, -0.28, 0.28 - 2e-9)
    nobody = Estimate(("fact", "members"), -0.2, 0.0, 0.1, -0.4, 0.0)
    said = replace(
        fits["glm"], answer=Answer("glm", ("figure", "term"), (rounded, nobody))
    ).summary()
    assert "-0.00" not in said
    assert "members:   0 (0 to 0), noised" in said


def test_other_answers_have_no_coefficients() -> None:
    result = example_study(entropy=seeded_entropy("count")).count().run(epsilon=1)
    assert not hasattr(result, "coefficients")
    with pytest.raises(AttributeError, match=r"'count' has no coefficients: use \.table"):
        _ = result.coefficients


def test_a_fit_that_says_nothing_is_not_saved_and_why_is_told(tmp_path: Path) -> None:
    study = example_study(entropy=seeded_entropy("fitted"))
    fit = study.glm("phq9 ~ age + C(condition)", way="gradient").run(epsilon=3)
    with pytest.raises(BadInput, match=r"no model to save — .*Ask in the way gram"):
        fit.save(tmp_path / "fit.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_names_the_standard_error_of_members_with_several_rows() -> None:
    als = example_study(entropy=seeded_entropy("fitted")).where("condition == 'als'")
    formula = "alsfrs_r_visit ~ months"
    apart = als.glm(formula, way="gram").run(epsilon=3).summary()
    together = als.glm(formula, way="newton").run(epsilon=1_000_000).summary()
    alone = als.glm("alsfrs_r_loss ~ age", way="gram").run(epsilon=3).summary()
    assert "errors:    a member's rows taken for independent" in apart
    assert "errors:    clustered by member" in together
    assert "errors:" not in alone
