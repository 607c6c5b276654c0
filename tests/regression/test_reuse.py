"""What an earlier fit opened of covariates serves another outcome: as good a fit, at less cost."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import statsmodels.formula.api as smf

from models.changed import changed
from models.derivation import rounds_of
from models.opening import Opening
from models.planner import preview
from models.regression.request import Regression, Reused
from models.related import Relation, relation
from models.rows import Rows
from models.target import parse_target
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.errors import BadInput
from privacy.units import Rho
from tests.support.regression_world import (
    DELTA,
    as_rows,
    clinic,
    coefficients,
    openings,
    people,
    run,
)

RELEASE = "5" * 64
FRAME = people(3000)
LARGE = Regression(formula="score ~ age*bmi + sex + arm", way="gram", clip="2").normalised(clinic())
NAMES = {"sex[m]": "sex[T.m]", "arm[b]": "arm[T.b]", "arm[c]": "arm[T.c]"}


def parts() -> list[Rows]:
    return [as_rows(FRAME[a:b]) for a, b in pairwise([0, 500, 1700, 3000])]


@cache
def opened(epsilon: str, source: Regression = LARGE) -> tuple[Opening, ...]:
    return tuple(openings(source, parts(), epsilon=epsilon))


def reused(epsilon: str = "3", source: Regression = LARGE) -> Reused:
    return Reused.of(RELEASE, source, opened(epsilon, source))


def asked(formula: str, family: str = "linear", **more: Any) -> Regression:
    fields = {"formula": formula, "family": family, "clip": "2.5", **more}
    return Regression(**fields).normalised(clinic())


LATER = {
    "logistic": ("better ~ age + bmi + sex + arm", "binomial"),
    "a product": ("better ~ age*bmi", "binomial"),
    "counts": ("relapses ~ age + sex + offset(log(years))", "poisson"),
    "grades": ("grade ~ age + bmi + sex", "ordinal"),
}


@pytest.mark.parametrize("name", LATER)
def test_a_reusing_fit_is_as_good_as_one_that_asks_for_all(name: str) -> None:
    formula, family = LATER[name]
    plain = asked(formula, family)
    alone = coefficients(run(plain, parts(), epsilon="1e9"))
    found = coefficients(run(changed(plain, reuse=reused("1e9")), parts(), epsilon="1e9"))
    assert list(found) == list(alone)
    for term, row in found.items():
        assert row.estimate == pytest.approx(alone[term].estimate, abs=0.4 * alone[term].se), term
        assert row.se == pytest.approx(alone[term].se, rel=0.2), term


@pytest.mark.parametrize("name", ["logistic", "a product"])
def test_with_negligible_noise_it_is_the_pooled_fit(name: str) -> None:
    formula, family = LATER[name]
    frame = FRAME.assign(better=(FRAME.better == "true") * 1.0)
    fit = smf.logit(formula, frame).fit(disp=0, method="newton")
    later = asked(formula, family, way="newton", reuse=reused("1e9"))
    for term, row in coefficients(run(later, parts())).items():
        other = NAMES.get(term, term)
        size = max(abs(fit.params[other]), fit.bse[other])
        assert abs(row.estimate - fit.params[other]) < 1e-5 * size, term
        assert row.se == pytest.approx(fit.bse[other], rel=1e-5), term


def test_it_costs_less_by_what_was_paid_already() -> None:
    """The scores have as much noise as ever; only their rounds and one for the outcome are paid."""
    plain = asked("better ~ age + bmi + sex + arm", "binomial")
    later = changed(plain, reuse=reused())
    rho = rho_of_epsilon(parse_epsilon("1"), DELTA)
    alone, found = (rounds_of(each, clinic(), rho, 3, 1, 1) for each in (plain, later))
    assert (len(alone), len(found)) == (8, 7)
    assert [each.mechanism for each in found[1:]] == [each.mechanism for each in alone[2:]]
    paid, whole = (Rho.total(each.rho for each in run_).units for run_ in (found, alone))
    assert 0.6 * whole < paid < 0.85 * whole <= rho.units
    said = preview(
        later, "", clinic(), epsilon="1", delta=DELTA, nodes=3, margin=1, assumed_members=3000
    )
    assert said.rho == Rho.total(each.rho for each in found).text
    less = said.epsilon_charged
    (note,) = [each for each in said.notes if "already answered" in each]
    assert f"epsilon {1 - less:.2g} less" in note
    assert RELEASE[:12] in note


def test_a_target_error_costs_less_too() -> None:
    plain = asked("better ~ age + bmi + sex + arm", "binomial")
    fields: dict[str, Any] = {"delta": DELTA, "nodes": 3, "margin": 1, "assumed_members": 3000}
    assert parse_target("0.2") == 0.2
    alone, found = (
        preview(each, "", clinic(), target_error="0.2", **fields)
        for each in (plain, changed(plain, reuse=reused("50")))
    )
    assert found.epsilon_charged < alone.epsilon_charged


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another column": ({"formula": "better ~ age + years"}, "years is no column"),
    "other bounds": ({"formula": "better ~ clip(age, 20, 80)"}, "no column of the earlier"),
    "another reference": ({"formula": "better ~ C(sex, ref='m')"}, "no column of the earlier"),
    "weights": ({"formula": "better ~ age + weights(years)"}, "takes weights otherwise"),
    "several rows": ({"formula": "better ~ age + pain"}, "takes a member's rows otherwise"),
    "missing values": ({"formula": "better ~ age + missing(age)"}, "missing values otherwise"),
    "gradient": ({"way": "gradient"}, "ways gram and newton"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_hold_is_refused(name: str) -> None:
    changes, says = REFUSED[name]
    with pytest.raises(BadInput, match=says):
        asked(**{"formula": "better ~ age", "family": "binomial", "reuse": reused(), **changes})


def _round(at: int, **changes: Any) -> Reused:
    found = list(reused().rounds)
    found[at] = changed(found[at], **changes)
    return changed(reused(), rounds=tuple(found))


NO_RELEASE = {
    "no digest": lambda: changed(reused(), release="the first one"),
    "not in full": lambda: changed(reused(), analysis=changed(LARGE, formula="score ~ age")),
    "by newton": lambda: changed(reused(), analysis=changed(LARGE, way="newton")),
    "reusing itself": lambda: changed(reused(), analysis=changed(LARGE, reuse=reused())),
    "no digits": lambda: _round(0, totals="zz"),
    "capital digits": lambda: _round(1, state=reused().rounds[1].state.upper()),
    "half a number": lambda: _round(0, totals="00" * 9),
    "too few numbers": lambda: _round(1, totals="00" * 16),
    "another state": lambda: _round(1, state="00" * (len(reused().rounds[1].state) // 2)),
    "a state too short": lambda: _round(1, state=""),
    "a state of no use": lambda: _round(0, state="00" * 8),
    "rounds in another order": lambda: changed(reused(), rounds=reused().rounds[::-1]),
    "too many survivors": lambda: _round(0, survivors=9),
}


@pytest.mark.parametrize("name", NO_RELEASE)
def test_what_no_release_opened_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        asked("better ~ age", "binomial", reuse=NO_RELEASE[name]())


@pytest.mark.parametrize("value", [0, 2**62, -(2**62)])
def test_totals_that_nobody_can_have_opened_break_nothing(value: int) -> None:
    """They are public and bound nothing: a fit by them is worse, and finite."""
    products = reused().rounds[1]
    length = len(products.totals_bytes) // 8
    wrong = _round(1, totals=np.full(length, value, "<i8").tobytes().hex())
    later = asked("better ~ age + sex", "binomial", reuse=wrong)
    for row in run(later, parts(), epsilon="3").rows:
        assert np.isfinite([row.estimate, row.low, row.high]).all()


@pytest.mark.parametrize("name", LATER)
def test_a_member_stays_within_the_bound_of_the_outcomes_round(name: str) -> None:
    formula, family = LATER[name]
    later = asked(formula, family, reuse=reused())
    shape = later.contribution_at(clinic(), 2**16, 0, b"")
    for rows in parts():
        each = shape.each(rows, np.ones(rows.members, dtype=bool)).astype(object)
        assert max((each**2).sum(axis=1)) <= 2**32
        assert each.shape[1] == shape.length == later.length_at(clinic(), 2**16, 0)


def test_an_outcome_that_others_lack_widens_the_errors_and_is_said() -> None:
    frame = FRAME.copy()
    frame.loc[(frame.age > 55) & (frame.index % 4 > 0), "score"] = np.nan
    rows = [as_rows(frame)]
    found = Reused.of(RELEASE, LARGE, openings(LARGE, rows, epsilon="1e9"))
    plain = asked("better ~ age + sex", "binomial")
    narrow = coefficients(run(plain, rows, epsilon="1e9"))
    result = run(changed(plain, reuse=found), rows, epsilon="1e9")
    assert any("other members in" in note for note in result.notes)
    for term, row in coefficients(result).items():
        assert row.se > narrow[term].se
    alike = run(changed(plain, reuse=reused("1e9")), parts(), epsilon="1e9")
    assert not any("other members in" in note for note in alike.notes)
    assert any(RELEASE[:12] in note for note in alike.notes)


def test_the_library_offers_what_can_be_reused() -> None:
    def offered(later: Regression, earlier: Regression) -> Relation | None:
        return relation(later, earlier, clinic())

    later = asked("better ~ age + sex", "binomial")
    assert offered(later, LARGE) is Relation.COVARIATES
    assert offered(later, changed(LARGE, way="newton")) is None
    assert offered(changed(later, way="newton"), LARGE) is None
    assert offered(changed(later, reuse=reused()), LARGE) is None
    assert offered(asked("better ~ years", "binomial"), LARGE) is None
    assert offered(LARGE, LARGE) is Relation.SAME


@pytest.mark.statistical
def test_intervals_hold_the_truth_as_often_and_are_as_wide_for_less() -> None:
    """100 runs at 0.83 with reuse against 1 without: what the scores' rounds cost in both."""
    truth = {"age": 0.03, "bmi": -0.05, "sex[m]": 0.5, "arm[b]": -0.6, "arm[c]": 0.0}
    source = changed(LARGE, formula="score ~ age + bmi + sex + arm").normalised(clinic())
    plain = asked("better ~ age + bmi + sex + arm", "binomial", clip="1.5")
    held, errors = {"1": 0, "0.83": 0}, {"1": [], "0.83": []}  # type: ignore[var-annotated]
    for seed in range(100):
        rows = [as_rows(people(2000, seed))]
        known = Reused.of(RELEASE, source, openings(source, rows, epsilon="1", seed=seed))
        for epsilon, later in (("1", plain), ("0.83", changed(plain, reuse=known))):
            found = coefficients(run(later, rows, epsilon=epsilon, seed=1000 + seed))
            for term, value in truth.items():
                held[epsilon] += found[term].low <= value <= found[term].high
                errors[epsilon].append(found[term].se)
    assert all(0.92 <= each / 500 <= 0.98 for each in held.values())
    assert np.median(errors["0.83"]) < 1.05 * np.median(errors["1"])
