"""The client: objects, nothing sent before it is asked for, nothing spent twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.client import (
    BadInput,
    BudgetExceeded,
    NodeOffline,
    NotSignedIn,
    Refused,
    TimedOut,
    Unreachable,
    connect,
)
from coordinator.client.auditing import pull_bundle
from coordinator.client.errors import affordable_epsilon
from coordinator.client.joining import join
from coordinator.client.network import Network
from coordinator.client.question import epsilon_text
from coordinator.store.facts import NodeState
from models.result import NUMBERS
from privacy import errors
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.contract.token import Role
from privacy.errors import Code
from privacy.units import Rho
from tests.support.api_calls import bearer
from tests.support.fake_executor import (
    DICTIONARY,
    NODES,
    World,
    budget_refusal,
    make_world,
    serve,
)
from tests.support.seeded import seeded_entropy

ALS = "condition == 'als' and age >= 18"


@pytest.fixture
def net(url: str, token: str) -> Iterator[Network]:
    made = connect(url, token=token)
    assert isinstance(made, Network)
    yield made
    made.close()


class Recorder(httpx.HTTPTransport):
    """Passes requests on and remembers them; `breaks` decides which answers are lost."""

    def __init__(self, breaks: Callable[[int, httpx.Request], bool] = lambda *_: False) -> None:
        super().__init__()
        self.seen: list[httpx.Request] = []
        self.breaks = breaks

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = super().handle_request(request)
        if self.breaks(len(self.seen), request):
            answer.read()
            answer.close()
            raise httpx.ReadError("the line broke", request=request)
        return answer


def test_the_whole_path_from_study_to_table(net: Network) -> None:
    assert [study.id for study in net.studies()] == ["als-progression"]
    study = net.study("als-progression")
    assert net.studies()[0] is study
    question = study.where(ALS).count(by="treatment")
    preview = question.preview(epsilon=0.3)
    assert "± 33.7 members" in str(preview)
    assert set(preview.can_answer) == set(NODES)
    result = question.run(epsilon=0.3)
    assert list(result.table.columns) == ["treatment", *NUMBERS]
    assert list(result.table["treatment"]) == ["none", "riluzole", "other"]
    assert {receipt.node for receipt in result.receipts} == set(NODES)
    assert 0.299 < result.epsilon <= 0.3
    assert result.spent == result.epsilon
    assert float(result.rho) == pytest.approx(float(preview.planned.rho.split("/")[0]) / 2**60)
    again = question.run(epsilon=0.3)
    assert (again.repeat, again.spent) == (True, 0.0)
    assert again.identity == result.identity
    assert again.table.equals(result.table)
    assert net.run(result.run).table.equals(result.table)


def test_a_result_explains_itself(net: Network) -> None:
    result = net.study("als-progression").where(ALS).mean("severity").run(epsilon=1)
    shown = json.loads(json.dumps(result.to_json()))
    assert shown["study"] == "als-progression"
    assert shown["noise"]["survivors"] == 3
    assert shown["noise"]["relative_to_curator"] == pytest.approx(math.sqrt(3 / 2))
    assert len(shown["receipts"]) == 3
    assert "epsilon = " in result.methods()
    assert "discrete Gaussian" in result.methods()
    assert "receipt: als-union" in str(result)
    display = result.display
    assert (display["low"] >= 0).all()
    assert (display["high"] <= 10).all()


def test_a_chart_needs_no_further_request_and_no_coordinator(url: str, token: str) -> None:
    recorder = Recorder()
    net = connect(url, token=token, transport=recorder)
    assert isinstance(net, Network)
    result = net.study("als-progression").where(ALS).mean("age").run(epsilon=1)
    sent = len(recorder.seen)
    drawn = json.dumps(result.plot().to_dict())
    assert "mean of age" in drawn
    assert "MADE-UP" not in drawn
    assert len(recorder.seen) == sent
    later = net.run(result.run)  # of another session, who has not read the dictionary
    recorder.breaks = lambda *_: True
    assert "mean of age" in json.dumps(later.plot().to_dict())
    net.close()


@pytest.mark.parametrize("by", [None, "treatment", ["treatment"], ["condition", "treatment"], ()])
def test_by_takes_none_a_name_or_a_list(by: Any, net: Network) -> None:
    rows = net.study("als-progression").count(by=by).run(epsilon=5).answer.rows
    assert len(rows) == {0: 1, 1: 3, 2: 9}[len([by] if isinstance(by, str) else by or [])]


def test_every_kind_of_question(net: Network) -> None:
    study = net.study("als-progression")
    assert len(study.histogram("severity").run(epsilon=1).answer.rows) == 5
    assert len(study.where("age > 50").where("condition == 'ms'").sum("age").run(epsilon=1).table)
    assert "age" in study.sum("age").sentence


def test_a_study_tells_its_columns_budget_and_approvals(net: Network) -> None:
    study = net.study("als-progression")
    assert [column.name for column in study.columns] == [
        "condition",
        "treatment",
        "age",
        "severity",
    ]
    assert study.budget.left.epsilon == pytest.approx(10, abs=1e-9)
    study.count().run(epsilon=1)
    budget = study.budget
    assert budget.committed.epsilon == pytest.approx(1, abs=1e-4)
    assert "left of 10" in str(budget)
    assert study.approvals == dict.fromkeys(NODES, "approved")
    assert "purpose research" in repr(study)


def test_nodes_are_listed_with_their_state(net: Network, live_world: World) -> None:
    live_world.store.nodes.set_state("ms-league", NodeState.PAUSED)
    assert {node.id: node.state for node in net.nodes()}["ms-league"] == "paused"
    preview = net.study("als-progression").count().preview(epsilon=1)
    assert dict(preview.cannot_answer) == {"ms-league": "paused"}
    assert "ms-league (paused)" in str(preview)
    with pytest.raises(NodeOffline) as offline:
        net.study("als-progression").count().run(epsilon=1)
    assert offline.value.code is Code.NOT_ENOUGH_NODES


def test_nothing_is_sent_until_it_is_asked_for(url: str, token: str) -> None:
    recorder = Recorder()
    made = connect(url, token=token, transport=recorder)
    assert recorder.seen == []
    study = made.study("als-progression")
    question = study.where(ALS).count(by="treatment")
    sent = len(recorder.seen)
    repr(question)
    study.where("age > 3").mean("severity")
    mistakes: list[tuple[Callable[[], object], Code]] = [
        (lambda: study.where("agee > 3"), Code.BAD_EXPRESSION),
        (lambda: study.where("treatment == 'arsenic'"), Code.BAD_EXPRESSION),
        (lambda: study.where("__import__('os')"), Code.BAD_EXPRESSION),
        (lambda: study.where(None), Code.BAD_EXPRESSION),  # type: ignore[arg-type]
        (lambda: study.count(by="tretment"), Code.UNKNOWN_COLUMN),
        (lambda: study.mean("treatment"), Code.UNKNOWN_COLUMN),
        (lambda: study.count(by=3), Code.BAD_REQUEST),  # type: ignore[arg-type]
        (lambda: study.mean(3), Code.BAD_REQUEST),  # type: ignore[arg-type]
        (lambda: question.run(epsilon=0), Code.BAD_EPSILON),
        (lambda: question.run(epsilon="much"), Code.BAD_EPSILON),
        (lambda: question.run(epsilon=float("nan")), Code.BAD_EPSILON),
        (lambda: question.run(epsilon=True), Code.BAD_EPSILON),
        (lambda: question.run(epsilon=1, max_attempts=0), Code.TOO_MANY_ATTEMPTS),
        (lambda: question.run(epsilon=1, timeout_seconds=0), Code.BAD_REQUEST),
    ]
    for mistake, code in mistakes:
        with pytest.raises(BadInput) as refused:
            mistake()
        assert refused.value.code is code
        assert isinstance(refused.value, errors.BadInput)
    with pytest.raises(BadInput, match="did you mean 'treatment'"):
        study.count(by="tretment")
    assert len(recorder.seen) == sent


def test_a_broken_line_spends_nothing_twice(live_world: World, url: str, token: str) -> None:
    """The answer to the first two POSTs is lost on the way; the run is one and the same."""
    posts: list[int] = []

    def breaks(number: int, request: httpx.Request) -> bool:
        if request.method == "POST":
            posts.append(number)
        return request.method == "POST" and len(posts) <= 2

    recorder = Recorder(breaks)
    made = connect(url, token=token, transport=recorder)
    result = made.study("als-progression").count().run(epsilon=0.5)
    keys = {r.headers["idempotency-key"] for r in recorder.seen if r.method == "POST"}
    assert len(posts) == 3
    assert len(keys) == 1
    assert live_world.executor.executed == [result.run]
    assert not result.repeat


def test_a_post_without_a_key_is_never_sent_twice(url: str, token: str) -> None:
    recorder = Recorder(lambda _, request: request.method == "POST")
    made = connect(url, token=token, transport=recorder)
    question = made.study("als-progression").count()
    with pytest.raises(Unreachable):
        question.preview(epsilon=1)
    assert sum(request.method == "POST" for request in recorder.seen) == 1


def test_the_secret_of_the_token_is_never_sent(live_world: World, url: str, token: str) -> None:
    recorder = Recorder()
    made = connect(url, token=token, transport=recorder)
    made.study("als-progression").count().run(epsilon=0.5)
    researcher = live_world.tokens[Role.RESEARCHER]
    secrets = [token[8:], researcher.secret.hex(), researcher.signing_key.secret_bytes().hex()]
    for request in recorder.seen:
        sent = str(request.url) + str(request.headers.raw) + request.read().decode()
        assert not any(secret in sent for secret in secrets)
    assert token[8:] not in repr(made) + repr(made.transport)


def test_over_budget_says_what_is_left_and_what_would_fit(live_world: World, net: Network) -> None:
    left, needed = Rho(2**60 // 1000), Rho(2**60 // 10)
    live_world.executor.refuse = budget_refusal(left, needed)
    with pytest.raises(BudgetExceeded) as refused:
        net.study("als-progression").count().run(epsilon=2)
    error = refused.value
    delta = live_world.study.delta_fraction
    assert error.code is Code.BUDGET_EXCEEDED
    assert (error.needed, error.left) == (
        epsilon_of_rho(needed, delta),
        epsilon_of_rho(left, delta),
    )
    assert error.suggest is not None
    assert rho_of_epsilon(parse_epsilon(str(error.suggest)), delta) <= left
    assert f"epsilon={error.suggest} would fit" in str(error)


@pytest.mark.parametrize("openings", [1, 2, 9])
@pytest.mark.parametrize("units", [2**30, 2**50, 2**60, 3 * 2**62, 10**33])
def test_what_is_suggested_always_fits_and_is_hardly_less(units: int, openings: int) -> None:
    delta = parse_epsilon("1e-6")
    found = affordable_epsilon(Rho(units), delta, openings)
    assert found is not None
    assert rho_of_epsilon(parse_epsilon(epsilon_text(found)), delta) * openings <= Rho(units)
    more = epsilon_text(found * 1.02)
    assert rho_of_epsilon(parse_epsilon(more), delta) * openings > Rho(units)


def test_nothing_left_suggests_nothing() -> None:
    assert affordable_epsilon(Rho.ZERO, parse_epsilon("1e-6")) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.PAUSED, NodeOffline),
        (Code.ATTEMPT_LOST, NodeOffline),
        (Code.PLAN_MISMATCH, Refused),
        (Code.COHORT_TOO_SMALL, Refused),
    ],
)
def test_refusals_keep_their_code(
    code: Code, kind: type[Refused], live_world: World, net: Network
) -> None:
    live_world.executor.refuse = errors.Refused(code, nodes=2)
    with pytest.raises(kind) as refused:
        net.study("als-progression").count().run(epsilon=2)
    assert refused.value.code is code
    assert refused.value.public_fields == {"nodes": 2}
    assert code.value in str(refused.value)


@pytest.mark.parametrize("code", [Code.POLICY_FLOOR, Code.NOT_APPROVED])
def test_why_an_organisation_declines_is_not_told(
    code: Code, live_world: World, net: Network
) -> None:
    live_world.executor.refuse = errors.Refused(code, what="min_cohort")
    with pytest.raises(Refused) as refused:
        net.study("als-progression").count().run(epsilon=2)
    assert (refused.value.code, refused.value.public_fields) == (Code.DECLINED, {})


def test_a_run_that_takes_too_long_can_be_looked_up_later(live_world: World, net: Network) -> None:
    live_world.executor.hold = True
    question = net.study("als-progression").count()
    with pytest.raises(TimedOut) as late:
        question.run(epsilon=1, timeout_seconds=0.3)
    assert late.value.run_id in str(late.value)
    live_world.executor.let_go(late.value.run_id)
    assert net.run(late.value.run_id).table.shape[0] == 1


def test_without_a_good_token_nothing_is_told(url: str) -> None:
    for token in (None, "cairn_r_" + "A" * 43):
        with pytest.raises(NotSignedIn):
            connect(url, token=token).studies()
    with pytest.raises(errors.BadInput) as refused:
        connect(url, token="cairn_r_secret")
    assert "cairn_r_secret" not in str(refused.value)


def test_an_unknown_study_is_refused(net: Network) -> None:
    for name in ("none", "../nodes", "a/b", "", "..", "x?y"):
        with pytest.raises(Refused) as refused:
            net.study(name)
        assert refused.value.code is Code.UNKNOWN_STUDY


def test_an_auditor_cannot_ask(url: str, live_world: World) -> None:
    made = connect(url, token=live_world.tokens[Role.AUDITOR].text)
    with pytest.raises(Refused) as refused:
        made.study("als-progression").count().run(epsilon=1)
    assert refused.value.code is Code.NOT_PERMITTED


def test_a_coordinator_that_swaps_the_dictionary_is_caught(url: str, token: str) -> None:
    class Swapped(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            body = answer.read()
            if request.url.path.endswith("/dictionary"):
                body = body.replace(b"riluzole", b"something")
            return httpx.Response(200, content=body)

    made = connect(url, token=token, transport=Swapped())
    with pytest.raises(errors.VerificationFailed):
        made.study("als-progression").count()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://example.org", "plain http"),
        ("http://10.0.0.1:8400", "plain http"),
        ("ftp://example.org", "address"),
        ("nonsense", "address"),
    ],
)
def test_a_token_goes_only_where_it_is_safe(address: str, says: str) -> None:
    with pytest.raises(errors.BadInput, match=says):
        connect(address, token="cairn_r_" + "A" * 43)


def test_a_coordinator_that_is_not_there_is_offline() -> None:
    made = connect("http://127.0.0.1:9", token="cairn_r_" + "A" * 43)
    with pytest.raises(Unreachable) as offline:
        made.studies()
    assert offline.value.code is Code.NODE_OFFLINE


def test_the_environment_names_network_token_and_authority(
    monkeypatch: pytest.MonkeyPatch, url: str, token: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("CAIRN_URL", url)
    monkeypatch.setenv("CAIRN_TOKEN", token)
    assert len(connect().studies()) == 1
    monkeypatch.setenv("CAIRN_CA", str(tmp_path / "none.pem"))
    monkeypatch.setenv("CAIRN_URL", "https://127.0.0.1:1")
    with pytest.raises(errors.BadInput, match="PEM"):
        connect()
    monkeypatch.delenv("CAIRN_URL")
    with pytest.raises(BadInput, match="CAIRN_URL"):
        connect()


def test_mock_answers_the_same_calls_and_says_so(net: Network, live_world: World) -> None:
    study = net.study("als-progression").mock(members=500, seed=3)
    question = study.where(ALS).count(by=["condition", "treatment"])
    assert question.preview(epsilon=1).left is None
    result = question.run(epsilon=1)
    assert list(result.table.columns) == ["condition", "treatment", *NUMBERS]
    assert result.mock
    assert result.spent == 0
    assert result.receipts == ()
    assert str(result).startswith("MOCK DATA")
    assert "made-up members" in result.methods()
    assert study.budget.left == study.budget.allowance
    assert live_world.executor.executed == []
    exact = study.count().run(epsilon=1e15).answer.rows[0].estimate
    assert exact == pytest.approx(500, abs=1e-3)


def test_a_folder_is_a_network_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    (tmp_path / "study.toml").write_text('[[study]]\nid = "s"\nepsilon_allowance = 1\n')
    made = connect(f"mock:{tmp_path}")
    study = made.study("s")
    assert made.studies() == [study]
    assert made.nodes() == []
    assert len(study.histogram("severity").run(epsilon=1).table) == 5
    with pytest.raises(Refused):
        made.study("t")
    (tmp_path / "study.toml").write_text("[[study]]\n")
    with pytest.raises(errors.BadInput, match=r"study\.toml"):
        connect(f"mock:{tmp_path}")


def test_two_memberships_cost_four_times_and_the_suggestion_knows(tmp_path: Path) -> None:
    text = '[[study]]\nid = "s"\nepsilon_allowance = 1\n[policy]\nmax_memberships = 2\n'
    (tmp_path / "dictionary.toml").write_text(DICTIONARY)
    (tmp_path / "study.toml").write_text(text)
    result = connect(f"mock:{tmp_path}").study("s").count().run(epsilon=3)
    assert result.epsilon == pytest.approx(6.53, abs=0.01)


def test_an_invitation_becomes_a_token_here(url: str, live_world: World) -> None:
    admin = bearer(live_world.tokens[Role.ADMIN])
    ask = {"role": "auditor", "name": "Ada"}
    code = httpx.post(f"{url}/v1/invitations", json=ask, headers=admin, timeout=60).json()["code"]
    made = join(url, code, entropy=seeded_entropy("ada"))
    assert made.role is Role.AUDITOR
    assert len(connect(url, token=made.text).studies()) == 1
    with pytest.raises(Refused) as refused:
        join(url, code, entropy=seeded_entropy("eve"))
    assert refused.value.code is Code.NOT_PERMITTED


def test_a_bundle_is_pulled_whole_or_not_at_all(
    url: str, live_world: World, net: Network, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(Refused):
        pull_bundle(net.transport, out)
    assert list(tmp_path.glob("bundle*")) == []
    auditor = connect(url, token=live_world.tokens[Role.AUDITOR].text)
    assert isinstance(auditor, Network)
    pull_bundle(auditor.transport, out)
    assert (out / "manifest.json").is_file()
    with pytest.raises(errors.BadInput, match="new folder"):
        pull_bundle(auditor.transport, out)


def test_a_study_may_be_given_any_allowance(tmp_path: Path) -> None:
    world = make_world(tmp_path, epsilon_allowance="1000000000000000")
    world.clock.now = world.clock.now.replace(year=2026)
    with serve(world.app) as address, httpx.Client(base_url=address, timeout=60) as http:
        headers = bearer(world.tokens[Role.RESEARCHER])
        ask = {"study": world.study.id, "analysis": {"kind": "count"}, "epsilon": "1e15"}
        body = http.post("/v1/previews", json=ask, headers=headers).json()
        assert body["affordable"]
        assert body["left"]["epsilon"] == 1e15
    world.store.close()


@pytest.mark.parametrize(
    ("epsilon", "text"),
    [
        (0.3, "0.3"),
        (1, "1"),
        ("0.30", "0.3"),
        (1e15, "1" + "0" * 15),
        ("1e-3", "0.001"),
        (1e-7, "0.0000001"),
        (100, "100"),
    ],
)
def test_epsilon_is_exact_text(epsilon: float | str, text: str) -> None:
    assert epsilon_text(epsilon) == text
