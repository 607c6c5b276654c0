"""What every store must do, whatever database is below it."""

from __future__ import annotations

import threading
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from coordinator.store.facts import Decision, NodeState, RunState
from coordinator.store.openings import StoredOpening, UnderWay
from coordinator.store.people import Credential
from coordinator.store.runs import NewRun
from coordinator.store.store import Store
from models.dictionary_file import load_dictionary
from privacy.contract.plan import Plan, PlannedRound, Question
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Study
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused, VerificationFailed
from tests.support.fake_executor import DICTIONARY, NOW, make_study, make_world

AT = instant_text(NOW)
KEY = SigningKey(b"s" * 32)


class TestStore:
    """Each rule on SQLite and on PostgreSQL."""

    @pytest.fixture
    def person(self, store: Store) -> str:
        token = Token(Role.RESEARCHER, b"p" * 32)
        return store.people.add("P", Role.RESEARCHER, Credential.of(token), AT).id

    def test_a_credential_is_known_until_revoked_and_enters_once(self, store: Store) -> None:
        token = Token(Role.AUDITOR, b"a" * 32)
        added = store.people.add("Ann", Role.AUDITOR, Credential.of(token), AT)
        assert store.people.by_bearer(token.bearer_sha256) == added
        assert store.people.by_bearer("0" * 64) is None
        with pytest.raises(Refused) as refused:
            store.people.add("Bob", Role.ADMIN, Credential.of(token), AT)
        assert refused.value.code is Code.CONFLICT
        store.people.revoke(added.id, AT)
        assert store.people.by_bearer(token.bearer_sha256) is None

    def test_an_invitation_works_once_in_time_and_for_its_kind(self, store: Store) -> None:
        token = Token(Role.RESEARCHER, b"i" * 32)
        store.people.invite("late", Role.RESEARCHER, "Late", NOW, timedelta(days=1))
        store.people.invite("code", Role.RESEARCHER, "Ida", NOW, timedelta(days=1))
        store.people.invite("node", None, "Org", NOW, timedelta(days=1))
        wrong = [
            ("nothing", NOW),
            ("node", NOW),
            ("late", NOW + timedelta(days=2)),
        ]
        for code, now in wrong:
            with pytest.raises(Refused) as refused:
                store.people.join(code, Credential.of(token), now=now)
            assert refused.value.code is Code.NOT_PERMITTED
        assert store.people.join("code", Credential.of(token), now=NOW).name == "Ida"
        with pytest.raises(Refused):
            store.people.join("code", Credential.of(Token(Role.ADMIN, b"z" * 32)), now=NOW)

    def test_a_node_that_cannot_join_does_not_use_its_invitation_up(self, store: Store) -> None:
        first, second = _node("a"), _node("b")
        store.nodes.add(first, AT)
        store.people.invite("node", None, "Org", NOW, timedelta(days=1))
        with pytest.raises(Refused) as refused:
            store.people.join_node("node", first, now=NOW)
        assert refused.value.code is Code.CONFLICT
        store.people.join_node("node", second, now=NOW)
        assert [node.id for node in store.nodes.all()] == ["a", "b"]
        assert store.nodes.online() == frozenset()
        store.nodes.seen("b", NodeState.ONLINE, AT, "1.0")
        assert store.nodes.online() == {"b"}
        store.nodes.set_state("b", NodeState.OFFLINE)
        assert store.nodes.all()[1].last_contact == AT

    def test_a_study_version_never_changes(self, store: Store) -> None:
        world_study = _study(store)
        again = store.studies.add(Envelope.seal("study", world_study.to_json(), KEY), AT)
        assert again == world_study
        changed = world_study.model_copy(update={"title": "Another"})
        with pytest.raises(Refused) as refused:
            store.studies.add(Envelope.seal("study", changed.to_json(), KEY), AT)
        assert refused.value.code is Code.CONFLICT
        newer = world_study.model_copy(update={"version": 2})
        store.studies.add(Envelope.seal("study", newer.to_json(), KEY), AT)
        assert store.studies.get(world_study.id).study.version == 2
        assert [facts.study.version for facts in store.studies.newest()] == [2]
        assert len(store.studies.every_version()) == 2
        assert len(store.studies.every_version(world_study.id)) == 2
        assert store.studies.every_version("none") == ()

    def test_the_newest_decision_of_a_node_counts(self, store: Store) -> None:
        study = _study(store)
        store.studies.decide("a", study.digest, Decision.APPROVED, AT)
        assert store.studies.approvals() == {"a": {study.digest}}
        store.studies.decide("a", study.digest, Decision.WITHDRAWN, AT)
        assert store.studies.approvals() == {}
        assert store.studies.version(study.digest).decisions == {"a": Decision.WITHDRAWN}
        with pytest.raises(Refused) as refused:
            store.studies.get("no-such-study")
        assert refused.value.code is Code.UNKNOWN_STUDY

    def test_one_key_starts_one_run(self, store: Store, person: str) -> None:
        run = store.runs.create(_new("r1", person, "key", nonce="1"))
        assert store.runs.create(_new("r2", person, "key", nonce="1")) == run
        with pytest.raises(Refused) as refused:
            store.runs.create(_new("r3", person, "key", nonce="2", request="9" * 64))
        assert refused.value.code is Code.CONFLICT
        assert store.runs.started_by(person, "key", "1" * 64) == run
        assert store.runs.started_by(person, "other", "1" * 64) is None

    def test_one_signed_question_starts_one_run(self, store: Store, person: str) -> None:
        store.runs.create(_new("r1", person, "one", nonce="1"))
        with pytest.raises(Refused) as refused:
            store.runs.create(_new("r2", person, "two", nonce="1", plan_nonce="other"))
        assert refused.value.code is Code.REPLAYED

    def test_twenty_threads_with_one_key_start_one_run(self, store: Store, person: str) -> None:
        started: list[str] = []
        failed: list[Refused] = []

        def start(number: int) -> None:
            try:
                run = store.runs.create(_new(f"r{number}", person, "key", nonce="1"))
                started.append(run.id)
            except Refused as refused:
                failed.append(refused)

        threads = [threading.Thread(target=start, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert len(started) == 20
        assert len(set(started)) == 1
        assert len(store.runs.unfinished()) == 1

    def test_a_run_moves_only_along_its_states(self, store: Store, person: str) -> None:
        store.runs.create(_new("r", person, "", nonce="1"))
        assert store.runs.unfinished_of(person) == 1
        assert store.runs.start("r")
        assert not store.runs.start("r")
        assert not store.runs.cancel("r", AT)
        assert store.runs.fail("r", RunState.LOST, Code.ATTEMPT_LOST, {"attempts": 1}, AT)
        assert not store.runs.fail("r", RunState.REFUSED, Code.PAUSED, {}, AT)
        run = store.runs.get("r")
        assert (run.state, run.code, run.fields) == (RunState.LOST, "attempt_lost", {"attempts": 1})
        assert store.runs.unfinished() == ()
        assert store.runs.unfinished_of(person) == 0

    def test_an_identical_analysis_is_answered_from_the_release(
        self, store: Store, person: str
    ) -> None:
        first = store.runs.create(_new("r1", person, "", nonce="1"))
        envelope = Envelope.seal("release", {"plan": first.plan_digest}, KEY)
        digest = store.releases.add(first.plan_digest, envelope, {"kind": "count"}, AT)
        assert store.releases.add(first.plan_digest, envelope, {}, AT) == digest
        store.runs.start("r1")
        assert store.runs.release("r1", digest, AT)
        second = store.runs.create(_new("r2", person, "", nonce="2"))
        assert (second.state, second.release, second.repeat) == (RunState.RELEASED, digest, True)
        other = store.runs.create(_new("r3", person, "", nonce="3", identity="b" * 64))
        assert other.state is RunState.QUEUED
        other_study = store.runs.create(_new("r4", person, "", nonce="4", study_digest="c" * 64))
        assert other_study.state is RunState.QUEUED
        assert store.releases.by_identity("a" * 64, "d" * 64) is not None
        assert store.releases.by_identity("a" * 64, "c" * 64) is None

    def test_what_a_round_opened_is_kept_and_counted(self, store: Store, person: str) -> None:
        plan = store.runs.create(_new("r", person, "", nonce="1")).plan_digest
        assert store.openings.under_way(plan) is None
        assert store.openings.attempts(plan) == ()
        for attempt in (0, 1):
            store.openings.begin(plan, UnderWay(0, attempt, {"of": attempt}))
        assert store.openings.under_way(plan) == UnderWay(0, 1, {"of": 1})
        assert store.openings.attempts(plan) == (2,)
        opening = StoredOpening(0, 1, b"s", (-(2**61), 5), ("a", "b"), {"a": {"seq": 4}}, "f" * 64)
        store.openings.add(plan, opening, b"transcript")
        assert store.openings.of(plan) == (opening,)
        assert store.runs.get("r").opened == 1
        assert store.openings.transcript(plan, 0) == b"transcript"
        assert (store.openings.state(plan, 0), store.openings.state(plan, 1)) == (b"s", None)
        store.openings.begin(plan, UnderWay(1, 0, {}))
        assert store.openings.attempts(plan) == (2, 1)
        with pytest.raises(IntegrityError):
            store.openings.add(plan, opening, b"another")

    def test_only_a_running_run_can_be_asked_to_stop(self, store: Store, person: str) -> None:
        store.runs.create(_new("r", person, "", nonce="1"))
        assert not store.runs.ask_to_cancel("r")
        store.runs.start("r")
        assert not store.runs.cancelling("r")
        assert store.runs.ask_to_cancel("r")
        assert store.runs.cancelling("r")
        store.runs.fail("r", RunState.CANCELLED, Code.CANCELLED, {}, AT)
        assert not store.runs.ask_to_cancel("r")

    def test_a_mirrored_ledger_is_never_rewritten(self, store: Store) -> None:
        store.ledgers.append("a", 0, [b"0", b"1"])
        store.ledgers.append("a", 1, [b"1", b"2"])
        assert store.ledgers.entries("a") == (b"0", b"1", b"2")
        assert store.ledgers.grown({"a": 1, "none": 0}) == (("a", b"1"), ("a", b"2"))
        assert list(store.ledgers.stream("a", batch=2)) == [b"0", b"1", b"2"]
        for first, lines in [(0, [b"x"]), (4, [b"4"])]:
            with pytest.raises(VerificationFailed):
                store.ledgers.append("a", first, lines)
        assert store.ledgers.size("a") == 3
        assert store.ledgers.size("b") == 0

    def test_checkpoints_are_kept_once_and_told_apart_by_who_holds_them(self, store: Store) -> None:
        for _ in range(2):
            store.ledgers.add_checkpoint("a", "a", 2, "two")
            store.ledgers.add_checkpoint("a", "b", 1, "one", "signed by b")
        store.ledgers.add_checkpoint("a", "a", 3, "three")
        newest = store.ledgers.newest_checkpoint("a")
        assert newest is not None
        assert newest.text == "three"
        held = store.ledgers.witnesses("a")
        assert [(each.by, each.size, each.cosignature) for each in held] == [
            ("b", 1, "signed by b")
        ]

    def test_the_library_finds_releases_by_study_and_by_the_beginning_of_a_digest(
        self, store: Store, person: str
    ) -> None:
        digests = []
        for number, at in enumerate(("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z")):
            made = _new(f"r{number}", person, "", nonce=str(number), identity=str(number) * 64)
            plan = store.runs.create(made).plan_digest
            envelope = Envelope.seal("release", {"plan": plan}, KEY)
            result = {"kind": "count", "value": number / 3, "words": "é ✓"}
            digests.append(store.releases.add(plan, envelope, result, at))
        newest = store.releases.of_study("d" * 64, 1)
        assert [release.digest for release, _ in newest] == digests[1:]
        assert newest[0][0].result == {"kind": "count", "value": 1 / 3, "words": "é ✓"}
        assert store.releases.plan(newest[0][0]) == newest[0][1]
        lines = store.releases.listed(["d" * 64], 9)
        assert [line.digest for line in lines] == digests[::-1]
        assert lines[0].plan == newest[0][1]
        assert store.releases.listed(["c" * 64], 9) == ()
        assert store.releases.those([*digests, "0" * 64]) == {
            digest: store.releases.get(digest) for digest in digests
        }
        assert store.releases.beginning(digests[0][:8]) == (digests[0],)
        assert store.releases.beginning("%") == ()
        assert sorted(store.releases.digests()) == sorted(digests)
        assert len(list(store.releases.plans())) == 2
        with pytest.raises(Refused) as refused:
            store.releases.add("0" * 64, envelope, {}, AT)
        assert refused.value.code is Code.NOT_FOUND

    def test_the_newest_runs_of_the_studies_come_first(self, store: Store, person: str) -> None:
        for number in range(3):
            store.runs.create(_new(f"r{number}", person, "", nonce=str(number)))
        other = store.runs.create(_new("other", person, "", nonce="9", study_digest="c" * 64))
        assert [run.id for run in store.runs.newest(studies=None, limit=2)] == ["other", "r2"]
        assert [run.id for run in store.runs.newest(studies=["d" * 64], limit=9)] == [
            "r2",
            "r1",
            "r0",
        ]
        assert store.runs.cancel(other.id, AT)
        assert [run.id for run in store.runs.unfinished()] == ["r0", "r1", "r2"]
        with pytest.raises(Refused) as refused:
            store.runs.get("none")
        assert refused.value.code is Code.NOT_FOUND

    def test_the_networks_documents_are_kept_by_name_and_digest(self, store: Store) -> None:
        with pytest.raises(Refused) as refused:
            _ = store.network.dictionary
        assert refused.value.code is Code.NOT_FOUND
        store.network.describe("net", Fraction(1, 3))
        assert (store.network.id, store.network.delta) == ("net", Fraction(1, 3))
        first = load_dictionary(DICTIONARY, "d")
        second = load_dictionary(DICTIONARY.replace("110", "120"), "d")
        for dictionary in (first, second):
            store.network.put_dictionary(dictionary)
        assert store.network.dictionary == second
        assert store.network.dictionary_version(first.digest) == first
        assert {each.digest for each in store.network.dictionaries} == {
            first.digest,
            second.digest,
        }

    def test_every_epoch_of_the_roster_is_kept(self, store: Store) -> None:
        for epoch in (0, 1, 12):
            roster = Roster(network="n", epoch=epoch, nodes=(_node("a"),))
            store.network.put_roster(Envelope.seal("roster", roster.to_json(), KEY))
        assert store.network.roster.epoch == 12
        assert len(store.network.rosters()) == 3


def test_nothing_secret_is_stored_of_a_token(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("coordinator.db*"))
    for token in world.tokens.values():
        for secret in (token.secret, token.secret.hex().encode(), token.text[8:].encode()):
            assert secret not in stored
        assert token.bearer.encode() not in stored
        assert token.bearer_sha256.encode() in stored


def _node(name: str) -> RosterNode:
    key = SigningKey(name.encode() * 32).public.text
    return RosterNode(id=name, name=name.upper(), key=key, transport_key="t")


def _study(store: Store) -> Study:

    study = make_study(load_dictionary(DICTIONARY, "d"), KEY.public)
    store.studies.add(Envelope.seal("study", study.to_json(), KEY), AT)
    return study


def _new(
    run_id: str,
    person: str,
    key: str,
    *,
    nonce: str,
    plan_nonce: str = "",
    request: str = "1" * 64,
    identity: str = "a" * 64,
    study_digest: str = "d" * 64,
) -> NewRun:
    asked = Question(
        study="s",
        study_digest=study_digest,
        analysis={"kind": "count"},
        cohort="",
        epsilon="1",
        asked_at=AT,
        expires=AT,
        nonce=nonce,
    )
    plan = Plan(
        question=Envelope.seal("question", asked.to_json(), KEY).to_json(),
        identity=identity,
        study="s",
        study_digest=study_digest,
        analysis={"kind": "count"},
        cohort="",
        dictionary="e" * 64,
        roster="f" * 64,
        participants=("a", "b", "c"),
        t_drop=0,
        t_collude=1,
        rho="1/2",
        delta="1/1000000",
        rounds=(PlannedRound(mechanism={}, rho="1/2", length=1),),
        max_attempts=1,
        epoch="2026-03",
        created=AT,
        expires=AT,
        nonce=plan_nonce or nonce,
    )
    return NewRun(run_id, Envelope.seal("plan", plan.to_json(), KEY), person, key, request, AT)
