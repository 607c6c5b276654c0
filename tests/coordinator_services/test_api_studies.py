"""Proposing studies over the API, their signed steps, and the public register."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from privacy.contract.signing import SigningKey
from privacy.contract.study import Investigator, Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.units import Rho
from tests.support.api_calls import bearer, researcher, run
from tests.support.fake_executor import NODES, World, node_key
from tests.support.fake_nodes import append_entries

AT = "2026-03-10T12:00:00Z"
STRANGER = SigningKey(b"s" * 32)


def new_study(world: World, **changes: Any) -> Study:
    facts = {**world.study.to_json(), "id": "ms-fatigue", "version": 1, **changes}
    return Study.from_json(facts)


def proposal(world: World, study: Study, key: SigningKey | None = None) -> dict[str, Any]:
    signer = key or world.tokens[Role.RESEARCHER].signing_key
    step = StudyStep.of(study, Act.PROPOSE, Signer.RESEARCHER, AT).sealed(signer)
    return {"study": study.to_json(), "proposal": step.to_json()}


def post(http: httpx.Client, world: World, body: dict[str, Any], path: str = "") -> httpx.Response:
    return http.post(f"/v1/studies{path}", json=body, headers=researcher(world))


def take(
    http: httpx.Client, world: World, study: Study, act: Act, note: str = "", *releases: str
) -> Any:
    key = world.tokens[Role.RESEARCHER].signing_key
    step = StudyStep.of(study, act, Signer.RESEARCHER, AT, note=note, releases=releases).sealed(key)
    return post(http, world, {"step": step.to_json()}, f"/{study.id}/steps")


def decide(world: World, study: Study, act: Act, node: str, number: int = 0) -> None:
    from coordinator import operate

    step = StudyStep.of(
        study, act, Signer.ORGANISATION, AT, by=node, number=number, note="Because."
    )
    signers = operate.signers(world.store, world.key.public)
    world.store.steps.add(step.sealed(node_key(node)), study, signers)


def log(http: httpx.Client, world: World, role: Role, study: str) -> list[tuple[str, str]]:
    headers = bearer(world.tokens[role])
    said = http.get(f"/v1/studies/{study}/steps", headers=headers).json()["steps"]
    return [(step["act"], step["by"]) for step in said]


def test_a_researcher_proposes_and_the_public_reads_the_results(
    world: World, http: httpx.Client
) -> None:
    study = new_study(world, question="Does it help?")
    answer = post(http, world, proposal(world, study))
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "proposed"
    for node in NODES:
        decide(world, study, Act.APPROVE, node)
    listed = {each["id"]: each for each in http.get("/api/register").json()["studies"]}
    assert listed["ms-fatigue"]["state"] == "approved"
    assert listed["ms-fatigue"]["results"] == ""
    assert take(http, world, study, Act.PUBLISH, "Early.").status_code == 409
    assert take(http, world, study, Act.CLOSE).json()["state"] == "closed"
    other = run(http, world, key="other").json()["answer"]["release"]
    for release in (other, "0" * 64):  # of another study, and none
        said = take(http, world, study, Act.PUBLISH, "It helps a little.", release)
        assert said.status_code == 404
    assert take(http, world, study, Act.PUBLISH, "It helps a little.").status_code == 201
    assert http.get("/api/register/ms-fatigue").json()["answers"] == []
    listed = {each["id"]: each for each in http.get("/api/register").json()["studies"]}
    assert listed["ms-fatigue"]["results"] == "It helps a little."
    assert listed["ms-fatigue"]["question"] == "Does it help?"


def test_the_register_needs_no_login_and_names_no_refused_or_waiting_study(
    world: World, http: httpx.Client
) -> None:
    study = new_study(world)
    assert post(http, world, proposal(world, study)).status_code == 201
    for node in NODES[:2]:
        decide(world, study, Act.REFUSE, node)
    assert http.get("/api/register").json() == {"studies": []}


def test_a_draft_is_kept_and_proposed_later(world: World, http: httpx.Client) -> None:
    study = new_study(world)
    assert post(http, world, {"study": study.to_json()}).json()["state"] == "draft"
    assert world.store.steps.proposals(study.digest) == ()
    assert take(http, world, study, Act.PROPOSE).json()["state"] == "proposed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"investigators": [Investigator(key=STRANGER.public.text).to_json()]}, 403),
        ({"version": 2}, 409),
        ({"id": "als-progression", "version": 3}, 409),
        ({"delta": "1/1000"}, 400),
        ({"cohort": "age >= 18 or"}, 400),
        ({"cohort": "(age>=18)"}, 400),
        ({"variables": ["members.wage"]}, 400),
        ({"dictionary": "0" * 64}, 404),
    ],
)
def test_what_may_not_be_proposed_is_refused(
    world: World, http: httpx.Client, changes: dict[str, Any], status: int
) -> None:
    body = proposal(world, new_study(world, **changes))
    assert post(http, world, body).status_code == status


def test_a_proposal_counts_only_with_the_callers_own_signature(
    world: World, http: httpx.Client
) -> None:
    study = new_study(world)
    assert post(http, world, proposal(world, study, STRANGER)).status_code == 403
    forged = proposal(world, study)
    forged["proposal"]["body"]["note"] = "and more"
    assert post(http, world, forged).status_code == 403
    other = {**proposal(world, new_study(world, title="x")), "study": study.to_json()}
    assert post(http, world, other).status_code == 403


def test_an_amendment_comes_from_an_investigator_of_the_version_before(
    world: World, http: httpx.Client
) -> None:
    mine = world.tokens[Role.RESEARCHER].signing_key.public.text
    theirs = new_study(world, investigators=[Investigator(key=STRANGER.public.text).to_json()])
    from coordinator import operate

    operate.propose(world.store, world.key, theirs, now=world.clock())
    taken = new_study(world, version=2, investigators=[Investigator(key=mine).to_json()])
    assert post(http, world, proposal(world, taken)).status_code == 403
    own = new_study(world, id="als-progression", version=2, title="Amended")
    assert post(http, world, proposal(world, own)).json()["version"] == 2


def test_a_researcher_is_not_told_who_refused_or_why(world: World, http: httpx.Client) -> None:
    study = new_study(world)
    post(http, world, proposal(world, study))
    decide(world, study, Act.APPROVE, NODES[0])
    decide(world, study, Act.REFUSE, NODES[1])
    decide(world, study, Act.ASK, NODES[2])
    told = log(http, world, Role.RESEARCHER, study.id)
    assert told == [("propose", ""), ("approve", NODES[0]), ("ask", NODES[2])]
    assert ("refuse", NODES[1]) in log(http, world, Role.AUDITOR, study.id)
    assert take(http, world, study, Act.PROPOSE, "Because we need it.").status_code == 201


def test_no_question_of_a_closed_study_is_taken(world: World, http: httpx.Client) -> None:
    from coordinator import operate

    operate.propose(world.store, world.key, world.study, now=world.clock())
    for node in NODES:
        decide(world, world.study, Act.APPROVE, node)
    assert run(http, world).status_code in (200, 202)
    assert ("start", "") in log(http, world, Role.RESEARCHER, world.study.id)
    assert take(http, world, world.study, Act.CLOSE).status_code == 201
    answer = run(http, world, nonce="01")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_the_budget_tells_a_researcher_what_is_left_of_their_part(
    world: World, http: httpx.Client
) -> None:
    def yours() -> Any:
        path = f"/v1/studies/{world.study.id}"
        return http.get(path, headers=researcher(world)).json()["budget"]["yours"]

    assert yours() is None
    state = world.app.state.services.budgets.state(NODES[0])
    part = Rho(state.study_quota(state.approvals[world.study.digest]).units // 4)
    limits = state.policy.model_copy(update={"researcher_rho": part.text})
    append_entries(world.store, NODES[0], instant_text(world.clock()), limits)
    assert yours()["rho"] == part.text
    auditor = bearer(world.tokens[Role.AUDITOR])
    seen = http.get(f"/v1/studies/{world.study.id}", headers=auditor).json()["budget"]
    assert seen["yours"] is None
