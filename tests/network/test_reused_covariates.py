"""A release whose covariates a later question reuses, and everybody who lies about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from coordinator.audit.verify import verify_bundle
from coordinator.client import BadInput
from coordinator.client.network import Network as Client
from coordinator.course import opening_of
from coordinator.planning import Compiled
from coordinator.statement import totals_digest
from coordinator.store.facts import RunFacts
from models.changed import changed
from models.regression.request import Regression, Reused
from models.regression.reuse import ReusedRound
from node.gate import decide
from privacy.contract.canonical import parse_canonical
from privacy.contract.messages import Ask
from privacy.contract.signing import Envelope
from privacy.errors import Code, Refused, VerificationFailed
from privacy.units import Rho
from tests.support.net_bundle import bundle
from tests.support.network import Network, make_network
from tests.support.served import asked_over_http

HUGE = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
EPSILON = "100000000000000"
NODE = "als-union"
FIRST = Regression(formula="score ~ age + C(condition)", way="gram")
FORMULA = "treatment ~ age + C(condition)"
LATER = Regression(formula=FORMULA, family="binomial", happened="riluzole", way="gram")


def evidence(network: Network, run: RunFacts) -> tuple[Envelope, Envelope]:
    assert run.release is not None, (run.code, run.fields)
    release = network.store.releases.get(run.release)
    return network.store.releases.plan_envelope(release), release.envelope


def opened_by(network: Network, run: RunFacts) -> Reused:
    """What a researcher makes of a release."""
    plan, release = evidence(network, run)
    analysis = Regression.from_json(parse_canonical(plan.body)["analysis"])
    done = network.store.openings.of(plan.digest)
    return Reused.of(release.digest, analysis, [opening_of(run.plan, each) for each in done])


def planned(network: Network, analysis: Regression, run: RunFacts, **changes: Any) -> Compiled:
    shown = changes.pop("evidence", evidence(network, run))
    now = changes.pop("now", network.clock())
    question = network.question(analysis.to_json(), **changes)
    return network.plan(question, evidence=shown, now=now)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = make_network(tmp_path_factory.mktemp("reused"))
    yield network
    network.close()


@pytest.fixture(scope="module")
def first(clinic: Network) -> RunFacts:
    return clinic.ask(FIRST.to_json(), epsilon="2")


def test_the_network_fits_the_pooled_model_and_charges_what_is_not_reused(
    make: Callable[..., Network],
) -> None:
    network = make(**HUGE)
    first = network.ask(FIRST.to_json(), epsilon="1000")
    before = network.spent(NODE)[0]
    later = changed(LATER, way="newton", reuse=opened_by(network, first))
    whole = network.plan(network.question(changed(later, reuse=None).to_json(), epsilon=EPSILON))
    compiled = planned(network, later, first, epsilon=EPSILON)
    assert Rho.parse(compiled.plan.rho) < Rho.parse(whole.plan.rho)
    run = network.run(compiled)
    assert network.spent(NODE) == (before + Rho.parse(compiled.plan.rho).units, 0)
    rows = network.result(run)["rows"]
    got = {row["cell"][1]: row for row in rows if row["cell"][0] == "coefficient"}
    people = network.pooled
    x = np.column_stack(
        [np.ones(len(people)), people.age, people.condition == "ms", people.condition == "mood"]
    ).astype(float)
    fit = sm.Logit((people.treatment == "riluzole") * 1.0, x).fit(disp=0, tol=1e-12)
    names = ("Intercept", "age", "condition[ms]", "condition[mood]")
    for name, value, error in zip(names, fit.params, fit.bse, strict=True):
        assert got[name]["estimate"] == pytest.approx(value, abs=1e-5 * max(abs(value), error))
        assert got[name]["se"] == pytest.approx(error, rel=1e-5)


def louder(each: ReusedRound) -> ReusedRound:
    totals = np.frombuffer(each.totals_bytes, "<i8").copy()
    totals[-1] += 1
    return changed(each, totals=totals.astype("<i8").tobytes().hex())


def altered(network: Network, first: RunFacts) -> Compiled:
    """The researcher is told another Gram matrix than was opened."""
    honest = opened_by(network, first)
    told = changed(honest, rounds=(honest.rounds[0], louder(honest.rounds[1])))
    return planned(network, changed(LATER, reuse=told), first)


def quieter(network: Network, first: RunFacts) -> Compiled:
    honest = opened_by(network, first)
    moments, products = honest.rounds
    mechanism = changed(products.mechanism, log2_sigma=19)
    told = changed(honest, rounds=(moments, changed(products, mechanism=mechanism)))
    return planned(network, changed(LATER, reuse=told), first)


def asked_of_another_cohort(network: Network, first: RunFacts) -> Compiled:
    later = changed(LATER, reuse=opened_by(network, first))
    return planned(network, later, first, cohort="age > 40")


def of_last_month(network: Network, first: RunFacts) -> Compiled:
    later = changed(LATER, reuse=opened_by(network, first))
    return planned(network, later, first, now=network.clock() + timedelta(days=28))


def without_evidence(network: Network, first: RunFacts) -> Compiled:
    return planned(network, changed(LATER, reuse=opened_by(network, first)), first, evidence=())


def never_released(network: Network, first: RunFacts) -> Compiled:
    """A release that a stranger signed."""
    plan, release = evidence(network, first)
    key = network.researcher.signing_key
    false = Envelope.seal("release", parse_canonical(release.body), key)
    told = changed(opened_by(network, first), release=false.digest)
    return planned(network, changed(LATER, reuse=told), first, evidence=(plan, false))


def of_another_plan(network: Network, first: RunFacts) -> Compiled:
    """The release of one run beside the plan of another one."""
    other = network.plan(network.question(FIRST.to_json(), epsilon="3")).envelope
    later = changed(LATER, reuse=opened_by(network, first))
    return planned(network, later, first, evidence=(other, evidence(network, first)[1]))


def of_another_analysis(network: Network, first: RunFacts) -> Compiled:
    honest = opened_by(network, first)
    told = changed(honest, analysis=changed(honest.analysis, clip="3"))
    return planned(network, changed(LATER, reuse=told), first)


def not_asked_for(network: Network, first: RunFacts) -> Compiled:
    return planned(network, LATER, first)


LIES: dict[str, tuple[Callable[[Network, RunFacts], Compiled], str]] = {
    "an altered Gram matrix": (altered, "totals"),
    "less noise than it has": (quieter, "noise"),
    "asked of another cohort": (asked_of_another_cohort, "cohort"),
    "of last month": (of_last_month, "data epoch"),
    "no evidence": (without_evidence, "release"),
    "never released": (never_released, "signature"),
    "of another plan": (of_another_plan, "plan"),
    "of another analysis": (of_another_analysis, "analysis"),
    "evidence nobody asked for": (not_asked_for, "evidence that nothing asks for"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_what_is_reused_ends_at_the_gate(
    clinic: Network, first: RunFacts, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coordinator that does not check; it is won where the nodes do not either."""
    lie, what = LIES[name]
    monkeypatch.setattr("coordinator.planning.check_reused", lambda *_: None)
    compiled = lie(clinic, first)
    facts = clinic.nodes[NODE].service.facts()
    if name == "of last month":
        facts = replace(facts, now=facts.now + timedelta(days=28))
    with pytest.raises(Refused) as refused:
        decide(compiled.envelope, facts, reserved=True)
    assert refused.value.code is Code.NOT_REUSABLE
    assert refused.value.public_fields == {"differs": what}
    monkeypatch.setattr("node.gate.check_reused", lambda *_: None)
    assert decide(compiled.envelope, facts, reserved=True)


def test_nobody_sets_anything_aside_for_a_lie(
    clinic: Network, first: RunFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused) as refused:
        altered(clinic, first)
    assert refused.value.code is Code.NOT_REUSABLE
    monkeypatch.setattr("coordinator.planning.check_reused", lambda *_: None)
    before = [clinic.spent(node) for node in clinic.nodes]
    assert clinic.run(altered(clinic, first)).code == Code.NOT_REUSABLE.value
    assert [clinic.spent(node) for node in clinic.nodes] == before


def test_a_node_lost_in_the_middle_leaves_nothing_to_reuse(make: Callable[..., Network]) -> None:
    network = make(t_drop=1, nodes=("als-union", "mood-circle", "ms-league", "pain-forum"))
    network.wire.lose_request("pain-forum", Ask.CONTRIBUTE)
    first = network.ask(FIRST.to_json(), epsilon="2")
    network.wire.heal()
    with pytest.raises(Refused) as refused:
        planned(network, changed(LATER, reuse=opened_by(network, first)), first)
    assert "lost" in str(refused.value.public_fields["differs"])


def test_a_false_release_under_the_coordinators_own_signature_is_found_by_the_auditor(
    network: Network, tmp_path: Path
) -> None:
    """Consistent in itself, so that no node sees it: but no transcript opens those totals."""
    first = network.ask(FIRST.to_json(), epsilon="2")
    honest = changed(LATER, reuse=opened_by(network, first))
    assert network.run(planned(network, honest, first)).release
    report = verify_bundle(bundle(network, tmp_path / "honest"))
    assert (report.releases, report.transcripts) == (2, 8 + 7)
    plan, release = evidence(network, first)
    told = opened_by(network, first)
    rounds = (told.rounds[0], louder(told.rounds[1]))
    body = parse_canonical(release.body)
    totals = np.frombuffer(rounds[1].totals_bytes, "<i8").tolist()
    body["rounds"][1]["totals"] = totals_digest(totals)
    false = Envelope.seal("release", body, network.key)
    lie = changed(told, release=false.digest, rounds=rounds)
    later = changed(LATER, reuse=lie)
    assert network.run(planned(network, later, first, evidence=(plan, false))).release
    with pytest.raises(VerificationFailed, match="not in the bundle") as failed:
        verify_bundle(bundle(network, tmp_path / "bundle"))
    assert failed.value.where.startswith("releases/")


# a researcher


@pytest.fixture
def researcher(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(make(count=200, **HUGE), monkeypatch) as client:
        yield client


def test_a_researcher_reuses_by_name_by_answer_and_by_looking_for_it(researcher: Client) -> None:
    study = researcher.study("als-progression")
    of: dict[str, Any] = {"family": "binomial", "happened": "riluzole", "way": "gram"}
    none = study.glm("treatment ~ age", **of, reuse="auto").run(epsilon=2)
    assert "no release to reuse" in none.summary()
    fit = study.glm("score ~ age + C(condition)", way="gram").run(epsilon=3)
    offered = study.glm(FORMULA, **of).preview(epsilon=2)
    assert [each.release for each in offered.related] == [fit.release]
    assert "ask with reuse" in str(offered)
    question = study.glm(FORMULA, **of, reuse="auto")
    said = question.preview(epsilon=2)
    assert any("already answered" in note for note in said.planned.notes)
    found = question.run(epsilon=2)
    assert found.epsilon == pytest.approx(said.planned.epsilon_charged)
    assert found.epsilon < 2
    assert fit.release[:12] in found.summary()
    for reuse in (fit.release[:12], fit):  # the same question, whichever way it names the release
        same = study.glm(FORMULA, **of, reuse=reuse).preview(epsilon=2)
        assert same.answered is not None
        assert same.answered.release == found.release
    again = study.release(found.release)
    assert pd.testing.assert_frame_equal(again.coefficients, found.coefficients) is None
    with pytest.raises(BadInput, match="no column of the earlier model"):
        study.glm("treatment ~ score", **of, reuse=fit)
    with pytest.raises(BadInput, match=r"name an answer of study\.glm"):
        study.glm(FORMULA, **of, reuse=study.count().run(epsilon=1))
    with pytest.raises(BadInput, match="fitted in the way gram, without reuse"):
        study.glm("treatment ~ age", **of, reuse=found)
