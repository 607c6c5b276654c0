"""Effects of a treatment by propensity: pooled fits, bounds, coverage, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from models.noise_law import NoiseLaw
from models.opening import Opening
from models.regression import effect_vectors, member_sum
from models.regression.effect import Effect, model_of
from models.regression.effect_sum import EffectSum
from models.regression.weighting import Estimand, Weighting
from models.result import Estimate, Result
from models.rows import Rows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.regression_world import DELTA, HUGE, as_rows, clinic, law, run
from tests.support.rows_factory import hostile_rows

DELTA_GRID = 2**28
ESTIMANDS: tuple[Estimand, ...] = ("overlap", "ate", "att")
TRUTH = {"score": 1.0, "better": 0.12}
TRIM = 0.1


def treated(members: int, rng: np.random.Generator) -> pd.DataFrame:
    """Treatment and outcomes depend on age, body mass and sex; the effect is TRUTH for everyone."""
    frame = pd.DataFrame(
        {
            "id": np.arange(members),
            "age": rng.normal(55, 14, members).clip(0, 110),
            "bmi": rng.normal(26, 5, members).clip(10, 60),
            "sex": rng.choice(["f", "m"], members),
        }
    )
    male = frame.sex == "m"
    lean = 0.03 * (frame.age - 55) + 0.06 * (frame.bmi - 26) - 0.5 * male
    given = rng.random(members) < 1 / (1 + np.exp(-lean))
    frame["arm"] = np.where(given, "b", "a")
    share = 1 / (1 + np.exp(-(0.03 * (frame.age - 55) - 0.05 * (frame.bmi - 26) + 0.5 * male)))
    came = rng.random(members) < 0.8 * share + TRUTH["better"] * given
    frame["better"] = np.where(came, "true", "false")
    mean = 2 + 0.1 * (frame.age - 55) - 0.15 * (frame.bmi - 26) + 1.5 * male
    mean = mean + TRUTH["score"] * given
    frame["score"] = (mean + rng.normal(0, 3, members)).clip(-20, 20)
    return frame


def asked(outcome: str, estimand: Estimand = "overlap", **more: Any) -> Effect:
    whole = Effect(
        outcome=outcome,
        treatment="arm",
        treated="b",
        covariates="age + bmi + C(sex)",
        estimand=estimand,
        trim=str(TRIM),
        **more,
    )
    return whole.normalised(clinic())


def figures(result: Result, figure: str = "effect") -> dict[str, Estimate]:
    return {row.cell[1]: row for row in result.rows if row.cell[0] == figure}


def pooled(frame: pd.DataFrame, outcome: str, estimand: str) -> tuple[np.ndarray, np.ndarray]:
    """(means of others and treated, stacked sandwich of them) by statsmodels and differences."""
    x = sm.add_constant(np.column_stack([frame.age, frame.bmi, frame.sex == "m"]).astype(float))
    a = (frame.arm == "b").to_numpy(dtype=float)
    y = frame.score if outcome == "score" else (frame.better == "true").astype(float)
    fit = sm.Logit(a, x).fit(disp=0, tol=1e-12)

    def weights(b: np.ndarray) -> np.ndarray:
        e = 1 / (1 + np.exp(-x @ b))
        if estimand == "overlap":
            return a * (1 - e) + (1 - a) * e
        own = np.where(a > 0, e, 1 - e)
        if estimand == "att":
            return np.minimum(e, (1 - e) * (1 - TRIM) / TRIM) / own
        return np.minimum(1.0, np.minimum(e, 1 - e) / TRIM) / own

    def means(b: np.ndarray) -> np.ndarray:
        w = weights(b)
        return np.array([np.average(y, weights=w * (1 - a)), np.average(y, weights=w * a)])

    b, step = fit.params, 1e-6
    moved = [means(b + step * e) - means(b - step * e) for e in np.eye(len(b))]
    slope = np.array(moved).T / (2 * step)
    w, mu = weights(b), means(b)
    psi = np.stack(
        [w * arm * (y - m) / (w * arm).sum() for arm, m in zip((1 - a, a), mu, strict=True)], 1
    )
    score = x * (a - fit.predict(x))[:, None]
    psi = psi + score @ np.linalg.inv(-fit.model.hessian(b)) @ slope.T
    return mu, psi.T @ psi


@pytest.mark.parametrize("estimand", ESTIMANDS)
@pytest.mark.parametrize("outcome", ["score", "better"])
def test_with_negligible_noise_it_is_the_pooled_estimate(outcome: str, estimand: Estimand) -> None:
    frame = treated(1500, np.random.default_rng(3))
    frame.loc[frame.index % 40 == 0, outcome] = None
    parts = [as_rows(frame[frame.index % 3 == node].assign(id=range(500))) for node in range(3)]
    found = figures(run(asked(outcome, estimand, way="newton"), parts))
    means, square = pooled(frame.dropna(), outcome, estimand)
    error = np.sqrt([1, -1] @ square @ [1, -1])
    assert found["difference"].estimate == pytest.approx(means[1] - means[0], abs=1e-5 * error)
    assert found["difference"].se == pytest.approx(error, rel=1e-3)
    for at, name in enumerate(("others", "treated")):
        assert found[name].estimate == pytest.approx(means[at], abs=1e-5)
        assert found[name].se == pytest.approx(np.sqrt(square[at, at]), rel=1e-3)
    assert ("risk ratio" in found) is (outcome == "better")


def test_the_interval_of_a_risk_ratio_is_that_of_its_logarithm() -> None:
    frame = treated(1500, np.random.default_rng(4))
    found = figures(run(asked("better", way="newton"), [as_rows(frame)]))["risk ratio"]
    means, square = pooled(frame, "better", "overlap")
    error = np.sqrt([-1 / means[0], 1 / means[1]] @ square @ [-1 / means[0], 1 / means[1]])
    assert found.estimate == pytest.approx(means[1] / means[0], rel=1e-5)
    assert np.log(found.high / found.low) == pytest.approx(2 * 1.959964 * error, rel=1e-3)


def test_overlap_weights_balance_the_covariates_of_the_model() -> None:
    frame = treated(2000, np.random.default_rng(5))
    result = run(asked("score", way="newton"), [as_rows(frame)])
    before, after = figures(result, "balance before"), figures(result, "balance after")
    a, b = (frame[frame.arm == arm].age for arm in "ab")
    apart = (b.mean() - a.mean()) / np.sqrt((a.var(ddof=0) + b.var(ddof=0)) / 2)
    assert before["age"].estimate == pytest.approx(apart, rel=1e-4)
    assert list(before) == list(after) == ["age", "bmi", "sex[m]"]
    assert all(abs(row.estimate) < 1e-5 for row in after.values())


def states(shape: Effect, stage: int, rng: np.random.Generator) -> Iterator[bytes]:
    d = model_of(shape, clinic()).width
    length = (d + 2, d + 6 + d * d, 3 * d + 6)[stage]
    for scale in (1.0, 1e3, 1e30, 1e300, 1e-300):
        numbers = rng.normal(size=length) * scale
        numbers[-2:] = np.abs(numbers[-2:])
        yield numbers.astype("<f8").tobytes()


def shapes(seed: int) -> Iterator[EffectSum]:
    rng = np.random.default_rng(seed)
    for outcome, estimand in zip(("score", "better", "score"), ESTIMANDS, strict=True):
        request = asked(outcome, estimand)
        first = len(request.shares(clinic())) - 3
        for stage in range(3):
            for state in states(request, stage, rng):
                shape = request.contribution_at(clinic(), DELTA_GRID, first + stage, state)
                assert isinstance(shape, EffectSum)
                assert shape.length == request.length_at(clinic(), DELTA_GRID, first + stage)
                yield shape


def largest(shape: EffectSum, rows: Rows) -> int:
    every = shape.each(rows, np.ones(rows.members, dtype=bool))
    return max((sum(int(n) ** 2 for n in line) for line in every), default=0)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_no_member_is_beyond_the_bound(seed: int) -> None:
    rows = hostile_rows(clinic(), members=25, seed=seed)
    for shape in shapes(seed):
        assert shape.norm_squared == DELTA_GRID**2
        assert largest(shape, rows) <= DELTA_GRID**2


@pytest.mark.parametrize("mutant", ["no clip", "parts beyond the ball"])
def test_a_mutant_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = as_rows(treated(100, np.random.default_rng(2)))

    def unclipped(matrix: np.ndarray, clip: float) -> np.ndarray:
        return np.nan_to_num(matrix / clip, posinf=1e3, neginf=-1e3).clip(-1e3, 1e3)

    monkeypatch.setattr(member_sum, "to_grid", lambda m, d: np.rint(m * d).astype(np.int64))
    if mutant == "no clip":
        monkeypatch.setattr(effect_vectors, "in_ball", unclipped)
    else:
        for name in ("ARMS_PARTS", "SLOPES_PARTS", "INFLUENCE_PARTS"):
            monkeypatch.setattr(effect_vectors, name, (1.0,) * len(getattr(effect_vectors, name)))
    assert any(largest(shape, rows) > 1.001 * DELTA_GRID**2 for shape in shapes(5))


def test_a_member_adds_the_same_whoever_is_beside_them() -> None:
    rows = as_rows(treated(200, np.random.default_rng(2)))
    for shape in shapes(6):
        every = shape.each(rows, np.ones(200, dtype=bool))
        for member in (0, 7, 199):
            alone = shape.each(rows, np.arange(200) == member)
            np.testing.assert_array_equal(alone[0], every[member])
        np.testing.assert_array_equal(shape.fold(rows, np.ones(200, dtype=bool)), every.sum(axis=0))


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_bytes_that_are_no_state_are_refused(stage: int) -> None:
    request = asked("score")
    number = len(request.shares(clinic())) - 3 + stage
    good = next(states(request, stage, np.random.default_rng(1)))
    numbers = np.frombuffer(good, dtype="<f8").copy()
    for at, wrong in ((0, np.nan), (1, np.inf), (-1, 0.0), (-2, -1.0)):
        hostile = numbers.copy()
        hostile[at] = wrong
        with pytest.raises(BadInput):
            request.contribution_at(clinic(), DELTA_GRID, number, hostile.tobytes())
    for cut in (b"", good[:-8], good + b"\0" * 8, good[:-1]):
        with pytest.raises(BadInput):
            request.contribution_at(clinic(), DELTA_GRID, number, cut)


@pytest.mark.parametrize("way", ["newton", "gram"])
def test_a_node_lost_before_the_last_round_leaves_the_effect_of_the_others(way: str) -> None:
    """Chances come from all, the effect from those who stayed; without the count of who is there
    a lost node's members would stand for no effect at all."""
    frame = treated(3000, np.random.default_rng(6))
    gone = frame.index % 3 == 0
    frame.loc[gone & (frame.arm == "b"), "score"] -= 6  # they differ, and it must not matter
    staying, leaving = (as_rows(frame[who].assign(id=range(who.sum()))) for who in (~gone, gone))
    request = asked("score", way=way)
    shares = request.shares(clinic())
    opened: list[Opening] = []
    for number, weight in enumerate(shares):
        rho = rho_of_epsilon(parse_epsilon(HUGE), DELTA)
        mechanism = plan_mechanism(Rho(rho.units * weight // sum(shares)), 3, 1)
        state = request.state(clinic(), opened)
        shape = request.contribution_at(clinic(), mechanism.delta_grid, number, state)
        last = number == len(shares) - 1
        there = [staying] if last else [staying, leaving]
        totals = sum(shape.fold(rows, np.ones(rows.members, dtype=bool)) for rows in there)
        lost = ("c",) if last else ()
        opened.append(Opening(tuple(totals.tolist()), NoiseLaw(mechanism, 3 - last), state, lost))
    result = request.conclude(clinic(), opened)
    found = figures(result)["difference"]
    assert found.estimate == pytest.approx(TRUTH["score"], abs=3.5 * found.se)
    assert found.se == pytest.approx(0.137, rel=0.15)  # of 2,000 members
    assert any("Lost during the run: c." in note for note in result.notes)


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_weights_and_their_slopes(estimand: Estimand) -> None:
    weighting, eta = Weighting(estimand, TRIM), np.linspace(-6, 6, 1201)
    for arm in (0.0, 1.0):
        given = np.full_like(eta, arm)
        weight, slope = weighting.of(eta, given)
        moved = [weighting.of(eta + step, given)[0] for step in (-1e-6, 1e-6)]
        near = np.abs(np.abs(eta) - np.log((1 - TRIM) / TRIM)) < 0.01  # a kink where held
        np.testing.assert_allclose(slope[~near], ((moved[1] - moved[0]) / 2e-6)[~near], atol=1e-6)
        assert (weight <= weighting.largest * (1 + 1e-12)).all()
        assert (np.abs(slope) <= weighting.steepest).all()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"treatment": "age"}, "levels"),
        ({"treatment": "arm"}, "which level"),
        ({"treated": "z"}, "which level"),
        ({"outcome": "sex"}, "one column"),
        ({"outcome": "grade"}, "which level"),
        ({"happened": "true", "outcome": "score"}, "no levels"),
        ({"covariates": "age + weights(years)"}, "terms alone"),
        ({"covariates": "age - 1"}, "no term"),
        ({"covariates": "pain"}, "many rows"),
        ({"covariates": "age + sex"}, "cannot explain itself"),
        ({"covariates": "age + better"}, "cannot explain itself"),
        ({"outcome": "pain"}, "many rows"),
        ({"treatment": "mean(pain)"}, "levels"),
        ({"outcome": "first(nothing)"}, "no column"),
        ({"trim": "0.9"}, "trim"),
        ({"trim": "x"}, "trim"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, str], says: str) -> None:
    usual = {"outcome": "better", "treatment": "sex", "covariates": "age"}
    with pytest.raises(BadInput, match=says):
        Effect(**{**usual, **fields}).normalised(clinic())


@pytest.mark.parametrize("world", ["nobody", "everybody", "separated", "empty"])
def test_without_overlap_the_answer_says_so(world: str) -> None:
    frame = treated(400, np.random.default_rng(8))
    frame["arm"] = {"nobody": "a", "everybody": "b"}.get(world, frame.arm)
    if world == "separated":
        frame["arm"] = np.where(frame.age > 55, "b", "a")
    if world == "empty":
        frame["score"] = None
    for way in ("newton", "gram", "gradient"):
        result = run(asked("score", way=way), [as_rows(frame)], epsilon="2", seed=1)
        numbers = [number for row in result.rows for number in row.numbers().values()]
        assert np.isfinite(numbers).all()
        assert world == "separated" or any("Hardly any weight" in note for note in result.notes)


def coverage(outcome: str, estimand: Estimand, members: int, runs: int) -> tuple[float, float]:
    """How many intervals hold the truth, with the noise in them and without."""
    rng = np.random.default_rng(members)
    request, _ = asked(outcome, estimand).chosen(clinic(), law("1"), members)
    held = naive = 0
    for seed in range(runs):
        parts = [as_rows(treated(members, rng))]
        found = figures(run(request, parts, epsilon="1", seed=seed))["difference"]
        held += found.low <= TRUTH[outcome] <= found.high
        naive += abs(found.estimate - TRUTH[outcome]) < 1.96 * found.se_sampling
    return held / runs, naive / runs


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("outcome", "estimand", "members"),
    [("better", "overlap", 1500), ("score", "overlap", 3000), ("better", "att", 3000)],
)
def test_intervals_hold_the_truth(outcome: str, estimand: Estimand, members: int) -> None:
    held, naive = coverage(outcome, estimand, members, 300)
    assert 0.92 <= held <= 0.985
    assert naive < 0.93
