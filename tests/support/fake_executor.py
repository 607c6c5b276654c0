"""A coordinator with made-up nodes: real store, real plans, real noise, no transport.

`FakeExecutor` stands where the bridge stands. It answers a run from mock members the way the
real one does: total plus one noise share per node, estimate, signed release, ledger entries.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from coordinator import operate
from coordinator.api.app import create_app
from coordinator.api.services import ApiSettings
from coordinator.login.oidc_settings import OidcSettings
from coordinator.login.passwords import Passwords
from coordinator.statement import charged_fields, release_statement
from coordinator.store.facts import Decision, NodeState, RunState
from coordinator.store.openings import StoredOpening
from coordinator.store.people import Credential
from coordinator.store.store import Store
from models.aggregates.catalogue import conclude
from models.aggregates.requests import parse_analysis
from models.dictionary_file import load_dictionary
from models.opening import Opening
from privacy.contract.canonical import parse_rational
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study import ConsentRule, Investigator, Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code, Refused
from privacy.ledger.entry import (
    Approval,
    DictionaryAdopted,
    Genesis,
    PolicySet,
    RosterPinned,
)
from privacy.ledger.steward_entry import PeriodOpened
from privacy.units import Rho
from tests.support.fake_nodes import FakeNodes, append_entries, node_key
from tests.support.ledger_factory import START, founder, signed_period
from tests.support.seeded import seeded_entropy

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NODES = ("als-union", "ms-league", "mood-circle")
DICTIONARY = """
[tables.members]
key = "member"
rows = "one"
[tables.members.columns.condition]
type = "categorical"
levels = ["als", "ms", "mood"]
[tables.members.columns.treatment]
type = "categorical"
levels = ["none", "riluzole", "other"]
[tables.members.columns.age]
type = "integer"
lower = 0
upper = 110
[tables.members.columns.severity]
type = "number"
lower = 0
upper = 10
bins = [0, 2, 4, 6, 8, 10]
"""


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeExecutor:
    """`refuse` ends every run with that code; `hold` leaves runs queued until `let_go`;
    `before_round` is told the number of every round that is about to be asked for."""

    store: Store
    key: SigningKey
    clock: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    refuse: Refused | None = None
    hold: bool = False
    before_round: Callable[[int], object] = lambda _number: None
    executed: list[str] = field(default_factory=list)
    syncs: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @property
    def nodes(self) -> FakeNodes:
        return FakeNodes(self.store, self.entropy)

    def execute(self, run_id: str) -> None:
        self.executed.append(run_id)
        if not self.hold:
            self.let_go(run_id)

    def let_go(self, run_id: str) -> None:
        """Run a queued run to its end."""
        if self.store.runs.start(run_id):
            at = instant_text(self.clock())
            if self.refuse is None:
                with self._one_at_a_time:
                    self._answer(run_id, at)
            else:
                state = RunState.REFUSED
                code, fields = self.refuse.code, self.refuse.public_fields
                self.store.runs.fail(run_id, state, code, fields, at)
        with self._changed:
            self._changed.notify_all()

    def wait(self, run_id: str, timeout_seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self.store.runs.get(run_id).state.finished, timeout_seconds
            )

    def settle(self, timeout_seconds: float) -> None:
        """Answers are in the mirror at once here."""

    def sync(self, timeout_seconds: float) -> None:
        self.syncs += 1

    def _answer(self, run_id: str, at: str) -> None:
        run = self.store.runs.get(run_id)
        plan = run.plan
        analysis, dictionary = parse_analysis(plan.analysis), self.store.network.dictionary
        self.nodes.reserve(run.plan_digest, plan, at)
        done: list[StoredOpening] = []
        opened: list[Opening] = []
        for number in range(len(plan.rounds)):
            self.before_round(number)
            if self.store.runs.cancelling(run_id):
                return self._stop(run_id, at)
            opened.append(self.nodes.opening(plan, number, opened))
            done.append(self._kept(run.plan_digest, plan, number, opened[-1], at))
        result = conclude(analysis, dictionary, opened)
        statement = release_statement(run.plan_digest, plan, done, parse_rational(plan.delta), at)
        for each in statement["rounds"]:
            each["transcript"] = None
        envelope = Envelope.seal("release", statement, self.key)
        digest = self.store.releases.add(run.plan_digest, envelope, result.to_json(), at)
        self.store.runs.release(run_id, digest, at)
        return None

    def _stop(self, run_id: str, at: str) -> None:
        run = self.store.runs.get(run_id)
        delta = parse_rational(run.plan.delta)
        fields = charged_fields(run.plan, (1,) * run.opened, run.opened, delta)
        self.store.runs.fail(run_id, RunState.CANCELLED, Code.CANCELLED, fields, at)

    def _kept(
        self, digest: str, plan: Plan, number: int, opening: Opening, at: str
    ) -> StoredOpening:
        stored = StoredOpening(
            number=number,
            attempt=0,
            state=opening.state,
            totals=opening.totals,
            survivors=plan.participants,
            receipts={
                node: self.nodes.commit(node, digest, plan, number, at)
                for node in plan.participants
            },
            transcript="",
        )
        self.store.openings.add(digest, stored, b"")
        return stored


@dataclass
class World:
    """A network of three nodes with one study, and one person of every role."""

    store: Store
    executor: FakeExecutor
    app: FastAPI
    clock: Clock
    key: SigningKey
    study: Study
    dictionary: Dictionary
    tokens: dict[Role, Token]
    outsider: Token  # a researcher of another study


def make_world(
    folder: Path,
    *,
    settings: ApiSettings | None = None,
    epsilon_allowance: str = "10",
    by_organisation: bool = False,
    clock: Callable[[], datetime] | None = None,
    oidc: OidcSettings | None = None,
    database: str = "",
) -> World:
    """Build a world in `folder`. Everything in it is deterministic."""
    ticking = Clock()
    entropy = seeded_entropy(1)
    key = SigningKey(b"c" * 32)
    dictionary = load_dictionary(DICTIONARY, "dictionary.toml")
    tokens = {role: Token.new(role, entropy) for role in Role}
    outsider = Token.new(Role.RESEARCHER, entropy)
    study = make_study(dictionary, tokens[Role.RESEARCHER].signing_key.public, epsilon_allowance)
    study = study.model_copy(update={"by_organisation": by_organisation})
    people = [*tokens.values(), outsider]
    if database:
        store = _filled(database, key, dictionary, study, people)
    else:
        store = _prepared(folder / "coordinator.db", key, dictionary, study, people)
    executor = FakeExecutor(store, key, clock or ticking, entropy)
    app = create_app(
        store,
        executor,
        key,
        settings=settings or ApiSettings(),
        clock=clock or ticking,
        entropy=entropy,
        oidc=oidc,
        passwords=Passwords(entropy, PasswordHash((Argon2Hasher(1, 8, 1),))),
    )
    return World(store, executor, app, ticking, key, study, dictionary, tokens, outsider)


_PREPARED: dict[str, bytes] = {}  # the database of a new world, by its study


def _prepared(
    path: Path, key: SigningKey, dictionary: Dictionary, study: Study, people: list[Token]
) -> Store:
    """A store with network, people, study and ledgers; built once and copied after that."""
    url = f"sqlite:///{path}"
    if study.digest not in _PREPARED:
        _filled(url, key, dictionary, study, people).close()
        _PREPARED[study.digest] = path.read_bytes()
    path.write_bytes(_PREPARED[study.digest])
    return Store.open(url)


def _filled(
    url: str, key: SigningKey, dictionary: Dictionary, study: Study, people: list[Token]
) -> Store:
    store = Store.open(url)
    at = instant_text(NOW)
    for token in people:
        store.people.add(f"one {token.role.value}", token.role, Credential.of(token), at)
    _network(store, key, dictionary)
    store.studies.add(Envelope.seal("study", study.to_json(), key), at)
    for node in NODES:
        store.studies.decide(node, study.digest, Decision.APPROVED, at)
        _open_ledger(store, node, dictionary, study)
    return store


def make_study(dictionary: Dictionary, investigator: PublicKey, allowance: str = "10") -> Study:
    return Study(
        id="als-progression",
        title="Progression of ALS",
        purpose="research",
        consent=ConsentRule.REQUIRED,
        starts="2026-01-01",
        ends="2099-12-31",
        epsilon_allowance=allowance,
        delta="1/1000000",
        dictionary=dictionary.digest,
        investigators=(Investigator(key=investigator.text, name="Ada"),),
    )


def _network(store: Store, key: SigningKey, dictionary: Dictionary) -> None:
    store.network.describe("test-network", Fraction(1, 10**6))
    store.network.put_dictionary(dictionary)
    nodes = tuple(
        RosterNode(
            id=name,
            name=name.title(),
            key=node_key(name).public.text,
            transport_key=SigningKey(name.ljust(32, "t")[:32].encode()).public.text,
        )
        for name in sorted(NODES)
    )
    roster = Roster(network="test-network", epoch=1, nodes=nodes)
    store.network.put_roster(Envelope.seal("roster", roster.to_json(), key))
    for node in nodes:
        store.nodes.add(node, instant_text(NOW))
        store.nodes.seen(node.id, NodeState.ONLINE, instant_text(NOW), "0.1.0")


def _open_ledger(store: Store, node: str, dictionary: Dictionary, study: Study) -> None:
    yearly = (study.rho * 2).text
    append_entries(
        store,
        node,
        "2026-01-01T00:00:00Z",
        Genesis(
            node=node,
            key=node_key(node).public.text,
            steward=founder(node).public.text,
            network="test-network",
            delta=study.delta,
        ),
        PolicySet(
            yearly_rho=yearly,
            min_nodes=3,
            min_collude=1,
            max_drop=0,
            min_cohort=0,
            max_memberships=1,
            by="steward",
        ),
        signed_period(
            PeriodOpened(
                starts=instant_text(START),
                ends="2099-01-01T00:00:00Z",
                budget_rho=yearly,
                by="steward",
            ),
            founder(node),
            node,
            START,
        ),
        RosterPinned(
            roster=store.network.roster.digest,
            epoch=store.network.roster.epoch,
            confirmed=tuple(sorted(key.fingerprint for key in store.network.roster.keys.values())),
            by="steward",
        ),
        DictionaryAdopted(dictionary=dictionary.digest),
        Approval(
            study=study.id,
            study_digest=study.digest,
            rho=study.rho.text,
            decision="approved",
            by="steward",
            reason="",
        ),
    )


def approve(world: World, act: Act = Act.APPROVE, nodes: Sequence[str] = NODES) -> None:
    """The steps by which every organisation approved the study, or some said something else."""
    signers = operate.signers(world.store, world.key.public)
    at = instant_text(datetime.now(UTC))
    key = world.tokens[Role.RESEARCHER].signing_key
    step = StudyStep.of(world.study, Act.PROPOSE, Signer.RESEARCHER, at)
    world.store.steps.add(step.sealed(key), world.study, signers)
    for node in nodes:
        step = StudyStep.of(world.study, act, Signer.ORGANISATION, at, by=node)
        world.store.steps.add(step.sealed(node_key(node)), world.study, signers)


def budget_refusal(left: Rho, needed: Rho) -> Refused:
    """What a node answers when its filter refuses."""
    return Refused(Code.BUDGET_EXCEEDED, needed=needed.text, left=left.text)


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """The application on a free port of this machine; its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # uvicorn's own settings of logging close every handler there is, and absl's with it stderr
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", ws="none", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
