"""Runs: asked once, answered once, seen by those entitled; a repeat costs nothing."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from pathlib import Path

import httpx
import pytest

from coordinator.api.services import ApiSettings
from coordinator.store.facts import Decision, NodeState
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.roster import RosterNode
from privacy.contract.signing import Envelope
from privacy.contract.study import Investigator, Study
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused
from privacy.units import Rho
from tests.support.api_calls import bearer, researcher, run, signed
from tests.support.fake_executor import NODES, World, make_world, serve
from tests.support.seeded import seeded_entropy


def test_a_question_is_planned_run_and_answered(world: World, http: httpx.Client) -> None:
    answer = run(http, world)
    assert answer.status_code == 200
    body = answer.json()
    assert body["state"] == "released"
    assert answer.headers["location"] == f"/v1/runs/{body['id']}"
    rows = body["answer"]["result"]["rows"]
    assert [row["cell"] for row in rows] == [["none"], ["riluzole"], ["other"]]
    (opened,) = body["answer"]["rounds"]
    assert {receipt["node"] for receipt in opened["receipts"]} == set(NODES)
    assert opened["rho"] == body["answer"]["rho"] == body["rho"]
    assert body["answer"]["epsilon"] <= 0.5
    assert world.executor.executed == [body["id"]]
    plan = world.store.runs.get(body["id"]).plan_envelope
    plan.open("plan", world.key.public)


def test_the_same_key_is_the_same_run(world: World, http: httpx.Client) -> None:
    first = run(http, world, key="k1").json()
    again = run(http, world, key="k1").json()
    assert again["id"] == first["id"]
    assert len(world.executor.executed) == 1
    other = run(http, world, key="k1", epsilon="0.6")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    replay = run(http, world, key="k2")
    assert (replay.status_code, replay.json()["code"]) == (409, "replayed")


def test_a_retry_while_queued_hands_the_run_on_again(world: World, http: httpx.Client) -> None:
    """A coordinator that stopped between storing a run and handing it on loses nothing."""
    world.executor.hold = True
    first = run(http, world, key="k1")
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    again = run(http, world, key="k1").json()
    assert world.executor.executed == [again["id"]] * 2


@pytest.mark.parametrize("key", ["a b", "a;b", "x" * 129, "/"])
def test_an_odd_key_is_refused(key: str, world: World, http: httpx.Client) -> None:
    headers = {**researcher(world), "Idempotency-Key": key}
    answer = http.post("/v1/runs", json=signed(world), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert world.executor.executed == []


def test_a_repeat_is_answered_from_the_stored_release_at_no_cost(
    world: World, http: httpx.Client
) -> None:
    first = run(http, world, nonce="1").json()
    size = world.store.ledgers.size(NODES[0])
    same = run(http, world, nonce="2", analysis={"kind": "count", "by": ["members.treatment"]})
    assert same.status_code == 200
    assert same.json()["repeat"]
    assert not first["repeat"]
    stored, answer = same.json()["answer"], first["answer"]
    assert stored.pop("log")["entry"] == answer.pop("log")["entry"]  # the log has grown since
    assert stored == answer
    assert len(world.executor.executed) == 1
    assert world.store.ledgers.size(NODES[0]) == size
    dearer = run(http, world, nonce="3", epsilon="0.6").json()
    assert not dearer["repeat"]


def test_a_repeat_is_not_served_when_other_nodes_would_answer(
    world: World, http: httpx.Client
) -> None:
    """The node set is part of the identity, and so is the month of the data."""
    run(http, world, nonce="1")
    world.clock.forward(31 * 86_400)
    later = instant_text(world.clock())
    expires = instant_text(world.clock().replace(year=2027))
    answer = run(http, world, nonce="2", asked_at=later, expires=expires)
    assert not answer.json()["repeat"]


def test_what_the_nodes_refuse_comes_back_as_their_code(world: World, http: httpx.Client) -> None:
    world.executor.refuse = Refused(Code.BUDGET_EXCEEDED, needed="1/2", left="1/4")
    body = run(http, world).json()
    assert (body["state"], body["code"]) == ("refused", "budget_exceeded")
    assert body["fields"] == {"needed": "1/2", "left": "1/4"}
    assert body["title"]
    assert body["answer"] is None


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"study": "other"}, 404, "unknown_study"),
        ({"study_digest": "0" * 64}, 409, "plan_mismatch"),
        ({"analysis": {"kind": "median"}}, 400, "bad_request"),
        ({"analysis": {"kind": "mean", "column": "nothing"}}, 422, "unknown_column"),
        ({"analysis": {"kind": "count", "by": ["treatment"], "x": 1}}, 400, "bad_request"),
        ({"cohort": "__import__('os')"}, 422, "bad_expression"),
        ({"cohort": "treatment == 'arsenic'"}, 422, "bad_expression"),
        ({"cohort": "(" * 5000}, 422, "bad_expression"),
        ({"epsilon": "nan"}, 422, "bad_epsilon"),
        ({"epsilon": "-1"}, 422, "bad_epsilon"),
        ({"epsilon": "1e16"}, 422, "bad_epsilon"),
        ({"max_attempts": 0}, 422, "too_many_attempts"),
        ({"max_attempts": 11}, 422, "too_many_attempts"),
        ({"expires": "2026-03-01T11:59:59Z"}, 409, "expired"),
        ({"asked_at": "2026-03-01T12:10:00Z"}, 409, "expired"),
        ({"expires": "tomorrow"}, 400, "bad_request"),
    ],
)
def test_what_is_wrong_with_a_question_is_said_before_anyone_is_asked(
    changed: dict[str, object], status: int, code: str, world: World, http: httpx.Client
) -> None:
    answer = run(http, world, **changed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert world.executor.executed == []


def test_only_the_callers_own_signature_counts(world: World, http: httpx.Client) -> None:
    body = signed(world)
    stolen = http.post("/v1/runs", json=body, headers=bearer(world.outsider))
    assert stolen.json()["code"] == "not_an_investigator"
    for change in ({"signature": "A" * 86 + "=="}, {"kind": "plan"}):
        forged = {"question": {**body["question"], **change}}
        answer = http.post("/v1/runs", json=forged, headers=researcher(world))
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_signature")
    edited = {**body["question"], "body": {**body["question"]["body"], "epsilon": "9"}}
    answer = http.post("/v1/runs", json={"question": edited}, headers=researcher(world))
    assert answer.json()["code"] == "bad_signature"
    assert world.executor.executed == []


def test_a_researcher_of_another_study_sees_nothing_of_this_one(
    world: World, http: httpx.Client
) -> None:
    made = run(http, world).json()
    stranger = bearer(world.outsider)
    assert http.get("/v1/studies", headers=stranger).json() == {"studies": []}
    assert http.get("/v1/runs", headers=stranger).json() == {"runs": []}
    hidden = [
        ("GET", f"/v1/studies/{world.study.id}", "/v1/studies/none"),
        ("GET", f"/v1/studies/{world.study.id}/dictionary", "/v1/studies/none/dictionary"),
        ("GET", f"/v1/runs/{made['id']}", "/v1/runs/none"),
        ("POST", f"/v1/runs/{made['id']}/cancel", "/v1/runs/none/cancel"),
        ("GET", f"/v1/releases/{made['answer']['release']}", f"/v1/releases/{'0' * 64}"),
    ]
    for method, there, nowhere in hidden:
        real = http.request(method, there, headers=stranger)
        assert real.status_code == 404
        assert real.json() == http.request(method, nowhere, headers=stranger).json()
    mine = signed(world, world.outsider)
    answer = http.post("/v1/runs", json=mine, headers=stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_study")


def test_a_new_investigator_does_not_see_the_runs_of_earlier_versions(
    world: World, http: httpx.Client
) -> None:
    """Entitlement goes by the version that was asked, not by the newest one."""
    made = run(http, world).json()
    key = world.outsider.signing_key.public.text
    newer = world.study.model_copy(update={"version": 2, "investigators": (Investigator(key=key),)})
    world.store.studies.add(Envelope.seal("study", newer.to_json(), world.key), "x")
    joined = bearer(world.outsider)
    assert len(http.get("/v1/studies", headers=joined).json()["studies"]) == 1
    assert http.get("/v1/runs", headers=joined).json() == {"runs": []}
    assert http.get(f"/v1/runs/{made['id']}", headers=joined).status_code == 404
    assert len(http.get("/v1/runs", headers=researcher(world)).json()["runs"]) == 1


def test_an_auditor_reads_results_and_an_admin_does_not(world: World, http: httpx.Client) -> None:
    made = run(http, world).json()
    auditor, admin = (bearer(world.tokens[role]) for role in (Role.AUDITOR, Role.ADMIN))
    path, release = f"/v1/runs/{made['id']}", f"/v1/releases/{made['answer']['release']}"
    assert http.get(path, headers=auditor).json()["answer"] == made["answer"]
    assert http.get(path, headers=admin).json()["answer"] is None
    assert http.get("/v1/runs", headers=admin).json()["runs"][0]["answer"] is None
    seen = http.get(release, headers=auditor).json()
    Envelope.from_json(seen["envelope"]).open("release", world.key.public)
    assert http.get(release, headers=admin).status_code == 403


def test_only_what_is_queued_can_be_cancelled(world: World, http: httpx.Client) -> None:
    world.executor.hold = True
    queued = run(http, world).json()["id"]
    path = f"/v1/runs/{queued}/cancel"
    cancelled = http.post(path, headers=researcher(world))
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = http.post(path, headers=researcher(world))
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    world.executor.let_go(queued)
    assert world.store.runs.get(queued).state.value == "cancelled"


def test_a_wait_ends_when_the_run_does(world: World, http: httpx.Client) -> None:
    world.executor.hold = True
    queued = run(http, world).json()["id"]
    before = http.get(f"/v1/runs/{queued}?wait=0.05", headers=researcher(world))
    assert before.json()["state"] == "queued"
    timer = threading.Timer(0.1, world.executor.let_go, [queued])
    timer.start()
    started = time.monotonic()
    after = http.get(f"/v1/runs/{queued}?wait=20", headers=researcher(world), timeout=30)
    assert after.json()["state"] == "released"
    assert time.monotonic() - started < 10
    timer.join()


def test_start_waits_as_preferred(world: World, http: httpx.Client) -> None:
    world.executor.hold = True
    stop = threading.Event()

    def answer_everything() -> None:
        while not stop.wait(0.02):
            for waiting in world.store.runs.unfinished():
                world.executor.let_go(waiting.id)

    thread = threading.Thread(target=answer_everything)
    thread.start()
    headers = researcher(world, Prefer="respond-async, wait=20")
    answer = http.post("/v1/runs", json=signed(world), headers=headers, timeout=30)
    stop.set()
    thread.join()
    assert (answer.status_code, answer.json()["state"]) == (200, "released")


def test_sixty_waiting_clients_keep_nobody_else_waiting(world: World, http: httpx.Client) -> None:
    world.executor.hold = True
    queued = run(http, world).json()["id"]
    limits = httpx.Limits(max_connections=100)
    url = str(http.base_url)
    states: list[str] = []
    with httpx.Client(base_url=url, trust_env=False, limits=limits, timeout=60) as many:

        def wait() -> None:
            answer = many.get(f"/v1/runs/{queued}?wait=30", headers=researcher(world))
            states.append(answer.json()["state"])

        threads = [threading.Thread(target=wait) for _ in range(60)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        for _ in range(10):
            started = time.monotonic()
            assert http.get("/v1/studies", headers=researcher(world)).status_code == 200
            assert time.monotonic() - started < 5
        assert states == []
        world.executor.let_go(queued)
        for thread in threads:
            thread.join(30)
    assert states == ["released"] * 60


def test_a_preview_spends_and_signs_nothing(world: World, http: httpx.Client) -> None:
    world.store.nodes.set_state(NODES[0], NodeState.PAUSED)
    world.store.studies.decide(NODES[1], world.study.digest, Decision.WITHDRAWN, "x")
    ask = {
        "study": world.study.id,
        "analysis": {"kind": "count", "by": ["treatment"]},
        "cohort": "age >= 18",
        "epsilon": "0.5",
    }
    body = http.post("/v1/previews", json=ask, headers=researcher(world)).json()
    assert body["can_answer"] == [NODES[2]]
    assert body["cannot_answer"] == {NODES[0]: "paused"}
    assert body["declining"] == 1, "not why, and not which"
    assert body["affordable"]
    assert body["preview"]["half_width"] > 0
    assert world.store.runs.newest(studies=None, limit=10) == ()
    assert list(world.store.releases.plans()) == []
    dear = http.post("/v1/previews", json={**ask, "epsilon": "11"}, headers=researcher(world))
    assert not dear.json()["affordable"]


def _next_version(world: World, **changes: object) -> Study:
    """The study again with other limits, approved everywhere."""
    study = Study.from_json(world.study.to_json() | {"version": 2} | changes)
    world.store.studies.add(Envelope.seal("study", study.to_json(), world.key), "x")
    for node in NODES:
        world.store.studies.decide(node, study.digest, Decision.APPROVED, "x")
    return study


def test_a_preview_says_that_the_period_is_over(world: World, http: httpx.Client) -> None:
    study = _next_version(world, starts="2001-01-01", ends="2001-12-31")
    ask = {"study": study.id, "analysis": {"kind": "count"}, "epsilon": "0.5"}
    body = http.post("/v1/previews", json=ask, headers=researcher(world)).json()
    assert body["can_answer"] == []
    assert body["cannot_answer"] == dict.fromkeys(NODES, "not-in-period")


def test_a_margin_needs_its_number_of_nodes(world: World, http: httpx.Client) -> None:
    study = _next_version(world, t_drop=1)
    answer = run(http, world, study_digest=study.digest)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_enough_nodes")
    assert answer.json()["fields"] == {"able": 3, "needed": 4}


def test_fewer_than_three_nodes_are_not_asked(world: World, http: httpx.Client) -> None:
    world.store.nodes.set_state(NODES[0], NodeState.OFFLINE)
    answer = run(http, world)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_enough_nodes")
    assert answer.json()["fields"] == {"able": 2, "needed": 3}


def test_the_budget_is_the_ledgers_sum_to_the_last_bit(world: World, http: httpx.Client) -> None:
    total = Rho.ZERO
    for number, epsilon in enumerate(["0.1", "0.25", "1"]):
        total = total + Rho.parse(
            run(http, world, nonce=str(number), epsilon=epsilon).json()["rho"]
        )
    budget = http.get(f"/v1/studies/{world.study.id}?sync=true", headers=researcher(world)).json()[
        "budget"
    ]
    assert world.executor.syncs == 1
    assert budget["committed"]["rho"] == total.text
    assert budget["left"]["rho"] == (world.study.rho - total).text
    assert budget["allowance"]["rho"] == world.study.rho.text
    delta = world.study.delta_fraction
    assert budget["committed"]["epsilon"] == epsilon_of_rho(total, delta)
    assert {node["node"] for node in budget["nodes"]} == set(NODES)


def test_one_researcher_cannot_fill_the_queue(tmp_path: Path) -> None:
    world = make_world(tmp_path, settings=ApiSettings(max_unfinished_runs=3))
    world.executor.hold = True
    with serve(world.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        codes = [run(http, world, nonce=str(number)).status_code for number in range(5)]
    assert codes == [202, 202, 202, 429, 429]
    world.store.close()


def test_an_invitation_leads_to_a_token_that_the_coordinator_never_saw(
    world: World, http: httpx.Client
) -> None:
    admin = bearer(world.tokens[Role.ADMIN])
    ask = {"role": "researcher", "name": "Ida"}
    code = http.post("/v1/invitations", json=ask, headers=admin, timeout=60).json()["code"]
    token = Token.new(Role.RESEARCHER, seeded_entropy("ida"))
    person = {"public_key": token.signing_key.public.text, "bearer_sha256": token.bearer_sha256}
    joined = http.post("/v1/join", json={"code": code, "person": person})
    assert joined.status_code == 201
    assert joined.json()["person"]["name"] == "Ida"
    assert http.get("/v1/me", headers=bearer(token)).json() == joined.json()["person"]
    second = {**person, "bearer_sha256": "0" * 64}
    again = http.post("/v1/join", json={"code": code, "person": second})
    assert (again.status_code, again.json()["code"]) == (403, "not_permitted")


def test_a_node_joins_by_its_own_kind_of_invitation(world: World, http: httpx.Client) -> None:
    admin = bearer(world.tokens[Role.ADMIN])
    code = http.post("/v1/invitations", json={"name": "New org"}, headers=admin).json()["code"]
    token = Token.new(Role.ADMIN, seeded_entropy("n"))
    key = token.signing_key.public.text
    node = RosterNode(id="new-org", name="New org", key=key, transport_key="pem").to_json()
    person = {"public_key": node["key"], "bearer_sha256": token.bearer_sha256}
    for wrong in (
        {"code": code},
        {"code": code, "person": person, "node": node},
        {"code": code, "node": {**node, "key": "short"}},
        {"code": code, "node": {**node, "id": "../etc"}},
        {"code": code, "node": {**node, "former": [{"key": key, "until": "1"}]}},
    ):
        assert http.post("/v1/join", json=wrong).json()["code"] == "bad_request"
    as_person = http.post("/v1/join", json={"code": code, "person": person})
    assert as_person.json()["code"] == "not_permitted"
    joined = http.post("/v1/join", json={"code": code, "node": node})
    assert joined.status_code == 201
    assert joined.json()["network"]["coordinator_key"] == world.key.public.text
    states = {
        each["id"]: each["state"] for each in http.get("/v1/nodes", headers=admin).json()["nodes"]
    }
    assert states["new-org"] == "joining"


def test_guessing_invitations_is_slowed_down(world: World, http: httpx.Client) -> None:
    token = Token.new(Role.ADMIN, seeded_entropy("g"))
    person = {"public_key": token.signing_key.public.text, "bearer_sha256": token.bearer_sha256}
    codes = [
        http.post("/v1/join", json={"code": f"guess-{number}", "person": person}).status_code
        for number in range(25)
    ]
    assert codes == [403] * 20 + [429] * 5


def test_the_audit_bundle_is_a_plain_archive(world: World, http: httpx.Client) -> None:
    release = run(http, world).json()["answer"]["release"]
    answer = http.get("/v1/audit/bundle", headers=bearer(world.tokens[Role.AUDITOR]))
    assert answer.headers["content-type"] == "application/gzip"
    assert world.executor.syncs == 1
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names = {member.name for member in tar if member.isfile()}
    assert f"cairn-audit/releases/{release}.json" in names
    assert {f"cairn-audit/nodes/{node}/entries.jsonl" for node in NODES} <= names
    assert answer.headers["cache-control"] == "no-store"
