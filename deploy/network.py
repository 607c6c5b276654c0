"""A whole network on one machine: a coordinator and one node per organisation, as processes.

It takes the same steps as a network of many machines (invite, join, admit, compare
fingerprints, import, approve), only that one program acts as everybody.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from coordinator import operate
from coordinator.fleet_tls import authority_files
from coordinator.home import Home as CoordinatorHome
from coordinator.home import Settings as CoordinatorSettings
from coordinator.store.store import Store
from deploy.layout import Layout, Organisation
from deploy.ports import free_port
from node import setup
from node.decisions import Offered, decide_study
from node.documents import Documents
from node.home import Home as NodeHome
from node.home import Settings as NodeSettings
from node.home import write_private
from node.importer import import_folder
from node.records import Records
from privacy.contract.canonical import sha256_hex
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import Investigator
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, CairnError

NETWORK = "local"
_SETTLED = ("online", "paused", "left")
REMEMBERED = "network.json"
READY_SECONDS = 180.0
STOP_SECONDS = 15.0
RESTART_SECONDS = 0.5

Say = Callable[[str], None]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Tokens:
    """One token for each role of people at the coordinator, and those of further researchers."""

    researcher: Token
    auditor: Token
    admin: Token
    others: tuple[Token, ...] = field(default=(), kw_only=True)

    @property
    def researchers(self) -> tuple[Token, ...]:
        return (self.researcher, *self.others)


@dataclass(frozen=True)
class PreparedNode:
    """A node that is set up and not yet running."""

    organisation: Organisation
    home: NodeHome
    settings: NodeSettings

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.port}"


@dataclass(frozen=True)
class Prepared:
    """Everything on disk: ready to start."""

    home: CoordinatorHome
    url: str
    tokens: Tokens
    nodes: tuple[PreparedNode, ...]
    studies: tuple[str, ...]
    resumed: bool = False


def prepare(
    layout: Layout, state: Path, say: Say = lambda _line: None, *, researchers: int = 1
) -> Prepared:
    """Found the network, create the nodes, import the data, approve the studies.

    Every one of the `researchers` (at least one) is an investigator of the studies.
    """
    say("making keys and certificates")
    coordinator, store = _found(layout, state)
    settings = coordinator.settings()
    first, *others = (_enrol(store, Role.RESEARCHER) for _ in range(researchers))
    auditor, admin = _enrol(store, Role.AUDITOR), _enrol(store, Role.ADMIN)
    tokens = Tokens(first, auditor, admin, others=tuple(others))
    nodes = _create_nodes(layout, state, coordinator, settings)
    key = coordinator.identity()
    _admit(store, key, nodes)
    investigators = tuple(
        Investigator(key=token.signing_key.public.text, name="a researcher")
        for token in tokens.researchers
    )
    envelopes = [
        operate.propose(store, key, study, now=utc_now())
        for study in layout.studies.study_facts(layout.dictionary.digest, investigators)
    ]
    _set_up_nodes(layout, store, nodes, envelopes, say)
    store.close()
    url = f"http://{settings.host}:{settings.port}"
    studies = tuple(draft.id for draft in layout.studies.studies)
    return Prepared(coordinator, url, tokens, tuple(node for node, _ in nodes), studies)


def prepare_or_resume(layout: Layout, state: Path, say: Say = lambda _line: None) -> Prepared:
    """Prepare a network in `state`, or take up the one that was prepared there before.

    A network that is taken up keeps its records, ledgers and budgets as they are.
    """
    if (state / REMEMBERED).exists():
        say(f"taking up the network in {state}: records, ledgers and budgets stay as they are")
        return _recall(layout, state)
    prepared = _prepare_or_clear(layout, state, say)
    tokens = prepared.tokens
    remembered = {
        "tokens": [t.text for t in (tokens.researcher, tokens.auditor, tokens.admin)],
        "meaning": _meaning(layout),
    }
    write_private(state / REMEMBERED, json.dumps(remembered).encode())
    return prepared


def _prepare_or_clear(layout: Layout, state: Path, say: Say) -> Prepared:
    """Prepare; after a mistake in the data nothing stays, so that the same command can be given."""
    parts = [state / "coordinator", state / "nodes"]
    for part in parts:
        if part.exists():
            what = "part of a network that was not finished"
            raise BadInput(what, where=str(part), instead="remove it, or name another folder")
    try:
        return prepare(layout, state, say)
    except CairnError:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
        raise


def _meaning(layout: Layout) -> str:
    """What a network is founded on, as one digest: dictionary, studies, organisations."""
    founded_on = (layout.studies, [one.id for one in layout.organisations])
    return sha256_hex(f"{layout.dictionary.digest}\n{founded_on!r}".encode())


def _recall(layout: Layout, state: Path) -> Prepared:
    try:
        remembered = json.loads((state / REMEMBERED).read_text("utf-8"))
        tokens = Tokens(*map(Token.parse, remembered["tokens"]))
        meaning = remembered["meaning"]
    except (OSError, ValueError, TypeError, KeyError):
        raise BadInput("not a network's state", where=str(state / REMEMBERED)) from None
    if meaning != _meaning(layout):
        raise BadInput(
            "the network was founded with another dictionary, other studies or organisations",
            where=str(state),
            instead="name another folder with --state",
        )
    coordinator = CoordinatorHome(state / "coordinator")
    settings = coordinator.settings()
    homes = [(one, NodeHome(state / "nodes" / one.id)) for one in layout.organisations]
    nodes = tuple(PreparedNode(one, home, home.settings()) for one, home in homes)
    url = f"http://{settings.host}:{settings.port}"
    studies = tuple(draft.id for draft in layout.studies.studies)
    return Prepared(coordinator, url, tokens, nodes, studies, resumed=True)


def _found(layout: Layout, state: Path) -> tuple[CoordinatorHome, Store]:
    home = CoordinatorHome(state / "coordinator")
    settings = CoordinatorSettings(network=NETWORK, port=free_port(), fleet_port=free_port())
    store = operate.found_network(
        home,
        settings,
        layout.dictionary,
        layout.studies.policy.delta,
        ("127.0.0.1", "localhost"),
        entropy=os.urandom,
        now=utc_now(),
    )
    return home, store


def _enrol(store: Store, role: Role) -> Token:
    return operate.enrol(store, role.value, role, entropy=os.urandom, now=utc_now())


def _create_nodes(
    layout: Layout, state: Path, coordinator: CoordinatorHome, settings: CoordinatorSettings
) -> list[tuple[PreparedNode, RosterNode]]:
    ca = authority_files(coordinator.tls).certificate.read_text("ascii")
    nodes = []
    for organisation in layout.organisations:
        home = NodeHome(state / "nodes" / organisation.id)
        node_settings = NodeSettings(
            node=organisation.id,
            name=organisation.name,
            network=NETWORK,
            coordinator_url=f"http://{settings.host}:{settings.port}",
            coordinator_key=coordinator.identity().public.text,
            fleet_address=f"{settings.fleet_host}:{settings.fleet_port}",
            port=free_port(),
        )
        entry = setup.create(home, node_settings, ca, entropy=os.urandom)
        nodes.append((PreparedNode(organisation, home, node_settings), entry))
    return nodes


def _admit(store: Store, key: SigningKey, nodes: list[tuple[PreparedNode, RosterNode]]) -> Roster:
    now = instant_text(utc_now())
    for _, entry in nodes:
        store.nodes.add(entry, now)
    return operate.admit_joined(store, key)


def _set_up_nodes(
    layout: Layout,
    store: Store,
    nodes: list[tuple[PreparedNode, RosterNode]],
    envelopes: list[Envelope],
    say: Say,
) -> None:
    roster = store.network.roster_envelope
    for node, _ in nodes:
        say(f"importing {node.organisation.name}")
        _set_up_node(layout, node, roster, envelopes)


def _set_up_node(
    layout: Layout, node: PreparedNode, roster: Envelope, envelopes: list[Envelope]
) -> None:
    partners = {one.id for one in layout.organisations} - {node.organisation.id}
    policy = layout.studies.policy_facts(partners)
    setup.begin_ledger(
        node.home, node.settings, policy, layout.dictionary, by="steward", clock=utc_now
    )
    documents = Documents(node.home.documents, lambda: node.settings.coordinator)
    _import(layout, node)
    ledger = setup.open_ledger(node.home, utc_now)
    try:
        pinned = documents.keep_roster(roster)
        fingerprints = {key.fingerprint for key in pinned.keys.values()}
        setup.confirm_roster(ledger, pinned, fingerprints, by="steward")
        for envelope in envelopes:
            study = documents.keep_study(envelope)
            decide_study(ledger, Offered(study), "approved", by="steward", now=utc_now())
    finally:
        ledger.close()


def _import(layout: Layout, node: PreparedNode) -> None:
    purposes = {draft.purpose for draft in layout.studies.studies if draft.consent == "required"}
    records = Records.open(node.home.records_file)
    try:
        import_folder(
            records, layout.dictionary, node.organisation.folder, consent_purposes=purposes
        )
    except BadInput as error:
        name, folder = node.organisation.name, str(node.organisation.folder)
        where = name if error.where == folder else f"{name}/{error.where}"
        raise BadInput(error.what, where=where, instead=error.instead) from None
    finally:
        records.close()


@dataclass
class Process:
    """One child process, started again when it dies unless it is being stopped."""

    command: list[str]
    log: Path
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def ended(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def stop(self) -> None:
        if self.child is None or self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@dataclass
class Network:
    """The running processes of a prepared network."""

    prepared: Prepared
    coordinator: Process
    nodes: dict[str, Process]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    @property
    def pids(self) -> list[int]:
        """Every process of the network: the coordinator, its bridge, the nodes."""
        web = self.coordinator.pid
        return [web, *_children(web), *(process.pid for process in self.nodes.values())]

    def start(self) -> None:
        for process in (self.coordinator, *self.nodes.values()):
            process.start()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        """Start a process again that died, as a service manager would."""
        while not self._stopping.wait(RESTART_SECONDS):
            for process in (self.coordinator, *self.nodes.values()):
                if process.ended() and not self._stopping.is_set():
                    process.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join(5.0)
        everyone = [self.coordinator, *self.nodes.values()]
        with ThreadPoolExecutor(len(everyone)) as pool:
            list(pool.map(Process.stop, everyone))

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until every node is online, has its roster in force and its approvals are known.

        In a network that is taken up again, organisations may have refused, paused or left
        meanwhile: there nobody has to approve anything.
        """
        until = time.monotonic() + seconds
        bearer = self.prepared.tokens.admin.bearer
        headers = {"Authorization": f"Bearer {bearer}"}
        with httpx.Client(base_url=self.prepared.url, headers=headers, timeout=5.0) as client:
            while not self._is_ready(client):
                if time.monotonic() > until:
                    raise BadInput(
                        "the network did not become ready",
                        instead="run it with --state FOLDER and read FOLDER/logs",
                    )
                time.sleep(0.05)

    def _is_ready(self, client: httpx.Client) -> bool:
        try:
            nodes = client.get("/v1/nodes").raise_for_status().json()["nodes"]
            studies = client.get("/v1/studies").raise_for_status().json()["studies"]
        except httpx.HTTPError:
            return False
        if self.prepared.resumed:
            return all(node["state"] in _SETTLED for node in nodes)
        online = all(node["state"] == "online" for node in nodes)
        everywhere = all(len(study["approved_by"]) == len(nodes) for study in studies)
        return online and everywhere and len(nodes) == len(self.nodes)


def _children(pid: int) -> list[int]:
    """A process' children, where the system tells (Linux)."""
    children: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            children.update(map(int, path.read_text("ascii").split()))
    return sorted(children)


def start(prepared: Prepared) -> Network:
    """Start every process; returns at once (see `Network.wait_ready`)."""
    logs = prepared.home.root.parent / "logs"
    logs.mkdir(exist_ok=True)
    coordinator = Process(_command("coordinator", prepared.home.root), logs / "coordinator.log")
    nodes = {
        node.organisation.id: Process(
            _command("node", node.home.root), logs / f"{node.organisation.id}.log"
        )
        for node in prepared.nodes
    }
    network = Network(prepared, coordinator, nodes)
    network.start()
    return network


def _command(role: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "deploy.child", role, str(folder), str(os.getpid())]


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    yield stop
