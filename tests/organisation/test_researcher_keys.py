"""A researcher takes a new key, signed by the old one: approved studies go on, the old one ends."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.audit.verify import Pinned, verified
from coordinator.cli.researcher import app
from coordinator.client.session import KeptSession
from coordinator.people import revoke
from coordinator.store.facts import RunState
from coordinator.store.people import Credential
from node.service import NodeService
from privacy.contract.delegation import Delegation
from privacy.contract.messages import Ask
from privacy.contract.researcher_key import (
    MOST_OF_ONE,
    ResearcherKey,
    ever,
    first_key,
    standing,
)
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.attempt_entry import Attempted
from privacy.ledger.successors import ResearcherKeyChanged
from privacy.units import Rho
from tests.support.ledger_factory import COST, fresh_ledger, signing_key
from tests.support.net_bundle import bundle
from tests.support.network import NOW, RESEARCHER, Network
from tests.support.seeded import seeded_entropy
from tests.support.served import asked_over_http

COUNT = {"kind": "count"}
NODE = "als-union"
AT = instant_text(NOW)
FIRST, SECOND, THIRD, THIEF = (signing_key(f"researcher {n}") for n in ("1", "2", "3", "thief"))
NEXT = Token(Role.RESEARCHER, b"n" * 32)


def changed(old: SigningKey, new: SigningKey, network: str = "test") -> ResearcherKey:
    return ResearcherKey.of(old, new, network, AT)


def test_a_chain_of_keys_counts_by_its_last() -> None:
    one, two, three = (key.public.text for key in (FIRST, SECOND, THIRD))
    successors = {one: two, two: three}
    assert standing([one], successors) == {three}
    assert ever([one], successors) == {one, two, three}
    assert first_key(three, successors) == one
    other = THIEF.public.text
    assert standing([other], successors) == ever([other], successors) == {other}
    assert first_key(other, successors) == other


def mutants(old: SigningKey, new: SigningKey, network: str = "test") -> dict[str, ResearcherKey]:
    """Changes that no honest researcher ever signed."""
    good = changed(old, new, network)
    return {
        "only the old key": good.model_copy(update={"by_new": good.by_old}),
        "only the new key": good.model_copy(update={"by_old": good.by_new}),
        "another's old key": good.model_copy(update={"old": THIEF.public.text}),
        "another's new key": good.model_copy(update={"new": THIEF.public.text}),
        "another time": good.model_copy(update={"at": "2027-01-01T00:00:00Z"}),
        "another network": changed(old, new, "other"),
        "to itself": changed(old, old, network),
    }


def test_a_ledger_takes_a_change_once_and_only_with_both_keys() -> None:
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    genesis = book.state.genesis
    assert genesis is not None
    name = genesis.network
    for change in mutants(FIRST, SECOND, name).values():
        with pytest.raises(Refused):
            book.append(ResearcherKeyChanged(change=change))
    book.append(ResearcherKeyChanged(change=changed(FIRST, SECOND, name)))
    for old, new in ((FIRST, SECOND), (FIRST, THIEF), (SECOND, FIRST), (THIRD, SECOND)):
        with pytest.raises(Refused) as caught:
            book.append(ResearcherKeyChanged(change=changed(old, new, name)))
        assert caught.value.code is Code.CONFLICT
    book.append(ResearcherKeyChanged(change=changed(SECOND, THIRD, name)))
    assert standing([FIRST.public.text], book.state.successors) == {THIRD.public.text}


def rotate(network: Network, new: Token = NEXT) -> None:
    """As `cairn key rotate` does, at the coordinator's store."""
    change = changed(network.researcher.signing_key, new.signing_key)
    people = network.store.people
    people.change_key(network.principal, change, Credential.of(new).bearer_sha256, AT)
    network.researcher = new
    network.settle()


def offer(service: NodeService, network: Network, *changes: ResearcherKey) -> None:
    wish = {"changes": [each.to_json() for each in changes]}
    network.link.ask_all(Ask.OFFER_SUCCESSORS, (service.node,), wish, 5.0)


def test_an_approved_study_goes_on_with_the_new_key_and_not_with_the_old(
    network: Network, tmp_path: Path
) -> None:
    assert network.ask(COUNT).release
    network.nodes[NODE].stop()
    rotate(network)
    network.nodes[NODE].start()  # it hears of it when it is back
    network.settle()
    for node in network.nodes.values():
        assert node.kinds("researcher-key") == ["researcher-key"]
    assert network.ask(COUNT, "age > 40").release
    spent = {node: network.spent(node) for node in network.nodes}
    run = network.ask(COUNT, "age > 45", signer=RESEARCHER.signing_key)
    assert (run.state, run.code) == (RunState.REFUSED, Code.NOT_AN_INVESTIGATOR.value)
    assert {node: network.spent(node) for node in network.nodes} == spent
    found = verified(bundle(network, tmp_path / "bundle"), pinned=Pinned(network.key.public))
    for each in found.report.nodes:
        assert "researcher-key" in [change.kind for change in each.changes]


def test_the_new_key_goes_on_with_what_is_left_of_the_old_ones_part(network: Network) -> None:
    assert network.ask(COUNT).release
    ledger = network.nodes[NODE].service.ledger
    old = network.researcher.signing_key.public.text
    before = ledger.state.part_spent(ledger.state.own_account(network.study.id, old))
    assert before != Rho.ZERO
    rotate(network)
    new = network.researcher.signing_key.public.text
    account = ledger.state.own_account(network.study.id, new)
    assert ledger.state.part_spent(account) == before
    assert network.ask(COUNT, "age > 40").release
    assert ledger.state.part_spent(account) == before + before


def test_a_delegation_of_the_old_key_ends_with_it(network: Network) -> None:
    helper = signing_key("helper")

    def question(signer: SigningKey, cohort: str) -> Envelope:
        said = Delegation(
            study=network.study.id,
            study_digest=network.study.digest,
            delegate=helper.public.text,
            epsilon="2",
            made=AT,
            expires=instant_text(NOW + timedelta(hours=1)),
        )
        given = Envelope.seal("delegation", said.to_json(), signer)
        return network.question(COUNT, cohort, signer=helper, delegation=given.to_json())

    assert network.run(network.plan(question(RESEARCHER.signing_key, "age > 30"))).release
    rotate(network)
    run = network.run(network.plan(question(RESEARCHER.signing_key, "age > 40")))
    assert run.code == Code.NOT_AN_INVESTIGATOR.value


def test_a_run_that_was_reserved_goes_on(network: Network) -> None:
    compiled = network.plan(network.question(COUNT, "age > 40"))
    run = network.queue(compiled)
    network.rounds.reserve(compiled.envelope, compiled.plan)
    rotate(network)
    network.execution.execute(run.id)
    assert network.execution.wait(run.id, 600)
    network.execution.over(run.id)
    assert network.store.runs.get(run.id).release


def test_a_node_follows_no_mutant_and_nobody_whom_no_study_names(network: Network) -> None:
    service = network.nodes[NODE].service
    size, old = service.ledger.size, network.researcher.signing_key
    for change in mutants(old, NEXT.signing_key).values():
        offer(service, network, change)
    offer(service, network, changed(THIEF, THIRD))
    assert not service.ledger.state.successors
    assert service.ledger.size == size + 1, "that it was tried, once a day"
    assert network.nodes[NODE].bodies[-1].what is Attempted.KEY_CHANGE
    offer(service, network, changed(old, SECOND))
    offer(service, network, changed(old, THIEF), changed(old, SECOND))
    assert service.ledger.state.successors == {old.public.text: SECOND.public.text}


def test_a_revoked_person_has_no_key_left(network: Network) -> None:
    old, new = network.researcher.signing_key.public.text, NEXT.signing_key.public.text
    away = network.nodes[NODE]
    away.stop()
    rotate(network)
    listed = revoke(network.store, network.key, network.principal, AT)
    assert listed is not None
    assert set(listed.keys) == {old, new}
    away.start()
    network.settle()
    assert away.service.ledger.state.revoked == {old, new}
    assert not away.service.ledger.state.successors, "what was revoked hands nothing on"
    run = network.ask(COUNT, "age > 40")
    assert run.code in (Code.KEY_REVOKED.value, Code.NOT_AN_INVESTIGATOR.value)


def test_only_the_owner_of_a_key_changes_it(network: Network) -> None:
    people, old = network.store.people, network.researcher.signing_key
    people.add("Eve", Role.RESEARCHER, Credential.of(Token(Role.RESEARCHER, b"e" * 32)), AT)
    eve = next(each for each in people.all() if each.name == "Eve")
    bearer = Credential.of(NEXT).bearer_sha256
    for person, change, credential, code in (
        (eve.id, changed(old, NEXT.signing_key), bearer, Code.CONFLICT),
        (network.principal, changed(THIEF, NEXT.signing_key), bearer, Code.CONFLICT),
        (network.principal, changed(old, NEXT.signing_key), None, Code.BAD_REQUEST),
    ):
        with pytest.raises(Refused) as caught:
            people.change_key(person, change, credential, AT)
        assert caught.value.code is code
    taken = ResearcherKey.of(old, Token(Role.RESEARCHER, b"e" * 32).signing_key, "test", AT)
    with pytest.raises(Refused):
        people.change_key(network.principal, taken, bearer, AT)
    rotate(network)
    again = ResearcherKey.of(NEXT.signing_key, old, "test", AT)
    with pytest.raises(Refused):
        people.change_key(network.principal, again, bearer, AT)


def test_a_ledger_takes_no_endless_chain_of_keys() -> None:
    """Whatever coordinator offers it."""
    book = fresh_ledger("alpha", COST * 10, {"als": COST * 10})
    network = book.state.genesis.network if book.state.genesis else ""
    keys = [signing_key(f"key {number}") for number in range(MOST_OF_ONE + 2)]
    made = [changed(old, new, network) for old, new in pairwise(keys)]
    for change in made[:-1]:
        book.append(ResearcherKeyChanged(change=change))
    with pytest.raises(Refused) as caught:
        book.append(ResearcherKeyChanged(change=made[-1]))
    assert caught.value.code is Code.CONFLICT
    book.append(ResearcherKeyChanged(change=changed(FIRST, SECOND, network)))


def test_nobody_fills_the_ledgers_with_keys(network: Network) -> None:
    """Every change stands in every ledger, and nodes are told all changes of all at once."""
    people, key = network.store.people, network.researcher.signing_key
    for number in range(MOST_OF_ONE):
        following = Token(Role.RESEARCHER, bytes([number + 1]) * 32)
        bearer = Credential.of(following).bearer_sha256
        people.change_key(network.principal, changed(key, following.signing_key), bearer, AT)
        key = following.signing_key
    with pytest.raises(Refused) as caught:
        people.change_key(network.principal, changed(key, THIRD), bearer, AT)
    assert caught.value.code is Code.CONFLICT
    assert len(people.key_changes()) == MOST_OF_ONE
    network.settle()
    assert len(network.nodes[NODE].service.ledger.state.successors) == MOST_OF_ONE
    assert network.ask(COUNT, "age > 40").code, "the old key asks nothing"


def test_an_auditor_finds_a_change_that_is_none(network: Network, tmp_path: Path) -> None:
    """A coordinator that writes a change which the old key did not sign."""
    good = changed(network.researcher.signing_key, NEXT.signing_key)
    forged = good.model_copy(update={"by_old": good.by_new})
    people = network.store.people
    people.change_key(network.principal, forged, Credential.of(NEXT).bearer_sha256, AT)
    network.settle()
    assert not network.nodes[NODE].service.ledger.state.successors
    with pytest.raises(VerificationFailed, match="researcher-key"):
        verified(bundle(network, tmp_path / "bundle"), pinned=Pinned(network.key.public))


def test_a_token_is_changed_from_the_shell(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with asked_over_http(network, monkeypatch) as client:

        def cairn(token: str, *line: str) -> Result:
            values = {"CAIRN_URL": client.transport.url, "CAIRN_TOKEN": token, "NO_COLOR": "1"}
            return CliRunner().invoke(app, list(line), env=values, catch_exceptions=False)

        old, file = network.researcher.text, tmp_path / "token-2"
        assert cairn(old, "key", "rotate").exit_code == 2
        done = cairn(old, "key", "rotate", "--write", str(file))
        assert done.exit_code == 0, done.stderr
        new = file.read_text("ascii").strip()
        assert Token.parse(new).signing_key.public.fingerprint in done.stdout
        assert cairn(old, "study", "list").exit_code != 0
        assert network.study.id in cairn(new, "study", "list").stdout
        refused = cairn(old, "key", "rotate", "--write", str(tmp_path / "token-3"))
        assert refused.exit_code != 0
        assert not (tmp_path / "token-3").exists()


def test_the_key_beside_a_session_is_made_once_until_it_is_in_force(tmp_path: Path) -> None:
    kept = KeptSession("http://127.0.0.1:1", folder=tmp_path)
    kept.keep_token(RESEARCHER)
    made = kept.next_token(seeded_entropy("next"))
    assert kept.next_token(seeded_entropy("another")).text == made.text
    assert kept.token() == RESEARCHER
    kept.use_next()
    assert kept.token() == made
