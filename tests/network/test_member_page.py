"""A member's own page: reached once by a link, it shows and changes their consent and no more."""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from deploy.ports import free_port
from node.member.app import COOKIE, HEADERS, TOKEN_HEADER, create_member_app
from node.program import _member_server
from node.receipt import open_receipt
from node.steward import Steward
from pages.kit import static_address
from privacy.contract.consent import ConsentState
from privacy.contract.signing import Envelope
from privacy.errors import BadInput, VerificationFailed
from tests.support.network import PURPOSE, Network, Shape, make_cold_network

NODE = "ms-league"
KEY = "disease_research"
RICH = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}


MEMBERS = count()


class World:
    """One node of a network with its members' page."""

    def __init__(self, network: Network, member: int = 0) -> None:
        self.network = network
        self.node = network.nodes[NODE]
        settings = replace(
            self.node.parts.settings, member_port=8080, member_url="https://members.example.org/"
        )
        self.parts = replace(self.node.parts, settings=settings)
        self.steward = Steward(self.parts)
        self.app = create_member_app(self.parts)
        people = network.shape.people(NODE)
        self.member = str(people[people["consent"] == "yes"]["member"].iloc[member])

    def client(self) -> TestClient:
        return TestClient(self.app, base_url="https://members.example.org")

    def secret(self, member: str = "") -> str:
        link = self.steward.member_link(member or self.member)
        assert link.startswith("https://members.example.org/open/")
        return link.rpartition("/")[2]

    def signed_in(self, member: str = "") -> TestClient:
        client = self.client()
        answer = client.post("/open", data={"secret": self.secret(member)})
        assert answer.status_code == 200
        return client


@pytest.fixture
def asked(make: Callable[..., Network]) -> World:
    """In a network that answers questions."""
    return World(make(**RICH))


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network before its first contact: enough for everything but questions."""
    network = make_cold_network(tmp_path_factory.mktemp("cold"), Shape(**RICH))
    yield network
    network.close()


@pytest.fixture
def world(cold: Network) -> World:
    """Its own page, and a member whom no other test knows."""
    return World(cold, next(MEMBERS))


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


def counted(world: World, cohort: str) -> int:
    run = world.network.ask({"kind": "count"}, cohort, epsilon="10000000000000")
    [estimate] = world.network.estimates(run).values()
    return round(estimate)


# links and sessions


def test_a_link_opens_once_and_looking_at_it_does_not_open_it(world: World) -> None:
    secret, client = world.secret(), world.client()
    for _ in range(3):
        assert "Open my page" in client.get(f"/open/{secret}").text
    assert client.post("/open", data={"secret": secret}).status_code == 200
    again = world.client().post("/open", data={"secret": secret})
    assert again.status_code == 404


@pytest.mark.parametrize("path", ["/open", "/api/open"])
def test_no_other_site_opens_a_link(world: World, path: str) -> None:
    data, client = {"secret": world.secret()}, world.client()
    told = client.post(path, data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert (told.status_code, "set-cookie" in told.headers) == (409, False)
    assert client.post(path, data=data).status_code == 200


def test_links_unknown_used_and_over_look_the_same(world: World) -> None:
    used, old = world.secret(), world.secret()
    world.client().post("/open", data={"secret": used})
    world.network.clock.forward(days=15)
    answers = [
        world.client().post("/open", data={"secret": secret})
        for secret in (used, old, "A" * 43, "", "é", used[:-1])
    ]
    assert {answer.status_code for answer in answers[:4]} == {404}
    assert len({answer.text for answer in answers[:4]}) == 1


def test_the_file_of_links_holds_no_secret(world: World) -> None:
    secret = world.secret()
    stored = world.parts.home.links_file
    assert secret.encode() not in stored.read_bytes()
    assert stored.stat().st_mode & 0o077 == 0


def test_a_session_ends_by_itself_and_by_leaving(world: World) -> None:
    client = world.signed_in()
    token = form_token(client.get("/").text)
    assert client.post("/leave", data={"form_token": token}).status_code == 200
    assert client.get("/").status_code == 401
    client = world.signed_in()
    world.network.clock.forward(minutes=21)
    assert client.get("/").status_code == 401


def test_without_a_session_every_address_says_the_same_to_everybody(world: World) -> None:
    client = world.client()
    for path in ("/", "/receipt/1", "/receipt/999"):
        assert client.get(path).status_code == 401
    assert client.get("/members").status_code == 404
    assert client.get("/openapi.json").status_code == 404
    assert client.get(f"/{world.member}").status_code == 404


def test_a_link_needs_the_page_to_be_on_and_the_member_to_be_there(world: World) -> None:
    with pytest.raises(BadInput, match="no page for members"):
        world.node.steward.member_link(world.member)
    with pytest.raises(BadInput, match="no member"):
        world.steward.member_link("nobody")


def test_an_erased_member_has_no_page(world: World) -> None:
    client, secret = world.signed_in(), world.secret()
    world.steward.erase(world.member)
    assert world.client().post("/open", data={"secret": secret}).status_code == 404
    assert client.get("/").status_code == 409


def test_the_listener_is_off_unless_set_and_has_nothing_else_on_it(world: World) -> None:
    assert _member_server(world.node.parts) == []
    settings = replace(world.parts.settings, member_port=free_port())
    [(server, sockets)] = _member_server(replace(world.parts, settings=settings))
    serving = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    serving.start()
    try:
        address = f"http://127.0.0.1:{settings.member_port}"
        for path, status in (("/", 401), ("/v1/status", 404), ("/health", 404), ("/docs", 404)):
            assert httpx.get(address + path, timeout=10).status_code == status
    finally:
        server.should_exit = True
        serving.join(10)


# what it does


def test_withdrawing_takes_one_step_and_counts_from_the_next_question_on(asked: World) -> None:
    before = counted(asked, "")
    client = asked.signed_in()
    page = client.get("/").text
    answer = client.post("/withdraw", data={"form_token": form_token(page), "purpose": "all"})
    assert "It counts from the next question on." in answer.text
    assert "You do not consent" in answer.text
    assert counted(asked, "age >= 0") == before - 1


def test_consent_is_given_under_a_text_in_use_alone(world: World) -> None:
    client = world.signed_in()
    text = world.steward.adopt_text("disease-research", "de", "Darf der Verein <b>?</b>")
    page = client.get("/").text
    form = {"form_token": form_token(page), "purpose": KEY}
    client.post("/withdraw", data=form)
    page = client.get("/").text
    assert "Darf der Verein &lt;b&gt;?&lt;/b&gt;" in page
    assert client.post("/give", data={**form, "text": "0" * 64}).status_code == 409
    assert "is recorded" in client.post("/give", data={**form, "text": text}).text
    [*_, last] = client.get("/api/me").json()["words"]
    assert (last["state"], last["recorder"]) == ("given", "member")


def test_a_form_of_elsewhere_changes_nothing(world: World) -> None:
    client = world.signed_in()
    other = form_token(world.signed_in().get("/").text)
    for token in ("", "x", other):
        form = {"form_token": token, "purpose": "all"}
        assert client.post("/withdraw", data=form).status_code == 403
        headers = {TOKEN_HEADER: token}
        answer = client.post("/api/withdraw", data={"purpose": "all"}, headers=headers)
        assert answer.status_code == 403
    cookie = next(c for c in client.cookies.jar if c.name == COOKIE)
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"


@pytest.mark.parametrize("purpose", ["", "a new purpose", "x" * 200])
def test_a_member_makes_no_purposes(world: World, purpose: str) -> None:
    client = world.signed_in()
    form = {"form_token": form_token(client.get("/").text), "purpose": purpose}
    assert client.post("/withdraw", data=form).status_code == 409


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a" * 20000, b"&".join([b"a=1"] * 50), b"no form"])
def test_what_is_no_form_is_refused(world: World, body: bytes) -> None:
    answer = world.client().post("/open", content=body)
    assert answer.status_code in (400, 413)
    assert answer.headers["cache-control"] == "no-store"


def test_the_same_as_json(world: World) -> None:
    client = world.client()
    opened = client.post("/api/open", data={"secret": world.secret()}).json()
    headers = {TOKEN_HEADER: opened["form_token"]}
    client.post("/api/withdraw", data={"purpose": "all"}, headers=headers)
    me = client.get("/api/me").json()
    assert [each["holds"] for each in me["purposes"]] == [False] * len(me["purposes"])
    assert me["studies"][0]["counts"] is False
    assert world.client().get("/api/me").status_code == 401


def test_too_many_requests_of_one_caller_are_refused(world: World) -> None:
    client = world.client()
    codes = [client.get("/").status_code for _ in range(70)]
    assert codes[:60] == [401] * 60
    assert set(codes[60:]) == {429}
    world.network.clock.forward(minutes=1)
    assert client.get("/").status_code == 401


def test_members_ask_about_the_studies_that_they_are_shown(world: World) -> None:
    digest = world.network.study.digest
    client = world.signed_in()
    page = client.get("/").text
    assert "Studies that your organisation shows you" not in page
    form = {"form_token": form_token(page), "study": digest}
    assert client.post("/ask", data={**form, "words": "Why?"}).status_code == 409
    world.steward.show_to_members(digest, True)
    assert "My question" in client.get("/").text
    question = "Warum nicht früher? " * 90
    assert "who wrote it is not kept" in client.post("/ask", data={**form, "words": question}).text
    codes = [client.post("/wish", data={**form, "priority": p}).status_code for p in "559x"]
    assert codes == [200, 409, 400, 400]
    voices = world.steward.voices(digest)
    assert [each["words"] for each in voices["said"]] == [question.strip()]
    assert voices["priorities"] == [0, 0, 0, 0, 1]
    assert world.member not in str(voices)


# what it shows


def test_the_page_says_studies_questions_results_and_odds(asked: World) -> None:
    run = asked.network.ask({"kind": "count"}, "", epsilon="1")
    asked.network.settle()
    asked.steward.lay_result(str(run.release), "One in three has tried it.")
    with pytest.raises(BadInput):
        asked.steward.lay_result("0" * 64, "no such release")
    page = asked.signed_in().get("/").text
    assert "What people with ALS take" in page
    assert "1 question answered" in page
    assert "One in three has tried it." in page
    assert "instead of 10 in 100" in page
    assert "Your consent covers it today." in page
    assert asked.member not in page


def test_the_page_does_not_depend_on_a_members_data(asked: World) -> None:
    """Two members with the same words see the same page, whatever their records are."""
    people = asked.network.shape.people(NODE)
    same = people[people["consent"] == "yes"]["member"].astype(str)
    asked.network.ask({"kind": "count"}, "age >= 60", epsilon="1")
    asked.network.settle()
    pages = {
        re.sub(r'value="[^"]{43}"', "", asked.signed_in(member).get("/").text)
        for member in same.iloc[:6]
    }
    assert len(pages) == 1


def test_a_receipt_is_the_members_own_and_signed(world: World) -> None:
    client = world.signed_in()
    [first, *_] = client.get("/api/me").json()["words"]
    sealed = client.get(f"/receipt/{first['number']}")
    envelope = Envelope.from_bytes(sealed.content)
    word = open_receipt(envelope, world.parts.service.key.public)
    assert (word.member, word.state) == (world.member, ConsentState.GIVEN)
    body = json.loads(sealed.content)["body"]
    assert body["@type"] == "dpv:ConsentRecord"
    assert client.get("/receipt/999").status_code == 404
    body["dpv:hasConsentStatus"] = "dpv:ConsentWithdrawn"
    forged = Envelope.from_json({**json.loads(sealed.content), "body": body})
    with pytest.raises(VerificationFailed):
        open_receipt(forged, world.parts.service.key.public)


class _Outside(HTMLParser):
    """Scripts, styles in attributes, handlers, and addresses that leave the page."""

    found: list[str]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        bad = [f"{tag} {n}" for n, _ in attrs if n == "style" or n.startswith("on")]
        bad += [f"{tag} {n}={v}" for n, v in attrs if n in ("href", "src", "action") and v
                and not re.fullmatch(r"/[a-z0-9./]*|#main", v)]  # fmt: skip
        self.found += [*bad, *([tag] if tag in ("script", "style", "iframe", "img") else [])]


def test_pages_need_no_script_and_ask_nobody_else(world: World) -> None:
    client = world.signed_in()
    for path in ("/", "/nothing", f"/open/{world.secret()}"):
        answer = client.get(path)
        parser = _Outside()
        parser.found = []
        parser.feed(answer.text)
        assert parser.found == []
        assert 'lang="en"' in answer.text
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none';")
    sheet = client.get(static_address("cairn.css"))
    assert sheet.headers["content-type"].startswith("text/css")
    assert client.get("/static/0000000000000000/cairn.css").status_code == 404


def test_asking_changes_nothing_that_others_learn(asked: World) -> None:
    """No entry, no charge, no mark, no message; and a question is answered as before."""
    service = asked.node.service
    expected = counted(asked, "")
    asked.network.settle()

    def public() -> Any:
        state = service.ledger.state
        sent = len(asked.network.wire.log)
        marks = asked.parts.records.newest_mark()
        return service.ledger.size, state.total_charged, state.total_held, sent, marks

    before = public()
    client = asked.signed_in()
    for path in ("/", "/api/me", "/receipt/1", "/receipt/77", "/nothing"):
        client.get(path)
    client.post("/leave", data={"form_token": form_token(asked.signed_in().get("/").text)})
    assert public() == before
    assert counted(asked, "age >= 0") == expected


def test_the_page_tells_the_promise_as_the_node_s_command_does(world: World) -> None:
    page = html.unescape(world.signed_in().get("/").text)
    said = world.steward.promise()
    for line in said["words"]:
        assert line in page
    for each in said["losses"]:
        assert f"<td>{each['shown']}</td><td>{each['sentence']}</td>" in page
    assert world.signed_in().get("/api/me").json()["promise"] == said


def test_a_withdrawal_is_in_no_ledger(world: World) -> None:
    size = world.node.service.ledger.size
    client = world.signed_in()
    form = {"form_token": form_token(client.get("/").text), "purpose": "all"}
    client.post("/withdraw", data=form)
    assert world.node.service.ledger.size == size
    assert PURPOSE
