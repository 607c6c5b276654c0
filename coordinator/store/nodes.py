"""Nodes: who has joined, and in which public state each was last seen."""

from __future__ import annotations

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from coordinator.store.database import Database
from coordinator.store.facts import NodeFacts, NodeState
from coordinator.store.tables import NodeRow
from privacy.contract.roster import RosterNode
from privacy.errors import Code, Refused


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
