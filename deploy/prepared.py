"""A whole network on one machine, on disk and ready to start.

It takes the same steps as a network of many machines (invite, join, admit, compare
fingerprints, import, approve), only that one program acts as everybody.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

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
REMEMBERED = "network.json"

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
