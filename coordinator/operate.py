"""What the operator of a coordinator does: found a network, admit nodes, propose studies.

Each function is one step that the `cairn-coordinator` command and `deploy.local` share.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

from coordinator.api.bundles import Settled, pack_bundle
from coordinator.fleet_tls import authority_files, create_authority, issue_server_certificate
from coordinator.home import Home, Settings
from coordinator.log import CoordinatorLog
from coordinator.own_key import check_own_key
from coordinator.store.database import check_address
from coordinator.store.facts import NodeState
from coordinator.store.people import Credential
from coordinator.store.steps import Signers
from coordinator.store.store import Store
from models.within import check_study
from privacy.contract.dictionary import Dictionary
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.study import Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, Refused
from privacy.randomness import Entropy

INVITATION_LIFETIME = timedelta(days=14)


@dataclass(frozen=True)
class Invite:
    """The one file an organisation needs to start its node. The code can be used once."""

    network: str
    url: str
    fleet_address: str
    ca: str
    coordinator_key: str
    code: str
    name: str

    def to_text(self) -> str:
        return json.dumps(vars(self), indent=2) + "\n"


def found_network(
    home: Home,
    settings: Settings,
    dictionary: Dictionary,
    delta: Fraction,
    hosts: Sequence[str],
    *,
    entropy: Entropy,
    now: datetime,
) -> Store:
    """Make keys, certificates and the database of a new network."""
    if home.settings_file.exists():
        raise BadInput("a coordinator lives here already", where=str(home.root))
    home.root.mkdir(parents=True, exist_ok=True)
    home.root.chmod(0o700)
    if settings.database:
        check_address(settings.database)
    home.tls.mkdir(exist_ok=True)
    create_authority(home.tls, settings.network, now)
    issue_server_certificate(home.tls, hosts, now)
    key = SigningKey(entropy(32))
    home.write_identity(key)
    home.write_settings(settings)
    store = Store.open(home.database_url(settings))
    store.network.describe(settings.network, delta)
    store.network.put_dictionary(dictionary)
    write_roster(store, key, ())
    return store


def write_roster(store: Store, key: SigningKey, nodes: Sequence[RosterNode]) -> Roster:
    """Sign a new epoch with exactly these nodes; joining or leaving is always a new epoch."""
    try:
        epoch = store.network.roster.epoch + 1
    except Refused:
        epoch = 0
    ordered = tuple(sorted(nodes, key=lambda node: node.id))
    roster = Roster(network=store.network.id, epoch=epoch, nodes=ordered)
    store.network.put_roster(Envelope.seal("roster", roster.to_json(), key))
    return roster


def admit_joined(store: Store, key: SigningKey) -> Roster:
    """A new epoch with every node that has redeemed an invitation and has not left."""
    joined = [
        RosterNode(
            id=node.id,
            name=node.name,
            key=node.key,
            transport_key=node.transport_key,
            former=store.nodes.former(node.id),
        )
        for node in store.nodes.all()
        if node.state is not NodeState.LEFT
    ]
    return write_roster(store, key, joined)


def invite_node(
    home: Home, settings: Settings, store: Store, name: str, *, entropy: Entropy, now: datetime
) -> Invite:
    """An invitation for one organisation, written nowhere but in what is returned."""
    code = entropy(24).hex()
    store.people.invite(code, None, name, now, INVITATION_LIFETIME)
    return Invite(
        network=settings.network,
        url=settings.public_url or f"http://{settings.host}:{settings.port}",
        fleet_address=settings.fleet_address or f"{settings.fleet_host}:{settings.fleet_port}",
        ca=authority_files(home.tls).certificate.read_text("ascii"),
        coordinator_key=home.identity().public.text,
        code=code,
        name=name,
    )


def enrol(store: Store, name: str, role: Role, *, entropy: Entropy, now: datetime) -> Token:
    """Make a token here and enter its owner: for a network on one machine.

    Over a network the token is made at its owner's, who redeems an invitation; the coordinator
    then never sees it.
    """
    token = Token.new(role, entropy)
    store.people.add(name, role, Credential.of(token), instant_text(now))
    return token


def propose(store: Store, key: SigningKey, study: Study, *, now: datetime) -> Envelope:
    """Sign a study and offer it to every node.

    Raises BadInput for a cohort or variables that its dictionary does not have.
    """
    checked = check_study(study, store.network.dictionary_version(study.dictionary))
    envelope = Envelope.seal("study", checked.to_json(), key)
    store.studies.add(envelope, instant_text(now))
    _propose(store, key, checked, instant_text(now))
    return envelope


def signers(store: Store, key: PublicKey) -> Signers:
    """Who may take steps in the life of a study: this coordinator and the roster's nodes."""
    return Signers(key, store.network.roster.keys, store.people.successors())


def _propose(store: Store, key: SigningKey, study: Study, at: str) -> None:
    """Propose for the investigators, unless the version was proposed before."""
    if not store.steps.of(study.digest):
        step = StudyStep.of(study, Act.PROPOSE, Signer.COORDINATOR, at)
        store.steps.add(step.sealed(key), study, signers(store, key.public))


def started(study: Study, at: str) -> StudyStep:
    """The step that the first question of an approved study is."""
    return StudyStep.of(study, Act.START, Signer.COORDINATOR, at)


def close_study(store: Store, key: SigningKey, study_id: str, *, now: datetime) -> None:
    """Close a study for its investigators; raises Refused(CONFLICT) where it is not open."""
    study = store.studies.get(study_id).study
    step = StudyStep.of(study, Act.CLOSE, Signer.COORDINATOR, instant_text(now))
    store.steps.add(step.sealed(key), study, signers(store, key.public))


@dataclass(frozen=True)
class _Holder:
    store: Store
    log: CoordinatorLog
    key: SigningKey
    clock: Callable[[], datetime]


def hand_over_bundle(home: Home, store: Store, archive: Path, now: datetime) -> None:
    """Write what an auditor would pull to a new file, whole or not at all.

    Nodes are not asked: their ledgers are as the coordinator last copied them. Raises BadInput
    if the file is there.
    """
    if archive.exists():
        raise BadInput("is there already", where=str(archive), instead="name a new file")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cairn-audit-", dir=archive.parent) as work:
        key = check_own_key(home, store)
        log = CoordinatorLog(store.log, key, store.network.id)
        holder = _Holder(store, log, key, lambda: now)
        pack_bundle(holder, Path(work), Settled((), 0)).replace(archive)
