"""After a restart a node answers nothing until its peers confirm that its ledger is whole.

A restored backup is an old ledger with budget in it. Before the first question the node sends
a nonce and waits for signed answers from enough confirmed peers (`answers_needed`), each naming
the newest checkpoint of this node it holds. A ledger behind, or beside, any of them stops.
A coordinator that hides the newest checkpoint gains nothing: it cannot sign for the peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from node.ledger_store import LedgerStore
from privacy.checkpoint import open_checkpoint
from privacy.contract.canonical import Json
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput, Code, Refused, VerificationFailed
from privacy.ledger.entry import Witnessed
from privacy.ledger.history import SHORTEST_PERIOD
from privacy.ledger.history_entry import BudgetForfeited, LedgerRecovered
from privacy.ledger.state import LedgerState
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
        "checkpoint": ledger.book.newest(of) or "",
    }
    return Envelope.seal("witness", held, key)


@dataclass(frozen=True)
class Copy:
    """Entries that somebody kept of this ledger, from where it ends, and its own signed head."""

    lines: tuple[bytes, ...]
    checkpoint: str


@dataclass
class Witnessing:
    """Whether this node may answer questions since it was started."""

    node: str
    ledger: LedgerStore
    own_key: PublicKey
    nonce: str
    done: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)  # checkpoints of what is lost, by peer
    copy: Copy | None = None

    @property
    def stopped(self) -> bool:
        """Whether a peer holds a newer or another history of this ledger."""
        return bool(self.behind)

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
        from then on whatever the others say, until a steward has taken a way out.
        """
        if self.ledger.restored is not None and self.copy is not None:
            self._take_back(self.copy)
        for peer, statement in statements.items():
            if peer in confirmed and peer != self.node:
                self._take(peer, statement, confirmed[peer])
        if self.stopped:
            raise Refused(Code.LEDGER_STOPPED, what="witnesses")
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

    def _take(self, peer: str, statement: Envelope, key: PublicKey) -> None:
        body = statement.open("witness", key)
        if (body["by"], body["of"], body["nonce"]) != (peer, self.node, self.nonce):
            raise VerificationFailed("statement answers another question", where=peer)
        if body["checkpoint"]:
            self._compare(peer, body["checkpoint"])
        self.answers[peer] = body["checkpoint"]

    def _compare(self, peer: str, text: str) -> None:
        held = open_checkpoint(text, self.own_key)
        if text in self.ledger.state.abandoned:
            return  # a steward said so, and that all is spent
        if held.size > self.ledger.size or self.ledger.root_at(held.size) != held.root:
            self.behind[peer], self.done = text, False

    def explained(self) -> str:
        """What a steward should know of a ledger that stopped; "" while it has not."""
        if not self.behind:
            return ""
        most = max(open_checkpoint(n, self.own_key).size for n in self.behind.values())
        way = "`cairn-node recover` takes them back from the coordinator's copy"
        if self.copy is None:
            way = "name a copy of this ledger, from an audit bundle, with `cairn-node recover`"
        return (
            f"this ledger has {self.ledger.size} entries, and {', '.join(sorted(self.behind))} "
            f"hold its signed checkpoint of {most}: a backup was restored, or it was copied. "
            f"What was spent since is missing. {way}; where there is none, "
            "`cairn-node recover --assume-spent` goes on with no budget left for a year"
        )

    def _take_back(self, copy: Copy) -> None:
        """A steward restored a backup: what was said since is added as it comes, if it is ours."""
        self._begin_again()
        with suppress(VerificationFailed):  # then peers decide, and a steward
            self.ledger.restore(copy.lines, [open_checkpoint(copy.checkpoint, self.own_key)])

    # the way out

    def recover(self, by: str, reason: str) -> int:
        """Take the lost entries from the copy that was offered; returns how many.

        Raises BadInput where no copy was offered, VerificationFailed where it is not the ledger
        that the peers hold checkpoints of; nothing is changed then.
        """
        if self.copy is None or not self.behind:
            raise BadInput(
                "there is nothing to recover from",
                instead="let the node meet the coordinator, or name a file with --copy",
            )
        kept = self.ledger.size
        notes = {*self.behind.values(), self.copy.checkpoint}
        self.ledger.restore(self.copy.lines, [open_checkpoint(n, self.own_key) for n in notes])
        self.ledger.append(LedgerRecovered(kept=kept, by=by, reason=reason))
        self._begin_again()
        return self.ledger.size - 1 - kept

    def forfeit(self, now: datetime, by: str, reason: str) -> None:
        """Go on without the lost entries: everything they can have spent counts as spent."""
        if not self.behind:
            raise Refused(Code.CONFLICT, what="nothing is lost")
        self.ledger.append(forfeiture(self.ledger.state, self.behind.values(), now, by, reason))
        self._begin_again()

    def _begin_again(self) -> None:
        """Ask the peers anew, whatever they said before."""
        self.answers, self.behind, self.copy = {}, {}, None


def read_copy(file: Path, start: int) -> Copy:
    """A ledger's lines from `start` on, with the `checkpoint.txt` beside them."""
    try:
        lines = file.read_bytes().split(b"\n")[start:-1]
        note = file.with_name("checkpoint.txt").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput("no copy of a ledger with its checkpoint.txt", where=str(file)) from None
    return Copy(tuple(lines), note)


def forfeiture(
    state: LedgerState, held: Iterable[str], now: datetime, by: str, reason: str
) -> BudgetForfeited:
    """The entry that charges all that is left, for a year at least."""
    policy, period = state.policy, state.period
    if policy is None:
        raise Refused(Code.LEDGER_STOPPED, what="no policy")
    ends = instant_text(now + SHORTEST_PERIOD)
    return BudgetForfeited(
        held=tuple(sorted(set(held))),
        rho=policy.yearly_rho,
        ends=max(ends, period.ends) if period else ends,
        by=by,
        reason=reason,
    )
