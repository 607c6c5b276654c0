"""Data that leave a fit without an answer, over a running network with an empty node: every family
gives finite figures and says what is wrong, or is refused by a catalogue code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from models.regression.cox import Cox
from models.regression.progression import Progression
from models.regression.request import Regression
from models.regression.rounds import InRounds
from models.rows import from_tables
from privacy.errors import CairnError
from tests.support import net_clinic
from tests.support.network import Network, Shape, make_network
from tests.support.regression_world import coefficients, run

EPSILON, MOST = "1" + "0" * 12, "1" + "0" * 14
APART = "cannot be told apart"
CERTAIN = "separation"
FEW = "hardly any complete members"
THIN = "hardly anyone, or nearly everyone"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    shape = Shape(
        dictionary=net_clinic.DICTIONARY,
        frames={node: net_clinic.members(node) for node in net_clinic.NODES},
        symptoms={node: net_clinic.visits(node) for node in net_clinic.NODES},
        epsilon_allowance="1000000000000000",
        yearly_epsilon="1000000000000000",
        by_organisation=True,
    )
    made = make_network(tmp_path_factory.mktemp("degenerate"), shape)
    yield made
    made.close()


def glm(formula: str, family: str = "linear", **more: Any) -> Regression:
    return Regression(formula=formula, family=family, **more)


def cox(formula: str, event: str = "better", **more: Any) -> Cox:
    edges = ("0", "1", "2", "4", "6", "10")
    return Cox(time="years", event=event, formula=formula, **{"edges": edges, **more})


def slopes(formula: str, outcome: str = "scale", **more: Any) -> Progression:
    return Progression(
        outcome=outcome, time="months", formula=formula, lower="-3", upper="3", **more
    )


# a fit, and what its note says when there is no noise to speak of
CASES: dict[str, tuple[InRounds, str]] = {
    "separated": (glm("sure ~ age + arm", "binomial"), CERTAIN),
    "no event": (glm("never ~ age + arm", "binomial"), ""),
    "no count": (glm("none ~ age", "poisson"), ""),
    "counts of a few": (glm("burst ~ age + arm", "poisson"), ""),
    "counts that spread less than they may": (glm("fixed ~ arm", "negative_binomial"), ""),
    "a fit without error": (glm("twice ~ bmi"), ""),
    "an outcome that never varies": (glm("fixed ~ age"), ""),
    "a class without members": (glm("top ~ age", "ordinal"), ""),
    "constant": (glm("score ~ age + fixed"), APART),
    "constant, of counts": (glm("relapses ~ age + fixed", "poisson"), APART),
    "collinear": (glm("score ~ bmi + twice"), APART),
    "collinear, of a spread": (glm("relapses ~ bmi + twice", "negative_binomial"), APART),
    "a level at one node": (glm("score ~ age + local"), APART),
    "an empty organisation": (
        glm("score ~ age + organisation", organisations=net_clinic.NODES),
        "organisation[ms-league]",
    ),
    "nothing known": (glm("score ~ gone"), FEW),
    "hazards, nothing known": (cox("gone"), FEW),
    "hazards without events": (cox("age + arm", "never"), ""),
    "hazards of twins": (cox("bmi + twice"), APART),
    "hazards of a level nowhere": (cox("local"), APART),
    "hazards that are certain": (cox("arm + age", "sure"), ""),
    "hazards, an organisation is empty": (
        cox("age", strata=True, organisations=net_clinic.NODES),
        "",
    ),
    "slopes that are alike": (slopes("arm", "still"), ""),
    "slopes of a constant": (slopes("fixed"), APART),
}


def asked(network: Network, fit: InRounds, way: str, epsilon: str) -> dict[str, Any]:
    run = network.ask(fit.model_copy(update={"way": way}).to_json(), epsilon=epsilon)
    assert run.release, (run.code, run.fields)
    result = network.result(run)
    json.dumps(result, allow_nan=False)
    for row in result["rows"]:
        assert all(math.isfinite(row[name]) for name in ("estimate", "se", "low", "high")), row
    return result


@pytest.mark.parametrize("name", CASES)
def test_every_figure_is_finite_and_what_is_wrong_is_said(network: Network, name: str) -> None:
    fit, said = CASES[name]
    result = asked(network, fit, "newton", EPSILON)
    assert said in " ".join(result["notes"]), result["notes"]


@pytest.mark.parametrize("name", [name for at, name in enumerate(CASES) if at % 6 == 0])
def test_nor_does_noise_make_it_otherwise(network: Network, name: str) -> None:
    asked(network, CASES[name][0], "gram", "1")


@pytest.mark.parametrize("name", ["separated", "no count", "collinear", "nothing known"])
def test_with_next_to_no_epsilon(network: Network, name: str) -> None:
    asked(network, CASES[name][0], "gradient", "0.01")


@pytest.mark.parametrize(
    "fit",
    [
        glm("score ~ story"),
        glm("score ~ age", "poisson"),
        glm("better ~ age", "linear"),
        glm("grade ~ age - 1", "ordinal"),
        glm("score ~ log(age - 20)"),
        glm("score ~ age + organisation"),
        cox("age", event="score"),
        cox("C(sure) + age", event="sure"),
        cox("age", edges=("0", "99")),
        slopes("months"),
        slopes("arm", "score"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_set_aside(
    network: Network, fit: InRounds
) -> None:
    before = {node: network.spent(node) for node in network.nodes}
    with pytest.raises(CairnError):
        network.ask(fit.to_json(), epsilon="1")
    assert {node: network.spent(node) for node in network.nodes} == before


# the pooled fit of the other families, an organisation being empty


def same(result: dict[str, Any], fit: Any, names: dict[str, str]) -> None:
    rows = {row["cell"][1]: row for row in result["rows"] if row["cell"][0] == "coefficient"}
    for name, row in rows.items():
        value, error = fit.params[names.get(name, name)], fit.bse[names.get(name, name)]
        assert abs(row["estimate"] - value) < 1e-5 * max(abs(value), error), name
        assert row["se"] == pytest.approx(error, rel=1e-5), name


def test_counts_over_the_network_are_those_of_statsmodels(network: Network) -> None:
    names, people = {"arm[new]": "new"}, net_clinic.pooled()
    people = people.assign(new=(people.arm == "new") * 1.0)
    said = asked(network, glm("relapses ~ age + arm", "poisson"), "newton", MOST)
    fit = smf.glm("relapses ~ age + new", people, family=sm.families.Poisson()).fit(tol=1e-12)
    same(said, fit, names)
    said = asked(network, glm("relapses ~ age + arm", "negative_binomial"), "newton", MOST)
    rough = smf.negativebinomial("relapses ~ age + new", people)
    start = rough.fit(disp=0, maxiter=300).params
    same(said, rough.fit(start_params=start, method="newton", disp=0, tol=1e-12), names)


def test_classes_over_the_network_are_those_of_the_pooled_members(network: Network) -> None:
    """Which are those of statsmodels, as pooled fits are tested elsewhere."""
    fit = glm("grade ~ age + arm", "ordinal").model_copy(update={"way": "newton"})
    said = asked(network, fit, "newton", MOST)
    dictionary = network.dictionary
    rows = from_tables(dictionary, {"members": net_clinic.pooled().drop(columns="consent")})
    pooled = coefficients(run(fit.normalised(dictionary), [rows]))
    for row in said["rows"]:
        if row["cell"][0] == "coefficient":
            alone = pooled[row["cell"][1]]
            assert abs(row["estimate"] - alone.estimate) < 1e-5 * max(1, abs(alone.estimate))
            assert row["se"] == pytest.approx(alone.se, rel=1e-5)
