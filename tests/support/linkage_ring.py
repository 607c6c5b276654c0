"""A linkage of a few organisations in one process, with a place to tamper at every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from privacy.contract.canonical import Json, parse_canonical
from privacy.contract.signing import Envelope, SigningKey
from privacy.linkage import dummies
from privacy.linkage.matching import counted_elsewhere, finished
from privacy.linkage.party import Party, person
from privacy.linkage.session import LinkSession, open_adverts
from tests.support.seeded import seeded_entropy

Sent = tuple[Envelope, bytes]


@pytest.fixture
def few_dummies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists short enough to be quick: fewer dummies of every set than hide anything."""
    monkeypatch.setattr(dummies, "LOG2_SIGMA", 3)
    monkeypatch.setattr(dummies, "SHIFT", 32)
    monkeypatch.setattr(dummies, "MOST", 64)


def key_of(node: str) -> SigningKey:
    return SigningKey(node.encode().ljust(32, b"."))


def session_of(nodes: Sequence[str], nonce: str = "1") -> LinkSession:
    return LinkSession(
        network="test",
        roster="0" * 64,
        nodes=tuple(sorted(nodes)),
        fields=("name", "born"),
        starts="2026-01-01",
        ends="2026-12-31",
        dictionary="0" * 64,
        created="2026-01-01T00:00:00Z",
        expires="2026-01-01T01:00:00Z",
        nonce=nonce,
    )


@dataclass
class Ring:
    """Runs every step in order. `seen` is all that the coordinator ever saw."""

    members: Mapping[str, Sequence[str]]
    room: int = 40
    seed: int = 1
    parties: dict[str, Party] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    assign: Callable[[dict[str, bytes]], dict[str, bytes]] = lambda bits: bits
    forward: Callable[[str, Sent], Sent] = lambda _to, sent: sent
    done: dict[str, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = session_of(list(self.members))
        self.keys = {node: key_of(node).public for node in self.members}
        self.parties = {node: self.party(node) for node in self.session.nodes}

    def party(self, node: str) -> Party:
        entropy = seeded_entropy(self.seed * 1000 + self.session.nodes.index(node))
        return Party(
            self.session, node, self.room, key=key_of(node), peers=self.keys, entropy=entropy
        )

    def named(self, name: str) -> bytes:
        return person(self.session.fields, (name, "1970-01-01"))

    def adverts_body(self, node: str) -> Json:
        return parse_canonical(self.parties[node].advert().body)  # type: ignore[no-any-return]

    def begin(self) -> None:
        adverts = [party.advert() for party in self.parties.values()]
        self.adverts = open_adverts(self.session, adverts, self.keys)
        for party in self.parties.values():
            party.meet(adverts)
        dealt = self.parties[self.session.nodes[0]].deal()
        for node, sealed in dealt.items():
            self.seen.append(sealed)
            self.parties[node].receive(sealed)

    def own_lists(self) -> dict[str, Sent]:
        return {
            node: party.own_list([self.named(name) for name in self.members[node]])
            for node, party in self.parties.items()
        }

    def round(self, lists: dict[str, Sent]) -> dict[str, Sent]:
        """Every list once around; returns them finished."""
        done = {}
        for owner, first in lists.items():
            sent = first
            self.seen.append(sent[1])
            for node in self.session.ring_from(owner)[1:]:
                sent = self.parties[node].hand_on(*self.forward(node, sent))
                self.seen.append(sent[1])
            done[owner] = sent
        return done

    def pseudonyms(self) -> dict[str, list[bytes]]:
        self.begin()
        self.done = self.round(self.own_lists())
        return finished(self.session, self.done, self.adverts, self.keys)

    def vouch(self, node: str, bits: bytes) -> bytes:
        return self.parties[node].vouch(bits, [sent[0] for sent in self.done.values()])

    def counted(self) -> dict[str, list[str]]:
        """The members that each organisation counts in the end."""
        bits = self.assign(counted_elsewhere(self.session, self.pseudonyms()))
        vouched = {node: self.vouch(node, bits[node]) for node in self.parties}
        self.seen += vouched.values()
        elsewhere = {node: party.learn(vouched) for node, party in self.parties.items()}
        return {
            node: [name for name in names if self.named(name) not in elsewhere[node]]
            for node, names in self.members.items()
        }
