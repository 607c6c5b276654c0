"""One attempt to open one total: everything public that defines it.

Its digest enters the key derivation of every mask and every signed statement, so nothing made
for one attempt (plan, round, state, participants, margins, key set) fits another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from privacy.contract.facts import Fact
from privacy.errors import BadInput
from privacy.secure_sum.messages import MAX_NODES, MAX_SETS, PROTOCOL, Hash, Name, SessionId

MIN_NODES = 3
MAX_LENGTH = 2**26
MAX_COUNT = 2**31


class Attempt(Fact):
    """The public facts of one opening. Construct, then `validate` before use.

    `plan` and `roster` are digests, `state` the SHA-256 of the broadcast model state (of the
    empty string in one-round plans). `participants` are node names in ascending order and
    `sessions` their key sessions in the same order; `set_index` names the prepared set in use.
    `t_drop` nodes may be lost and `t_collude` nodes may pool what they know. `length` counts
    the 64-bit numbers summed.
    """

    protocol: Literal["cairn-secure-sum/1"] = PROTOCOL
    plan: Hash
    round: int
    attempt: int
    state: Hash
    participants: tuple[Name, ...]
    sessions: tuple[SessionId, ...]
    roster: Hash
    set_index: int
    t_drop: int
    t_collude: int
    length: int

    @property
    def nodes(self) -> int:
        """K, the number of participants."""
        return len(self.participants)

    @property
    def margin(self) -> int:
        """Participants whose noise share may be missing from, or known to, somebody."""
        return self.t_drop + self.t_collude

    @property
    def threshold(self) -> int:
        """T: signatures that make a survivor list unique, and shares that open a secret."""
        return threshold(self.nodes, self.t_collude)

    @property
    def minimum_survivors(self) -> int:
        """Fewer survivors than this end the attempt."""
        return max(self.nodes - self.t_drop, self.t_collude + 2)

    def session_of(self, node: str) -> str:
        return self.sessions[self.participants.index(node)]

    def validate(self, *, allow_no_margin: bool = False) -> None:  # type: ignore[override]
        """Raise BadInput unless these numbers give a safe opening.

        `allow_no_margin` (t_collude = 0) is for measuring the price of the margin: no party of
        a secure sum passes it.
        """
        check_group(self.participants)
        if len(self.sessions) != self.nodes or len(set(self.sessions)) != self.nodes:
            raise BadInput("every participant has one session of its own")
        if not 0 <= self.set_index < MAX_SETS or not 1 <= self.length <= MAX_LENGTH:
            raise BadInput("set index or length out of range")
        if not 0 <= self.round < MAX_COUNT or not 0 <= self.attempt < MAX_COUNT:
            raise BadInput("round or attempt out of range")
        if self.t_drop < 0 or self.t_collude < (0 if allow_no_margin else 1):
            raise BadInput("t_drop is at least 0 and t_collude at least 1")
        if self.threshold > self.nodes - self.t_drop or self.minimum_survivors > self.nodes:
            raise BadInput("too few nodes for this margin")


def threshold(nodes: int, t_collude: int) -> int:
    """T = floor((K + t_collude) / 2) + 1.

    Guarantee: two lists with T signatures each share more than `t_collude` signers, so an
    honest node would have had to sign both: one list per attempt.
    """
    return (nodes + t_collude) // 2 + 1


def fewest_nodes(t_drop: int, t_collude: int) -> int:
    """The least K for which T <= K - t_drop and t_collude + 2 nodes can survive."""
    return max(MIN_NODES, t_collude + 2, t_collude + 2 * t_drop + 1)


def check_group(group: Sequence[str]) -> None:
    """Raise BadInput unless `group` names 3 to 1,024 different nodes in ascending order."""
    if not MIN_NODES <= len(group) <= MAX_NODES:
        raise BadInput(f"a secure sum has {MIN_NODES} to {MAX_NODES} participants")
    if any(left >= right for left, right in pairwise(group)):
        raise BadInput("participants are not in ascending order without repetition")
    if not all(1 <= len(name) <= 128 for name in group):
        raise BadInput("a node's name has 1 to 128 characters")
