"""Health, the network's public facts, its nodes, and joining it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request

from coordinator.api.schema import (
    Health,
    InvitationAsk,
    InvitationView,
    JoinAsk,
    JoinView,
    LinkageList,
    NetworkView,
    NodeList,
    PersonView,
)
from coordinator.api.services import (
    Admin,
    Anyone,
    Insider,
    Services,
    Use,
    counting_failures,
)
from coordinator.api.views import linkage_view, network_view, node_view
from coordinator.store.facts import Principal
from coordinator.store.people import Credential
from privacy.contract.signing import PublicKey
from privacy.errors import Code, Refused

router = APIRouter()


def _version() -> str:
    try:
        return version("cairn-network")
    except PackageNotFoundError:
        return "source"


VERSION = _version()


@router.get("/health", operation_id="getHealth", tags=["network"])
def get_health() -> Health:
    """Whether the coordinator answers."""
    return Health(status="ok", version=VERSION)


@router.get("/v1/network", operation_id="getNetwork", tags=["network"])
def get_network(services: Use) -> NetworkView:
    """Public facts: keys and fingerprints to compare, the signed roster, where nodes connect."""
    return network_view(services)


@router.get("/v1/network/dictionary", operation_id="getNetworkDictionary", tags=["network"])
def get_network_dictionary(services: Use) -> dict[str, Any]:
    """The dictionary in force: what joining nodes are to hold. It speaks of no member."""
    return services.store.network.dictionary.to_json()


@router.get("/v1/me", operation_id="getMe", tags=["people"])
def get_me(caller: Anyone) -> PersonView:
    """Who the credential belongs to."""
    return PersonView.of(caller)


@router.get("/v1/nodes", operation_id="listNodes", tags=["network"])
def list_nodes(services: Use, _caller: Insider) -> NodeList:
    """Every node with its public state and last contact."""
    return NodeList(nodes=[node_view(node) for node in services.store.nodes.all()])


@router.get("/v1/linkages", operation_id="listLinkages", tags=["network"])
def list_linkages(services: Use, _caller: Insider) -> LinkageList:
    """Every linkage between organisations, oldest first, and what became of it."""
    found = services.store.linkages.all()
    return LinkageList(linkages=[linkage_view(each) for each in found])


@router.post("/v1/invitations", operation_id="createInvitation", status_code=201, tags=["people"])
def create_invitation(ask: InvitationAsk, services: Use, caller: Admin) -> InvitationView:
    """Invite a person for a role, or a node. The code is shown once and works once."""
    secret = urlsafe_b64encode(services.entropy(24)).decode("ascii").rstrip("=")
    code = f"cairn_i_{secret}"
    lifetime = timedelta(days=services.settings.invitation_days)
    now = services.clock()
    made = services.store.people.invite(code, ask.role, ask.name, now, lifetime, caller.id)
    return InvitationView(code=code, role=made.role, name=made.name, expires=made.expires)


@router.post("/v1/join", operation_id="join", status_code=201, tags=["people"])
def join(ask: JoinAsk, request: Request, services: Use) -> JoinView:
    """Redeem an invitation. A person sends a public key and the hash of the bearer credential;
    a node sends its id, name, identity key and transport key; a node that is known, and takes
    new keys, also the change that both its keys signed."""
    with counting_failures(services, request):
        person = _redeem(ask, services)
    return JoinView(
        person=None if person is None else PersonView.of(person), network=network_view(services)
    )


def _redeem(ask: JoinAsk, services: Services) -> Principal | None:
    people, now = services.store.people, services.clock()
    match (ask.person, ask.node):
        case (None, None):
            pass
        case (person, None) if person is not None:
            key = PublicKey.from_text(person.public_key)
            return people.join(ask.code, Credential(person.bearer_sha256, key), now=now)
        case (None, node) if node is not None:
            PublicKey.from_text(node.key)
            people.join_node(ask.code, node, now=now, change=ask.change)
            return None
    raise Refused(Code.BAD_REQUEST, where="body", rule="exactly one of person and node")
