"""Nodes: who has joined, and in which public state each was last seen."""

from __future__ import annotations

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import NodeFacts, NodeState
from coordinator.store.tables import DocumentRow, NodeRow
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.roster import Former, RosterNode
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.upkeep_entry import NodeKeyChanged


class Nodes:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, node: RosterNode, at: str) -> None:
        """Enter a new node; raises Refused(CONFLICT) if the id or the key is taken."""
        with self._database.write() as session:
            add_node(session, node, at)

    def seen(self, node: str, state: NodeState, at: str, version: str | None = None) -> None:
        """A node answered, and is in `state`. One that has left stays so."""
        values = {"state": state.value, "last_contact": at}
        if version is not None:
            values["version"] = version
        with self._database.write() as session:
            session.execute(_staying(node).values(values))

    def set_state(self, node: str, state: NodeState) -> None:
        """A node's state changed without a word from it (it went offline)."""
        with self._database.write() as session:
            session.execute(_staying(node).values(state=state.value))

    def all(self) -> tuple[NodeFacts, ...]:
        with self._database.read() as session:
            return tuple(map(_facts, session.scalars(select(NodeRow).order_by(NodeRow.id))))

    def former(self, node: str) -> tuple[Former, ...]:
        """The keys that a node had before its own, oldest first."""
        with self._database.read() as session:
            return _had(session, node)

    def online(self) -> frozenset[str]:
        """Ids of the nodes that can be asked now."""
        online = select(NodeRow.id).where(NodeRow.state == NodeState.ONLINE.value)
        with self._database.read() as session:
            return frozenset(session.scalars(online))


def _staying(node: str) -> Update:
    return update(NodeRow).where(NodeRow.id == node, NodeRow.state != NodeState.LEFT.value)


def add_node(session: Session, node: RosterNode, at: str) -> None:
    """Enter a node within a transaction that does more."""
    taken = select(NodeRow.id).where((NodeRow.id == node.id) | (NodeRow.key == node.key))
    if session.scalars(taken).first() is not None:
        raise Refused(Code.CONFLICT, node=node.id)
    session.add(
        NodeRow(
            id=node.id,
            name=node.name,
            key=node.key,
            transport_key=node.transport_key,
            state=NodeState.JOINING.value,
            version="",
            joined=at,
        )
    )


def change_node_key(session: Session, node: RosterNode, change: NodeKeyChanged) -> None:
    """Give a node that is known its new keys, within a transaction that does more.

    Raises Refused(NOT_PERMITTED) unless both its keys signed the change. Once more is no harm.
    """
    row = session.get(NodeRow, node.id)
    network = session.get_one(DocumentRow, "id")
    if row is None or change.new != node.key:
        raise Refused(Code.NOT_PERMITTED)
    if row.key == change.new:
        return
    try:
        change.check(str(parse_canonical(network.value)), node.id)
    except (VerificationFailed, BadInput):
        raise Refused(Code.NOT_PERMITTED) from None
    taken = select(NodeRow.id).where(NodeRow.key == node.key)
    if row.key != change.old or session.scalars(taken).first() is not None:
        raise Refused(Code.NOT_PERMITTED)
    had = [*_had(session, node.id), Former(key=change.old, until=change.until)]
    value = canonical_bytes([each.to_json() for each in had])
    session.merge(DocumentRow(name=_former(node.id), value=value))
    row.key, row.transport_key = node.key, node.transport_key
    row.state = NodeState.JOINING.value


def _former(node: str) -> str:
    return f"former-{sha256_hex(node.encode())[:40]}"


def _had(session: Session, node: str) -> tuple[Former, ...]:
    row = session.get(DocumentRow, _former(node))
    return () if row is None else tuple(map(Former.from_json, parse_canonical(row.value)))


def _facts(row: NodeRow) -> NodeFacts:
    return NodeFacts(
        id=row.id,
        name=row.name,
        key=row.key,
        transport_key=row.transport_key,
        state=NodeState(row.state),
        version=row.version,
        last_contact=row.last_contact,
        joined=row.joined,
    )
