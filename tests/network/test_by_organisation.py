"""Terms by organisation: pooled models with a term, or a baseline, of each organisation; who has to
approve them; nodes that are lost, empty, or take another's place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from lifelines import CoxPHFitter

from coordinator.audit.verify import verify_bundle
from models.regression.cox import Cox
from models.regression.progression import Progression
from models.regression.request import Regression
from models.result import NO_INFORMATION
from node import engine, program
from privacy.contract.messages import Ask
from privacy.errors import Code, Refused
from privacy.ledger.entry import Reserve
from tests.support import net_data
from tests.support.net_bundle import bundle
from tests.support.net_steps import Steps, codes
from tests.support.network import Network

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
APART = {**HUGE, "by_organisation": True}
EPSILON = "100000000000000"
NODES = net_data.NODES
FIVE = net_data.MORE_NODES
Make = Callable[..., Network]

DICTIONARY = """
[tables.members]
key = "member"
rows = "one"
[tables.members.columns.years]
type = "number"
lower = 0
upper = 10
[tables.members.columns.died]
type = "boolean"
[tables.members.columns.age]
type = "number"
lower = 20
upper = 90
[tables.members.columns.arm]
type = "categorical"
levels = ["usual", "new"]

[tables.symptoms]
key = "member"
rows = "many"
max_rows_per_member = 4
time = "months"
[tables.symptoms.columns.months]
type = "number"
lower = 0
upper = 24
[tables.symptoms.columns.scale]
type = "number"
lower = 0
upper = 48
"""


@cache
def clinic(node: str) -> pd.DataFrame:
    """Hazards and slopes that differ by organisation."""
    rng, place, n = np.random.default_rng([5, NODES.index(node)]), NODES.index(node), 160
    age, new = rng.uniform(25, 85, n).round(1), rng.random(n) < 0.5
    hazard = 0.12 * (1 + place) * np.exp(0.03 * (age - 55) - 0.5 * new)
    failing, leaving = rng.exponential(1 / hazard), rng.uniform(1, 9.9, n)
    return pd.DataFrame(
        {
            "member": [f"{node}-{at}" for at in range(n)],
            "years": np.minimum(failing, leaving).round(4),
            "died": np.where(failing <= leaving, "true", "false"),
            "age": age,
            "arm": np.where(new, "new", "usual"),
            "consent": "yes",
        }
    )


@cache
def visits(node: str) -> pd.DataFrame:
    rng, place = np.random.default_rng([6, NODES.index(node)]), NODES.index(node)
    lines = []
    for member, arm in zip(clinic(node).member, clinic(node).arm, strict=True):
        slope = -0.6 + 0.2 * place + 0.15 * (arm == "new") + rng.normal(0, 0.1)
        seen = [(months, 30 + slope * months + rng.normal(0, 1)) for months in (0, 6, 12, 18)]
        lines += [(member, months, round(value, 3)) for months, value in seen]
    return pd.DataFrame(lines, columns=["member", "months", "scale"])


def made_clinic(make: Make, **changes: Any) -> Network:
    frames = {node: clinic(node) for node in NODES}
    rows = {node: visits(node) for node in NODES}
    return make(dictionary=DICTIONARY, frames=frames, symptoms=rows, **{**APART, **changes})


def found(network: Network, run: Any, figure: str = "coefficient") -> dict[str, dict[str, Any]]:
    rows = network.result(run)["rows"]
    return {row["cell"][1]: row for row in rows if row["cell"][0] == figure}


def finite(network: Network, run: Any) -> bool:
    rows = network.result(run)["rows"]
    return all(math.isfinite(row[name]) for row in rows for name in ("estimate", "se", "high"))


def sited(network: Network) -> pd.DataFrame:
    """The pooled members with their organisation."""
    frames = [network.shape.people(node).assign(site=node) for node in network.shape.nodes]
    people = pd.concat(frames)
    return people[people.consent == "yes"]


def named(name: str) -> str:
    return name.replace("organisation[", "site[T.")


def agrees(got: Mapping[str, Mapping[str, Any]], fit: Any, *, tolerance: float = 1e-5) -> None:
    assert {named(name) for name in got} == set(fit.params.index)
    for name, row in got.items():
        value, error = fit.params[named(name)], fit.bse[named(name)]
        assert abs(row["estimate"] - value) < tolerance * max(abs(value), error), name
        assert row["se"] == pytest.approx(error, rel=tolerance), name


# the pooled fit


def test_the_network_fits_statsmodels_with_a_term_for_each_organisation(make: Make) -> None:
    network = make(**APART)
    asked = Regression(formula="score ~ age*organisation", organisations=NODES, way="newton")
    run = network.ask(asked.to_json(), epsilon=EPSILON)
    people = sited(network).dropna(subset=["score"])
    people = people.assign(score=people.score.clip(-20, 60))
    agrees(found(network, run), smf.ols("score ~ age*site", people).fit())
    asked = Regression(
        formula="condition ~ age + organisation",
        family="binomial",
        happened="als",
        organisations=NODES,
        way="newton",
    )
    got = found(network, network.ask(asked.to_json(), epsilon=EPSILON))
    people = sited(network).assign(y=(sited(network).condition == "als") * 1.0)
    agrees(got, smf.logit("y ~ age + site", people).fit(disp=0, method="newton", tol=1e-10))


def test_progression_is_the_weighted_fit_with_a_term_for_each_organisation(make: Make) -> None:
    network = made_clinic(make)
    asked = Progression(
        outcome="scale",
        time="months",
        formula="arm + organisation",
        lower="-3",
        upper="3",
        organisations=NODES,
        way="newton",
    )
    got = found(network, network.ask(asked.to_json(), epsilon=EPSILON))
    rows = pd.concat([visits(node).assign(site=node) for node in NODES])
    slopes = rows.groupby(["member", "site"]).apply(
        lambda each: np.polyfit(each.months, each.scale, 1)[0], include_groups=False
    )
    people = slopes.rename("slope").reset_index()
    arms = pd.concat([clinic(node) for node in NODES]).set_index("member").arm
    people = people.assign(new=(people.member.map(arms) == "new") * 1.0)
    fit = smf.ols("slope ~ new + site", people).fit()  # everybody was seen at the same times
    agrees({name.replace("arm[new]", "new"): row for name, row in got.items()}, fit)


def test_cox_with_a_baseline_for_each_organisation_is_lifelines_strata(make: Make) -> None:
    network = made_clinic(make)
    asked = Cox(
        time="years",
        event="died",
        formula="age + arm",
        edges=tuple(f"{k / 2:g}" for k in range(21)),
        strata=True,
        organisations=NODES,
        way="newton",
    )
    run = network.ask(asked.to_json(), epsilon=EPSILON)
    got = found(network, run)
    people = sited(network)
    x = pd.DataFrame({"age": people.age, "arm[new]": (people.arm == "new") * 1.0})
    x = x.assign(T=people.years, E=(people.died == "true") * 1, site=people.site)
    fit = CoxPHFitter().fit(x, "T", "E", strata=["site"])
    for name in ("age", "arm[new]"):
        assert abs(got[name]["estimate"] - fit.params_[name]) < 0.02 * abs(fit.params_[name])
        assert got[name]["se"] == pytest.approx(fit.standard_errors_[name], rel=0.02)
    baselines = found(network, run, "baseline hazard")
    assert {label.split(" (")[0] for label in baselines} == set(NODES)
    [said] = [each for each in network.nodes["als-union"].bodies if isinstance(each, Reserve)]
    assert "from a baseline of each organisation" in said.sentence


# who has to approve

PLAIN = Regression(formula="score ~ age + organisation", organisations=NODES, way="gram")


def spending(network: Network) -> set[tuple[int, int]]:
    return {network.spent(node) for node in network.nodes}


def test_without_the_studys_word_nothing_is_planned(make: Make) -> None:
    network = make(**HUGE)
    with pytest.raises(Refused) as refused:
        network.ask(PLAIN.to_json())
    assert refused.value.code is Code.ANALYSIS_NOT_ALLOWED
    assert refused.value.public_fields == {"analysis": "figures by organisation"}
    assert spending(network) == {(0, 0)}


@pytest.mark.parametrize("others", [NODES[::-1], NODES[:2], FIVE], ids=["order", "fewer", "more"])
def test_exactly_the_participants_are_told_apart(make: Make, others: tuple[str, ...]) -> None:
    network = make(**APART)
    with pytest.raises(Refused) as refused:
        network.ask(PLAIN.model_copy(update={"organisations": others}).to_json())
    assert refused.value.code is Code.OTHER_ORGANISATIONS
    assert spending(network) == {(0, 0)}


def test_a_coordinator_that_plans_it_all_the_same_is_refused_by_every_node(make: Make) -> None:
    """The mutant plans what the study does not allow, or for others than the question names."""
    for allowed, others, code in (
        (False, NODES, Code.ANALYSIS_NOT_ALLOWED),
        (True, NODES[::-1], Code.OTHER_ORGANISATIONS),
    ):
        network = make(**{**APART, "by_organisation": allowed})
        asked = PLAIN.model_copy(update={"organisations": others})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("models.derivation.check_by_organisation", lambda *_asked: None)
            plan = network.plan(network.question(asked.to_json()))
        answer = Steps(network, plan).say(Ask.RESERVE, {"plan": plan.envelope.to_json()})
        assert codes(answer) == {code}
        assert spending(network) == {(0, 0)}


def test_one_organisations_policy_is_enough_to_refuse(make: Make) -> None:
    network = make(**APART)
    node = network.nodes["ms-league"]
    policy = node.service.policy
    rules = policy.rules.model_copy(update={"by_organisation": False})
    node.service.ledger.append(policy.model_copy(update={"rules": rules}))
    run = network.ask(PLAIN.to_json())
    assert (run.state.value, run.code) == ("refused", Code.POLICY_FLOOR.value)
    assert spending(network) == {(0, 0)}


# who is lost, or was never there

LOST = Regression(formula="score ~ age + organisation", organisations=FIVE)


@pytest.mark.parametrize("way", ["newton", "gram", "gradient"])
@pytest.mark.parametrize("node", ["stroke-club", "als-union"], ids=["the last", "the first"])
def test_a_node_that_is_lost_leaves_its_own_coefficient_unknown(
    make: Make, way: str, node: str
) -> None:
    network = make(**APART, nodes=FIVE, t_drop=1, count=40)
    asked = LOST.model_copy(update={"way": way})
    seen: list[int] = []

    def in_the_last_rounds(to: str, ask: Ask, packet: Any) -> Any:
        seen.append(1) if (to, ask) == (node, Ask.CONTRIBUTE) else None
        return None if (to, ask) == (node, Ask.CONTRIBUTE) and len(seen) > 4 else packet

    network.wire.outbound.append(in_the_last_rounds)
    run = network.ask(asked.to_json(), epsilon=EPSILON)
    assert finite(network, run)
    notes = network.result(run)["notes"]
    assert any(f"Lost during the run: {node}." in note for note in notes)
    got = found(network, run)
    hidden = {name for name, row in got.items() if row["note"] == NO_INFORMATION}
    unknown = {f"organisation[{node}]"}
    if node == FIVE[0]:  # the others are compared with it
        unknown = set(got) - {"age"}
    assert hidden >= unknown
    assert way != "gram" or hidden == unknown
    if way == "newton" and "age" not in hidden:
        people = sited(network)
        people = people[people.site != node].dropna(subset=["score"])
        fit = smf.ols("score.clip(-20, 60) ~ age + site", people).fit()
        assert got["age"]["estimate"] == pytest.approx(fit.params["age"], rel=1e-4)


@pytest.mark.parametrize("way", ["newton", "gram"])
@pytest.mark.parametrize("epsilon", [EPSILON, "1"])
def test_an_organisation_without_members_is_said(make: Make, way: str, epsilon: str) -> None:
    frames = {node: net_data.members(1 + at) for at, node in enumerate(NODES)}
    empty = {**frames, "ms-league": frames["ms-league"].assign(consent="no")}
    network = make(**APART, frames=empty)
    run = network.ask(PLAIN.model_copy(update={"way": way}).to_json(), epsilon=epsilon)
    assert finite(network, run)
    notes = " ".join(network.result(run)["notes"])
    assert "organisation[ms-league]" in notes or "cannot be told apart" in notes


# a node that takes another's place


def test_a_node_in_anothers_place_changes_whose_figure_it_is_and_nothing_else(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes swap: their coefficients do. Costs, bounds and every other figure stay, and an
    auditor, who sees sums alone, cannot tell; as with made-up records, nobody's privacy depends
    on it. In a place that nobody has, the node is lost before it reads."""
    answers = []
    for swap in ({}, {"mood-circle": "ms-league", "ms-league": "mood-circle"}):
        network = make(**APART)

        def total(*asked: Any, site: str, swap: Any = swap, **how: Any) -> Any:
            return engine.total(*asked, site=swap.get(site, site), **how)

        monkeypatch.setattr(program, "total", total)
        asked = PLAIN.model_copy(update={"way": "newton"})
        run = network.ask(asked.to_json(), epsilon=EPSILON)
        answers.append((found(network, run), spending(network)))
        verify_bundle(bundle(network, tmp_path / str(len(answers))))
    (honest, charged), (swapped, charged_too) = answers
    assert charged == charged_too
    other = {
        "organisation[mood-circle]": "organisation[ms-league]",
        "organisation[ms-league]": "organisation[mood-circle]",
    }
    for name, row in honest.items():
        moved = swapped[other.get(name, name)]
        assert abs(moved["estimate"] - row["estimate"]) < 1e-6 * row["se"]

    def elsewhere(*asked: Any, site: str, **how: Any) -> Any:
        return engine.total(*asked, site=f"not {site}", **how)

    monkeypatch.setattr(program, "total", elsewhere)
    assert make(**APART).ask(PLAIN.to_json()).code == Code.ATTEMPT_LOST.value
