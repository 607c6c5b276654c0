"""A whole network in one process: real nodes, a real coordinator, and a wire under our control.

Each node is a `NodeService` on its own folder (DuckDB records, SQLite ledger), set up by the
functions that set up a real one. The `Wire` stands where Flower stands; it can lose, repeat,
change and remember every packet. Nothing waits and nothing is random: time and entropy are given.
"""

from __future__ import annotations

import atexit
import json
import shutil
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pandas as pd

from coordinator import key_stock, operate
from coordinator.contact import Contact
from coordinator.execution import Execution
from coordinator.key_stock import KeyStock
from coordinator.linking import Linking as LinkageRuns
from coordinator.linking import new_session
from coordinator.log import CoordinatorLog
from coordinator.mirror import Mirror
from coordinator.node_link import NodeLink
from coordinator.planning import Compiled, make_plan
from coordinator.rounds import Opened, Rounds
from coordinator.store.facts import LinkageFacts, RunFacts
from coordinator.store.people import Credential
from coordinator.store.runs import NewRun
from coordinator.store.store import Store
from coordinator.witnesses import Witnesses
from models.dictionary_file import load_dictionary
from node import setup
from node.decisions import Offered, decide_study
from node.documents import Documents
from node.home import Home, Settings
from node.importer import import_folder
from node.parts import Parts
from node.program import build
from node.records import Records
from node.service import NodeService
from node.steward import Steward
from privacy.contract.dictionary import Dictionary
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.contract.plan import Question
from privacy.contract.policy import Linking, Policy, Rules
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study import ConsentRule, Investigator, Study
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import Code
from privacy.ledger.entry import Entry
from tests.support import net_data
from tests.support.seeded import seeded_entropy

NOW = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
PURPOSE = "disease-research"
STUDY = "als-progression"
COORDINATOR = SigningKey(b"coordinator's key of the tests !"[:32])
RESEARCHER = Token(Role.RESEARCHER, b"r" * 32)

key_stock.SETS, key_stock.REFILL_BELOW = 8, 2  # fewer keys ahead of time than a real network


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(frozen=True)
class Exchange:
    """One request that went over the wire, with what came back (None: nothing)."""

    node: str
    ask: Ask
    request: Packet
    reply: Packet | None


Change = Callable[[str, Ask, Packet], Packet | None]


@dataclass
class Wire:
    """The carrier of a `NodeLink`. `outbound` and `inbound` may change or drop packets."""

    nodes: dict[str, Node] = field(default_factory=dict)
    outbound: list[Change] = field(default_factory=list)
    inbound: list[Change] = field(default_factory=list)
    repeats: int = 1
    log: list[Exchange] = field(default_factory=list)

    def ask(
        self, packets: Mapping[str, Packet], timeout_seconds: float
    ) -> Mapping[str, Packet | Code]:
        return {node: self._deliver(node, packet) for node, packet in packets.items()}

    def _deliver(self, node: str, packet: Packet) -> Packet | Code:
        ask = Ask(json.loads(packet.header)["body"]["ask"])
        sent = _changed(self.outbound, node, ask, packet)
        if sent is None or not self.nodes[node].up:
            self.log.append(Exchange(node, ask, packet, None))
            return Code.NODE_OFFLINE
        for _ in range(self.repeats):
            reply = self.nodes[node].service.handle_all([sent])[0]
        self.log.append(Exchange(node, ask, sent, reply))
        received = _changed(self.inbound, node, ask, reply)
        return Code.NODE_OFFLINE if received is None else received

    def asked(self, ask: Ask, node: str | None = None) -> list[Exchange]:
        return [x for x in self.log if x.ask is ask and node in (None, x.node)]

    # what can happen to a packet

    def lose_request(self, node: str, ask: Ask, times: int = 10**9) -> None:
        self.outbound.append(_Lose(node, ask, times))

    def lose_reply(self, node: str, ask: Ask, times: int = 10**9) -> None:
        self.inbound.append(_Lose(node, ask, times))

    def heal(self) -> None:
        """An honest wire again."""
        self.outbound, self.inbound, self.repeats = [], [], 1


def _changed(changes: list[Change], node: str, ask: Ask, packet: Packet) -> Packet | None:
    for change in changes:
        after = change(node, ask, packet)
        if after is None:
            return None
        packet = after
    return packet


@dataclass
class _Lose:
    node: str
    ask: Ask
    times: int

    def __call__(self, node: str, ask: Ask, packet: Packet) -> Packet | None:
        if (node, ask) != (self.node, self.ask) or self.times <= 0:
            return packet
        self.times -= 1
        return None


@dataclass
class Node:
    """A node that can be stopped and started again from its folder."""

    home: Home
    seed: str
    clock: Callable[[], datetime]
    boots: int = 0
    up: bool = False
    _parts: Parts | None = None

    def start(self) -> None:
        self.boots += 1
        entropy = seeded_entropy(f"{self.seed}/{self.boots}")
        self._parts = build(self.home, entropy=entropy, clock=self.clock)
        self.up = True

    def stop(self) -> None:
        if self._parts is not None:
            self._parts.close()
        self.up, self._parts = False, None

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def parts(self) -> Parts:
        assert self._parts is not None
        return self._parts

    @property
    def service(self) -> NodeService:
        return self.parts.service

    @property
    def steward(self) -> Steward:
        return Steward(self.parts)

    @property
    def bodies(self) -> list[Any]:
        return [Entry.from_bytes(line).body for line in self.service.ledger.lines()]

    def kinds(self, *only: str) -> list[str]:
        """Kinds of the entries since the last approval, or those of these kinds."""
        kinds = [body.kind for body in self.bodies]
        if only:
            return [kind for kind in kinds if kind in only]
        return kinds[len(kinds) - kinds[::-1].index("approval") :]

    def copy_ledger(self, to: Path) -> None:
        """What a backup of the running node's ledger would hold."""
        shutil.copy(self.home.ledger_file, to)
        for tail in ("-wal", "-shm"):
            beside = self.home.ledger_file.with_name(self.home.ledger_file.name + tail)
            if beside.exists():
                shutil.copy(beside, to.with_name(to.name + tail))

    def restore_ledger(self, copy: Path) -> None:
        """Stop, put an older ledger in place, start."""
        self.stop()
        for tail in ("", "-wal", "-shm"):
            there = self.home.ledger_file.with_name(self.home.ledger_file.name + tail)
            there.unlink(missing_ok=True)
            beside = copy.with_name(copy.name + tail)
            if beside.exists():
                shutil.copy(beside, there)
        self.start()


@dataclass(frozen=True)
class Shape:
    """What a network is made with."""

    nodes: tuple[str, ...] = net_data.NODES
    count: int = 60
    epsilon_allowance: str = "10"
    yearly_epsilon: str = "100"
    ceiling_epsilon: str | None = None
    consent: ConsentRule = ConsentRule.REQUIRED
    min_cohort: int = 0
    t_drop: int = 0
    t_collude: int = 1
    analyses: tuple[str, ...] = ()
    by_organisation: bool = False
    dictionary: str = net_data.DICTIONARY
    linked: bool = False  # the study counts each linked member once
    linking: Mapping[str, Linking] | None = None  # the organisations' agreements, by node
    max_memberships: int = 1
    frames: Mapping[str, pd.DataFrame] | None = None
    symptoms: Mapping[str, pd.DataFrame] | None = None

    def people(self, node: str) -> pd.DataFrame:
        if self.frames is not None:
            return self.frames[node]
        return net_data.members(1 + self.nodes.index(node), self.count)

    def rows(self, node: str) -> pd.DataFrame:
        if self.symptoms is not None:
            return self.symptoms[node]
        return net_data.symptoms(self.people(node), 1 + self.nodes.index(node))


@dataclass
class Network:
    """Everything, with the coordinator's parts by name."""

    shape: Shape
    clock: Clock
    key: SigningKey
    researcher: Token
    principal: str
    dictionary: Dictionary
    study: Study
    store: Store
    nodes: dict[str, Node]
    wire: Wire
    link: NodeLink
    stock: KeyStock
    rounds: Rounds
    mirror: Mirror
    execution: SettlingExecution
    contact: Contact
    linking: LinkageRuns
    entropy: Callable[[int], bytes]

    # what people do

    def question(self, analysis: Mapping[str, Any], cohort: str = "", **changes: Any) -> Envelope:
        """A question signed by the researcher (or by `signer`)."""
        signer = changes.pop("signer", self.researcher.signing_key)
        facts = {
            "study": self.study.id,
            "study_digest": self.study.digest,
            "analysis": dict(analysis),
            "cohort": cohort,
            "epsilon": "1",
            "max_attempts": 1,
            "asked_at": instant_text(self.clock()),
            "expires": instant_text(self.clock() + timedelta(minutes=10)),
            "nonce": self.entropy(16).hex(),
            **changes,
        }
        return Envelope.seal("question", Question.from_json(facts).to_json(), signer)

    def plan(
        self, question: Envelope, participants: Sequence[str] | None = None, **changes: Any
    ) -> Compiled:
        known = self.store.linkages.in_force(self.clock().date().isoformat())
        return make_plan(
            question,
            changes.pop("study", self.study),
            changes.pop("dictionary", self.dictionary),
            changes.pop("roster", self.store.network.roster),
            tuple(participants or sorted(self.nodes)),
            key=changes.pop("key", self.key),
            now=changes.pop("now", self.clock()),
            entropy=self.entropy,
            known=changes.pop("known", known.session if known else None),
            evidence=changes.pop("evidence", ()),
        )

    def link_members(
        self, fields: Sequence[str], nodes: Sequence[str] = (), days: int = 90
    ) -> LinkageFacts:
        """Link members between nodes, as an operator does."""
        ends = (self.clock() + timedelta(days=days)).date()
        names = tuple(nodes or self.nodes)
        envelope = new_session(
            self.store, self.key, names, tuple(fields), ends, now=self.clock(), entropy=self.entropy
        )
        return self.linking.run(envelope.digest)

    def ask(self, analysis: Mapping[str, Any], cohort: str = "", **changes: Any) -> RunFacts:
        """Ask as the API does, and wait for the end of the run."""
        return self.run(self.plan(self.question(analysis, cohort, **changes)))

    def run(self, compiled: Compiled) -> RunFacts:
        run = self.queue(compiled)
        self.execution.execute(run.id)
        assert self.execution.wait(run.id, 600)
        self.execution.over(run.id)
        return self.store.runs.get(run.id)

    def open(self, compiled: Compiled) -> Opened:
        """The first round of a plan, with nothing kept."""
        envelope, plan = compiled.envelope, compiled.plan
        self.rounds.reserve(envelope, plan)
        state = compiled.derivation.first_state
        attempt, prepared = self.rounds.attempt(envelope.digest, plan, (0, 0), state)
        return self.rounds.open(attempt, prepared, state, plan)

    def queue(self, compiled: Compiled) -> RunFacts:
        run_id = f"run-{self.entropy(12).hex()}"
        by, at = self.principal, instant_text(self.clock())
        new = NewRun(run_id, compiled.envelope, by, "", run_id, at)
        return self.store.runs.create(new)

    def restart_coordinator(self) -> None:
        """What the coordinator held in memory is gone: keys, and whatever was under way."""
        self.execution.close()
        self.stock = KeyStock(self.link)
        self.rounds = Rounds(self.link, self.stock, self.rounds.roster)
        self.execution = SettlingExecution(
            self.store, self.rounds, self.mirror, self.key, self.clock
        )
        self.contact.stock = self.stock

    def settle(self) -> None:
        """Let nodes and coordinator exchange everything that is waiting."""
        for _ in range(4):
            if not self.contact.pass_once():
                return

    # what is true

    @property
    def pooled(self) -> pd.DataFrame:
        """Every consenting member of every organisation."""
        everyone = pd.concat([self.shape.people(node) for node in self.shape.nodes])
        if self.shape.consent is ConsentRule.NONE:
            return everyone
        return everyone[everyone["consent"] == "yes"]

    @property
    def pooled_symptoms(self) -> pd.DataFrame:
        """The rows that count of every consenting member: the first two by day."""
        rows = pd.concat([self.shape.rows(node) for node in self.shape.nodes])
        rows = rows[rows["member"].isin(self.pooled["member"])]
        return rows.sort_values("day", kind="stable").groupby("member").head(2)

    def result(self, run: RunFacts) -> dict[str, Any]:
        assert run.release is not None, (run.code, run.fields)
        return dict(self.store.releases.get(run.release).result)

    def estimates(self, run: RunFacts) -> dict[tuple[str, ...], float]:
        return {tuple(row["cell"]): row["estimate"] for row in self.result(run)["rows"]}

    def spent(self, node: str) -> tuple[int, int]:
        """Units of rho charged and set aside at one node."""
        state = self.nodes[node].service.ledger.state
        return state.total_charged.units, state.total_held.units

    def close(self) -> None:
        self.execution.close()
        for node in self.nodes.values():
            node.stop()
        self.store.close()


# Building one


def make_network(folder: Path, shape: Shape | None = None) -> Network:
    """A network of `shape`, set up, witnessed and ready for questions."""
    network = make_cold_network(folder, shape or Shape())
    network.settle()
    return network


def make_cold_network(folder: Path, shape: Shape) -> Network:
    """The same before the nodes' first contact."""
    if shape.frames is None or isinstance(shape.frames, Hashable):
        shutil.copytree(_prepared(shape), folder, dirs_exist_ok=True)
    else:
        _prepare(folder, shape)
    clock = Clock()
    store = Store.open(f"sqlite:///{folder / 'store.sqlite'}")
    nodes = {name: Node(Home(folder / "nodes" / name), name, clock) for name in sorted(shape.nodes)}
    for node in nodes.values():
        node.start()
    return _connect(shape, clock, store, nodes)


@cache
def _prepared(shape: Shape) -> Path:
    """The files of a network of this shape: made once in this process, then copied."""
    folder = Path(mkdtemp(prefix="cairn-network-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _prepare(folder, shape)
    return folder


def _prepare(folder: Path, shape: Shape) -> None:
    clock = Clock()
    dictionary = load_dictionary(shape.dictionary, "dictionary.toml")
    shutil.copy(_empty_store(), folder / "store.sqlite")
    store = Store.open(f"sqlite:///{folder / 'store.sqlite'}")
    store.network.describe("test", Fraction(1, 10**6))
    store.network.put_dictionary(dictionary)
    operate.write_roster(store, COORDINATOR, ())
    at = instant_text(clock())
    store.people.add("Ada", Role.RESEARCHER, Credential.of(RESEARCHER), at)
    study = make_study(shape, dictionary, RESEARCHER.signing_key.public)
    envelope = operate.propose(store, COORDINATOR, study, now=clock())
    nodes = _create_nodes(folder, shape, clock, COORDINATOR, store)
    for name, node in nodes.items():
        _set_up(folder, shape, node, name, dictionary, store, envelope)
    store.close()


@cache
def _empty_store() -> Path:
    """A migrated, empty database: migrations run once for all networks of this process."""
    folder = Path(mkdtemp(prefix="cairn-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "store.sqlite"
    Store.open(f"sqlite:///{path}").close()
    return path


def make_study(shape: Shape, dictionary: Dictionary, investigator: PublicKey) -> Study:
    return Study(
        id=STUDY,
        title="What people with ALS take",
        purpose=PURPOSE,
        consent=shape.consent,
        starts="2026-01-01",
        ends="2026-12-31",
        epsilon_allowance=shape.epsilon_allowance,
        delta="1/1000000",
        dictionary=dictionary.digest,
        investigators=(Investigator(key=investigator.text),),
        analyses=shape.analyses,
        by_organisation=shape.by_organisation,
        min_cohort=shape.min_cohort,
        t_drop=shape.t_drop,
        t_collude=shape.t_collude,
        max_memberships=shape.max_memberships,
        linked=shape.linked,
    )


def make_policy(shape: Shape, node: str) -> Policy:
    linking = None if shape.linking is None else shape.linking.get(node)
    return Policy(
        yearly_epsilon=shape.yearly_epsilon,
        ceiling_epsilon=shape.ceiling_epsilon,
        delta="1/1000000",
        min_collude=shape.t_collude,
        max_drop=shape.t_drop,
        max_memberships=shape.max_memberships,
        rules=Rules(linking=linking),
    )


def _create_nodes(
    folder: Path, shape: Shape, clock: Clock, key: SigningKey, store: Store
) -> dict[str, Node]:
    nodes, entries = {}, []
    for name in shape.nodes:
        home = Home(folder / "nodes" / name)
        settings = Settings(
            node=name,
            name=name.title(),
            network="test",
            coordinator_url="http://127.0.0.1:1",
            coordinator_key=key.public.text,
            fleet_address="127.0.0.1:2",
            slot_milliseconds=0,
        )
        entries.append(setup.create(home, settings, "no ca", entropy=seeded_entropy(name)))
        nodes[name] = Node(home, name, clock)
    for entry in entries:
        store.nodes.add(entry, instant_text(clock()))
    operate.admit_joined(store, key)
    return nodes


def _set_up(
    folder: Path,
    shape: Shape,
    node: Node,
    name: str,
    dictionary: Dictionary,
    store: Store,
    study: Envelope,
) -> None:
    settings = node.home.settings()
    setup.begin_ledger(
        node.home, settings, make_policy(shape, name), dictionary, by="steward", clock=node.clock
    )
    documents = Documents(node.home.documents, lambda: settings.coordinator)
    files = net_data.write(folder / "files" / name, shape.people(name), shape.rows(name))
    records = Records.open(node.home.records_file)
    import_folder(records, dictionary, files, consent_purposes={PURPOSE})
    records.close()
    ledger = setup.open_ledger(node.home, node.clock)
    roster = documents.keep_roster(store.network.roster_envelope)
    fingerprints = {key.fingerprint for key in roster.keys.values()}
    setup.confirm_roster(ledger, roster, fingerprints, by="steward")
    offered = Offered(documents.keep_study(study))
    decide_study(ledger, offered, "approved", by="steward", now=node.clock())
    ledger.close()


def rekeyed(network: Network, key: SigningKey) -> None:
    """The same coordinator, started again with another key."""
    network.execution.close()
    again = _connect(network.shape, network.clock, network.store, network.nodes, key)
    vars(network).update(vars(again))


def _connect(
    shape: Shape,
    clock: Clock,
    store: Store,
    nodes: dict[str, Node],
    key: SigningKey = COORDINATOR,
) -> Network:
    entropy = seeded_entropy(f"coordinator {key.public.text}")
    wire = Wire(nodes)

    def roster() -> Roster:
        return store.network.roster

    def connected() -> frozenset[str]:
        return frozenset(name for name, node in nodes.items() if node.up)

    link = NodeLink(wire, key, roster, entropy, clock, store.network.key_changes)
    stock = KeyStock(link)
    rounds = Rounds(link, stock, roster)
    mirror = Mirror(store, link, key, roster, clock)
    witnesses = Witnesses(store, link, CoordinatorLog(store.log, key, store.network.id), roster)
    return Network(
        shape=shape,
        clock=clock,
        key=key,
        researcher=RESEARCHER,
        principal=Credential.of(RESEARCHER).principal_id,
        dictionary=store.network.dictionary,
        study=store.studies.get(STUDY).study,
        store=store,
        nodes=nodes,
        wire=wire,
        link=link,
        stock=stock,
        rounds=rounds,
        mirror=mirror,
        execution=SettlingExecution(store, rounds, mirror, key, clock),
        contact=Contact(
            store, link, stock, mirror, roster, connected, clock, key.public, witnesses
        ),
        linking=LinkageRuns(store, link, roster, clock),
        entropy=entropy,
    )


class SettlingExecution(Execution):
    """An execution whose runs can be waited for to the very end, telling the nodes included."""

    def _run(self, run_id: str) -> None:
        try:
            super()._run(run_id)
        finally:
            self._over(run_id).set()

    def _over(self, run_id: str) -> threading.Event:
        return self.__dict__.setdefault("overs", {}).setdefault(run_id, threading.Event())

    def over(self, run_id: str) -> None:
        """What follows a release (telling nodes, copying ledgers) happens after `wait` returns."""
        assert self._over(run_id).wait(600)
