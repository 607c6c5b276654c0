"""After a restart a node answers nothing until its peers confirm that its ledger is whole.

A restored backup is an old ledger with budget in it. Before the first question the node sends
a nonce and waits for signed answers from enough confirmed peers (`answers_needed`), each naming
the newest checkpoint of this node it holds. A ledger behind, or beside, any of them stops.
A coordinator that hides the newest checkpoint gains nothing: it cannot sign for the peers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.ledger_store import LedgerStore
from privacy.checkpoint import open_checkpoint
from privacy.contract.canonical import Json
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.entry import Witnessed
from privacy.randomness import Entropy
from privacy.secure_sum.attempt import threshold


def answers_needed(nodes: int, t_collude: int) -> int:
    """Peers that must answer, in a network of `nodes`, before a ledger counts as whole.

    Guarantee: one of them is honest and holds the newest checkpoint of every opening among all
    nodes. T of them signed its survivor list, so at most nodes - T peers never saw it, and at
    most t_collude of those who did will say otherwise.
    Assumes: openings among all nodes; of one among fewer, more peers may know nothing.
    """
    return nodes - threshold(nodes, t_collude) + t_collude + 1


def witness_statement(
    ledger: LedgerStore, key: SigningKey, me: str, of: str, nonce: str
) -> Envelope:
    """What this node holds of a peer's ledger, signed together with the peer's nonce."""
    held: Json = {
        "by": me,
        "of": of,
        "nonce": nonce,
        "checkpoint": ledger.witnessed(of) or "",
    }
    return Envelope.seal("witness", held, key)


@dataclass
class Witnessing:
    """Whether this node may answer questions since it was started."""

    node: str
    ledger: LedgerStore
    own_key: PublicKey
    nonce: str
    done: bool = False
    stopped: bool = False
    answers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, node: str, ledger: LedgerStore, own_key: PublicKey, entropy: Entropy
    ) -> Witnessing:
        return cls(node, ledger, own_key, entropy(16).hex())

    def accept(
        self, statements: Mapping[str, Envelope], confirmed: Mapping[str, PublicKey], needed: int
    ) -> bool:
        """Take peers' statements; True once `needed` confirmed peers agree with the ledger.

        Raises Refused(LEDGER_STOPPED) when one of them holds a newer or another history, and
        from then on whatever the others say: only a steward can find out what happened.
        """
        if self.stopped:
            raise Refused(Code.LEDGER_STOPPED, what="witnesses")
        for peer, statement in statements.items():
            if peer in confirmed and peer != self.node:
                self._take(peer, statement, confirmed[peer])
        if not self.done and len(self.answers) >= needed:
            if self.ledger.restored is not None:
                self.ledger.append(self.ledger.restored)
            self.ledger.append(
                Witnessed(
                    nonce=self.nonce, peers=tuple(sorted(self.answers)), size=self.ledger.size
                )
            )
            self.done = True
        return self.done

    def begin_again(self) -> None:
        """Ask everybody again: a restored ledger has taken back what it lost."""
        self.stopped, self.answers = False, {}

    def _take(self, peer: str, statement: Envelope, key: PublicKey) -> None:
        body = statement.open("witness", key)
        if (body["by"], body["of"], body["nonce"]) != (peer, self.node, self.nonce):
            raise VerificationFailed("statement answers another question", where=peer)
        if body["checkpoint"]:
            self._compare(peer, body["checkpoint"])
        self.answers[peer] = body["checkpoint"]

    def _compare(self, peer: str, text: str) -> None:
        held = open_checkpoint(text, self.own_key)
        if held.size > self.ledger.size or self.ledger.root_at(held.size) != held.root:
            self.stopped, self.done = True, False
            raise Refused(Code.LEDGER_STOPPED, peer=peer, held=held.size, own=self.ledger.size)
