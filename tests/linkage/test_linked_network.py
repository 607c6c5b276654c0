"""People in several organisations, counted once, over a whole network in one process."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from coordinator.audit.agreement import second_recomputation
from coordinator.audit.dossier.material import gather
from coordinator.audit.dossier.node import node_document
from coordinator.audit.dossier.page import html
from coordinator.audit.replay import replay_bundle
from coordinator.audit.report import Report
from coordinator.audit.supposition import Limit, Supposition
from coordinator.audit.verify import Pinned, verified, verify_bundle
from coordinator.store.facts import LinkageState
from node import linkage_records
from node.engines.embedded import columns_of
from node.layout import quote
from node.link_gate import decide_linkage
from node.linkage_records import applied, linked_numbers
from node.linked import linked_columns
from node.records import Records
from privacy.contract.canonical import canonical_bytes
from privacy.contract.messages import Ask, open_reply, seal_request
from privacy.contract.packet import Packet
from privacy.contract.policy import Linking
from privacy.contract.signing import Envelope
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.attempt_entry import Attempted, AttemptRefused
from privacy.linkage.dummies import COST
from privacy.linkage.session import SESSION, LinkSession
from privacy.units import Rho
from tests.support import net_data
from tests.support.linked_clinic import (
    DICTIONARY,
    FIELDS,
    MEMBERSHIPS,
    PERSONS,
    Agreed,
    agreed,
    linking,
    overlapping,
    symptoms,
)
from tests.support.net_bundle import bundle
from tests.support.network import COORDINATOR, Network
from tests.support.network_fixtures import Make

pytestmark = pytest.mark.usefixtures("few_dummies")
COUNT = {"kind": "count", "by": []}


def clinic(make: Make, **shape: object) -> Network:
    frames = overlapping()
    usual = {
        "dictionary": DICTIONARY,
        "frames": frames,
        "symptoms": symptoms(frames),
        "linking": agreed(),
        "linked": True,
        "yearly_epsilon": "1000000",
        "epsilon_allowance": "100000",
    }
    return make(**(usual | shape))


def counted(network: Network) -> float:
    run = network.ask(COUNT, epsilon="10000")
    return next(iter(network.estimates(run).values()))


def test_each_person_is_counted_once_and_paid_for_once(make: Make) -> None:
    network = clinic(make, max_memberships=2)
    before = {name: network.spent(name)[0] for name in network.nodes}
    facts = network.link_members(FIELDS)
    assert facts.state is LinkageState.LINKED, facts.code
    for name in network.nodes:
        assert network.spent(name)[0] - before[name] == COST.units
    assert abs(counted(network) - PERSONS) < 1
    here = [linked_numbers(node.parts.records) for node in network.nodes.values()]
    assert sum(each["linked"] for each in here) == MEMBERSHIPS
    assert sum(each["counted_here"] for each in here) == PERSONS


def test_without_linkage_each_membership_counts_and_m_cost_m_squared(make: Make) -> None:
    """The stub that over-counts: what linkage is for. Rule: m memberships cost rho times m²."""
    plain = clinic(make, linked=False, max_memberships=2)
    assert abs(counted(plain) - MEMBERSHIPS) < 2
    spent = plain.spent("als-union")[0]
    linked = clinic(make, max_memberships=2)
    linked.link_members(FIELDS)
    before = linked.spent("als-union")[0]
    counted(linked)
    once = linked.spent("als-union")[0] - before
    assert 0 <= 4 * once - spent < 4  # each charge is rounded up, to a multiple of 2^-60


def test_a_linkage_that_was_not_agreed_and_a_step_that_is_not_the_next_are_entered(
    make: Make,
) -> None:
    network = clinic(make)
    node = network.nodes["als-union"]

    def tell(ask: Ask, **payload: object) -> None:
        network.link.ask_all(ask, ("als-union",), payload, 5.0)

    def entered() -> list[tuple[str, str]]:
        return [(b.what, b.code) for b in node.bodies if isinstance(b, AttemptRefused)]

    agreed_to = never_run(network)
    beyond = LinkSession.from_json(agreed_to.to_json() | {"fields": ["members.name"]})
    tell(Ask.LINK_BEGIN, session=Envelope.seal(SESSION, beyond.to_json(), network.key).to_json())
    assert entered() == [(Attempted.LINKAGE, Code.POLICY_FLOOR.value)]
    network.clock.forward(days=1)
    network.settle()
    session = never_run(network)
    sealed = Envelope.seal(SESSION, session.to_json(), network.key).to_json()
    tell(Ask.LINK_BEGIN, session=sealed)
    assert len(entered()) == 1
    forged = Envelope.seal("list", {"owner": "als-union"}, network.key)
    tell(Ask.LINK_RAISE, session=session.digest, list=forged.to_json())
    assert entered()[1:] == [(Attempted.LINKAGE, Code.BAD_REQUEST.value)]
    network.clock.forward(days=1)
    network.settle()
    assert network.link_members(FIELDS).state is LinkageState.LINKED
    assert len(entered()) == 2, "an honest linkage is no attempt"


def test_a_linked_study_waits_for_its_linkage(make: Make) -> None:
    network = clinic(make)
    question = network.question(COUNT)
    with pytest.raises(Refused) as refused:
        network.plan(question)
    assert refused.value.code is Code.NOT_LINKED
    forged = network.plan(question, known=never_run(network))
    run = network.run(forged)
    assert (run.release, run.code) == (None, Code.NOT_LINKED)
    assert all(network.spent(name) == (0, 0) for name in network.nodes)


def never_run(network: Network) -> LinkSession:
    at = instant_text(network.clock())
    return LinkSession(
        network="test",
        roster=network.store.network.roster.digest,
        dictionary=network.dictionary.digest,
        nodes=tuple(sorted(network.nodes)),
        fields=FIELDS,
        starts=at[:10],
        ends=at[:10],
        created=at,
        expires=instant_text(network.clock() + timedelta(hours=1)),
        nonce="1",
    )


def test_other_organisations_than_were_linked_do_not_answer_a_linked_study(make: Make) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    known = network.store.linkages.all()[0].session
    fewer = known.model_copy(update={"nodes": known.nodes[:2]})
    with pytest.raises(Refused, match="participants"):
        network.plan(network.question(COUNT), known=fewer)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"paused": True}, Code.PAUSED),
        ({"halted": True}, Code.HISTORY_BROKEN),
        ({"witnessed": False}, Code.NOT_WITNESSED),
    ],
)
def test_a_node_that_answers_nothing_is_not_linked_either(
    make: Make, state: dict[str, bool], code: Code
) -> None:
    network = clinic(make, linked=False)
    session = never_run(network)
    sealed = Envelope.seal(SESSION, session.to_json(), network.key)
    facts = network.nodes[session.nodes[0]].service.facts()
    assert decide_linkage(sealed, facts, "test") == session
    with pytest.raises(Refused) as refused:
        decide_linkage(sealed, replace(facts, **state), "test")
    assert refused.value.code is code


DISAGREEING = {
    "nobody": None,
    "other fields": linking("mood-circle", fields=("members.name",)),
    "other partners": linking("mood-circle", partners=("elsewhere", "ms-league")),
}


@pytest.mark.parametrize("other", DISAGREEING.values(), ids=list(DISAGREEING))
def test_whoever_did_not_agree_is_not_linked(make: Make, other: Linking | None) -> None:
    network = clinic(make, linking=Agreed(agreed() | {"mood-circle": other}), linked=False)
    facts = network.link_members(FIELDS)
    assert (facts.state, facts.code) == (LinkageState.FAILED, Code.POLICY_FLOOR)
    assert nothing_happened(network)


def nothing_happened(network: Network) -> bool:
    free = all(network.spent(name) == (0, 0) for name in network.nodes)
    return free and not any(applied(node.parts.records) for node in network.nodes.values())


def test_a_session_of_no_use_is_refused_before_it_is_signed(make: Make) -> None:
    network = clinic(make)
    for fields, nodes in (
        (("members.age",), ()),
        (("members.nothing",), ()),
        (FIELDS, ("als-union", "ms-league", "nobody")),
        (FIELDS, ("als-union", "ms-league")),
    ):
        with pytest.raises(BadInput):
            network.link_members(fields, nodes)
    with pytest.raises(BadInput, match="over"):
        network.link_members(FIELDS, days=-1)


def test_one_linkage_holds_until_its_last_day_and_costs_every_time(make: Make) -> None:
    network = clinic(make)
    first = network.link_members(FIELDS, days=30)
    again = network.link_members(FIELDS, days=30)
    assert (again.state, again.code) == (LinkageState.FAILED, Code.CONFLICT)
    network.clock.forward(days=31)
    with pytest.raises(Refused, match="not_linked"):
        network.plan(network.question(COUNT))
    anew = network.link_members(FIELDS, days=30)
    assert (anew.state, first.digest == anew.digest) == (LinkageState.LINKED, False)
    assert all(network.spent(name)[0] == 2 * COST.units for name in network.nodes)
    assert abs(counted(network) - PERSONS) < 1


def test_so_many_linkages_a_year_and_no_more(make: Make) -> None:
    network = clinic(make, linking=agreed(a_year=1))
    network.link_members(FIELDS, days=1)
    network.clock.forward(days=3)
    facts = network.link_members(FIELDS, days=1)
    assert (facts.state, facts.code) == (LinkageState.FAILED, Code.RATE_LIMITED)


# somebody drops out

STEPS = [ask for ask in Ask if ask.value.startswith("link-") and ask is not Ask.LINK_END]


@pytest.mark.parametrize("ask", [ask for ask in STEPS if ask is not Ask.LINK_KEEP])
def test_whoever_drops_out_midway_leaves_everything_as_it_was(make: Make, ask: Ask) -> None:
    network = clinic(make)
    network.wire.lose_reply("ms-league", ask)
    facts = network.link_members(FIELDS)
    assert (facts.state, facts.code) == (LinkageState.FAILED, Code.NODE_OFFLINE)
    for node in network.nodes.values():
        state = node.service.ledger.state
        assert (state.linkage, state.linking, applied(node.parts.records)) == (None, None, "")
        assert state.linkage_charged in (Rho.ZERO, COST)  # charged before members are looked up
    network.wire.heal()
    assert network.link_members(FIELDS).state is LinkageState.LINKED
    assert abs(counted(network) - PERSONS) < 1


def test_a_node_that_started_again_midway_has_lost_the_session_and_nothing_else(
    make: Make,
) -> None:
    network = clinic(make)

    def restart(node: str, ask: Ask, packet: Packet) -> Packet:
        if (node, ask) == ("mood-circle", Ask.LINK_RAISE):
            network.nodes[node].restart()
        return packet

    network.wire.outbound.append(restart)
    facts = network.link_members(FIELDS)
    assert (facts.state, facts.code) == (LinkageState.FAILED, Code.NOT_LINKED)


def test_whoever_did_not_hear_that_all_learnt_hears_it_when_greeted(make: Make) -> None:
    network = clinic(make)
    network.wire.lose_request("ms-league", Ask.LINK_KEEP, times=1)
    assert network.link_members(FIELDS).state is LinkageState.LINKED
    assert network.nodes["ms-league"].service.ledger.state.linkage is None
    network.nodes["ms-league"].restart()
    network.settle()
    assert abs(counted(network) - PERSONS) < 1


def test_a_crash_between_ledger_and_records_is_made_up_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = clinic(make)
    with monkeypatch.context() as patch:
        patch.setattr(linkage_records, "apply", lambda *_: None)
        network.link_members(FIELDS)
    run = network.ask(COUNT, epsilon="10000")
    assert run.release is None  # the records are of no linkage: charged, and nothing is counted
    for node in network.nodes.values():
        node.restart()
    network.settle()
    assert abs(counted(network) - PERSONS) < 1


def test_messages_that_come_twice_change_nothing(make: Make) -> None:
    network = clinic(make)
    network.wire.repeats = 2
    assert network.link_members(FIELDS).state is LinkageState.LINKED
    assert all(network.spent(name)[0] == COST.units for name in network.nodes)


def test_a_session_is_not_run_again(make: Make) -> None:
    network = clinic(make)
    network.link_members(FIELDS, days=1)
    old = [each.request for each in network.wire.asked(Ask.LINK_BEGIN, "als-union")]
    keys = network.store.network.roster.keys["als-union"]
    for days in (0, 3):
        network.clock.forward(days=days)
        reply = network.nodes["als-union"].service.handle(old[0])[0]
        with pytest.raises(Refused) as refused:
            open_reply(reply, keys, "als-union", json.loads(old[0].header)["body"]["id"])
        assert refused.value.code in (Code.CONFLICT, Code.EXPIRED, Code.REPLAYED)


def test_what_came_after_a_session_is_of_no_use_either(make: Make) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    node = network.nodes["mood-circle"]
    key = network.store.network.roster.keys["mood-circle"]
    for ask in (Ask.LINK_MEET, Ask.LINK_LIST, Ask.LINK_RAISE, Ask.LINK_VOUCH, Ask.LINK_LEARN):
        for each in network.wire.asked(ask, "mood-circle"):
            reply = node.service.handle(each.request)[0]
            with pytest.raises(Refused, match="not_linked"):
                open_reply(reply, key, "mood-circle", json.loads(each.request.header)["body"]["id"])


# members come, go and change


def test_whoever_withdraws_is_counted_nowhere_until_linked_anew(make: Make) -> None:
    network = clinic(make)
    network.link_members(FIELDS, days=30)
    by_node = {name: marks(node.parts.records) for name, node in network.nodes.items()}
    node, member = next(
        (name, member) for name, found in by_node.items() for member, here in found.items() if here
    )
    network.nodes[node].steward.consent(member, "linkage", "withdrawn", None, None)
    assert abs(counted(network) - (PERSONS - 1)) < 1
    network.nodes[node].steward.consent(member, "linkage", "given", None, None)
    assert member not in marks(network.nodes[node].parts.records)
    network.clock.forward(days=31)
    network.link_members(FIELDS)
    assert abs(counted(network) - PERSONS) < 1


def test_an_import_keeps_who_is_the_same_and_nobody_else(make: Make, tmp_path: Path) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    node = network.nodes["als-union"]
    was = marks(node.parts.records)
    gone, renamed = sorted(was)[:2]
    frame = network.shape.people("als-union")
    frame = frame[frame["member"] != gone]
    frame.loc[frame["member"] == renamed, "name"] = "Somebody Else"
    new = frame.iloc[[0]].assign(member="new", name="New Person", link_code="another")
    frame = pd.concat([frame, new])
    files = net_data.write(tmp_path / "again", frame, network.shape.rows("als-union"))
    node.steward.import_data(files)
    left = {member: here for member, here in was.items() if member not in (gone, renamed)}
    assert marks(node.parts.records) == left
    lost = sum(was[member] for member in (gone, renamed))
    assert abs(counted(network) - (PERSONS - lost)) < 1


def test_only_an_own_word_on_linkage_links(make: Make) -> None:
    frames = overlapping(opted_in=False)
    network = clinic(make, frames=frames, symptoms=symptoms(frames))
    assert network.link_members(FIELDS).state is LinkageState.LINKED
    assert abs(counted(network)) < 1


def test_erased_members_leave_no_mark(make: Make) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    node = network.nodes["als-union"]
    member = sorted(marks(node.parts.records))[0]
    node.steward.erase(member)
    assert member not in marks(node.parts.records)


def marks(records: Records) -> dict[str, bool]:
    """Who is linked, and counted here."""
    with records.snapshot() as cursor:
        column = quote(linked_columns(columns_of(cursor, "members"))[0])
        rows = cursor.execute(
            f"SELECT member, {column} FROM members WHERE {column} IS NOT NULL"  # noqa: S608
        ).fetchall()
    return {member: bool(here) for member, here in rows}


# whoever lies


def test_a_coordinator_that_assigns_people_wrongly_changes_nothing(make: Make) -> None:
    network = clinic(make)

    def nobody_elsewhere(_node: str, ask: Ask, packet: Packet) -> Packet:
        if ask is not Ask.LINK_VOUCH:
            return packet
        body = json.loads(packet.header)["body"]
        blob = bytes(len(packet.blob))
        return seal_request(
            network.key,
            body["to"],
            ask,
            body["payload"],
            blob,
            request_id=body["id"],
            at=body["at"],
        )

    network.wire.outbound.append(nobody_elsewhere)
    facts = network.link_members(FIELDS)
    assert (facts.state, facts.code) == (LinkageState.FAILED, Code.BAD_REQUEST)
    assert all(not applied(node.parts.records) for node in network.nodes.values())


def test_nothing_by_which_a_person_is_recognised_is_on_the_wire_or_in_a_ledger(
    make: Make,
) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    sent = b"".join(
        packet.header + packet.blob
        for each in network.wire.log
        for packet in (each.request, each.reply)
        if packet is not None
    )
    sent += b"".join(
        line for node in network.nodes.values() for line in node.service.ledger.lines()
    )
    frame = network.shape.people("mood-circle")
    for row in frame.to_dict("records"):
        for value in (row["name"], row["link_code"], row["member"], row["email"]):
            for form in (value.encode(), hashlib.sha256(value.encode()).digest()):
                assert form not in sent
                assert form.hex().encode() not in sent
                assert base64.b64encode(form) not in sent


# what an auditor sees


def audited(network: Network, folder: Path) -> Report:
    network.settle()
    return verify_bundle(bundle(network, folder), pinned=Pinned(COORDINATOR.public))


def test_an_auditor_follows_a_linkage_from_session_to_release(make: Make, tmp_path: Path) -> None:
    network = clinic(make, max_memberships=2)
    facts = network.link_members(FIELDS)
    counted(network)
    report = audited(network, tmp_path / "bundle")
    for node in report.nodes:
        said = [change.what for change in node.changes if change.kind == "link-begun"]
        assert len(said) == 1
        assert "members.link_code" in said[0]
        whole = sum((spent.rho.units for spent in node.studies.values()), COST.units)
        assert node.spent.rho.units == whole
        assert second_recomputation(tmp_path / "bundle", report).checked > 0
    assert report.releases == 1
    assert facts.transcript
    found = verified(tmp_path / "bundle")
    same = replay_bundle(found, Supposition())
    assert same.refused == ()
    assert all(node.total.then == node.total.supposed for node in same.nodes)
    assert [node.total.then for node in same.nodes] == [node.spent.rho for node in report.nodes]
    less = replay_bundle(found, Supposition(limits=((Limit.PERIOD, "0.1"),)))
    why = {each.study: each.why for each in less.refused}
    assert why["(linkages)"] == "budget_exceeded"
    page = html(node_document(gather(found), report.nodes[0].node))
    assert "1 linkage cost epsilon" in page


def test_what_a_bundle_says_of_a_linkage_must_hold(make: Make, tmp_path: Path) -> None:
    network = clinic(make)
    network.link_members(FIELDS)
    counted(network)
    row = network.store.linkages.all()[0]
    left_out = replace(row, transcript=b"", learnt=())
    half = replace(row, learnt=row.learnt[:2])
    body = json.loads(row.transcript)
    body["vouched"]["als-union"] = "AAAA"
    forged = replace(row, transcript=canonical_bytes(body))
    for number, (tampered, what) in enumerate(
        (
            (left_out, "transcript"),
            (half, "every node"),
            (forged, "another transcript"),
            (None, "not"),
        )
    ):
        found = () if tampered is None else (tampered,)
        network.store.linkages.__dict__["all"] = lambda found=found: found
        with pytest.raises(VerificationFailed, match=what):
            audited(network, tmp_path / f"bundle-{number}")
